"""What is out of the queue at this moment, bounded in count and octets, and the permits to send."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from merpati.delivery.transaction import Transaction
from merpati.mail.address import Address
from merpati.mail.envelope import Body
from merpati.queue.entry import Entry


class Permits(Protocol):
    """Places to send from, each taken and given back."""

    async def acquire(self) -> object:
        """Wait for one."""
        ...

    def release(self) -> None:
        """Give one back."""
        ...


class Share:
    """At most so many of the worker's permits, for one site.

    A site that keeps its verdicts to itself would hold all of them, and stop all other mail.
    """

    def __init__(self, permits: Permits, most: int) -> None:
        self._permits = permits
        self._own = asyncio.Semaphore(most)

    async def acquire(self) -> None:
        """First of the share: who waits there keeps nobody else waiting."""
        await self._own.acquire()
        try:
            await self._permits.acquire()
        except BaseException:
            self._own.release()
            raise

    def release(self) -> None:
        """Give one back to both."""
        self._permits.release()
        self._own.release()


class InHand:
    """Counts recipients and the octets of bodies in memory, until their results are on disk."""

    def __init__(self, recipients: int, octets: int, permits: int) -> None:
        self._recipients = recipients
        self._octets = octets
        self.permits = asyncio.Semaphore(permits)
        """One for each transaction between its final octets and the commit of its verdict."""
        self.count = 0
        self.octets = 0

    @property
    def room(self) -> int:
        """Recipients that may be taken out now."""
        return 0 if self.octets >= self._octets else max(0, self._recipients - self.count)

    def add(self, transaction: Transaction) -> None:
        """It was taken out."""
        self.count += len(transaction.recipients)
        self.octets += _octets(transaction, len(transaction.recipients))

    def remove(self, transaction: Transaction, recipients: int) -> None:
        """So many of its recipients are settled."""
        self.count -= recipients
        self.octets -= _octets(transaction, recipients)


def _octets(transaction: Transaction, recipients: int) -> int:
    """The share of these recipients in a body that all recipients of the message use."""
    return _share(transaction.entry) * recipients if isinstance(transaction.body, Body) else 0


def _share(entry: Entry) -> int:
    return entry.size // max(1, len(entry.envelope.recipients))


def merge(transactions: Iterable[Transaction]) -> list[Transaction]:
    """Transactions of the same message and sender joined, in the order of the first of each."""
    joined: dict[tuple[str, Address | None], Transaction] = {}
    for one in transactions:
        key = one.entry.id, one.return_path
        known = joined.get(key)
        if known is None:
            joined[key] = one
        else:
            body = known.body if isinstance(known.body, Body) else one.body
            recipients = known.recipients + one.recipients
            joined[key] = Transaction(one.entry, recipients, body, one.top)
    return list(joined.values())
