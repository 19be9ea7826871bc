"""Signatures that come again and again by others than their signer (RFC 6376 §8.6)."""

from dataclasses import replace

from merpati.authenticity import iprev
from merpati.authenticity.arc.verifier import ArcVerdict
from merpati.authenticity.dkim.result import Evidence, Result
from merpati.authenticity.dkim.result import Verdict as Signature
from merpati.authenticity.dmarc.author import Author
from merpati.authenticity.dmarc.verdict import Alignment, Checked, Identifier, Method
from merpati.authenticity.dmarc.verdict import Result as DmarcResult
from merpati.authenticity.dmarc.verdict import Verdict as Dmarc
from merpati.authenticity.judgement import Judgement, Origin, SpfFound
from merpati.journal.events import Replay
from merpati.node.table import Table, TableSettings
from merpati.policy.replay import PERIOD, Action, Replays, ReplaySettings
from merpati.testing.clock import VirtualClock
from tests.cases import each

NO_CHAIN = ArcVerdict(Result.NONE, "")
EVIL = SpfFound("pass", "evil.test")


def signed(domain: str = "b.test", mark: bytes = b"one", result: Result = Result.PASS) -> Signature:
    return Signature(result, "", Evidence(domain=domain, selector="s", mark=mark))


def a_message(*signatures: Signature, spf: SpfFound | None = EVIL, **found: object) -> Judgement:
    judgement = Judgement(
        Origin("192.0.2.7", "mx.evil.test", None),
        Author("b.test"),
        iprev.ReverseName(iprev.Result.PASS, "mx.evil.test"),
        spf,
        signatures or (signed(),),
        NO_CHAIN,
        None,
    )
    return replace(judgement, **found)  # type: ignore[arg-type]  # the caller names what exists


def replays(
    recipients: int = 10, action: Action = Action.RECORD, rows: int = 64
) -> tuple[Replays, VirtualClock]:
    clock = VirtualClock()
    table = Table(TableSettings(rows))
    return Replays(ReplaySettings(recipients, action), clock, table), clock


def dmarc(*aligned: tuple[Method, str]) -> Dmarc:
    checked = [
        Checked(Identifier(method, domain, "pass"), Alignment.RELAXED) for method, domain in aligned
    ]
    return Dmarc(DmarcResult.PASS, "", author="b.test", checked=tuple(checked))


async def test_a_signature_that_comes_too_often_is_told_with_what_was_counted() -> None:
    watch, clock = replays(recipients=10)
    for _ in range(10):
        assert watch.count(a_message(), 1) is None
        await clock.advance(60.0)
    replayed = watch.count(a_message(), 1)
    assert replayed is not None
    assert replayed.told == Replay(
        domain="b.test", selector="s", copies=11, recipients=11, seconds=600.0
    )


def test_each_signature_is_counted_by_itself() -> None:
    watch, _ = replays(recipients=10)
    for n in range(100):  # A newsletter: each copy signed anew, however alike their bodies.
        assert watch.count(a_message(signed(mark=b"%d" % n)), 1) is None


def test_a_new_signature_beside_the_old_one_hides_nothing() -> None:
    watch, _ = replays(recipients=10)
    for n in range(10):
        assert watch.count(a_message(signed("evil.test", b"%d" % n), signed()), 1) is None
    replayed = watch.count(a_message(signed("evil.test", b"x"), signed()), 1)
    assert replayed is not None
    assert replayed.told.domain == "b.test"


def test_a_signature_that_stands_in_a_message_many_times_is_one_copy() -> None:
    watch, _ = replays(recipients=10)
    for _ in range(3):
        assert watch.count(a_message(*[signed()] * 10), 3) is None
    assert watch.count(a_message(), 1) is None
    replayed = watch.count(a_message(*[signed()] * 10), 1)
    assert replayed is not None
    assert (replayed.copies, replayed.recipients) == (5, 11)


def test_a_list_that_tells_its_members_in_a_few_messages_is_none() -> None:
    watch, _ = replays(recipients=10)
    for _ in range(3):
        assert watch.count(a_message(), 500) is None
    assert watch.count(a_message(), 1) is not None


