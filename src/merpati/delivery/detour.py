"""What one host of a site cannot be given goes to the others, before it fails.

Hosts of one site may differ in SIZE, SMTPUTF8 or REQUIRETLS. Such messages are few: they go over
one connection at a time, beside the site's others, and each host is asked once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from merpati.delivery.line import Line, Pool, Ready, Report
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.permits import Permits
from merpati.delivery.transaction import Host


@dataclass(slots=True)
class _Errand:
    ready: Ready
    outcomes: Sequence[Outcome]
    """What the last host lacks, or one for now: how it ends when no other has it."""
    asked: set[str]
    """Names of hosts."""
    is_open: bool = False
    """One of them gave no answer, or one for now: what others lack for good decides nothing."""


class Detours:
    """The errands of one site. A `Pool` for the lines that it opens."""

    def __init__(self, pool: Pool, use: Callable[[Host, Line], Awaitable[object]]) -> None:
        self._pool = pool
        self._use = use
        self._waiting: deque[_Errand] = deque()
        self._out: dict[int, _Errand] = {}

    @property
    def permits(self) -> Permits:
        """The site's."""
        return self._pool.permits

    @property
    def bulk_permits(self) -> Permits:
        """The site's for bulk mail."""
        return self._pool.bulk_permits

    def monotonic(self) -> float:
        """The time."""
        return self._pool.monotonic()

    def add(self, report: Report) -> None:
        """Take over what the report's host cannot be given."""
        asked = {report.host.name}
        self._waiting.append(
            _Errand(report.ready, report.outcomes, asked, _are_for_now(report.outcomes))
        )

    async def run(self, hosts: Sequence[Host]) -> None:
        """Until nothing waits."""
        while self._waiting:
            first = self._waiting[0]
            host = next((one for one in hosts if one.name not in first.asked), None)
            if host is None:
                self._end(self._waiting.popleft())
                continue
            await self._use(host, Line(self, host))
            for errand in self._waiting:
                if host.name not in errand.asked:
                    errand.asked.add(host.name)
                    errand.is_open = True

    def take(self, line: Line) -> Ready | None:
        """The next one that this host was not asked about."""
        host = line.host
        errand = next((one for one in self._waiting if host.name not in one.asked), None)
        if errand is None:
            return None
        self._waiting.remove(errand)
        errand.asked.add(host.name)
        self._out[id(errand.ready)] = errand
        return errand.ready

    def wait(self, line: Line, seconds: float) -> asyncio.Future[Ready | None]:
        """No connection is kept idle for errands."""
        future: asyncio.Future[Ready | None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def report(self, report: Report) -> None:
        """One is decided, or goes to the next host."""
        errand = self._out.pop(id(report.ready))
        if all(one.elsewhere for one in report.outcomes):
            if _are_for_now(report.outcomes):
                errand.outcomes, errand.is_open = report.outcomes, True
            elif not _are_for_now(errand.outcomes):
                errand.outcomes = report.outcomes
            self._waiting.append(errand)
        else:
            self._pool.report(report)

    def stop(self) -> None:
        """What waits comes back later: nobody else is asked now."""
        for errand in self._waiting:
            errand.is_open = True
        while self._waiting:
            self._end(self._waiting.popleft())

    def _end(self, errand: _Errand) -> None:
        outcomes = [_last(one, errand.is_open) for one in errand.outcomes]
        host = Host("", "")
        self._pool.report(Report(errand.ready, outcomes, 0.0, _nothing, host))


def _are_for_now(outcomes: Sequence[Outcome]) -> bool:
    return any(one.result is Result.DEFERRED for one in outcomes)


def _last(outcome: Outcome, is_open: bool) -> Outcome:
    """All hosts lack it; or one may have it that could not be asked, or has it not now: another
    time."""
    if not is_open:
        return replace(outcome, elsewhere=False)
    status = f"4{outcome.status[1:]}"
    return replace(outcome, elsewhere=False, result=Result.DEFERRED, status=status)


def _nothing() -> None:
    """No octet of it left, so it has no permit."""
