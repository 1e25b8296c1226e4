-- QoS 2, shared subscriptions, subscription identifiers and delayed messages.

-- queue.flags has one more bit: 3, the client has this QoS 2 message and waits for its PUBREL.

-- QoS 2 from clients: packet ids that are not released yet. Their messages have been delivered.
CREATE TABLE inbound (
    session_no INTEGER NOT NULL,
    packet_id  INTEGER NOT NULL,
    PRIMARY KEY (session_no, packet_id)
) STRICT, WITHOUT ROWID;

-- The queue of a shared subscription is like that of a session: its rows have group_no as their session_no. filter:
-- "$share/NAME/FILTER"; its members have it in `subscription`.
CREATE TABLE share_group (
    group_no INTEGER PRIMARY KEY,
    filter   BLOB NOT NULL UNIQUE
) STRICT;

-- The subscription identifier; 0: none.
ALTER TABLE subscription ADD COLUMN id INTEGER NOT NULL DEFAULT 0;

-- When a row of queue 255 is due, since 1970.
CREATE TABLE delayed (
    seq    INTEGER PRIMARY KEY,
    due_ms INTEGER NOT NULL
) STRICT;
