"""What a reload may change, and what only a restart can."""

from collections.abc import Iterator

from merpati.config.document import Document
from merpati.config.errors import Flaw
from merpati.config.settings import Settings

_FIXED = ("workers", "user", "http", "dns", "delivery", "log")
"""Keys and tables that parts were built with at the start."""


def unchangeable(old: Settings, new: Settings) -> list[Flaw]:
    """Every change that a running server cannot make, with its line."""
    line = new.lines.of if new.lines else _no_line
    return [
        Flaw(key, line((key,)), "cannot change while the server runs", "Restart it")
        for key in _changed(old, new)
    ]


def _changed(old: Settings, new: Settings) -> Iterator[str]:
    if old.hostname != new.hostname:
        yield "hostname"
    if old.data != new.data:
        yield "data"
    if _doors(old.document) != _doors(new.document):
        yield "port"
    if _challenges(old.document) != _challenges(new.document):
        yield "acme"
    for key in _FIXED:
        if getattr(old.document, key) != getattr(new.document, key):
            yield key


def _doors(document: Document) -> list[tuple[str, str]]:
    return [(port.role.value, str(port.listen)) for port in document.port]


def _challenges(document: Document) -> str:
    return str(document.acme.listen or "") if document.acme else ""


def _no_line(_: object) -> int:
    return 0
