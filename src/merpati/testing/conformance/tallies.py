"""What every store of tallies does."""

from collections.abc import Awaitable, Callable

from merpati.feedback.received import Kind
from merpati.feedback.tallies import Bounds, Due, Progress, Subject, Tallies, Tally

Check = Callable[[Tallies], Awaitable[None]]
BOUNDS = Bounds(domains=3, family=2, rows=4, all_rows=100)
"""Those that the engines under test are made with."""
SCARCE = Bounds(domains=20, family=20, rows=50, all_rows=1000)
"""Those of the engines that are asked who has how much of too little."""
DAY = 20_000
A, B = Subject(DAY, Kind.AGGREGATE, "a.test"), Subject(DAY, Kind.AGGREGATE, "b.test")
NOW, LATER = 5000.0, 5600.0


def tally(subject: Subject = A, due: float = 100.0, **rows: int) -> Tally:
    """Counts of rows by their names."""
    kept = {name.encode(): count for name, count in rows.items()}
    return Tally(subject, due, f"n{due:.0f}", kept, "record", reasons=sum(rows.values()))


async def _taken(engine: Tallies, shard: int = 0, now: float = NOW) -> Due:
    due = await engine.take(shard, now, now + 600.0)
    assert due is not None, "nothing is due"
    return due


async def nothing_was_counted_before_the_first_time(engine: Tallies) -> None:
    assert await engine.cursor(0) is None
    assert await engine.take(0, NOW, LATER) is None


async def counts_of_all_workers_come_together(engine: Tallies) -> None:
    await engine.add(0, 7, [tally(x=2, y=1)])
    await engine.add(1, 3, [tally(x=3)])
    assert (await engine.cursor(0), await engine.cursor(1)) == (7, 3)
    due = await _taken(engine)
    assert dict(due.rows) == {b"x": 5, b"y": 1}
    assert (due.subject, due.record, due.reasons, due.left_out) == (A, "record", 6, 0)


async def a_cursor_moves_without_counts(engine: Tallies) -> None:
    await engine.add(0, 7, [])
    assert await engine.cursor(0) == 7
    assert await engine.take(0, NOW, LATER) is None


async def the_first_says_when_it_is_due_and_what_it_is_called(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(due=1000.0, x=1)])
    await engine.add(0, 2, [tally(due=100.0, x=1)])
    assert await engine.take(0, 999.0, LATER) is None
    assert (await _taken(engine, now=1000.0)).name == "n1000"


async def what_is_due_for_longest_comes_first(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(B, due=200.0, x=1), tally(A, due=100.0, x=1)])
    assert (await _taken(engine)).subject == A
    assert (await _taken(engine)).subject == B


async def nobody_else_gets_what_is_taken(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(x=1)])
    await engine.take(0, NOW, LATER)
    assert await engine.take(1, LATER - 1, LATER) is None


async def what_a_dead_worker_had_taken_is_taken_again(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(x=1)])
    lost = await _taken(engine, shard=0)
    due = await _taken(engine, shard=1, now=LATER)
    assert (due.id, due.rows) == (lost.id, lost.rows)
    assert not await engine.keep(lost, Progress(message="m"), LATER), "its token is an old one"
    await engine.finish(lost)
    assert await engine.keep(due, Progress(message="m"), LATER)


async def what_may_be_stored_already_is_for_its_shard_alone(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(x=1)])
    due = await _taken(engine, shard=0)
    progress = Progress(message="m", posts=("https://a.test/",), begun=NOW)
    assert await engine.keep(due, progress, LATER)
    assert await engine.take(1, LATER, LATER + 600) is None
    again = await _taken(engine, shard=0, now=LATER)
    assert again.progress == progress


async def what_is_only_to_be_posted_is_for_all(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(x=1)])
    due = await _taken(engine, shard=0)
    progress = Progress("m", is_mailed=True, posts=("https://a.test/", "https://b.test/"))
    assert await engine.keep(due, progress, LATER)
    assert (await _taken(engine, shard=1, now=LATER)).progress == progress


async def what_is_finished_is_gone(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(x=1)])
    due = await _taken(engine)
    await engine.finish(due)
    assert await engine.take(0, 1e9, 2e9) is None
    assert not await engine.keep(due, Progress(), LATER)
    assert (await engine.standing()).waiting == {}


async def what_comes_late_begins_a_second_one(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(x=1)])
    first = await _taken(engine)
    await engine.add(0, 2, [tally(due=200.0, x=5)])
    second = await _taken(engine)
    assert second.id != first.id
    assert second.name == "n200"
    assert dict(second.rows) == {b"x": 5}


async def days_and_kinds_are_apart(engine: Tallies) -> None:
    tls, tomorrow = Subject(DAY, Kind.TLS, "a.test"), Subject(DAY + 1, Kind.AGGREGATE, "a.test")
    await engine.add(0, 1, [tally(A, x=1), tally(tls, x=2), tally(tomorrow, x=3)])
    found = [await _taken(engine) for _ in range(3)]
    assert [dict(due.rows)[b"x"] for due in found] == [1, 2, 3]
    assert (await engine.standing()).waiting == {Kind.AGGREGATE: 2, Kind.TLS: 1}


async def rows_of_a_domain_are_bounded(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(a=1, b=1, c=1)])
    await engine.add(0, 2, [tally(d=1, e=10, a=1)])
    due = await _taken(engine)
    assert len(due.rows) == BOUNDS.rows
    assert dict(due.rows)[b"a"] == 2, "what is there already is counted on"
    assert due.left_out == 10
    assert (await engine.standing()).left_out == 0


