"""A token bucket that a site fills by complaining: messages a second after words about our rate.

R = max(1 a minute, half the last minute's rate) and one connection for 5 minutes; then R grows by
10 % a minute until it is far above what we send, when the limit is lifted. Monotonic seconds.

All workers send at R together: from when on the next message may go is one number that they share,
whoever's it is. And each takes no more than an equal part, so that none is always the first.
"""

import math
from collections import deque

_MINUTE = 60.0
_SLOWEST = 1 / _MINUTE
_NARROW = 5 * _MINUTE
_GROWTH = 1.10
# Samples of the last minute are kept as one count a second.
_SECONDS = 60


class Bucket:
    """Free until the first complaint."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, int]] = deque(maxlen=_SECONDS)
        self.base = math.inf
        """Messages a second after the last complaint."""
        self.slowed_at = -math.inf
        """When that was."""
        self.sharers = 1
        """Those that send to the site: each has an equal part of its rate."""
        self.free_at: memoryview[float] = memoryview(bytearray(8)).cast("d")
        """When all that went has used up its time at the rate: one number, in shared memory where
        others send as well."""
        self._tokens = 1.0
        self._filled_at = 0.0

    def sent(self, now: float) -> None:
        """A message went."""
        second = int(now)
        if self._sent and self._sent[-1][0] == second:
            self._sent[-1] = (second, self._sent[-1][1] + 1)
        else:
            self._sent.append((second, 1))

    def slow_down(self, now: float) -> None:
        """The site complained about our rate."""
        recent = sum(count for second, count in self._sent if second > now - _MINUTE)
        lately = recent * self.sharers / _MINUTE
        self.base = max(_SLOWEST, min(self.rate(now), lately) / 2)
        self.slowed_at = self._filled_at = now
        self._tokens = 0.0
        self.free_at[0] = now + 1 / self.base

    def adopt(self, base: float, slowed_at: float) -> None:
        """The site complained to another worker."""
        self.base, self.slowed_at = base, slowed_at
        self._filled_at = max(self._filled_at, slowed_at)
        self._tokens = 0.0

    def rate(self, now: float) -> float:
        """Messages a second that all workers may send; infinite while nobody complains."""
        if self.base == math.inf:
            return math.inf
        minutes = max(0.0, now - self.slowed_at - _NARROW) / _MINUTE
        # A rate a hundred thousand times the one that was complained about limits nothing.
        if minutes > math.log(100_000, _GROWTH):
            self.base = math.inf
            return math.inf
        return self.base * math.pow(_GROWTH, minutes)

    def window(self, now: float, window: float) -> float:
        """Connections that may be open: one while the complaint is young."""
        return 1.0 if now < self.slowed_at + _NARROW else window

    def take(self, now: float) -> bool:
        """Whether a message may go now; it is counted if so."""
        if self.base == math.inf:
            return True
        if self._refill(now) < 1.0 or self._seconds_to_free(now) > 0.0:
            return False
        self._tokens -= 1.0
        self.free_at[0] = max(self.free_at[0], now) + 1 / self.rate(now)
        return True

    def seconds_to_next(self, now: float) -> float:
        """How long until `take` says yes."""
        if self.base == math.inf:
            return 0.0
        own = (1.0 - self._refill(now)) * self.sharers / self.rate(now)
        return max(0.0, own, self._seconds_to_free(now))

    def _seconds_to_free(self, now: float) -> float:
        """How long until all workers together have not sent too much; not above 0 for now."""
        rate = self.rate(now)
        if rate == math.inf:
            return 0.0
        return self.free_at[0] - now - (_depth(rate) - 1.0) / rate

    def _refill(self, now: float) -> float:
        rate = self.rate(now) / self.sharers
        if rate == math.inf:
            self._tokens = 1.0
        else:
            grown = self._tokens + (now - self._filled_at) * rate
            self._tokens = min(_depth(rate), grown)
        self._filled_at = now
        return self._tokens


def _depth(rate: float) -> float:
    """Of a bucket: one second's worth, so that there is no burst after a pause."""
    return max(1.0, rate)
