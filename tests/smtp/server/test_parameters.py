"""Parameters of MAIL and RCPT and what EHLO says of them.

RFC 1870, 2852, 4865, 6152, 6531, 6710."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.mail.envelope import BodyType, DeliverBy, Notify, Return
from merpati.smtp.events import MailParameters, RcptParameters
from merpati.smtp.extensions import Extension
from merpati.smtp.offer import make_offer
from merpati.smtp.outgoing import utf8_address
from merpati.smtp.parameters import parse_rcpt_parameters
from merpati.smtp.server import ServerConnection
from merpati.smtp.settings import ServerSettings
from merpati.testing.dialogue import SETTINGS, TLS, Player, a_player
from tests.cases import each

Check = Callable[..., Player]

SECURE = {"tls": TLS}


@each(
    ("text", "expected"),
    [
        ("SIZE=1000", MailParameters(size=1000)),
        ("BODY=7bit", MailParameters()),
        ("body=8BITMIME", MailParameters(body=BodyType.EIGHT_BIT)),
        ("BODY=BINARYMIME", MailParameters(body=BodyType.BINARY)),
        ("SMTPUTF8", MailParameters(smtputf8=True)),
        ("RET=FULL", MailParameters(ret=Return.FULL)),
        ("RET=hdrs ENVID=a+2Bb+20c", MailParameters(ret=Return.HEADERS, envelope_id="a+b c")),
        ("AUTH=<>", MailParameters(auth="<>")),
        ("AUTH=ann+40a.test", MailParameters(auth="ann@a.test")),
        ("REQUIRETLS", MailParameters(require_tls=True)),
        ("BY=120;R", MailParameters(deliver_by=DeliverBy(120.0, True))),
        ("BY=-5;NT", MailParameters(deliver_by=DeliverBy(-5.0, False, True))),
        ("HOLDFOR=60", MailParameters(hold_for=60)),
        ("HOLDUNTIL=1970-01-01T00:01:00Z", MailParameters(hold_until=60.0)),
        ("MT-PRIORITY=-9", MailParameters(priority=-9)),
        ("MT-PRIORITY=0  SIZE=1", MailParameters(priority=0, size=1)),
    ],
)
def test_what_mail_may_say(check: Check, text: str, expected: MailParameters) -> None:
    player = check((f"MAIL FROM:<a@a.test> {text}\r\n".encode(), "250"), **SECURE)
    assert player.events[0].parameters == expected


@each(
    "text",
    [
        "SIZE",
        "SIZE=",
        "SIZE=x",
        "SIZE=-1",
        "SIZE=" + "1" * 21,
        "SIZE=1 SIZE=1",
        "size=1 SIZE=2",
        "BODY=9BIT",
        "SMTPUTF8=1",
        "RET=ALL",
        "ENVID=a+2",
        "ENVID=a+2b",
        "ENVID=a+0Ab",
        "ENVID=a=b",
        "ENVID=a+FF",
        "ENVID=" + "a" * 101,
        "AUTH=ann",
        "AUTH=+0A",
        "REQUIRETLS=1",
        "BY=0;R",
        "BY=-1;R",
        "BY=1",
        "BY=1;X",
        "BY=1234567890;N",
        "HOLDFOR=-1",
        "HOLDFOR=604801",
        "HOLDUNTIL=tomorrow",
        "HOLDUNTIL=1970-13-01T00:00:00Z",
        "HOLDUNTIL=1970-01-09T00:00:00Z",
        "HOLDFOR=1 HOLDUNTIL=1970-01-01T00:01:00Z",
        "MT-PRIORITY=10",
        "MT-PRIORITY=-0",
        "MT-PRIORITY=+1",
        "=1",
        "-X=1",
        "A\x80=1",
        "SIZE==1",
    ],
)
def test_what_mail_may_not_say(check: Check, text: str) -> None:
    check((f"MAIL FROM:<a@a.test> {text}\r\n".encode(), "501 5.5.4"), **SECURE)


@pytest.mark.parametrize("text", ["FOO", "FOO=1", "NOTIFY=NEVER", "X-A=<b>"])
def test_unknown_parameters_of_mail_get_555(check: Check, text: str) -> None:
    check((f"MAIL FROM:<a@a.test> {text}\r\n".encode(), "555 5.5.4"), **SECURE)


@pytest.mark.parametrize("text", ["FOO=1", "SIZE=1", "AUTH=<>"])
def test_unknown_parameters_of_rcpt_get_555(check: Check, text: str) -> None:
    rcpt = f"RCPT TO:<b@b.test> {text}\r\n".encode()
    check((b"MAIL FROM:<>\r\n", "250"), (rcpt, "555 5.5.4"), **SECURE)


@each(
    ("text", "expected"),
    [
        ("NOTIFY=NEVER", RcptParameters(notify=Notify.NEVER)),
        ("NOTIFY=success,DELAY", RcptParameters(notify=Notify.SUCCESS | Notify.DELAY)),
        ("NOTIFY=FAILURE", RcptParameters(notify=Notify.FAILURE)),
        ("ORCPT=rfc822;b+2Bx@b.test", RcptParameters(original="rfc822;b+x@b.test")),
        (r"ORCPT=utf-8;j\x{FC}@b.test", RcptParameters(original="utf-8;jü@b.test")),
        ("ORCPT=UTF-8;jü@b.test", RcptParameters(original="utf-8;jü@b.test")),
    ],
)
def test_what_rcpt_may_say(check: Check, text: str, expected: RcptParameters) -> None:
    player = check((f"MAIL FROM:<>\r\nRCPT TO:<b@b.test> {text}\r\n".encode(), "250|250"))
    assert player.events[1].parameters == expected


@each(
    "text",
    [
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=",
        "NOTIFY=DELAY,DELAY",
        "NOTIFY=x",
        "NOTIFY=DELAY,",
        "ORCPT=rfc822",
        "ORCPT=rfc822;",
        "ORCPT=;a",
        "ORCPT=rfc822;a+0D+0A",
        "ORCPT=rfc822;ü",
        r"ORCPT=utf-8;\x{FFFFFF}",
        r"ORCPT=utf-8;\x{85}",
        "ORCPT=utf-8;a+2",
        r"ORCPT=utf-8;a\x{",
        r"ORCPT=utf-8;ü\b",
        "ORCPT=utf-8;\x85",
        "ORCPT=rfc822;" + "a" * 500,
    ],
)
def test_what_rcpt_may_not_say(check: Check, text: str) -> None:
    check(
        (b"MAIL FROM:<>\r\n", "250"),
        (f"RCPT TO:<b@b.test> {text}\r\n".encode(), "501 5.5.4"),
        (b"RCPT TO:<b@b.test>\r\n", "250"),
    )


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\u3000"])
def test_only_a_space_separates_parameters(check: Check, space: str) -> None:
    check((f"MAIL FROM:<> SIZE=1{space}SMTPUTF8\r\n".encode(), "501 5.5.4"))


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20), st.booleans()
)
def test_an_original_recipient_is_read_as_a_client_of_ours_writes_it(
    address: str, unitext: bool
) -> None:
    said = f"ORCPT=utf-8;{utf8_address(address, unitext=unitext)}"
    offer = make_offer(SETTINGS, None, xclient=False, now=0.0)
    assert parse_rcpt_parameters(said, offer).original == f"utf-8;{address}"


def test_a_declared_size_above_the_limit_is_refused_at_once(check: Check) -> None:
    settings = replace(SETTINGS, max_size=1000)
    check((b"MAIL FROM:<> SIZE=1001\r\n", "552 5.3.4"), settings=settings)
    check((b"MAIL FROM:<> SIZE=1000\r\n", "250"), settings=settings)


def test_a_deadline_that_is_too_near_is_refused(check: Check) -> None:
    settings = replace(SETTINGS, min_deliver_by=60)
    check((b"MAIL FROM:<> BY=59;R\r\n", "555"), settings=settings)
    check((b"MAIL FROM:<> BY=59;N\r\n", "250"), settings=settings)
    assert b"DELIVERBY 60\r\n" in a_player(settings).say(b"EHLO c\r\n")


def test_utf8_addresses_need_smtputf8(check: Check) -> None:
    said = "jürgen@a.test"
    check((f"MAIL FROM:<{said}>\r\n".encode(), "553 5.6.7"))
    check((f"MAIL FROM:<>\r\nRCPT TO:<{said}>\r\n".encode(), "250|553 5.6.7"))
    both = f"MAIL FROM:<{said}> SMTPUTF8\r\nRCPT TO:<{said}>\r\n".encode()
    check((both, "250|250"))


@each("extension", list(Extension))
def test_what_is_not_offered_is_not_understood(check: Check, extension: Extension) -> None:
    said = {
        Extension.SIZE: "SIZE=1",
        Extension.EIGHT_BIT_MIME: "BODY=8BITMIME",
        Extension.SMTPUTF8: "SMTPUTF8",
        Extension.CHUNKING: "BODY=BINARYMIME",
        Extension.BINARYMIME: "BODY=BINARYMIME",
        Extension.DSN: "RET=FULL",
        Extension.REQUIRETLS: "REQUIRETLS",
        Extension.DELIVERBY: "BY=1;N",
        Extension.FUTURERELEASE: "HOLDFOR=1",
        Extension.MT_PRIORITY: "MT-PRIORITY=1",
    }.get(extension, "NOSUCH")
    settings = replace(SETTINGS, extensions=frozenset(Extension) - {extension})
    assert f"250-{extension.value}" not in a_player(settings).say(b"EHLO c\r\n").decode()
    expected = "501" if "BINARY" in said else "555"
    check((f"MAIL FROM:<> {said}\r\n".encode(), expected), settings=settings, **SECURE)


@pytest.mark.parametrize(
    ("extension", "rests_on"),
    [
        (Extension.BINARYMIME, Extension.CHUNKING),
        (Extension.BINARYMIME, Extension.EIGHT_BIT_MIME),
        (Extension.SMTPUTF8, Extension.EIGHT_BIT_MIME),
    ],
)
def test_no_extension_is_offered_without_what_it_rests_on(
    extension: Extension, rests_on: Extension
) -> None:
    settings = replace(SETTINGS, extensions=frozenset(Extension) - {rests_on})
    assert f"250-{extension.value}" in a_player().say(b"EHLO c\r\n").decode()
    assert f"250-{extension.value}" not in a_player(settings).say(b"EHLO c\r\n").decode()


def test_requiretls_and_auth_parameter_need_what_they_rest_on(check: Check) -> None:
    check((b"MAIL FROM:<> REQUIRETLS\r\n", "555"))
    check((b"MAIL FROM:<> AUTH=<>\r\n", "555"))


def test_the_answer_to_ehlo_in_the_clear_and_under_tls() -> None:
    clear = a_player().say(b"EHLO c\r\n").decode().splitlines()
    secure = a_player(tls=TLS).say(b"EHLO c\r\n").decode().splitlines()
    assert clear[0] == "250-mx.test"
    assert clear[-1] == "250 STARTTLS"
    assert set(secure) - set(clear) == {"250-REQUIRETLS", "250 AUTH PLAIN LOGIN"}
    assert "250-SIZE 52428800" in clear
    assert "250-LIMITS RCPTMAX=1000" in clear


def test_future_release_names_the_latest_date() -> None:
    connection = ServerConnection(ServerSettings("mx.test"), now=86_400.0 * 365)
    player = Player(connection)
    player.say(b"")
    assert b"FUTURERELEASE 604800 1971-01-08T00:00:00Z" in player.say(b"EHLO c\r\n")
