-- What others report of us. Every text in here is a stranger's.
CREATE TABLE report (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,          -- of the message that brought it
  kind TEXT NOT NULL,               -- dmarc, tls, complaint, unreadable
  at REAL NOT NULL,
  author TEXT NOT NULL,             -- the domain of From
  proof TEXT NOT NULL,              -- passed, failed, unknown
  evidence TEXT NOT NULL,
  domain TEXT NOT NULL,             -- that it is about, lower case
  organization TEXT NOT NULL,
  report_id TEXT NOT NULL,
  begin REAL NOT NULL,
  until REAL NOT NULL,
  total INTEGER NOT NULL,           -- messages or sessions
  failed INTEGER NOT NULL,
  why TEXT NOT NULL,
  octets INTEGER NOT NULL,          -- about what it takes, with its rows below
  told BLOB NOT NULL                -- the whole report: JSON, deflated
);
CREATE UNIQUE INDEX report_once ON report (kind, domain, author, proof, organization, report_id)
  WHERE report_id <> '';
CREATE INDEX report_about ON report (domain, kind, until);
CREATE INDEX report_at ON report (at);
CREATE INDEX report_room ON report (proof, author, at, octets);
-- Who sent mail in a domain's name, of one aggregate report.
CREATE TABLE source (
  report INTEGER NOT NULL,
  n INTEGER NOT NULL,
  ip TEXT NOT NULL,
  messages INTEGER NOT NULL,
  dkim INTEGER NOT NULL,            -- whether it passed and is aligned
  spf INTEGER NOT NULL,
  disposition TEXT NOT NULL,
  forwarded INTEGER NOT NULL,
  signer TEXT NOT NULL,             -- a domain whose signature is good, aligned or not
  envelope TEXT NOT NULL,           -- a domain for which SPF passed, aligned or not
  PRIMARY KEY (report, n)
) WITHOUT ROWID;
-- Sessions with a domain's hosts under one policy, of one report about TLS.
CREATE TABLE tls_sessions (
  report INTEGER NOT NULL,
  n INTEGER NOT NULL,
  domain TEXT NOT NULL,
  policy TEXT NOT NULL,             -- sts, tlsa, no-policy-found
  succeeded INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  PRIMARY KEY (report, n)
) WITHOUT ROWID;
CREATE INDEX tls_sessions_domain ON tls_sessions (domain);
CREATE TABLE tls_fault (
  report INTEGER NOT NULL,
  sessions INTEGER NOT NULL,        -- n there
  n INTEGER NOT NULL,
  result TEXT NOT NULL,
  host TEXT NOT NULL,
  reason TEXT NOT NULL,
  failed INTEGER NOT NULL,
  PRIMARY KEY (report, sessions, n)
) WITHOUT ROWID;
