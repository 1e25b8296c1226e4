-- Who has an account, in which groups, and what they may do. A name is text in UTF-8.
CREATE TABLE account (
    account_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 65535),
    -- As in a password file ($7$, $6$), or SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY. NULL: nobody logs
    -- in by a password; who is vouched for otherwise still has the account's groups, rules and limits.
    secret TEXT,
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1))
) STRICT;

CREATE TABLE team (
    team_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (length(name) > 0)
) STRICT;

CREATE TABLE member (
    team_id INTEGER NOT NULL REFERENCES team ON DELETE CASCADE,
    account_id INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
    PRIMARY KEY (team_id, account_id)
) STRICT, WITHOUT ROWID;

-- Of an account, of a team, or of everybody who is in. The highest priority counts, and of one priority a denial.
CREATE TABLE rule (
    rule_id INTEGER PRIMARY KEY,
    account_id INTEGER REFERENCES account ON DELETE CASCADE,
    team_id INTEGER REFERENCES team ON DELETE CASCADE,
    priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -1000000 AND 1000000),
    verdict TEXT NOT NULL CHECK (verdict IN ('allow', 'deny')),
    action TEXT NOT NULL CHECK (action IN ('publish', 'subscribe', 'both')),
    filter TEXT NOT NULL CHECK (length(filter) > 0),
    CHECK (account_id IS NULL OR team_id IS NULL)
) STRICT;

-- How many connections an account may have with devices of a class. Other accounts: the options.
CREATE TABLE connection_limit (
    account_id INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
    class TEXT NOT NULL, -- '': devices of no class
    connections INTEGER NOT NULL CHECK (connections BETWEEN 0 AND 1000000), -- 0: any number
    policy TEXT NOT NULL CHECK (policy IN ('kick-older', 'refuse-newer')),
    PRIMARY KEY (account_id, class)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_by_account ON member (account_id);
CREATE INDEX rule_by_account ON rule (account_id);
CREATE INDEX rule_by_team ON rule (team_id);
