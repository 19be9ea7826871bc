"""Asks the rules of a moment in order; the first refusal wins."""

from collections.abc import Awaitable, Callable, Sequence

from merpati.policy.rule import Answer, Facts, Moment, Rule
from merpati.policy.verdict import Verdict

_Judge = Callable[[Moment, Facts], Answer | Awaitable[Answer]]


class Judge:
    """The rules of one port."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_moment: dict[Moment, tuple[_Judge, ...]] = {
            moment: tuple(rule.judge for rule in rules if moment in rule.moments)
            for moment in Moment
        }

    def hear(self, moment: Moment, facts: Facts) -> Answer | Awaitable[Answer]:
        """As a rule answers: at once where no rule waits, else what is to be awaited.

        Most rules wait for nothing, and a coroutine for each would cost more than their work.
        """
        for n, judge in enumerate(self._by_moment[moment]):
            answer = judge(moment, facts)
            if answer is not None:
                if isinstance(answer, Verdict):
                    return answer
                return _go_on(answer, self._by_moment[moment][n + 1 :], moment, facts)
        return None

    async def ask(self, moment: Moment, facts: Facts) -> Verdict | None:
        """The first refusal, or None when all let it pass."""
        answer = self.hear(moment, facts)
        return answer if answer is None or isinstance(answer, Verdict) else await answer


async def _go_on(
    waited_for: Awaitable[Answer], others: Sequence[_Judge], moment: Moment, facts: Facts
) -> Answer:
    verdict = await waited_for
    for judge in others:
        if verdict is not None:
            break
        answer = judge(moment, facts)
        verdict = answer if answer is None or isinstance(answer, Verdict) else await answer
    return verdict
