-- Until when a resend is recognised, since 1970: the window in force when the message came counts, not a later one.
ALTER TABLE mid RENAME COLUMN stamp_ms TO until_ms;
DROP INDEX mid_by_stamp;
CREATE INDEX mid_by_until ON mid (until_ms);
