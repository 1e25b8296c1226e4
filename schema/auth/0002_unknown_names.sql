-- What the salt of a name that nobody has is made of: it must be the same tomorrow, as an account's is.
CREATE TABLE pretence (
    seed BLOB NOT NULL CHECK (length(seed) = 32)
) STRICT;
INSERT INTO pretence (seed) VALUES (randomblob(32));

-- Other programs may write with foreign keys off, as SQLite's shell does, and a number is given again: what was an
-- account's must not wait for the next one.
DELETE FROM member WHERE NOT EXISTS (SELECT 1 FROM account WHERE account.account_id = member.account_id)
    OR NOT EXISTS (SELECT 1 FROM team WHERE team.team_id = member.team_id);
DELETE FROM rule WHERE account_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM account WHERE account.account_id = rule.account_id);
DELETE FROM rule WHERE team_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM team WHERE team.team_id = rule.team_id);
DELETE FROM connection_limit
    WHERE NOT EXISTS (SELECT 1 FROM account WHERE account.account_id = connection_limit.account_id);

CREATE TRIGGER account_is_gone AFTER DELETE ON account BEGIN
    DELETE FROM member WHERE account_id = old.account_id;
    DELETE FROM rule WHERE account_id = old.account_id;
    DELETE FROM connection_limit WHERE account_id = old.account_id;
END;

CREATE TRIGGER team_is_gone AFTER DELETE ON team BEGIN
    DELETE FROM member WHERE team_id = old.team_id;
    DELETE FROM rule WHERE team_id = old.team_id;
END;
