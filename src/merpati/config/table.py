"""What every table of merpati.toml is."""

from msgspec import Meta, Struct


def key(text: str) -> Meta:
    """What a key means, in words for an operator."""
    return Meta(description=text)


def between(least: float, most: float) -> Meta:
    """From which value to which, both included: of a number, of a size in octets, of a time in
    seconds. Beyond it is what nobody can mean; what is rarely meant, `config.doubts` tells."""
    return Meta(ge=least, le=most)


MESSAGE = between(1_000, 16 * 1024**3)
"""Octets: a header section alone has a thousand, so that `50` is a slip for `"50MiB"`."""
CONNECTIONS = between(1, 1_000_000)
"""At once; a process cannot open more files than that anyhow."""
RATE = between(0, 1_000_000_000)
"""Of whatever in whatever time; 0 is no limit."""


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of merpati.toml."""
