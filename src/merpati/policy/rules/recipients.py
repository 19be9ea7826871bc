"""Who lives here is known at RCPT, so that mail for nobody is refused there, not bounced later.

Whoever guesses names is cut off before the guessing pays (threats: harvesting, backscatter).
"""

from dataclasses import dataclass

from merpati.directory.errors import DirectoryError
from merpati.directory.expansion import Expander
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

NAME = "recipients"
_UNKNOWN = Verdict(Reply(550, "No such user here", Status(5, 1, 1)), NAME)
_DAMAGED = Verdict(Reply(451, "Aliases here need repair", Status(4, 3, 5)), NAME)
_HARVEST = Verdict(Reply(421, "Too many unknown recipients", Status(4, 7, 0)), NAME, close=True)


@dataclass(frozen=True, slots=True)
class Recipients:
    """Recipients in domains of ours exist."""

    expander: Expander
    max_unknown: int = 20
    """Unknown recipients in a session of a stranger; the next one ends it."""
    name: str = NAME
    moments: frozenset[Moment] = frozenset({Moment.RCPT})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """550 5.1.1 for nobody; 421 for one guess too many."""
        recipient = facts.recipient
        if recipient is None or not self.expander.is_here(recipient):
            return None
        try:
            found = self.expander.find(recipient)
        except DirectoryError:
            return _DAMAGED
        if found is not None:
            return None
        is_stranger = not facts.trusted and facts.login is None
        return _HARVEST if is_stranger and self._is_harvest(facts) else _UNKNOWN

    def _is_harvest(self, facts: Facts) -> bool:
        # A list server with stale names finds most of its recipients; a guesser finds few.
        # Each that exists counts once: naming one again and again earns no more guesses.
        return facts.unknown_recipients >= max(self.max_unknown, facts.different_recipients)
