"""Permits belong to transactions, and come back when what became of them is on disk."""

import asyncio

from merpati.delivery.line import Line, Ready
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.permits import Share
from merpati.delivery.transaction import Host, Transaction
from merpati.queue.entry import State, Waiting
from merpati.testing.deliveries import A_BODY, START, an_entry

HOST = Host("mx", "192.0.2.1")


def a_transaction(n):
    entry = an_entry(n, f"u{n}@a.test")
    row = Waiting(0, entry.envelope.recipients[0], State.IN_HAND, START)
    return Transaction(entry, (row,), A_BODY)


class Desk:
    """A pool that hands out two transactions and keeps the reports."""

    def __init__(self):
        self.permits = asyncio.Semaphore(2)
        self.ready = [Ready(a_transaction(1)), Ready(a_transaction(2))]
        self.reports = []

    def take(self, host):
        return self.ready.pop(0) if self.ready else None

    def report(self, report):
        self.reports.append(report)

    def monotonic(self):
        return 0.0


async def test_a_permit_is_held_until_the_verdict_is_written():
    desk = Desk()
    line = Line(desk, HOST)
    one = line.next()
    await line.permit()
    line.finished(one, [Outcome(0, Result.UNKNOWN)])
    assert desk.permits._value == 1
    desk.reports[0].done()
    assert desk.permits._value == 2


async def test_a_permit_comes_back_at_once_when_nothing_left():
    desk = Desk()
    line = Line(desk, HOST)
    one = line.next()
    await line.permit()
    line.finished(one, [Outcome(0, Result.UNTOUCHED)])
    assert desk.permits._value == 2


async def test_a_line_that_breaks_off_doubts_only_what_had_a_permit():
    desk = Desk()
    line = Line(desk, HOST)
    line.next()
    line.next()
    await line.permit()
    line.close("a defect")
    results = [report.outcomes[0].result for report in desk.reports]
    assert results == [Result.UNKNOWN, Result.DEFERRED]
    for report in desk.reports:
        report.done()
    assert desk.permits._value == 2


async def test_a_site_that_withholds_its_verdicts_keeps_no_other_from_its_permits():
    everybodys = asyncio.Semaphore(8)
    silent, other = (Share(everybodys, asyncio.Semaphore(2)) for _ in range(2))
    waiting = [asyncio.create_task(silent.acquire()) for _ in range(20)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await other.acquire()
        await other.acquire()
    assert sum(one.done() for one in waiting) == 2
    silent.release()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sum(one.done() for one in waiting) == 3
    for one in waiting:
        one.cancel()


async def test_who_gives_up_waiting_for_a_permit_leaves_the_share_whole():
    everybodys = asyncio.Semaphore(0)
    share = Share(everybodys, asyncio.Semaphore(1))
    waiting = asyncio.create_task(share.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    everybodys.release()
    async with asyncio.timeout(20):
        await share.acquire()