async def domains_are_bounded(engine: Tallies) -> None:
    subjects = [Subject(DAY, Kind.AGGREGATE, f"d{n}.test") for n in range(5)]
    await engine.add(0, 1, [tally(subject, x=2) for subject in subjects])
    standing = await engine.standing()
    assert standing.waiting == {Kind.AGGREGATE: BOUNDS.domains}
    assert standing.left_out == 4


async def names_below_one_name_leave_room_for_others(engine: Tallies) -> None:
    names = ["evil.test", *(f"x{n}.evil.test" for n in range(4)), "a.test"]
    for n, name in enumerate(names):
        await engine.add(0, n, [tally(Subject(DAY, Kind.AGGREGATE, name), x=2)])
    taken = [(await _taken(engine)).subject.domain for _ in range(BOUNDS.domains)]
    assert taken == ["evil.test", "x0.evil.test", "a.test"]
    assert (await engine.standing()).left_out == 6


async def names_below_one_name_are_counted_at_once(engine: Tallies) -> None:
    names = [*(f"x{n}.evil.test" for n in range(5)), "notevil.test"]
    await engine.add(0, 1, [tally(Subject(DAY, Kind.AGGREGATE, name), x=1) for name in names])
    taken = [(await _taken(engine)).subject.domain for _ in range(BOUNDS.domains)]
    assert taken == ["x0.evil.test", "x1.evil.test", "notevil.test"]


async def bounds_are_those_of_a_day(engine: Tallies) -> None:
    for n in range(3):
        await engine.add(0, n, [tally(Subject(DAY, Kind.AGGREGATE, f"d{n}.test"), x=1)])
        await engine.finish(await _taken(engine))
    await engine.add(0, 4, [tally(x=1), tally(Subject(DAY + 1, Kind.AGGREGATE, "a.test"), y=1)])
    assert (await _taken(engine)).subject.day == DAY + 1


async def a_day_can_be_hastened(engine: Tallies) -> None:
    tomorrow = Subject(DAY + 1, Kind.AGGREGATE, "a.test")
    await engine.add(0, 1, [tally(A, due=1e9, x=1), tally(tomorrow, due=1e9, x=1)])
    assert await engine.hasten(DAY) == 1
    assert (await _taken(engine)).subject == A
    assert await engine.take(0, NOW, LATER) is None


async def what_is_taken_is_not_hastened(engine: Tallies) -> None:
    await engine.add(0, 1, [tally(x=1)])
    await _taken(engine)
    assert await engine.hasten(DAY) == 0
    assert await engine.take(1, NOW, LATER) is None


async def old_days_are_forgotten(engine: Tallies) -> None:
    tomorrow = Subject(DAY + 1, Kind.AGGREGATE, "a.test")
    await engine.add(0, 1, [tally(A, x=1), tally(tomorrow, x=2)])
    due = await _taken(engine)
    await engine.keep(due, Progress(message="m"), 1e9)
    assert await engine.forget(DAY + 1) == 1
    assert (await _taken(engine)).subject == tomorrow
    assert await engine.cursor(0) == 1


def _much(name: str) -> Tally:
    """A domain with more rows than it may have."""
    return tally(Subject(DAY, Kind.AGGREGATE, name), **{f"r{n}": 1 for n in range(100)})


async def _rows(engine: Tallies, *names: str) -> list[int]:
    """How many each has at last, of those that want a hundred."""
    for n, name in enumerate(names):
        await engine.add(0, n, [_much(name)])
    return [len((await _taken(engine)).rows) for _ in names]


async def domains_with_many_rows_leave_room_for_others(engine: Tallies) -> None:
    found = await _rows(engine, *(f"evil{n}.test" for n in range(19)), "a.test")
    assert found[0] == SCARCE.rows
    assert found == sorted(found, reverse=True)
    assert found[-1] == SCARCE.own_rows
    assert sum(found) <= SCARCE.all_rows


async def names_below_one_name_share_what_is_common(engine: Tallies) -> None:
    found = await _rows(engine, *(f"x{n}.evil.test" for n in range(10)), "a.test")
    assert found[0] == SCARCE.rows
    assert set(found[1:10]) == {SCARCE.own_rows}
    assert found[-1] == max(SCARCE.own_rows, (500 - sum(found[:10])) // 10)


async def one_that_comes_again_gets_no_more_than_at_once(engine: Tallies) -> None:
    for n in range(5):
        await engine.add(0, n, [_much("evil.test")])
    assert len((await _taken(engine)).rows) == SCARCE.rows


SCARCE_CHECKS: tuple[Check, ...] = (
    domains_with_many_rows_leave_room_for_others,
    names_below_one_name_share_what_is_common,
    one_that_comes_again_gets_no_more_than_at_once,
)
CHECKS: tuple[Check, ...] = (
    nothing_was_counted_before_the_first_time,
    counts_of_all_workers_come_together,
    a_cursor_moves_without_counts,
    the_first_says_when_it_is_due_and_what_it_is_called,
    what_is_due_for_longest_comes_first,
    nobody_else_gets_what_is_taken,
    what_a_dead_worker_had_taken_is_taken_again,
    what_may_be_stored_already_is_for_its_shard_alone,
    what_is_only_to_be_posted_is_for_all,
    what_is_finished_is_gone,
    what_comes_late_begins_a_second_one,
    days_and_kinds_are_apart,
    rows_of_a_domain_are_bounded,
    domains_are_bounded,
    names_below_one_name_leave_room_for_others,
    names_below_one_name_are_counted_at_once,
    bounds_are_those_of_a_day,
    a_day_can_be_hastened,
    what_is_taken_is_not_hastened,
    old_days_are_forgotten,
)
