-- What the broker has learned of the ways to its clients: how long each may be silent (docs/keepalive.md). A row for each
-- client and network that differs from the rule. client: a hash of its id, by meta's client_key; net: of its network.
CREATE TABLE keepalive (
    client   INTEGER NOT NULL,
    net      INTEGER NOT NULL,
    k_s      INTEGER NOT NULL, -- under trial, or at rest
    proven_s INTEGER NOT NULL, -- the longest that held; 0: none
    ceil_s   INTEGER NOT NULL, -- the shortest that failed; 0: none
    phase    INTEGER NOT NULL,
    trial_s  INTEGER NOT NULL, -- of what the next two are:
    good     INTEGER NOT NULL, -- successes
    bad      INTEGER NOT NULL, -- failures in a row, in halves
    wait_s   INTEGER NOT NULL, -- how long this rest is,
    rested_s INTEGER NOT NULL, -- and how much of it is over
    noted_ms INTEGER NOT NULL, -- when, since 1970
    PRIMARY KEY (client, net)
) STRICT, WITHOUT ROWID;
CREATE INDEX keepalive_by_noted ON keepalive (noted_ms);
