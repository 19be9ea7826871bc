-- Keys that stamp the senders of forwarded mail (SRS). Who has one can make us send a notice on.
CREATE TABLE srs_key (
  id INTEGER PRIMARY KEY,
  made REAL NOT NULL,               -- the newest stamps; the others recognise their stamps
  secret BLOB NOT NULL
);
