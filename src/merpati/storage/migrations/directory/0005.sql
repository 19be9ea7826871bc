-- What an account may send as, how much of it, and whether it may at all.
ALTER TABLE user ADD COLUMN stopped REAL;                     -- since when it may not send; NULL: it may
ALTER TABLE user ADD COLUMN why TEXT NOT NULL DEFAULT '';     -- of that
ALTER TABLE user ADD COLUMN told INTEGER NOT NULL DEFAULT 1;  -- 0: its owner has yet to be told of it
ALTER TABLE user ADD COLUMN since REAL NOT NULL DEFAULT 0;    -- what it sent before is no part of its quotas
ALTER TABLE user ADD COLUMN messages INTEGER;                 -- a day; NULL: as is usual, 0: any number
ALTER TABLE user ADD COLUMN recipients INTEGER;
ALTER TABLE user ADD COLUMN strangers INTEGER;
CREATE INDEX user_stopped ON user (id) WHERE stopped IS NOT NULL;
CREATE TABLE sender (
  user INTEGER NOT NULL,
  domain TEXT NOT NULL,
  local TEXT NOT NULL,              -- empty: the whole domain
  PRIMARY KEY (user, domain, local)
) WITHOUT ROWID;
CREATE TABLE used (
  user INTEGER NOT NULL,
  day INTEGER NOT NULL,             -- since 1970, UTC
  messages INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  strangers INTEGER NOT NULL,       -- recipients elsewhere that it had never written to
  PRIMARY KEY (user, day)
) WITHOUT ROWID;
-- Whom an account wrote to, as keyed hashes: the file tells nobody who that was.
CREATE TABLE known (
  user INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  day INTEGER NOT NULL,             -- when last, to a week
  PRIMARY KEY (user, hash)
) WITHOUT ROWID;
CREATE TABLE counted (
  shard INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL              -- the last event of its journal that is counted
);
