"""A message that passed too many hosts goes round in a circle (RFC 5321 §6.3)."""

from dataclasses import dataclass

from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

_LOOP = Verdict(Reply(554, "Too many hops, this message loops", Status(5, 4, 6)), "hops")


@dataclass(frozen=True, slots=True)
class Hops:
    """Received fields are counted."""

    max_hops: int = 50
    """RFC 5321 §6.3 says 100; the field uses 50, and no honest path comes near."""
    name: str = "hops"
    moments: frozenset[Moment] = frozenset({Moment.MESSAGE})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """More than `max_hops` Received fields."""
        return _LOOP if facts.headers.count("received") > self.max_hops else None
