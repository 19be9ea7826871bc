"""The promises of what is counted of accounts: how much they sent in a day, and to whom before.

Engines: `usage_store` (SQLite) and `testing.memory_directory`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from merpati.mail.address import Address

DAY = 86_400
"""Seconds. A day begins at midnight UTC."""
_POSITIVE = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Used:
    """What an account sent in one day."""

    messages: int = 0
    recipients: int = 0
    strangers: int = 0
    """Recipients elsewhere that it never wrote to before."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of an account."""

    account: Address
    at: float
    recipients: int
    known: tuple[int, ...] = ()
    """The recipients elsewhere, by `hash_of`."""

    @property
    def day(self) -> int:
        """Since 1970, UTC."""
        return int(self.at // DAY)


class Usage(Protocol):
    """Counted once for all workers, from their journals."""

    def used(self, account: Address, day: int) -> Used:
        """What is counted by now. One look, answered at once."""
        ...

    def knows(self, account: Address, recipient: int) -> bool:
        """Whether it wrote to this recipient before. One look, answered at once."""
        ...

    async def cursor(self, shard: int) -> int | None:
        """The last event of a shard's journal that is counted; None: none ever was."""
        ...

    async def add(self, shard: int, cursor: int, sent: Sequence[Sent]) -> None:
        """Count these and keep the cursor, in one transaction.

        Whoever is no user any more is passed over; what was sent before an account was resumed
        makes recipients known and is no part of its quotas.
        """
        ...

    async def forget(self, today: int, most: int) -> int:
        """Forget up to `most` counts of a week ago and recipients of a year ago; how many."""
        ...


def hash_of(account: Address, recipient: Address, secret: bytes) -> int:
    """A recipient of an account as it is kept: without the installation's secret nobody can tell
    whom somebody writes to, nor whether two accounts write to the same."""
    named = f"{account.local}@{account.domain} {recipient.local}@{recipient.domain}".lower()
    octets = named.encode("utf-8", "surrogatepass")
    digest = blake2b(octets, digest_size=8, key=secret[:64]).digest()
    return int.from_bytes(digest, "big") & _POSITIVE
