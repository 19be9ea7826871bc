"""What a rule decides."""

from dataclasses import dataclass

from merpati.policy.limit import Limit
from merpati.smtp.replies import MESSAGE_TOO_BIG, TOO_MANY_RECIPIENTS, Reply


@dataclass(frozen=True, slots=True)
class Verdict:
    """A refusal: what the client is told and which rule said so. No verdict means go on."""

    reply: Reply
    rule: str
    close: bool = False
    """End the connection after the reply."""
    limit: Limit | None = None
    """Which limit it is above, if it is one: whoever says the verdict counts it."""


def of_protocol(reply: Reply, rule: str) -> Verdict:
    """What the protocol refused by itself, before any rule was asked."""
    limit = None
    if reply is MESSAGE_TOO_BIG:
        limit = Limit.MESSAGE_SIZE
    elif reply is TOO_MANY_RECIPIENTS:
        limit = Limit.RECIPIENTS
    return Verdict(reply, rule, limit=limit)
