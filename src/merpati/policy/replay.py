"""Watches for one signed message that others than its signer send again (RFC 6376 §8.6).

Whoever gets a message has a good signature of its domain, and can bring that very message to
thousands of others from hosts of his own: DKIM passes, and so DMARC. What gives it away is that
one signature comes again and again from hosts that are not the signer's. The signer's own hosts
(SPF, or the name of the address) are not counted, whatever they send; nor is a newsletter, since
each of its copies is signed by itself. A list or a forwarder that alters nothing looks the same as
a replay but brings a message in few transactions, and by default nothing is done but told.
"""

from dataclasses import dataclass
from enum import Enum

from merpati.authenticity.dkim.result import Verdict as Signature
from merpati.authenticity.judgement import Judgement
from merpati.clock import Clock
from merpati.journal.events import Replay
from merpati.node.table import Table, TableSettings

PERIOD = 3600.0
"""Seconds from the first copy on in which those that follow are counted; then it begins anew."""
_FEW = 3
"""Copies that are no replay, however many recipients each has: a list told its members at once."""
_SINCE, _COPIES, _RECIPIENTS = range(3)
_MAX_NAME = 255


class Action(Enum):
    """What is done with a copy above the limit."""

    RECORD = "record"
    """Told in the journal and counted."""
    MARK = "mark"
    """Told on top of the message too, where filters find it."""
    DEFER = "defer"
    """Told to come later."""


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """When a signature came too often by others, and what is done then."""

    recipients: int = 100
    """In an hour; 0: nothing is counted. A list or an alias elsewhere may well have as many members
    here: nothing that is done by itself may hurt their mail."""
    action: Action = Action.RECORD


@dataclass(frozen=True, slots=True)
class Replayed:
    """A signature that came too often, with the message that is looked at now."""

    signature: Signature
    copies: int
    recipients: int
    seconds: float
    """Since the first of them."""

    @property
    def told(self) -> Replay:
        """For the journal."""
        evidence = self.signature.evidence
        return Replay(
            domain=evidence.domain[:_MAX_NAME],
            selector=evidence.selector[:_MAX_NAME],
            copies=self.copies,
            recipients=self.recipients,
            seconds=round(self.seconds, 1),
        )


class Replays:
    """Counts of one door; they stand in a table that all workers of a node share."""

    def __init__(self, settings: ReplaySettings, clock: Clock, table: Table | None = None) -> None:
        """Without `table` it has one of its own."""
        self.settings = settings
        self._clock = clock
        self._table = table or Table(TableSettings())

    def count(self, judgement: Judgement, recipients: int) -> Replayed | None:
        """Count a message for so many; the signature of it that came too often, if any did.

        What is told to come later is not counted, or who retries steadily is never let in again.
        """
        if not self.settings.recipients:
            return None
        worst = None
        # Whoever brings a message can write a signature into it many times: it is one copy.
        different = {_key(signature): signature for signature in judgement.brought_by_others}
        for signature in different.values():
            found = self._count(signature, recipients)
            if found is not None and (worst is None or found.recipients > worst.recipients):
                worst = found
        return worst

    def _count(self, signature: Signature, recipients: int) -> Replayed | None:
        now = self._clock.monotonic()
        row = self._table.row(_key(signature), now)
        if row is None:
            return None  # Nobody counts in these rows, so there is always one to have.
        values = row.values
        if not values[_COPIES] or now - values[_SINCE] >= PERIOD:
            values[_SINCE], values[_COPIES], values[_RECIPIENTS] = now, 0.0, 0.0
        copies = int(values[_COPIES]) + 1
        recipients += int(values[_RECIPIENTS])
        is_above = copies > _FEW and recipients > self.settings.recipients
        if not (is_above and self.settings.action is Action.DEFER):
            values[_COPIES], values[_RECIPIENTS] = copies, recipients
        return Replayed(signature, copies, recipients, now - values[_SINCE]) if is_above else None


def _key(signature: Signature) -> str:
    return f"{signature.evidence.domain} {signature.evidence.mark.hex()}"
