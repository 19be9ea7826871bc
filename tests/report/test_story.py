"""The story of a message, for people and for programs."""

import msgspec
import pytest

from merpati.diagnosis.rules import LOGINS
from merpati.journal.events import (
    BY_ITSELF,
    Accepted,
    AccountResumed,
    AccountSuspended,
    Attempt,
    Cancelled,
    Deferred,
    Delivered,
    Event,
    Exchange,
    Expired,
    Failed,
    Held,
    Lifecycle,
    LoggedIn,
    LoginFailed,
    Noticed,
    Opened,
    PolicyUnread,
    Refused,
    Released,
    Reported,
    Rerouted,
    SenderHeld,
    SiteHeld,
    Unnoticed,
)
from merpati.report.sentences import REASONS
from merpati.report.story import chapters, tell
from merpati.report.waiting import Waits
from tests.cases import each

ATTEMPT = Attempt(
    route="mx",
    host="mx.b.test",
    ip="192.0.2.7",
    port=25,
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    dialogue=(
        Exchange("MAIL FROM:<ann@a.test>", "250 Ok"),
        Exchange("RCPT TO:<bob@b.test>", "550 5.1.1 User unknown"),
    ),
)
ACCEPTED = Accepted(
    at=0.0, message="ID", sender="ann@a.test", recipients=("bob@b.test",), size=9, subject="Halo"
)
FAILED = Failed(
    at=60.0,
    message="ID",
    address="bob@b.test",
    reply="550 5.1.1 User unknown",
    cause="unknown-user",
    attempt=ATTEMPT,
)
EVERY: list[Event] = [
    ACCEPTED,
    FAILED,
    Refused(at=1.0, stage="rcpt", reply="550", rule="relay"),
    LoggedIn(at=1.0, login="ann", ip="192.0.2.1", mechanism="PLAIN"),
    LoginFailed(at=1.0, login="ann", ip="192.0.2.1", mechanism="PLAIN", why="password"),
    Opened(at=1.0, connection="c", site="s", host="h", ip="192.0.2.7"),
    Delivered(at=1.0, reply="250 Ok", attempt=ATTEMPT),
    Deferred(at=1.0, reply="", cause="timed-out"),
    Expired(at=1.0),
    Held(at=1.0, by="root"),
    Released(at=1.0, by="root"),
    Rerouted(at=1.0, by="root", route="r"),
    Cancelled(at=1.0, by="root"),
    Noticed(at=1.0, notice="N", action="failed"),
    Unnoticed(at=1.0, action="failed", why="null"),
    SiteHeld(at=1.0, site="s", until=9.0, why="listed"),
    SiteHeld(at=1.0, site="s", until=0.0, why="mended"),
    SenderHeld(at=1.0, site="s", sender="b.test", until=9.0, why="550 5.7.23 SPF"),
    SenderHeld(at=1.0, site="s", sender="b.test", until=0.0, why="550 5.7.23 SPF"),
    AccountSuspended(at=1.0, login="ann@a.test", why="too much", by="merpati"),
    AccountResumed(at=1.0, login="ann@a.test", by="operator"),
    PolicyUnread(at=1.0, domain="b.test", flaw="fetch", why="it gave no answer"),
    Reported(
        at=1.0,
        report="dmarc",
        domain="b.test",
        day="2026-04-01",
        outcome="mailed",
        to=("r@b.test",),
    ),
    Lifecycle(at=1.0, what="started"),
]


@each("language", ["en", "id"])
@each("event", EVERY)
def test_every_event_can_be_told_in_every_language(event: Event, language: str) -> None:
    assert tell([event], language).strip()


def test_every_kind_of_event_is_tried_above() -> None:
    assert {type(event) for event in EVERY} == set(Event.__args__)


