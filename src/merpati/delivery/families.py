"""Which address family to try first: IPv6, unless it has failed lately wherever it was tried.

A machine whose IPv6 leads nowhere would otherwise wait for a time-out at each new site. Monotonic
seconds.
"""

import math

_FAILURES = 3
_AILING = 600.0


class Families:
    """What was reached of IPv6, kept for a whole worker."""

    def __init__(self) -> None:
        self._failures = 0
        self._ailing_until = -math.inf

    def reached(self, ip: str) -> None:
        """A host answered."""
        if ":" in ip:
            self._failures = 0
            self._ailing_until = -math.inf

    def missed(self, ip: str, now: float) -> None:
        """A host did not."""
        if ":" in ip:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._ailing_until = now + _AILING

    def prefers_ipv6(self, now: float) -> bool:
        """Whether IPv6 comes first; for ten minutes not, after three hosts in a row."""
        return now >= self._ailing_until