async def test_an_hour_later_it_begins_anew() -> None:
    watch, clock = replays(recipients=10)
    for _ in range(20):
        watch.count(a_message(), 1)
    await clock.advance(PERIOD)
    assert watch.count(a_message(), 10) is None


async def test_what_is_told_to_come_later_is_not_counted() -> None:
    watch, clock = replays(recipients=10, action=Action.DEFER)
    found = [watch.count(a_message(), 1) for _ in range(50)]
    assert found[:10] == [None] * 10
    assert {one.recipients for one in found[10:] if one} == {11}
    await clock.advance(PERIOD)
    assert watch.count(a_message(), 1) is None


def test_nothing_is_counted_where_it_is_not_wanted() -> None:
    watch, _ = replays(recipients=0)
    assert [watch.count(a_message(), 1000) for _ in range(10)] == [None] * 10


def test_the_workers_of_a_node_count_together() -> None:
    table, clock = Table(TableSettings(64)), VirtualClock()
    workers = [Replays(ReplaySettings(10), clock, table) for _ in range(2)]
    found = [workers[n % 2].count(a_message(), 1) for n in range(11)]
    assert [one is not None for one in found] == [False] * 10 + [True]


async def test_what_comes_often_is_remembered_among_much_that_comes_once() -> None:
    watch, clock = replays(recipients=10, rows=64)
    for n in range(11):
        for other in range(20):
            watch.count(a_message(signed(mark=b"%d %d" % (n, other))), 1)
        await clock.advance(1.0)
        found = watch.count(a_message(), 1)
        await clock.advance(1.0)
    assert found is not None


@each(
    "case, found",
    [
        ("its domain's SPF lets pass", {"spf": SpfFound("pass", "b.test")}),
        ("one below it", {"spf": SpfFound("pass", "bounce.b.test")}),
        ("one above it", {"spf": SpfFound("pass", "test.example"), "of": "mail.test.example"}),
        ("SPF of its domain cannot be told now", {"spf": SpfFound("temperror", "b.test")}),
        ("the HELO name's SPF", {"helo": SpfFound("pass", "mx.b.test")}),
        ("the name of the address", {"reverse": iprev.ReverseName(iprev.Result.PASS, "mx.b.test")}),
        (
            "both are the author's by DMARC",
            {
                "spf": SpfFound("pass", "bounce.example"),
                "dmarc": dmarc((Method.SPF, "bounce.example"), (Method.DKIM, "b.test")),
            },
        ),
        (
            "somebody trusted sealed it",
            {"chain": ArcVerdict(Result.PASS, "", trusted_from=1)},
        ),
        ("the signature is not good", {"result": Result.FAIL}),
    ],
)
def test_hosts_of_the_signer_are_not_counted(case: str, found: dict[str, object]) -> None:
    given = dict(found)
    signature = signed(
        str(given.pop("of", "b.test")),
        result=given.pop("result", Result.PASS),  # type: ignore[arg-type]  # a Result
    )
    assert a_message(signature, **given).brought_by_others == (), case  # type: ignore[arg-type]


@each(
    "case, found",
    [
        ("SPF of another", {"spf": EVIL}),
        ("no SPF", {"spf": SpfFound("none", "b.test")}),
        ("SPF fails", {"spf": SpfFound("fail", "b.test")}),
        ("SPF of his own that cannot be told", {"spf": SpfFound("temperror", "evil.test")}),
        ("a name that looks alike", {"spf": SpfFound("pass", "evilb.test")}),
        (
            "a reverse name that nobody confirms",
            {"reverse": iprev.ReverseName(iprev.Result.FAIL, "mx.b.test")},
        ),
        (
            "another's signature beside the author's own SPF",
            {
                "spf": SpfFound("pass", "author.example"),
                "dmarc": dmarc((Method.SPF, "author.example")),
            },
        ),
        ("a chain that nobody trusts", {"chain": ArcVerdict(Result.PASS, "")}),
    ],
)
def test_everybody_else_is(case: str, found: dict[str, object]) -> None:
    signature = signed()
    brought = a_message(signature, **found).brought_by_others  # type: ignore[arg-type]
    assert brought == (signature,), case
