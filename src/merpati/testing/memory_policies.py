"""Policies of other domains in memory, for tests of whoever fetches them."""

import heapq
from dataclasses import replace

from merpati.directory.policies import KeptPolicy, PolicyRoom


class MemoryPolicies:
    """Keeps the promises of `PolicyKeeper` but over restarts."""

    def __init__(self) -> None:
        self.all: dict[str, KeptPolicy] = {}
        self._due: list[tuple[float, str]] = []
        """A heap. What is not as it says has changed meanwhile."""

    async def kept(self, domain: str) -> KeptPolicy | None:
        """The one of a domain, expired or not."""
        return self.all.get(domain)

    async def keep(self, policy: KeptPolicy, room: PolicyRoom) -> bool:
        """See `PolicyKeeper`."""
        if last := self.all.get(policy.domain):
            policy = replace(policy, used=last.used, is_ours=last.is_ours)
        elif not self._has_room(policy, room):
            return False
        self._put(policy)
        return True

    def _has_room(self, policy: KeptPolicy, room: PolicyRoom) -> bool:
        if len(self.all) < room.domains:
            return True
        going = [one for one in self.all.values() if not one.is_ours]
        if not going and policy.is_ours:
            going = [one for one in self.all.values() if one.used < room.unused]
        if going:
            del self.all[min(going, key=lambda one: one.used).domain]
        return bool(going)

    def _put(self, policy: KeptPolicy) -> None:
        self.all[policy.domain] = policy
        if policy.due < policy.expires:
            heapq.heappush(self._due, (policy.due, policy.domain))

    async def use(self, domain: str, at: float, due: float, *, is_ours: bool) -> None:
        """See `PolicyKeeper`."""
        if last := self.all.get(domain):
            is_ours = last.is_ours or is_ours
            self._put(replace(last, used=at, due=min(last.due, due), is_ours=is_ours))

    async def claim(self, now: float, until: float) -> KeptPolicy | None:
        """See `PolicyKeeper`."""
        while self._due and self._due[0][0] <= now:
            due, domain = heapq.heappop(self._due)
            policy = self.all.get(domain)
            if policy is not None and policy.due == due:
                claimed = replace(policy, due=until)
                self._put(claimed)
                return claimed
        return None

    async def put_off(self, policy: KeptPolicy, due: float) -> None:
        """See `PolicyKeeper`."""
        found = self.all.get(policy.domain)
        if found is not None and found.due == policy.due:
            self._put(replace(found, due=due, failures=policy.failures + 1))

    async def rest(self, policy: KeptPolicy) -> None:
        """See `PolicyKeeper`."""
        found = self.all.get(policy.domain)
        if found is not None and found.due == policy.due:
            self._put(replace(found, due=max(found.due, found.expires)))

    async def forget(self, before: float) -> None:
        """See `PolicyKeeper`."""
        for domain, policy in list(self.all.items()):
            if policy.expires < before and policy.due >= policy.expires:
                del self.all[domain]
