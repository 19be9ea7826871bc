"""When a certificate is renewed, and when a failed attempt is made again. Pure."""

from dataclasses import dataclass

BACK_OFF = (120.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0)
"""Seconds after each failure in a row; the last repeats. Four attempts in the first hour: a public
CA lets a name fail five times."""
LATEST = 0.1
"""Share of its life that a certificate has left when it is renewed whatever the CA suggests."""
CHECK = 21_600.0
"""Seconds between two looks at what the CA suggests, if it says nothing else (RFC 9773 §4.3.2)."""
_CHECK_LEAST, CHECK_MOST = 60.0, 86_400.0
_SPREAD = 0.03
"""Share of the life by which renewals without a suggestion are spread."""
LONGEST_WAIT = 7 * 86_400.0
"""Seconds that a CA may put us off at a time, at most."""


@dataclass(frozen=True, slots=True)
class Window:
    """When the CA would like to be asked (RFC 9773 §4.2); seconds since 1970."""

    start: float
    end: float


def renewal_time(begins: float, ends: float, window: Window | None, jitter: float) -> float:
    """When to renew. `jitter`, from 0 to 1, stays the same for one certificate.

    A window that ends before it begins, or lies behind the certificate's end, is no reason to let
    it run out.
    """
    life = ends - begins
    if window is None or window.end < window.start:
        return begins + life * (2 / 3 - _SPREAD * jitter)
    return min(window.start + (window.end - window.start) * jitter, ends - life * LATEST)


def has_come(at: float, now: float, furthest: float) -> bool:
    """Whether a time has come that was noted at most `furthest` seconds ahead: one that lies beyond
    was noted by a clock that was wrong, and would keep us waiting for years."""
    return not now < at <= now + furthest


def next_check(now: float, retry_after: float | None) -> float:
    """When to ask the CA again for its window (RFC 9773 §4.3.2: bounds are the client's)."""
    wait = CHECK if retry_after is None else retry_after
    return now + min(max(wait, _CHECK_LEAST), CHECK_MOST)


def next_attempt(now: float, failures: int, wait: float, jitter: float) -> float:
    """When to try again after so many failures in a row; `wait` is what the CA asks for."""
    own = BACK_OFF[min(failures, len(BACK_OFF)) - 1]
    return now + max(own * (1 + jitter / 4), min(wait, LONGEST_WAIT))