def test_a_report_is_told_with_whom_it_is_for() -> None:
    reported = Reported(
        at=0.0,
        message="ID",
        report="dmarc",
        domain="a.test",
        day="2026-04-01",
        outcome="mailed",
        to=("r@a.test", "s@b.test"),
        why="t@c.test: it has not agreed",
    )
    assert (
        "Daily DMARC report to a.test about 2026-04-01 for r@a.test, s@b.test: this message brings "
        "it: t@c.test: it has not agreed"
    ) in tell([reported])


def test_a_failure_is_told_with_dialogue_meaning_and_advice() -> None:
    told = tell([FAILED, ACCEPTED])
    assert told.index("Accepted") < told.index("Failed for bob@b.test at mx.b.test")
    assert "> RCPT TO:<bob@b.test>" in told
    assert "< 550 5.1.1 User unknown" in told
    assert "We say who should receive: The address does not exist" in told
    assert "encryption: TLSv1.3 TLS_AES_256_GCM_SHA384" in told
    assert "What to do: Check the address" in told


def test_the_story_is_told_in_indonesian() -> None:
    told = tell([ACCEPTED, FAILED], "id")
    assert "Sebab: Alamat ini tidak ada di server penerima." in told


def test_the_structure_is_plain_json() -> None:
    [accepted, failed] = msgspec.json.decode(msgspec.json.encode(chapters([ACCEPTED, FAILED])))
    assert accepted["kind"] == "accepted"
    assert failed["diagnosis"]["cause"] == "unknown-user"
    assert [line["reply"] for line in failed["dialogue"]] == ["250 Ok", "550 5.1.1 User unknown"]


def test_what_strangers_said_cannot_act_on_a_terminal() -> None:
    evil = "\x1b]0;x\x07\r\nAccepted: forged {at} \u202e"
    told = tell([Failed(at=1.0, address=evil, reply=evil, cause="refused")])
    assert not set(told) & {"\x1b", "\x07", "\r", "\u202e"}
    assert not any(line.startswith("Accepted") for line in told.splitlines())
    assert "{at}" in told


def test_a_time_that_no_calendar_has_is_still_told() -> None:
    assert "1e+300" in tell([Held(at=1e300, by="root")])


WAITS = Waits(
    message="ID",
    address="bob@b.test",
    state="waiting",
    since=0.0,
    due=60.0,
    site="smtp://192.0.2.7:2525?tls=off",
    site_until=3600.0,
    site_why="the connection was refused",
)


def test_a_message_behind_a_hold_says_why_until_when_and_how_to_end_it() -> None:
    told = tell([ACCEPTED], waiting=[WAITS])
    assert (
        "1970-01-01 01:00:00Z  Next try for bob@b.test, which waits since 1970-01-01 00:00:00Z"
        in told
    )
    assert "on hold until 1970-01-01 01:00:00Z: the connection was refused" in told
    assert "Why: The host that a route of merpati.toml names cannot be reached at its port." in told
    assert "Who can mend it: you, who run this server" in told
    assert "merpati queue resume 'smtp://192.0.2.7:2525?tls=off'" in told


def test_a_message_behind_a_hold_is_told_in_indonesian() -> None:
    told = tell([ACCEPTED], "id", [WAITS])
    assert "dijeda sampai 1970-01-01 01:00:00Z: sambungan ditolak" in told
    assert "the connection" not in told


def test_what_waits_for_its_time_alone_says_when_it_is_tried() -> None:
    told = tell([], waiting=[msgspec.structs.replace(WAITS, site_until=0.0)])
    assert told.startswith("1970-01-01 00:01:00Z  Next try for bob@b.test")
    assert "on hold" not in told


def test_a_message_that_an_operator_holds_says_how_to_release_it() -> None:
    told = tell([], waiting=[msgspec.structs.replace(WAITS, state="held", site_until=0.0)])
    assert "On hold for bob@b.test" in told
    assert "merpati queue release" in told


def test_who_can_mend_a_failure_is_told() -> None:
    assert "Who can mend it: the sender" in tell([FAILED])


REFUSED = Refused(
    at=1.0,
    stage="rcpt",
    reply="550 5.7.1 Relaying denied",
    rule="relay",
    ip="192.0.2.9",
    helo="printer",
    login="ann@a.test",
    sender="ann@a.test",
    address="bob@b.test",
)


