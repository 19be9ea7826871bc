"""A message that goes round in a circle is refused when it comes, not bounced later.

A bounce would go to whoever the envelope names, and that may be a lie (threats: backscatter).
"""

from dataclasses import dataclass

from merpati.directory.errors import DirectoryError
from merpati.directory.expansion import Expander
from merpati.mail.envelope import Recipient
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

_TOO_FAR = Verdict(Reply(554, "Too many hops, this message loops", Status(5, 4, 6)), "hops")
_BACK = Verdict(
    Reply(554, "This message was in that mailbox before, it loops", Status(5, 4, 6)), "hops"
)


@dataclass(frozen=True, slots=True)
class Hops:
    """Received fields are counted, and Delivered-To names no mailbox that it comes to again."""

    expander: Expander
    max_hops: int = 50
    """RFC 5321 §6.3 says 100; the field uses 50, and no honest path comes near."""
    name: str = "hops"
    moments: frozenset[Moment] = frozenset({Moment.MESSAGE})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """More than `max_hops` Received fields, or a recipient who has had it."""
        if facts.headers.count("received") > self.max_hops:
            return _TOO_FAR
        been = {value.lower() for value in facts.headers.get_all("delivered-to")}
        if not been or facts.envelope is None:
            return None
        return _BACK if been & self._mailboxes(facts.envelope.recipients) else None

    def _mailboxes(self, recipients: tuple[Recipient, ...]) -> set[str]:
        try:
            targets = self.expander.expand(recipients).recipients
        except DirectoryError:
            return set()  # Aliases in a circle are found, and told of, where they are followed.
        return {str(one.address).lower() for one in targets if self.expander.is_here(one.address)}
