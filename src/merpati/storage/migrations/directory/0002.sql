-- Keys that sign mail. The file is its owner's alone (mode 0600): it holds them as they are.
CREATE TABLE dkim_key (
  domain TEXT NOT NULL,             -- A-labels, lower case; need not be one whose mail ends here
  selector TEXT NOT NULL,           -- lower case
  kind TEXT NOT NULL,               -- rsa-2048, ed25519 ...
  state TEXT NOT NULL,              -- next, active, retired
  since REAL NOT NULL,              -- when it came into this state
  record TEXT NOT NULL,             -- what its TXT record says
  private BLOB NOT NULL,            -- PEM
  PRIMARY KEY (domain, selector)
) WITHOUT ROWID;
