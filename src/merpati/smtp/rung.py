"""How boldly a client talks to a server: the ladder that it climbs down when a server stumbles."""

from enum import IntEnum


class Rung(IntEnum):
    """From the fastest to the plainest; each also gives up what the ones before it gave up."""

    BDAT_LOOKAHEAD = 0
    """`BDAT n LAST`, and behind the body the next message's envelope (RFC 3030, RFC 2920)."""
    DATA_LOOKAHEAD = 1
    """The same with DATA: what servers that stumble over BDAT understand."""
    NO_LOOKAHEAD = 2
    """A pipelined envelope, but nothing behind a body."""
    LOCKSTEP = 3
    """One command, one reply."""
    HELO = 4
    """No extensions at all (RFC 5321 §4.1.1.1)."""