def test_a_refusal_says_who_was_refused_what_and_what_to_do() -> None:
    told = tell([REFUSED])
    assert "Refused at rcpt by rule relay: 550 5.7.1 Relaying denied" in told
    assert "client: printer 192.0.2.9" in told
    assert "login: ann@a.test" in told
    assert "sender: ann@a.test" in told
    assert "recipients: bob@b.test" in told
    assert "Why: The recipient's domain is not one of this server" in told
    assert "What to do: Log in on port 587 or 465." in told


@each(
    ("rule", "reply", "cause"),
    [
        ("relay", "530 5.7.0 Authentication required", "our-login-needed"),
        ("recipients", "550 5.1.1 No such user here", "our-recipients"),
        ("sender", "553 5.7.1 Sender address belongs to somebody else", "our-sender"),
        ("author", "550 5.7.1 ann@a.test may not write as budi@a.test", "our-author"),
        ("syntax", "552 5.3.4 Too large", "our-size"),
        ("content", "550 5.5.2 Bare LF", "our-content"),
        ("a plugin's", "550 no", "our-rule"),
    ],
)
def test_every_rule_of_ours_is_explained(rule: str, reply: str, cause: str) -> None:
    [chapter] = chapters([Refused(at=1.0, stage="rcpt", reply=reply, rule=rule)])
    assert chapter.diagnosis is not None
    assert chapter.diagnosis.cause == cause


@each(
    ("why", "cause"),
    [
        ("wrong password or unknown user", "our-login"),
        ("too many failures", "our-login-limit"),
        ("suspended account", "our-login-suspended"),
        ("cannot be checked now", "our-login-unknown"),
        ("no user here", "our-login-nobody"),
        ("of another user", "our-login-other"),
        ("no certificate was shown", "our-login-certificate"),
        ("token out of its time", "our-login-token"),
    ],
)
def test_a_failed_login_says_what_to_do(why: str, cause: str) -> None:
    event = LoginFailed(at=1.0, login="ann@a.test", ip="192.0.2.1", mechanism="PLAIN", why=why)
    [chapter] = chapters([event])
    assert chapter.told == f"Login of ann@a.test from 192.0.2.1 failed: {why}"
    assert chapter.diagnosis is not None
    assert chapter.diagnosis.cause == cause
    assert why not in tell([event], "id")


def test_a_login_tells_who_vouched_for_it() -> None:
    event = LoggedIn(
        at=1.0,
        login="ann@a.test",
        ip="192.0.2.1",
        mechanism="OAUTHBEARER",
        by="token",
        issuer="https://id.a.test",
        subject="5f1",
    )
    told = tell([event])
    assert "vouched for by: a token" in told
    assert "issued by: https://id.a.test" in told
    assert "issued to: 5f1" in told
    failed = LoginFailed(
        at=1.0, login="", ip="192.0.2.1", mechanism="PLAIN", why="cannot be checked now", detail="x"
    )
    assert "ditemukan: x" in tell([failed], "id")


def test_every_reason_of_a_failed_login_is_said_in_every_language() -> None:
    assert LOGINS.keys() <= REASONS["id"].keys()


def test_a_story_begins_with_its_message_though_the_connection_is_older() -> None:
    opened = Opened(at=-5.0, connection="c", site="s", host="h", ip="192.0.2.7")
    kinds = [chapter.kind for chapter in chapters([opened, FAILED, ACCEPTED])]
    assert kinds == ["accepted", "opened", "failed"]


def test_a_hold_without_a_reason_ends_without_a_colon() -> None:
    [chapter] = chapters([Held(at=1.0, address="bob@b.test", by="operator")])
    assert chapter.told == "Held for bob@b.test by operator"


