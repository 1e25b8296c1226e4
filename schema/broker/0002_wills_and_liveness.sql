-- What a session needs after a restart beside its queue: since when it is off line, what may be a repeat, its will.

-- heartbeat_ms: when the broker was last known to be alive, since 1970. client_key: what client ids are hashed with; a
-- hash that is stored with a message stays comparable for as long as the file lives.
INSERT INTO meta VALUES ('heartbeat_ms', CAST(strftime('%s', 'now') AS INTEGER) * 1000), ('client_key', random());

-- offline_ms: since when its client is gone, since 1970; 0: it was connected when last heard of.
ALTER TABLE session ADD COLUMN offline_ms INTEGER NOT NULL DEFAULT 0;
-- sent: entries up to this seq may have reached the client.
ALTER TABLE session ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;

-- from_client: a hash of the publisher's client id, which outlives its session (for No Local); 0: none.
ALTER TABLE body ADD COLUMN from_client INTEGER NOT NULL DEFAULT 0;

CREATE TABLE will (
    session_no   INTEGER PRIMARY KEY,
    topic        BLOB NOT NULL,
    props        BLOB NOT NULL,
    payload      BLOB NOT NULL,
    flags        INTEGER NOT NULL, -- bits 0-1 QoS, 2 retain
    from_session INTEGER NOT NULL,
    from_client  INTEGER NOT NULL,
    delay_s      INTEGER NOT NULL, -- after the end of the connection
    expiry_s     INTEGER NOT NULL  -- after it was published; 4294967295: never
) STRICT;

-- The last submission of each node that these tables have: boot_no counts its starts, n its commands since.
CREATE TABLE origin (
    node    INTEGER PRIMARY KEY,
    boot_no INTEGER NOT NULL,
    n       INTEGER NOT NULL
) STRICT;

-- Publishers' own message ids, for as long as a resend of one is recognised.
CREATE TABLE mid (
    client_id BLOB NOT NULL,
    mid       BLOB NOT NULL,
    stamp_ms  INTEGER NOT NULL,
    PRIMARY KEY (client_id, mid)
) STRICT, WITHOUT ROWID;
CREATE INDEX mid_by_stamp ON mid (stamp_ms);
