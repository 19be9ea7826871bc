"""Messages whose row cannot be read any more: held and told of once, never a reason to stop."""

from collections import Counter
from dataclasses import dataclass

import apsw

from merpati.journal.events import BY_ITSELF, Held
from merpati.journal.rows import EventWriter
from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.mail.trace import Client
from merpati.queue.entry import Entry
from merpati.queue.lanes import look_again
from merpati.storage.rows import rows

_HOLD = (
    "UPDATE recipient SET state = 2, reply = ?, cause = 'damaged-here' "
    "WHERE message = ? AND state = 0 RETURNING lane, address"
)


@dataclass(frozen=True, slots=True)
class Known:
    """What other columns than the entry say of a message."""

    public: str
    received: float
    expires: float

    def stand_in(self, n: int, address: str) -> Entry:
        """An entry to show and to end recipient `n` by. Its sender is null: nobody can say whom a
        notice would go to, or whether one is wanted."""
        recipient = Recipient(Address(*address.rsplit("@", 1)))
        envelope = Envelope(None, (recipient,) * (n + 1))
        return Entry(self.public, self.received, self.expires, envelope, Client(""), 0)


def hold_damaged(
    connection: apsw.Connection, events: EventWriter, message: int, why: str, now: float
) -> None:
    """Hold what waits of a message, so that no claim comes upon it again before an operator has."""
    public = connection.execute("SELECT public FROM message WHERE id = ?", (message,)).get or ""
    held = rows(connection, _HOLD, (why, message))
    gone = Counter(lane for lane, _ in held)
    look_again(connection, {lane: -count for lane, count in gone.items()})
    told = [
        Held(at=now, message=public, address=address, by=BY_ITSELF, why=why) for _, address in held
    ]
    events.write(connection, told)
