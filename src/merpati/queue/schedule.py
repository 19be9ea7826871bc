"""When to try again: pure arithmetic."""

from dataclasses import dataclass

_MINUTE, _HOUR = 60.0, 3_600.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The waits of a queue. RFC 5321 §4.5.4.1: 30 minutes in general; strategies may vary it."""

    delays: tuple[float, ...] = (
        1 * _MINUTE,
        5 * _MINUTE,
        15 * _MINUTE,
        30 * _MINUTE,
        1 * _HOUR,
        2 * _HOUR,
        4 * _HOUR,
    )
    """Seconds after the first, second … failed attempt; the last one repeats."""
    spread: float = 0.2
    """Jitter: each delay is drawn from delay * (1 ± spread), so that cohorts come apart."""

    def delay(self, attempts: int, chance: float) -> float:
        """Seconds to wait after `attempts` (at least 1) failures; `chance` is in [0, 1)."""
        plain = self.delays[min(max(attempts, 1), len(self.delays)) - 1]
        return plain * (1 + self.spread * (2 * chance - 1))
