-- Each row has a checksum that `merpati verify` holds it against. `<table>_made` and `<table>_changed` write it whenever a row
-- is written, by a function that every connection of Merpati has (storage/checksum.py); rows that are there get theirs now. What is
-- counted for each message has none: the function would wait for the interpreter's lock at each.
ALTER TABLE domain ADD COLUMN checksum INTEGER;
CREATE TRIGGER domain_made AFTER INSERT ON domain BEGIN
  UPDATE domain SET name = name WHERE name = NEW.name;
END;
CREATE TRIGGER domain_changed AFTER UPDATE ON domain BEGIN
  UPDATE domain SET checksum = row_checksum(CAST(name AS BLOB))
    WHERE name = NEW.name;
END;
UPDATE domain SET name = name;
ALTER TABLE user ADD COLUMN checksum INTEGER;
CREATE TRIGGER user_made AFTER INSERT ON user BEGIN
  UPDATE user SET id = id WHERE id = NEW.id;
END;
CREATE TRIGGER user_changed AFTER UPDATE ON user BEGIN
  UPDATE user SET checksum = row_checksum(id, CAST(domain AS BLOB), CAST(local AS BLOB), CAST(shown AS BLOB), suspended, stopped, CAST(why AS BLOB), told, since, messages, recipients, strangers, made)
    WHERE id = NEW.id;
END;
UPDATE user SET id = id;
ALTER TABLE secret ADD COLUMN checksum INTEGER;
CREATE TRIGGER secret_made AFTER INSERT ON secret BEGIN
  UPDATE secret SET id = id WHERE id = NEW.id;
END;
CREATE TRIGGER secret_changed AFTER UPDATE ON secret BEGIN
  UPDATE secret SET checksum = row_checksum(id, user, CAST(name AS BLOB), CAST(argon2 AS BLOB), scram_salt, scram_iterations, stored_key, server_key, last_used)
    WHERE id = NEW.id;
END;
UPDATE secret SET id = id;
ALTER TABLE alias ADD COLUMN checksum INTEGER;
CREATE TRIGGER alias_made AFTER INSERT ON alias BEGIN
  UPDATE alias SET domain = domain WHERE domain = NEW.domain AND local = NEW.local AND n = NEW.n;
END;
CREATE TRIGGER alias_changed AFTER UPDATE ON alias BEGIN
  UPDATE alias SET checksum = row_checksum(CAST(domain AS BLOB), CAST(local AS BLOB), n, CAST(target_domain AS BLOB), CAST(target_local AS BLOB))
    WHERE domain = NEW.domain AND local = NEW.local AND n = NEW.n;
END;
UPDATE alias SET domain = domain;
ALTER TABLE dkim_key ADD COLUMN checksum INTEGER;
CREATE TRIGGER dkim_key_made AFTER INSERT ON dkim_key BEGIN
  UPDATE dkim_key SET domain = domain WHERE domain = NEW.domain AND selector = NEW.selector;
END;
CREATE TRIGGER dkim_key_changed AFTER UPDATE ON dkim_key BEGIN
  UPDATE dkim_key SET checksum = row_checksum(CAST(domain AS BLOB), CAST(selector AS BLOB), CAST(kind AS BLOB), CAST(state AS BLOB), since, CAST(record AS BLOB), private)
    WHERE domain = NEW.domain AND selector = NEW.selector;
END;
UPDATE dkim_key SET domain = domain;
ALTER TABLE sts_policy ADD COLUMN checksum INTEGER;
CREATE TRIGGER sts_policy_made AFTER INSERT ON sts_policy BEGIN
  UPDATE sts_policy SET domain = domain WHERE domain = NEW.domain;
END;
CREATE TRIGGER sts_policy_changed AFTER UPDATE ON sts_policy BEGIN
  UPDATE sts_policy SET checksum = row_checksum(CAST(domain AS BLOB), CAST(ident AS BLOB), text, expires, looked)
    WHERE domain = NEW.domain;
END;
UPDATE sts_policy SET domain = domain;
ALTER TABLE srs_key ADD COLUMN checksum INTEGER;
CREATE TRIGGER srs_key_made AFTER INSERT ON srs_key BEGIN
  UPDATE srs_key SET id = id WHERE id = NEW.id;
END;
CREATE TRIGGER srs_key_changed AFTER UPDATE ON srs_key BEGIN
  UPDATE srs_key SET checksum = row_checksum(id, made, secret)
    WHERE id = NEW.id;
END;
UPDATE srs_key SET id = id;
ALTER TABLE sender ADD COLUMN checksum INTEGER;
CREATE TRIGGER sender_made AFTER INSERT ON sender BEGIN
  UPDATE sender SET user = user WHERE user = NEW.user AND domain = NEW.domain AND local = NEW.local;
END;
CREATE TRIGGER sender_changed AFTER UPDATE ON sender BEGIN
  UPDATE sender SET checksum = row_checksum(user, CAST(domain AS BLOB), CAST(local AS BLOB))
    WHERE user = NEW.user AND domain = NEW.domain AND local = NEW.local;
END;
UPDATE sender SET user = user;
