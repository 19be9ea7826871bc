"""Which notices the queue itself owes: those for what ends without an attempt."""

from merpati.journal.events import Expired
from merpati.mail.envelope import Notify
from merpati.queue.entry import Entry, Notice, Waiting

# RFC 3463 §3.5: X.4.7 is "delivery time expired"; class 4, since only time decided.
_EXPIRED = "4.4.7"


def notice_of_expiry(entry: Entry, waiting: Waiting) -> Notice | None:
    """What the sender is owed when time runs out, if anything."""
    # RFC 3464 §2: no notice about a notice; RFC 5321 §4.5.5: none to the null reverse-path.
    if entry.is_notice or entry.envelope.sender is None:
        return None
    if Notify.FAILURE not in waiting.recipient.notify:
        return None
    return Notice("failed", _EXPIRED, waiting.reply, cause=waiting.cause)


def expired(at: float, entry: Entry, waiting: Waiting) -> Expired:
    """The event of that end."""
    return Expired(
        at=at,
        message=entry.id,
        address=str(waiting.recipient.address),
        reply=waiting.reply,
        attempts=waiting.attempts,
    )
