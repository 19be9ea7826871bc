-- What the clock said when the shard was last opened (queue/leaping.py). One row; none: nobody has looked yet.
CREATE TABLE clock (
  boot TEXT NOT NULL,               -- of the machine; empty: unknown
  steady REAL NOT NULL,             -- seconds since that boot
  time REAL NOT NULL,               -- of day, in which all times of the shard are kept
  seq INTEGER NOT NULL              -- the last event by then
);
