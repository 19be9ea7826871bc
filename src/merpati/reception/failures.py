"""Failed logins: who may not try now, and how long the next answer takes.

Counted by address, by network, by account and by the pair of account and address, whether the
account exists or not. Guessing a password from many places stops at the account's count; its owner
is still let in, since a pair that once succeeded answers for its own failures only.
"""

from dataclasses import dataclass
from math import exp2

from merpati.clock import Clock
from merpati.node.table import Table, TableSettings
from merpati.policy.meters import Meters
from merpati.policy.prefix import neighbourhoods

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class FailureSettings:
    """Failures that are let happen, refilled over an hour."""

    per_pair: int = 10
    """One account from one address (IPv6: one /64)."""
    per_address: int = 20
    """One address, all accounts."""
    per_network: int = 100
    """One /24 or /48, all accounts."""
    per_account: int = 50
    """One account from everywhere it never logged in from."""
    longest_delay: float = 16.0
    """Seconds before a refusal is told; it doubles from one second with each of a pair's."""
    per_session: int = 5
    """In one connection; then it is closed."""


class Failures:
    """One for all ports of a node: `table` is what its workers share."""

    def __init__(self, settings: FailureSettings, clock: Clock, table: Table | None = None) -> None:
        self.settings = settings
        self._clock = clock
        table = table or Table(TableSettings())
        self._pairs = Meters(settings.per_pair / _HOUR, table, "failures pair")
        self._addresses = Meters(settings.per_address / _HOUR, table, "failures address")
        self._networks = Meters(settings.per_network / _HOUR, table, "failures network")
        self._accounts = Meters(settings.per_account / _HOUR, table, "failures account")
        self._good = Meters(0.0, table, "good pair")

    def may_try(self, account: str, ip: str) -> bool:
        """Whether a login is heard at all."""
        now, limits = self._clock.monotonic(), self.settings
        address, network = neighbourhoods(ip)
        pair = (account, address)
        if not _has_room(self._pairs.level(pair, now), limits.per_pair):
            return False
        if self._good.level(pair, now):
            return True
        return (
            _has_room(self._addresses.level(address, now), limits.per_address)
            and _has_room(self._networks.level(network, now), limits.per_network)
            and _has_room(self._accounts.level(account, now), limits.per_account)
        )

    def failed(self, account: str, ip: str) -> float:
        """Count it; how many seconds the refusal is to be held back."""
        now = self._clock.monotonic()
        address, network = neighbourhoods(ip)
        self._addresses.add(address, now)
        self._networks.add(network, now)
        level = self._pairs.add((account, address), now)
        if not self._good.level((account, address), now):
            self._accounts.add(account, now)
        return min(exp2(level - 1), self.settings.longest_delay)

    def succeeded(self, account: str, ip: str) -> None:
        """From now on this pair is known to be good."""
        pair = (account, neighbourhoods(ip)[0])
        self._pairs.clear(pair)
        self._good.clear(pair)
        self._good.add(pair, self._clock.monotonic())


def _has_room(level: float, limit: int) -> bool:
    """Whether one more failure could happen; it is not known yet that it will not be one."""
    return level + 1 <= limit