def test_what_is_damaged_is_told_with_what_to_do() -> None:
    why = "the content of ID is damaged: its checksum does not match"
    held = Held(at=1.0, message="ID", address="bob@b.test", by=BY_ITSELF, why=why)
    [chapter] = chapters([held])
    assert chapter.told == f"Held for bob@b.test by merpati: {why}"
    assert chapter.diagnosis is not None
    assert "merpati verify" in chapter.diagnosis.advice
    assert "isi pesan rusak di disk" in tell([held], "id")


def test_no_english_is_left_in_an_indonesian_story() -> None:
    told = tell(
        [
            Noticed(at=1.0, notice="N", action="failed", address="bob@b.test"),
            REFUSED,
            Opened(
                at=1.0,
                connection="c",
                site="s",
                host="h",
                ip="192.0.2.7",
                error="the connection was refused",
            ),
            AccountSuspended(
                at=1.0,
                login="ann@a.test",
                why="more than 200 recipients in a day that were new to it",
                by="merpati",
            ),
            Unnoticed(at=1.0, action="failed", why="it is an automatic answer"),
        ],
        "id",
    )
    assert "lebih dari 200 penerima baru baginya dalam sehari" in told
    assert "pesan itu jawaban otomatis" in told
    assert "(gagal)" in told
    assert "saat menyebut penerima" in told
    assert "sambungan ditolak" in told


@pytest.mark.parametrize(
    ("language", "words"), [("en", "decided by: the sender"), ("id", "ditentukan oleh: pengirim")]
)
def test_mail_whose_sender_waives_or_requires_tls_is_told_as_that(
    language: str, words: str
) -> None:
    for policy, how in (("waived", "TLS-Required: No"), ("requiretls", "REQUIRETLS")):
        attempt = msgspec.structs.replace(ATTEMPT, policy=policy)
        assert f"{words} ({how})" in tell(
            [Delivered(at=1.0, reply="250 Ok", attempt=attempt)], language
        )


@pytest.mark.parametrize(
    ("language", "check", "words"),
    [
        (
            "en",
            "valid",
            "had it been demanded: good: an authority that we trust vouches that it is",
        ),
        (
            "id",
            "valid",
            "seandainya dituntut: sah: otoritas yang dipercaya menjamin bahwa host itu",
        ),
        (
            "en",
            "certificate-expired",
            "refused: its certificate is not good today (certificate-exp",
        ),
        (
            "id",
            "certificate-host-mismatch,certificate-not-trusted",
            "ditolak: sertifikatnya untuk nama lain (certificate-host-mismatch); sertifikatnya",
        ),
        ("en", "", ""),
    ],
)
def test_a_certificate_that_nobody_demanded_is_told_as_it_is(
    language: str, check: str, words: str
) -> None:
    opened = Opened(
        at=1.0,
        connection="c",
        site="s",
        host="h",
        ip="192.0.2.7",
        tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
        name="mx.a.test",
        policy="opportunistic",
        certificate_check=check,
    )
    told = tell([opened], language)
    assert words in told
    assert bool(check) is ("demanded:" in told or "dituntut:" in told)


def test_a_connection_that_was_never_made_says_nothing_of_encryption() -> None:
    opened = Opened(at=1.0, connection="c", site="s", host="h", ip="192.0.2.7", error="refused")
    assert "encryption" not in tell([opened])


def test_the_dialogue_and_the_diagnosis_say_the_same_of_the_answer_that_decided() -> None:
    """451 4.7.1 at a first try is greylisting, which its words alone do not tell."""
    reply = "451 4.7.1 Please try again later"
    attempt = msgspec.structs.replace(
        ATTEMPT, dialogue=(Exchange("MAIL FROM:<ann@a.test>", "250 Ok"), Exchange("DATA", reply))
    )
    event = Deferred(at=1.0, reply=reply, cause="greylisted", attempt=attempt)
    (chapter,) = chapters([event], "en")
    assert chapter.diagnosis is not None
    assert chapter.dialogue[1].meaning.endswith(chapter.diagnosis.summary)
    assert not chapter.dialogue[0].meaning.endswith(chapter.diagnosis.summary)
