"""What a host vouches for that sends another's message on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sealing:
    """What a seal on a message says (ARC, RFC 8617), as it was found when the message came."""

    domain: str
    """Whose key seals."""
    found: str
    """The value of our Authentication-Results."""
    chain: str
    """What the chain of earlier seals came to: none, pass, fail, temperror."""
