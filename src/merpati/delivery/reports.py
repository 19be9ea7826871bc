"""Whoever reads the mail for the address of reports, as deliveries see it."""

from typing import Protocol

from merpati.mail.address import Address
from merpati.queue.entry import Entry

ROUTE = "reports:"
"""What the journal calls the way there."""


class Reports(Protocol):
    """Takes the place of a mailbox."""

    def is_for(self, address: Address) -> bool:
        """Whether mail for this address is read here. Answered at once."""
        ...

    async def take(self, entry: Entry, message: bytes) -> str:
        """Keep what a message brings and say in words what became of it; on disk when it returns.

        Taking the same again changes nothing. Raises StorageError.
        """
        ...
