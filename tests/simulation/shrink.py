"""Makes a failing plan smaller as long as it fails in the same way."""

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from tests.simulation.plan import AnyStep, Plan, Submit

Fails = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Fails, tries: int = 300) -> Plan:
    """A plan with fewer steps and recipients for which `fails` holds too; at most `tries` runs."""
    left = tries
    progress = True
    while progress and left > 0:
        progress = False
        for smaller in _smaller(plan):
            left -= 1
            if fails(smaller):
                plan, progress = smaller, True
                break
            if left <= 0:
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Without halves, quarters … single steps; then with fewer recipients."""
    steps = plan.steps
    size = max(1, len(steps) // 2)
    while size:
        for start in range(0, len(steps), size):
            if steps[start : start + size]:
                yield replace(plan, steps=steps[:start] + steps[start + size :])
        size //= 2
    for n, step in enumerate(steps):
        for fewer in _fewer_recipients(step):
            yield replace(plan, steps=(*steps[:n], fewer, *steps[n + 1 :]))


def _fewer_recipients(step: AnyStep) -> Iterator[AnyStep]:
    if isinstance(step, Submit) and len(step.to) > 1:
        for n in range(len(step.to)):
            yield replace(step, to=step.to[:n] + step.to[n + 1 :])
