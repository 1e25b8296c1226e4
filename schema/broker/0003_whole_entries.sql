-- A small message that waits in one queue only lies in its row: one insert instead of three, read and deleted with its
-- row. The others are in `body`, and the row's own columns are null (docs/decisions/0005-rows-that-hold-their-message.md).
ALTER TABLE queue ADD COLUMN topic BLOB;
ALTER TABLE queue ADD COLUMN props BLOB;
ALTER TABLE queue ADD COLUMN payload BLOB;
ALTER TABLE queue ADD COLUMN body_flags INTEGER; -- as body.flags
ALTER TABLE queue ADD COLUMN expires_ms INTEGER;
ALTER TABLE queue ADD COLUMN from_session INTEGER;
ALTER TABLE queue ADD COLUMN from_client INTEGER;

DROP INDEX queue_by_seq;
CREATE INDEX queue_by_body ON queue (seq) WHERE topic IS NULL; -- for the sweep of bodies
