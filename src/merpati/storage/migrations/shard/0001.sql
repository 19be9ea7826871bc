-- A worker's shard: queue, content and journal in one file, since ATTACH is not atomic in WAL mode.
-- Sites are groups of lanes that share hosts; a lane is a domain, or a domain sent another way.
CREATE TABLE site (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  ready REAL,                       -- when something may be claimed; NULL: nothing waits
  hold REAL NOT NULL DEFAULT 0,
  why TEXT NOT NULL DEFAULT ''
);
CREATE INDEX site_ready ON site (ready) WHERE ready IS NOT NULL;

CREATE TABLE lane (
  id INTEGER PRIMARY KEY,
  site INTEGER NOT NULL,
  domain TEXT NOT NULL,
  route TEXT NOT NULL,
  ready REAL,                       -- the earliest due of what waits
  waiting INTEGER NOT NULL DEFAULT 0,
  UNIQUE (domain, route)
);
CREATE INDEX lane_ready ON lane (site, ready) WHERE ready IS NOT NULL;

CREATE TABLE message (
  id INTEGER PRIMARY KEY,
  public TEXT NOT NULL UNIQUE,      -- the ULID that people see
  received REAL NOT NULL,
  expires REAL NOT NULL,
  sender TEXT NOT NULL,             -- as filters compare it
  stays INTEGER NOT NULL,           -- 0: all of it is at its first attempt, and no index needs it
  remind REAL,                      -- when to see whether a delay is to be told; NULL: never
  entry BLOB NOT NULL
);
CREATE INDEX message_remind ON message (remind) WHERE stays = 1 AND remind IS NOT NULL;
CREATE INDEX message_expires ON message (expires) WHERE stays = 1;
CREATE INDEX message_sender ON message (sender) WHERE stays = 1;

CREATE TABLE recipient (
  message INTEGER NOT NULL,
  n INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  due REAL NOT NULL,
  state INTEGER NOT NULL,           -- 0 waiting, 1 fresh and in hand, 2 held
  attempts INTEGER NOT NULL DEFAULT 0,
  told INTEGER NOT NULL DEFAULT 0,  -- a delay notice was made
  address TEXT NOT NULL,            -- as filters compare it
  reply TEXT NOT NULL DEFAULT '',
  cause TEXT NOT NULL DEFAULT '',   -- of that reply, as `diagnosis` names it
  PRIMARY KEY (message, n)
) WITHOUT ROWID;
CREATE INDEX recipient_due ON recipient (lane, due) WHERE state = 0;
CREATE INDEX recipient_in_hand ON recipient (message) WHERE state = 1;
CREATE INDEX recipient_held ON recipient (lane) WHERE state = 2;

CREATE TABLE chunk (
  id INTEGER PRIMARY KEY,           -- message << 16 | number
  octets BLOB NOT NULL
);
CREATE TABLE draft (
  id INTEGER PRIMARY KEY,           -- of the message that it is to become, or was
  abandoned INTEGER NOT NULL        -- 1: its chunks are to be swept
);

CREATE TABLE owed (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message INTEGER NOT NULL,
  n INTEGER NOT NULL,
  action TEXT NOT NULL,
  at REAL NOT NULL,
  status TEXT NOT NULL,
  reply TEXT NOT NULL,
  host TEXT NOT NULL,
  cause TEXT NOT NULL
);
CREATE INDEX owed_message ON owed (message);

CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  at REAL NOT NULL,
  thread TEXT NOT NULL,             -- the message's id; the connection's for `opened`; or empty
  body BLOB NOT NULL
);
CREATE INDEX event_thread ON event (thread) WHERE thread != '';
CREATE TABLE party (
  address TEXT NOT NULL,            -- domain@local, so that a domain is one range
  seq INTEGER NOT NULL,
  PRIMARY KEY (address, seq)
) WITHOUT ROWID;
CREATE TABLE day (
  day INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL              -- the first event of that day
);
