-- When a policy of MTA-STS is to be fetched again stands with it, and how often that failed: what holds for a day is due sooner than
-- what holds for a year, and what failed is tried again soon. What is there was looked at before now, so it is due.
DROP TRIGGER sts_policy_changed;
ALTER TABLE sts_policy RENAME COLUMN looked TO due;
ALTER TABLE sts_policy ADD COLUMN failures INTEGER NOT NULL DEFAULT 0; -- since it was fetched
CREATE INDEX sts_policy_due ON sts_policy (due);
CREATE TRIGGER sts_policy_changed AFTER UPDATE ON sts_policy BEGIN
  UPDATE sts_policy SET checksum = row_checksum(CAST(domain AS BLOB), CAST(ident AS BLOB), text, expires, due, failures)
    WHERE domain = NEW.domain;
END;
UPDATE sts_policy SET domain = domain;
