"""Who has mail for a site and no connection, because others have them all."""

from tests.simulation.lines import Key, Pools

LONGEST = 60.0


class Hunger:
    """`flaw` is asked once a second or seldomer."""

    def __init__(self) -> None:
        self.calm_from = 0.0
        """When no host, disk or name has been ill for so long that nobody waits for it any more."""
        self.longest = 0.0
        self._since: dict[Key, float] = {}

    def flaw(self, pools: Pools, now: float) -> str:
        """Who starves; empty for nobody."""
        before, self._since = self._since, {}
        for _, shard, pool in pools:
            if not pool._ready or pool._stopping or pool._live or pool._opening:
                continue
            has_its_turn = now >= pool._pace.resumes_at() and not pool._pace.bucket.slowed_at > 0.0
            if not has_its_turn or not pool._allotment._row.total or now < self.calm_from:
                continue
            key = shard, pool.site
            since = self._since[key] = before.get(key, now)
            self.longest = max(self.longest, now - since)
            if now - since > LONGEST:
                return f"shard {shard} has had no connection to {pool.site} for {now - since:.0f} s"
        return ""
