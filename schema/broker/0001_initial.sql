-- What a broker must not forget. Numbers of positions are 64 bit: epoch in the high 24 bits, counter in the low 40.

-- applied: every command up to this position is in these tables. boot_no: how often this store was opened.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('applied', 0), ('boot_no', 0);

CREATE TABLE session (
    session_no INTEGER PRIMARY KEY,
    client_id  BLOB NOT NULL UNIQUE,
    claim_no   INTEGER NOT NULL,
    expiry_s   INTEGER NOT NULL -- 4294967295: never
) STRICT;

-- options: bits 0-1 QoS, 2 No Local, 3 Retain As Published, as in the SUBSCRIBE packet.
CREATE TABLE subscription (
    session_no INTEGER NOT NULL,
    filter     BLOB NOT NULL,
    options    INTEGER NOT NULL,
    PRIMARY KEY (session_no, filter)
) STRICT, WITHOUT ROWID;

-- A message once, however many queues it waits in. id: the position of the command that brought it.
CREATE TABLE body (
    id           INTEGER PRIMARY KEY,
    topic        BLOB NOT NULL,
    props        BLOB NOT NULL, -- forwarded MQTT 5 properties, as on the wire
    payload      BLOB NOT NULL,
    flags        INTEGER NOT NULL, -- bits 0-1 QoS, 2 retain
    expires_ms   INTEGER NOT NULL, -- since 1970; 0: never
    from_session INTEGER NOT NULL
) STRICT;

-- flags: bits 0-1 the QoS to deliver with, 2 the retain flag to deliver with.
CREATE TABLE queue (
    session_no INTEGER NOT NULL,
    seq        INTEGER NOT NULL, -- also the body's id
    flags      INTEGER NOT NULL,
    PRIMARY KEY (session_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_by_seq ON queue (seq); -- for the sweep of bodies

CREATE TABLE retained (
    topic BLOB PRIMARY KEY,
    body  INTEGER NOT NULL -- also its version
) STRICT, WITHOUT ROWID;
CREATE INDEX retained_by_body ON retained (body);
