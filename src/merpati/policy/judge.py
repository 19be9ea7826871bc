"""Asks the rules of a moment in order; the first refusal wins."""

from collections.abc import Sequence

from merpati.policy.rule import Facts, Moment, Rule
from merpati.policy.verdict import Verdict


class Judge:
    """The rules of one port."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_moment = {
            moment: tuple(rule for rule in rules if moment in rule.moments) for moment in Moment
        }

    async def ask(self, moment: Moment, facts: Facts) -> Verdict | None:
        """The first refusal, or None when all let it pass."""
        for rule in self._by_moment[moment]:
            verdict = await rule.judge(moment, facts)
            if verdict is not None:
                return verdict
        return None
