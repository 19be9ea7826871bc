"""Message ids: ULIDs, sortable by time and made without asking anybody (128 bits, 26 characters)."""

# Crockford's base 32: no I, L, O, U, so that an id survives being read aloud.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
ENTROPY = 10
"""Octets of chance in each id."""


def ulid(now: float, entropy: bytes) -> str:
    """The id of something made at `now` (seconds since 1970 UTC) with `ENTROPY` octets of chance."""
    number = int(now * 1000) << 80 | int.from_bytes(entropy, "big")
    # Ten bits at a time: half the steps of a digit at a time, on the path of every message.
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
