"""Which notices the queue itself owes: for what ends, or waits for long, without an attempt."""

import math

from merpati.journal.events import Expired, Failed, Unnoticed
from merpati.mail.envelope import Notify, Recipient
from merpati.queue.entry import Entry, Notice, Waiting

# RFC 3463 §3.5: X.4.7 is "delivery time expired"; class 4, since only time decided, and 5 where
# BY= demanded an end (RFC 2852 §4).
EXPIRED = "4.4.7"
BY_MISSED = "5.4.7"
# RFC 3463 §3.5: X.4.0, the network status that nothing more is known of.
WAITS = "4.4.0"
EXPANDED = "2.0.0"


def has_reader(entry: Entry) -> bool:
    """Whether a notice may be sent at all."""
    # RFC 3464 §2: no notice about a notice; RFC 5321 §4.5.5: none to the null reverse-path.
    return not entry.is_notice and entry.envelope.sender is not None


def missed_its_time(entry: Entry) -> bool:
    """Whether what ends a message is the time that BY= asked for."""
    by = entry.envelope.deliver_by
    return by is not None and by.must_return and by.deadline <= entry.expires


def delay_told_at(entry: Entry, recipient: Recipient, patience: float) -> float:
    """When the sender is to be told that this recipient's copy waits; infinite for never."""
    if not has_reader(entry):
        return math.inf
    # RFC 4865 §4: a message that is to be held until a time is not late before it.
    begins = max(entry.received, entry.envelope.release_at or 0.0)
    at = begins + patience if Notify.DELAY in recipient.notify else math.inf
    # RFC 2852 §4.1.4: mode N: at the deadline a delayed notice, unless NOTIFY=NEVER.
    by = entry.envelope.deliver_by
    if by and not by.must_return and recipient.notify:
        at = min(at, by.deadline)
    return at


def notices_of_expansion(entry: Entry) -> list[tuple[int, Notice]]:
    """What the sender is owed from the start: that aliases lead on to several."""
    first = len(entry.envelope.recipients)
    return [(n, Notice("expanded", EXPANDED)) for n, _ in enumerate(entry.expanded, first)]


def notice_of_delay(waiting: Waiting, why: str) -> Notice:
    """What the sender is told of a copy that waits; `why` is what its site is on hold for."""
    cause = waiting.cause or ("site-suspended" if why else "server-busy")
    return Notice("delayed", WAITS, waiting.reply or why, cause=cause)


def notice_of_expiry(entry: Entry, waiting: Waiting) -> Notice | None:
    """What the sender is owed when time runs out, if anything."""
    if not has_reader(entry) or Notify.FAILURE not in waiting.recipient.notify:
        return None
    status = BY_MISSED if missed_its_time(entry) else EXPIRED
    return Notice("failed", status, waiting.reply, cause=waiting.cause)


def untold(at: float, entry: Entry, waiting: Waiting) -> list[Unnoticed]:
    """The event of a failure that nobody can be told of, if this is one."""
    if has_reader(entry) or Notify.FAILURE not in waiting.recipient.notify:
        return []
    why = "about a notice" if entry.is_notice else "to the null sender"
    address = str(waiting.recipient.address)
    return [Unnoticed(at=at, message=entry.id, address=address, action="failed", why=why)]


def expired(at: float, entry: Entry, waiting: Waiting) -> Expired | Failed:
    """The event of that end."""
    address = str(waiting.recipient.address)
    if missed_its_time(entry):
        return Failed(
            at=at,
            message=entry.id,
            address=address,
            reply=waiting.reply,
            cause="deliver-by-missed",
            status=BY_MISSED,
        )
    return Expired(
        at=at,
        message=entry.id,
        address=address,
        reply=waiting.reply,
        attempts=waiting.attempts,
    )
