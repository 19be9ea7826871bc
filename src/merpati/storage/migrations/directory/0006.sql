-- Since when an account is there: mail of an earlier one of the same name is not its mail.
ALTER TABLE user ADD COLUMN made REAL NOT NULL DEFAULT 0;
-- Who was suspended before suspensions had a time is from now on: what waits of them is held.
UPDATE user SET stopped = CAST(strftime('%s', 'now') AS REAL), why = 'suspended by an administrator'
  WHERE suspended = 1 AND stopped IS NULL;
