-- Who lives here. Names are kept as they compare: lower case.
CREATE TABLE domain (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE user (
  id INTEGER PRIMARY KEY,
  domain TEXT NOT NULL,
  local TEXT NOT NULL,
  shown TEXT NOT NULL,              -- the local part as it was written
  suspended INTEGER NOT NULL DEFAULT 0,
  UNIQUE (domain, local)
);
CREATE TABLE secret (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user INTEGER NOT NULL,
  name TEXT NOT NULL,
  argon2 TEXT NOT NULL,
  scram_salt BLOB NOT NULL,
  scram_iterations INTEGER NOT NULL,
  stored_key BLOB NOT NULL,
  server_key BLOB NOT NULL,
  last_used REAL,
  UNIQUE (user, name)
);
CREATE TABLE alias (
  domain TEXT NOT NULL,
  local TEXT NOT NULL,              -- '*' is the catch-all
  n INTEGER NOT NULL,
  target_domain TEXT NOT NULL,
  target_local TEXT NOT NULL,       -- as it was written: it may be foreign
  PRIMARY KEY (domain, local, n)
) WITHOUT ROWID;
CREATE INDEX alias_target ON alias (target_domain, target_local COLLATE NOCASE);
