-- A lane is one flow (tenant, bulk or not) on one way (domain, forced route): so that a mass of one sender's mail does not
-- stand before all other mail for the same domain. What waits already belongs to nobody in particular.
CREATE TABLE lane_of_flow (
  id INTEGER PRIMARY KEY,
  site INTEGER NOT NULL,            -- the same for all lanes of a way
  domain TEXT NOT NULL,
  route TEXT NOT NULL,
  tenant TEXT NOT NULL,
  bulk INTEGER NOT NULL,
  ready REAL,                       -- the earliest due of what waits
  waiting INTEGER NOT NULL DEFAULT 0,
  UNIQUE (domain, route, tenant, bulk)
);
INSERT INTO lane_of_flow SELECT id, site, domain, route, '', 0, ready, waiting FROM lane;
DROP TABLE lane;
ALTER TABLE lane_of_flow RENAME TO lane;
CREATE INDEX lane_ready ON lane (site, ready) WHERE ready IS NOT NULL;
CREATE INDEX lane_ready_of_kind ON lane (site, bulk, ready) WHERE ready IS NOT NULL;
