-- What other domains demand of who sends to them (MTA-STS, RFC 8461), kept until it expires.
CREATE TABLE sts_policy (
  domain TEXT NOT NULL PRIMARY KEY, -- A-labels, lower case
  ident TEXT NOT NULL,              -- of the TXT record when it was fetched
  text BLOB NOT NULL,               -- as it was fetched
  expires REAL NOT NULL,
  looked REAL NOT NULL              -- when it was last tried to renew it
) WITHOUT ROWID;
