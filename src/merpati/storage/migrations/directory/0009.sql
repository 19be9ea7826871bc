-- With a policy of MTA-STS stands when mail last went to its domain, to the day, and whether mail of our own people did: what no mail
-- goes to is not fetched for ever, and what strangers make us keep takes no room from the rest. Of those that are there nobody knows:
-- they count as used when they were last due, and as ours.
DROP TRIGGER sts_policy_changed;
ALTER TABLE sts_policy ADD COLUMN used REAL NOT NULL DEFAULT 0;
ALTER TABLE sts_policy ADD COLUMN ours INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sts_policy_used ON sts_policy (ours, used);
CREATE INDEX sts_policy_expires ON sts_policy (expires);
CREATE TRIGGER sts_policy_changed AFTER UPDATE ON sts_policy BEGIN
  UPDATE sts_policy SET checksum = row_checksum(CAST(domain AS BLOB), CAST(ident AS BLOB), text, expires, due, failures, used, ours)
    WHERE domain = NEW.domain;
END;
UPDATE sts_policy SET used = due, ours = 1;
