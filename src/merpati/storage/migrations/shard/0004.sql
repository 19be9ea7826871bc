-- Within a site and a kind of mail lanes are found by tenant: whoever writes to ten thousand domains has one turn of those at a
-- smarthost, and not ten thousand.
DROP INDEX lane_ready_of_kind;
CREATE INDEX lane_ready_of_tenant ON lane (site, bulk, tenant, ready) WHERE ready IS NOT NULL;
