"""What every table of merpati.toml is."""

from msgspec import Meta, Struct


def key(text: str) -> Meta:
    """What a key means, in words for an operator."""
    return Meta(description=text)


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of merpati.toml."""
