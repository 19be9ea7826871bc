"""When to try again, when to tell of a delay, when to give up: pure arithmetic."""

from dataclasses import dataclass

from merpati.mail.envelope import DeliverBy

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The patience of a queue. RFC 5321 §4.5.4.1: retry for at least 4 to 5 days."""

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
    lifetime: float = 5 * _DAY
    """Seconds after which what still waits expires."""
    delay_notice: float = 4 * _HOUR
    """Seconds after which the sender is told of a delay, once."""

    def delay(self, attempts: int, chance: float) -> float:
        """Seconds to wait after `attempts` (at least 1) failures; `chance` is in [0, 1)."""
        plain = self.delays[min(max(attempts, 1), len(self.delays)) - 1]
        return plain * (1 + self.spread * (2 * chance - 1))

    def next_due(self, now: float, attempts: int, chance: float, expires: float) -> float:
        """When to try next. Just before the end once more, rather than never again after it."""
        return min(now + self.delay(attempts, chance), max(expires - _MINUTE, now + _MINUTE))

    def expires(self, received: float, deliver_by: DeliverBy | None = None) -> float:
        """When to give up."""
        end = received + self.lifetime
        # RFC 2852 §4.1.3: by-mode R returns what is not delivered by then; N only tells.
        if deliver_by is not None and deliver_by.must_return:
            return min(end, deliver_by.deadline)
        return end

    def owes_delay_notice(
        self, now: float, received: float, deliver_by: DeliverBy | None = None
    ) -> bool:
        """Whether it is late enough to tell the sender, who was not told yet."""
        late = received + self.delay_notice
        if deliver_by is not None and not deliver_by.must_return:
            late = min(late, deliver_by.deadline)
        return now >= late
