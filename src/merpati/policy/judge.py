"""Asks the rules of a moment in order; the first refusal wins."""

from collections.abc import Sequence

from merpati.policy.rule import Facts, Moment, Rule
from merpati.policy.verdict import Verdict


class Judge:
    """The rules of one port."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_moment = {
            moment: tuple(rule.judge for rule in rules if moment in rule.moments)
            for moment in Moment
        }

    async def ask(self, moment: Moment, facts: Facts) -> Verdict | None:
        """The first refusal, or None when all let it pass."""
        for judge in self._by_moment[moment]:
            answer = judge(moment, facts)
            # Most rules wait for nothing: a coroutine for each would cost more than their work.
            if answer is not None and not isinstance(answer, Verdict):
                answer = await answer
            if answer is not None:
                return answer
        return None
