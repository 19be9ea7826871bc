"""A login sends as itself and nobody else."""

from dataclasses import dataclass

from merpati.directory.directory import Directory
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

_NOT_YOURS = Verdict(
    Reply(553, "Sender address belongs to somebody else", Status(5, 7, 1)), "sender"
)


@dataclass(frozen=True, slots=True)
class Sender:
    """The reverse-path of a login is an address of its own (RFC 6409 §6.1)."""

    directory: Directory
    name: str = "sender"
    moments: frozenset[Moment] = frozenset({Moment.MAIL})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """The null reverse-path is everybody's: clients answer with it to receipts."""
        if facts.login is None or facts.envelope is None or facts.envelope.sender is None:
            return None
        if self.directory.may_send_as(facts.login, facts.envelope.sender):
            return None
        return _NOT_YOURS
