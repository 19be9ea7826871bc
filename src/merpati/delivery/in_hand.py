"""What is out of the queue at this moment, bounded in count and octets, and the permits to send."""

from collections.abc import Iterable

from merpati.delivery.permits import WorkerPermits
from merpati.delivery.transaction import Transaction
from merpati.mail.address import Address
from merpati.mail.envelope import Body
from merpati.queue.entry import Entry


class InHand:
    """Counts recipients and the octets of bodies in memory, until their results are on disk."""

    def __init__(self, recipients: int, octets: int, permits: int) -> None:
        self._recipients = recipients
        self._octets = octets
        self.permits = WorkerPermits(permits)
        self.count = 0
        self.octets = 0

    @property
    def room(self) -> int:
        """Recipients that may be taken out now."""
        return 0 if self.octets >= self._octets else max(0, self._recipients - self.count)

    @property
    def surplus(self) -> int:
        """Recipients that should make room, if they can: what is more than half."""
        if self.octets * 2 > self._octets:
            return self.count
        return max(0, self.count - self._recipients // 2)

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
