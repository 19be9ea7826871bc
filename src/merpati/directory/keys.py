"""The promises of a store of keys that sign mail.

Engines: `key_store` (SQLite) and `testing.memory_keys`. What a key is made of is nobody's concern
here: its text and its record are kept as they are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class KeyState(Enum):
    """Where a key stands; `rotation` says how it moves. The value is what is stored."""

    NEXT = "next"
    """To be published, and not signing yet: resolvers must forget first that it was not there."""
    ACTIVE = "active"
    RETIRED = "retired"
    """Signs no more, and stays published: what it signed is still on its way."""


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A key of a domain."""

    domain: str
    """In A-labels and lower case."""
    selector: str
    kind: str
    """What it is made of: rsa-2048, ed25519 …"""
    state: KeyState
    since: float
    """Seconds since 1970 UTC when it came into its state."""
    record: str
    """What its TXT record says."""
    private: bytes = field(repr=False)
    """PEM."""

    @property
    def algorithm(self) -> str:
        """The kind without its length: one key of each signs a message."""
        return self.kind.partition("-")[0]


class Keys(Protocol):
    """The keys that sign. Synchronous: from a bounded cache or one read."""

    def has_active(self) -> bool:
        """Whether any domain has a key that signs; asked for each message."""
        ...

    def active(self, domain: str) -> Sequence[DkimKey]:
        """The keys that sign for exactly this domain, by selector."""
        ...


class KeyKeeper(Protocol):
    """Changes to the keys. Each returns when stored; else DirectoryError says why not."""

    def forget(self) -> None:
        """Somebody else has changed the same keys: what is remembered may not be true."""
        ...

    async def keys(self, domain: str = "") -> list[DkimKey]:
        """Of one domain or all, by domain and selector."""
        ...

    async def add_key(self, key: DkimKey) -> None:
        """A new one, in the state NEXT; a domain has one such of each algorithm at most."""
        ...

    async def rotate_keys(self, domain: str, at: float) -> list[DkimKey]:
        """Each NEXT key becomes ACTIVE, and the ACTIVE one of its algorithm RETIRED.

        All at once; returns those that changed.
        """
        ...

    async def remove_key(self, domain: str, selector: str, at: float, *, force: bool) -> None:
        """Forget it for good. One whose signatures may still be on their way only by force."""
        ...
