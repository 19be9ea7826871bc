"""Who lives here is known at RCPT, so that mail for nobody is refused there, not bounced later.

Whoever guesses names is cut off before the guessing pays (threats: harvesting, backscatter).
"""

from dataclasses import dataclass

from merpati.directory.errors import DirectoryError
from merpati.directory.expansion import Expander, NoReturn
from merpati.policy.limit import Limit
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

NAME = "recipients"
_UNKNOWN = Verdict(Reply(550, "No such user here", Status(5, 1, 1)), NAME)
_DAMAGED = Verdict(Reply(451, "Aliases here need repair", Status(4, 3, 5)), NAME)
_NOTICES_ONLY = Verdict(
    Reply(550, "This address takes notices with the null sender only", Status(5, 7, 1)), NAME
)
_HARVEST = Verdict(
    Reply(421, "Too many unknown recipients", Status(4, 7, 0)),
    NAME,
    close=True,
    limit=Limit.UNKNOWN_RECIPIENTS,
)


@dataclass(frozen=True, slots=True)
class Recipients:
    """Recipients in domains of ours exist."""

    expander: Expander
    max_unknown: int = 20
    """Unknown recipients in a session of a stranger; the next one ends it."""
    name: str = NAME
    moments: frozenset[Moment] = frozenset({Moment.RCPT})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """550 5.1.1 for nobody; 421 for one guess too many.

        What comes back for mail that we sent on is a notice (RFC 5321 §4.5.5): anything else would
        make of a rewritten sender a way for everybody to write to the true one by us.
        """
        recipient = facts.recipient
        if recipient is None or not self.expander.is_here(recipient):
            return None
        try:
            found = self.expander.find(recipient)
        except NoReturn as why:
            return self._nobody(facts, _no_return(str(why)))
        except DirectoryError:
            return _DAMAGED
        if found is None:
            return self._nobody(facts, _UNKNOWN)
        is_answer = facts.envelope is None or facts.envelope.sender is None
        return None if is_answer or not self.expander.is_return(recipient) else _NOTICES_ONLY

    def _nobody(self, facts: Facts, refusal: Verdict) -> Verdict:
        is_stranger = not facts.trusted and facts.login is None
        return _HARVEST if is_stranger and self._is_harvest(facts) else refusal

    def _is_harvest(self, facts: Facts) -> bool:
        # A list server with stale names finds most of its recipients; a guesser finds few.
        # Each that exists counts once: naming one again and again earns no more guesses.
        return facts.unknown_recipients >= max(self.max_unknown, facts.different_recipients)


def _no_return(why: str) -> Verdict:
    # RFC 3463 §3.2: X.1.1 is a mailbox that does not exist. Forged and outworn ones alike.
    return Verdict(Reply(550, f"No such return address here: {why}", Status(5, 1, 1)), NAME)
