-- What is counted for our reports to others.
CREATE TABLE tally_cursor (
  shard INTEGER PRIMARY KEY,        -- whose journal
  seq INTEGER NOT NULL              -- its last event that is counted
);
-- One report: whom it is about, and how far its sending has come. An id is never given twice.
CREATE TABLE tally (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  day INTEGER NOT NULL,             -- since 1970, UTC
  kind TEXT NOT NULL,               -- dmarc, tls
  domain TEXT NOT NULL,
  name TEXT NOT NULL,
  record TEXT NOT NULL,             -- what was published, as seen last
  reasons INTEGER NOT NULL,
  left_out INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  due REAL NOT NULL,
  token INTEGER NOT NULL DEFAULT 0, -- how often it was taken; 0: it still takes counts
  shard INTEGER NOT NULL DEFAULT -1,
  message TEXT NOT NULL DEFAULT '',
  mailed INTEGER NOT NULL DEFAULT 0,
  posts TEXT NOT NULL DEFAULT '',   -- URIs, one a line
  begun REAL NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX tally_open ON tally (day, kind, domain) WHERE token = 0;
CREATE INDEX tally_due ON tally (due);
CREATE TABLE tally_row (
  tally INTEGER NOT NULL,
  row BLOB NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (tally, row)
) WITHOUT ROWID;
-- How much of a day there is, and what had no room.
CREATE TABLE tally_day (
  day INTEGER NOT NULL,
  kind TEXT NOT NULL,
  domains INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  left_out INTEGER NOT NULL,
  PRIMARY KEY (day, kind)
) WITHOUT ROWID;
