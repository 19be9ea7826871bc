"""A signed message that others than its signer bring again and again may be told to come later."""

from dataclasses import dataclass

from merpati.policy.limit import Limit
from merpati.policy.replay import Action
from merpati.policy.rule import JUDGED, Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

NAME = "replay"


@dataclass(frozen=True, slots=True)
class Replay:
    """Refuses for now, where that is asked for; a list that is meant by it comes again."""

    action: Action
    name: str = NAME
    moments: frozenset[Moment] = frozenset({JUDGED})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """450 4.7.28 (mail flood detected) for what came too often."""
        if self.action is not Action.DEFER or facts.replayed is None:
            return None
        domain = facts.replayed.signature.evidence.domain
        text = f"One message signed by {domain} comes too often from others, try again later"
        reply = Reply(450, text, Status(4, 7, 28))
        return Verdict(reply, NAME, limit=Limit.REPLAY_RECIPIENTS)
