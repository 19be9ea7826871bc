"""Public message ids: ULIDs, sortable by time, made without asking anyone.

A ULID is 48 bits of milliseconds and 80 random bits, 26 characters of Crockford's base 32.
"""

from collections.abc import Callable
from functools import lru_cache

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_RANDOM_BITS = 80
_RANDOM_OCTETS = _RANDOM_BITS // 8
_DRAWN_AT_ONCE = 25
_SHIFTS = range(_RANDOM_BITS - 10, -1, -10)
_LATEST = (1 << 48) - 1


class IdMaker:
    """Makes ids that rise strictly, also within one millisecond and when the clock goes back."""

    def __init__(self, now: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self._now = now
        self._entropy = entropy
        self._last = -1
        self._drawn = b""

    def make(self) -> str:
        """The next id; not for use from several threads, nor on both sides of a fork."""
        number = self._milliseconds() << _RANDOM_BITS
        if number >> _RANDOM_BITS <= self._last >> _RANDOM_BITS:
            number = self._last + 1
        else:
            number |= self._random()
        self._last = number
        return encode(number)

    def _random(self) -> int:
        # Drawn for many at a time: each draw is a system call, 4 % of the loop's time.
        if not self._drawn:
            self._drawn = self._entropy(_RANDOM_OCTETS * _DRAWN_AT_ONCE)
        octets, self._drawn = self._drawn[:_RANDOM_OCTETS], self._drawn[_RANDOM_OCTETS:]
        return int.from_bytes(octets, "big")

    def _milliseconds(self) -> int:
        return min(max(int(self._now() * 1000), 0), _LATEST)


def encode(number: int) -> str:
    """The 26 characters of a 128-bit number."""
    return _when(number >> _RANDOM_BITS) + "".join(
        [_PAIRS[number >> shift & 1023] for shift in _SHIFTS]
    )


def made_at(id_: str) -> float:
    """When an id was made, by the clock of that time."""
    milliseconds = 0
    for character in id_[:10]:
        milliseconds = milliseconds * len(_ALPHABET) + _ALPHABET.index(character)
    return milliseconds / 1000


@lru_cache(maxsize=4)
def _when(milliseconds: int) -> str:
    """The first ten characters: the same for all mail of a millisecond."""
    return "".join([_PAIRS[milliseconds >> shift & 1023] for shift in range(40, -1, -10)])
