"""The oracle itself: what it must see, it sees."""

from dataclasses import replace

import pytest

from torture.generator import BOX, Sent
from torture.oracle import WINDOW, Verdict, compare
from torture.sink import Sink, Strike, Taken, read_failed, read_message

KILL = Strike(workers=1)


def sent(**recipients: str) -> Sent:
    """Messages with their recipients, all of them acknowledged."""
    one = Sent()
    for name, locals_ in recipients.items():
        one.put(name, tuple(locals_.split()), b"body", sender=f"load-{name}@c.test")
        one.digests[name] = f"hash of {name}"
        one.acknowledged.update({(name, local): 0 for local in locals_.split()})
    return one


def taken(message: str, *recipients: str, epoch: int = 0, digest: str = "") -> Taken:
    return Taken(
        message,
        recipients,
        digest or f"hash of {message}",
        epoch,
        sender=f"load-{message}@c.test",
        domains=("b.test",) * len(recipients),
    )


def notice(message: str, *failed: str, epoch: int = 0, to: str = "") -> Taken:
    local, _, domain = (to or f"load-{message}@c.test").partition("@")
    gives_up = tuple(one if "@" in one else f"{one}@b.test" for one in failed)
    return Taken("?", (local,), "", epoch, domains=(domain,), gives_up=gives_up)


def check(put: Sent, *out: Taken, strikes: dict[int, Strike] | None = None) -> Verdict:
    sink = Sink()
    sink.taken += out
    sink.strikes = strikes or {}
    return compare(put, sink)


def test_what_came_out_once_holds() -> None:
    verdict = check(sent(a="ok-1 ok-2"), taken("a", "ok-1"), taken("a", "ok-2"))
    assert verdict.holds
    assert verdict.acknowledged == 2
    assert verdict.duplicates == 0


def test_what_was_acknowledged_and_is_nowhere_is_lost() -> None:
    assert check(sent(a="ok-1 ok-2"), taken("a", "ok-1")).lost == (("a", "ok-2"),)


def test_a_refused_recipient_is_accounted_for_by_a_notice_alone() -> None:
    assert check(sent(a="perm-1"), notice("a", "perm-1")).holds
    assert check(sent(a="perm-1")).lost == (("a", "perm-1"),)


def test_a_notice_for_a_recipient_that_works_is_unexpected() -> None:
    assert check(sent(a="ok-1"), taken("a", "ok-1"), notice("a", "ok-1")).unexpected


def test_a_notice_goes_to_the_sender_of_the_message() -> None:
    put = sent(a="perm-1", b="ok-2")
    out = taken("b", "ok-2")
    for to in ("load-b@c.test", "load-a@b.test"):
        assert check(put, out, notice("a", "perm-1", to=to)).unexpected


def test_a_notice_names_the_whole_address() -> None:
    assert check(sent(a="perm-1"), notice("a", "perm-1@other.test")).unexpected


def test_a_notice_comes_again_as_a_message_does_and_no_more() -> None:
    put = sent(a="perm-1")
    assert not check(put, *[notice("a", "perm-1")] * 30).holds
    out = [notice("a", "perm-1"), notice("a", "perm-1", epoch=2)]
    verdict = check(put, *out)
    assert verdict.holds
    assert (verdict.duplicates, verdict.worst) == (1, 1)
    assert not check(put, *out, notice("a", "perm-1", epoch=2)).holds


def test_a_changed_body_is_unexpected() -> None:
    assert check(sent(a="ok-1"), taken("a", "ok-1", digest="other")).unexpected


def test_another_sender_or_domain_is_unexpected() -> None:
    for wrong in ({"sender": ""}, {"sender": "load-b@c.test"}, {"domains": ("c.test",)}):
        assert check(sent(a="ok-1"), replace(taken("a", "ok-1"), **wrong)).unexpected, wrong


def test_a_field_that_the_server_has_no_reason_to_add_is_unexpected() -> None:
    put, out = sent(a="ok-1"), taken("a", "ok-1")
    assert check(put, replace(out, front=("received",))).holds
    assert check(put, replace(out, front=("received", "subject"))).unexpected


def test_what_was_never_put_in_is_unexpected() -> None:
    assert not check(sent(), taken("b", "ok-1")).holds


def test_a_message_to_another_recipient_is_unexpected() -> None:
    assert not check(sent(a="ok-1"), taken("a", "ok-1"), taken("a", "ok-2")).holds


