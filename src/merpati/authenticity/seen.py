"""Records as they stood in the DNS when a check went by them: what is kept as evidence."""

from dataclasses import dataclass

MAX_SHOWN = 2048
"""Octets of a record that are kept, in characters: an RSA key with 4,096 bits has 750."""
_PRINTABLE = bytes(octet if 32 <= octet < 127 else ord("?") for octet in range(256))


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found at a name."""

    name: str
    record: str = ""
    """Its beginning: printable ASCII, with `?` for what else there is. Empty: there was none."""
    size: int = 0
    """Octets of the whole record."""
    is_answered: bool = True
    """False: the DNS did not say what is there."""

    @classmethod
    def of(cls, name: str, octets: bytes) -> "Seen":
        """A record as the DNS gave it."""
        record = octets[:MAX_SHOWN].translate(_PRINTABLE).decode("ascii")
        return cls(name, record, len(octets))
