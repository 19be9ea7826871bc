"""The oracle itself: what it must see, it sees."""

from torture.generator import Sent
from torture.oracle import Verdict, compare
from torture.sink import Sink, Taken


def sent(**recipients: str) -> Sent:
    """Messages with their recipients, all of them acknowledged."""
    one = Sent()
    for name, locals_ in recipients.items():
        one.digests[name] = f"hash of {name}"
        one.offered[name] = tuple(locals_.split())
        one.acknowledged.update({(name, local): 0 for local in locals_.split()})
    return one


def taken(message: str, *recipients: str, epoch: int = 0, digest: str = "") -> Taken:
    return Taken(message, recipients, digest or f"hash of {message}", epoch)


def check(put: Sent, *out: Taken, notices: tuple[str, ...] = ()) -> Verdict:
    sink = Sink()
    sink.taken += out
    sink.notices.update(notices)
    return compare(put, sink)


def test_what_came_out_once_holds() -> None:
    verdict = check(sent(a="ok-1 ok-2"), taken("a", "ok-1"), taken("a", "ok-2"))
    assert verdict.holds
    assert verdict.acknowledged == 2
    assert verdict.duplicates == 0


def test_what_was_acknowledged_and_is_nowhere_is_lost() -> None:
    assert check(sent(a="ok-1 ok-2"), taken("a", "ok-1")).lost == (("a", "ok-2"),)


def test_a_refused_recipient_is_accounted_for_by_a_notice_alone() -> None:
    assert check(sent(a="perm-1"), notices=("perm-1",)).holds
    assert check(sent(a="perm-1")).lost == (("a", "perm-1"),)


def test_a_notice_for_a_recipient_that_works_is_unexpected() -> None:
    assert not check(sent(a="ok-1"), notices=("ok-1",)).holds


def test_a_changed_body_is_unexpected() -> None:
    assert not check(sent(a="ok-1"), taken("a", "ok-1", digest="other")).holds


def test_what_was_never_put_in_is_unexpected() -> None:
    assert not check(sent(), taken("b", "ok-1")).holds


def test_a_message_to_another_recipient_is_unexpected() -> None:
    assert not check(sent(a="ok-1"), taken("a", "ok-1"), taken("a", "ok-2")).holds


def test_duplicates_are_counted_by_the_interruption_that_they_came_before() -> None:
    put = sent(a="ok-1", b="ok-2", c="ok-3")
    out = [taken("a", "ok-1"), taken("b", "ok-2"), taken("a", "ok-1", epoch=1)]
    verdict = check(put, *out, taken("b", "ok-2", epoch=1), taken("c", "ok-3", epoch=1))
    assert (verdict.duplicates, verdict.worst) == (2, 2)
    assert verdict.holds


def test_more_duplicates_than_stand_in_flight_do_not_hold() -> None:
    put = sent(**{f"m{n}": f"ok-{n}" for n in range(65)})
    out = [taken(f"m{n}", f"ok-{n}", epoch=epoch) for epoch in (0, 1) for n in range(65)]
    assert not check(put, *out).holds


def test_without_an_interruption_one_duplicate_is_too_many() -> None:
    sink = Sink()
    sink.taken += [taken("a", "ok-1"), taken("a", "ok-1")]
    assert not compare(sent(a="ok-1"), sink, interrupted=False).holds