def test_duplicates_are_counted_by_the_strike_that_they_came_before() -> None:
    put = sent(a="ok-1", b="ok-2", c="ok-3")
    out = [taken("a", "ok-1"), taken("b", "ok-2"), taken("a", "ok-1", epoch=1)]
    verdict = check(put, *out, taken("b", "ok-2", epoch=8), taken("c", "ok-3", epoch=2))
    assert (verdict.duplicates, verdict.worst) == (2, 2)
    assert verdict.holds


def test_more_duplicates_than_the_killed_workers_had_in_flight_do_not_hold() -> None:
    put = sent(**{f"m{n}": f"ok-{n}" for n in range(WINDOW + 1)})
    out = [taken(f"m{n}", f"ok-{n}", epoch=epoch) for epoch in (0, 2) for n in range(WINDOW + 1)]
    assert not check(put, *out, strikes={1: KILL}).holds
    assert check(put, *out, strikes={1: Strike(workers=2)}).holds
    assert not check(put, *out, strikes={1: KILL, 3: Strike(workers=4)}).holds


def test_nothing_comes_twice_while_all_is_calm() -> None:
    for epoch in (0, 2):
        out = [taken("a", "ok-1", epoch=epoch)] * 2
        assert check(sent(a="ok-1"), *out, strikes={1: KILL, 3: KILL}).unexpected, epoch


def test_a_strike_repeats_a_message_once_for_each_time_that_it_interrupted() -> None:
    put = sent(a="ok-1")
    out = [taken("a", "ok-1", epoch=epoch) for epoch in (0, 1, 2)]
    assert check(put, *out, strikes={1: KILL}).unexpected
    assert check(put, *out, strikes={1: Strike(workers=2, repeats=2)}).holds


def test_a_message_that_comes_behind_every_strike_was_not_in_flight_in_all() -> None:
    out = [taken("a", "ok-1", epoch=epoch) for epoch in range(0, 80, 2)]
    assert check(sent(a="ok-1"), *out[:4]).holds
    assert check(sent(a="ok-1"), *out).unexpected


def test_each_connection_that_the_sink_cut_off_excuses_one_copy() -> None:
    put, out = sent(a="cut-1"), taken("a", "cut-1")
    cut = replace(out, is_in_doubt=True)
    verdict = check(put, cut, out)
    assert verdict.holds
    assert (verdict.duplicates, verdict.in_doubt) == (0, 1)
    assert check(put, cut, out, out).unexpected


def test_without_an_interruption_one_duplicate_is_too_many() -> None:
    sink = Sink()
    sink.taken += [taken("a", "ok-1"), taken("a", "ok-1", epoch=2)]
    assert not compare(sent(a="ok-1"), sink, interrupted=False).holds


def test_a_mailbox_holds_a_message_once() -> None:
    put = sent()
    put.put("a", (f"{BOX}@a.test",), b"body")
    filed = read_message(b"X-Torture: a\r\n\r\nbody\r\n", (f"{BOX}@a.test",), 0, 0, "load@c.test")
    assert compare(put, Sink(), [filed]).holds
    assert compare(put, Sink(), [filed, filed]).unexpected


def test_every_octet_behind_the_first_field_counts() -> None:
    put = Sent()
    put.put("a", ("ok-1@b.test",), b"body", fields=b"From: <c@c.test>\r\n")
    whole = b"Received: by us\r\nX-Torture: a\r\nFrom: <c@c.test>\r\n\r\nbody\r\n"
    seen = read_message(whole, ("ok-1@b.test",), 0)
    assert (seen.message, seen.front, seen.digest) == ("a", ("received",), put.digests["a"])
    for old, new in ((b"<c@", b"<d@"), (b"From: ", b"From:"), (b"body\r\n", b"body")):
        assert read_message(whole.replace(old, new), (), 0).digest != put.digests["a"], new


def test_a_notice_gives_up_what_failed_and_not_what_is_late() -> None:
    groups = [
        b"Final-Recipient: rfc822; perm-%d@b.test\r\nAction: %s\r\nStatus: 5.1.1" % (n, action)
        for n, action in enumerate((b"failed", b"delayed", b"failed"))
    ]
    report = b"\r\n\r\n".join((b"Subject: x", b"text", *groups, b"--end"))
    assert read_failed(report) == ("perm-0@b.test", "perm-2@b.test")


def test_a_name_is_used_once() -> None:
    put = sent(a="ok-1")
    with pytest.raises(ValueError, match="before"):
        put.put("a", ("ok-2",), b"body")
    with pytest.raises(ValueError, match="before"):
        put.add(sent(a="ok-2"))
