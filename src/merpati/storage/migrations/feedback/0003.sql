-- As in directory.db (directory/0007.sql): each row of what others report has a checksum that triggers write.
ALTER TABLE report ADD COLUMN checksum INTEGER;
CREATE TRIGGER report_made AFTER INSERT ON report BEGIN
  UPDATE report SET number = number WHERE number = NEW.number;
END;
CREATE TRIGGER report_changed AFTER UPDATE ON report BEGIN
  UPDATE report SET checksum = row_checksum(number, CAST(id AS BLOB), CAST(kind AS BLOB), at, CAST(author AS BLOB), CAST(proof AS BLOB), CAST(evidence AS BLOB), CAST(domain AS BLOB), CAST(organization AS BLOB), CAST(report_id AS BLOB), begin, until, total, failed, CAST(why AS BLOB), octets, told)
    WHERE number = NEW.number;
END;
UPDATE report SET number = number;
ALTER TABLE source ADD COLUMN checksum INTEGER;
CREATE TRIGGER source_made AFTER INSERT ON source BEGIN
  UPDATE source SET report = report WHERE report = NEW.report AND n = NEW.n;
END;
CREATE TRIGGER source_changed AFTER UPDATE ON source BEGIN
  UPDATE source SET checksum = row_checksum(report, n, CAST(ip AS BLOB), messages, dkim, spf, CAST(disposition AS BLOB), forwarded, CAST(signer AS BLOB), CAST(envelope AS BLOB))
    WHERE report = NEW.report AND n = NEW.n;
END;
UPDATE source SET report = report;
ALTER TABLE tls_sessions ADD COLUMN checksum INTEGER;
CREATE TRIGGER tls_sessions_made AFTER INSERT ON tls_sessions BEGIN
  UPDATE tls_sessions SET report = report WHERE report = NEW.report AND n = NEW.n;
END;
CREATE TRIGGER tls_sessions_changed AFTER UPDATE ON tls_sessions BEGIN
  UPDATE tls_sessions SET checksum = row_checksum(report, n, CAST(domain AS BLOB), CAST(policy AS BLOB), succeeded, failed)
    WHERE report = NEW.report AND n = NEW.n;
END;
UPDATE tls_sessions SET report = report;
ALTER TABLE tls_fault ADD COLUMN checksum INTEGER;
CREATE TRIGGER tls_fault_made AFTER INSERT ON tls_fault BEGIN
  UPDATE tls_fault SET report = report WHERE report = NEW.report AND sessions = NEW.sessions AND n = NEW.n;
END;
CREATE TRIGGER tls_fault_changed AFTER UPDATE ON tls_fault BEGIN
  UPDATE tls_fault SET checksum = row_checksum(report, sessions, n, CAST(result AS BLOB), CAST(host AS BLOB), CAST(reason AS BLOB), failed)
    WHERE report = NEW.report AND sessions = NEW.sessions AND n = NEW.n;
END;
UPDATE tls_fault SET report = report;
