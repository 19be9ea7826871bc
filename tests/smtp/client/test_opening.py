"""RFC 5321 §3.1, §3.2, RFC 3207: greeting, hello, STARTTLS."""

import pytest

from merpati.smtp.answers import Nonsense
from merpati.smtp.capabilities import Capabilities
from merpati.smtp.client import ClientConnection, ClientSettings
from merpati.smtp.client_events import Greeted, HelloAnswered, QuitAnswered, ShutDown, TlsAnswered
from merpati.smtp.client_states import Command, Phase
from merpati.smtp.errors import ProtocolError
from merpati.smtp.rung import Rung
from merpati.testing.caller import Caller, hello_reply


@pytest.fixture(name="fresh")
def _fresh(way: str) -> Caller:
    return Caller(ClientConnection(ClientSettings("us.test")), way)


def codes(caller: Caller) -> list[int]:
    return [event.answer.code for event in caller.events if not isinstance(event, Nonsense)]


def test_the_client_says_nothing_before_the_greeting(fresh: Caller) -> None:
    assert fresh.said == b""
    assert fresh.client.waiting_for is Command.GREETING
    with pytest.raises(ProtocolError, match="say hello while greeting"):
        fresh.client.hello()


def test_greeting_and_hello(fresh: Caller) -> None:
    assert [type(event) for event in fresh.hear("220-mx.b.test", "220 at your service")] == [
        Greeted
    ]
    fresh.client.hello()
    assert fresh.said == b"EHLO us.test\r\n"
    (event,) = fresh.hear("250-mx.b.test Hi", "250-SIZE 1000", "250 PIPELINING")
    assert isinstance(event, HelloAnswered)
    assert event.capabilities == Capabilities(
        "mx.b.test", frozenset({"SIZE", "PIPELINING"}), size=1000
    )
    assert fresh.client.capabilities == event.capabilities
    assert fresh.client.phase is Phase.READY
    assert fresh.client.waiting_for is None


def test_who_knows_no_ehlo_is_greeted_with_helo_and_offers_nothing(fresh: Caller) -> None:
    fresh.hear("220 mx")
    fresh.client.hello()
    fresh.hear("502 5.5.1 what?")
    assert fresh.client.phase is Phase.GREETED
    assert fresh.said == b"EHLO us.test\r\n"
    fresh.client.hello()
    assert fresh.said == b"HELO us.test\r\n"
    # What looks like keywords in an answer to HELO is small talk.
    fresh.hear("250-mx.b.test", "250 SIZE 1")
    assert fresh.client.capabilities == Capabilities()
    assert codes(fresh) == [220, 502, 250]


def test_on_the_lowest_rung_helo_comes_first(way: str) -> None:
    caller = Caller(ClientConnection(ClientSettings("us.test"), Rung.HELO), way)
    caller.hear("220 mx")
    caller.client.hello()
    assert caller.said == b"HELO us.test\r\n"


def test_lmtp_says_lhlo_and_never_helo(way: str) -> None:
    caller = Caller(ClientConnection(ClientSettings("us.test", lmtp=True), Rung.HELO), way)
    caller.hear("220 mx")
    for _ in range(2):
        caller.client.hello()
        assert caller.said == b"LHLO us.test\r\n"
        caller.hear("500 what?")


def test_keywords_that_are_ignored_are_not_offered(way: str) -> None:
    settings = ClientSettings("us.test", ignored=frozenset({"CHUNKING"}))
    caller = Caller(ClientConnection(settings), way)
    caller.hear("220 mx")
    caller.client.hello()
    caller.hear(hello_reply(["CHUNKING", "PIPELINING"]))
    assert caller.client.capabilities.keywords == {"PIPELINING"}


@pytest.mark.parametrize("line", ["554 go away", "450 later"])
def test_a_refusal_as_greeting(fresh: Caller, line: str) -> None:
    (event,) = fresh.hear(line)
    assert isinstance(event, Greeted)
    assert not event.answer.is_positive
    fresh.client.quit()
    assert fresh.said == b"QUIT\r\n"


def test_421_as_greeting_shuts_down(fresh: Caller) -> None:
    (event,) = fresh.hear("421 4.3.2 too busy")
    assert isinstance(event, ShutDown)
    assert event.command is Command.GREETING
    assert fresh.hear("250 hello?") == []
    with pytest.raises(ProtocolError):
        fresh.client.quit()


def test_octets_behind_the_greeting_answer_no_hello(fresh: Caller) -> None:
    fresh.hear("220 mx", "250 mx")
    if fresh.client.phase is not Phase.OVER:  # they came later
        fresh.client.hello()
    assert isinstance(fresh.events[-1], Nonsense)


def test_a_reply_that_came_before_its_command_answers_nothing() -> None:
    caller = Caller(ClientConnection(ClientSettings("us.test")))
    caller.hear("220 mx")
    caller.client.receive(b"250 mx\r\n")
    caller.client.hello()
    assert caller.client.next_event() == Nonsense("a reply that nobody asked for", b"250 mx\r\n")


def test_quit(a_caller) -> None:
    caller = a_caller()
    caller.client.quit()
    assert caller.said == b"QUIT\r\n"
    (event,) = caller.hear("221 bye")
    assert isinstance(event, QuitAnswered)
    assert caller.client.phase is Phase.OVER


def test_a_421_while_idle_is_a_good_bye(a_caller) -> None:
    caller = a_caller()
    (event,) = caller.hear("421 4.4.2 timeout exceeded")
    assert isinstance(event, ShutDown)
    assert event.command is None
    assert event.mailing is None


def test_another_reply_while_idle_is_nonsense(a_caller) -> None:
    (event,) = a_caller().hear("250 ok")
    assert event == Nonsense("a reply that nobody asked for", b"250 ok\r\n")


def test_starttls_forgets_what_was_offered_in_the_clear(a_caller) -> None:
    caller = a_caller(["STARTTLS", "SIZE 5", "AUTH PLAIN"])
    caller.client.start_tls()
    assert caller.said == b"STARTTLS\r\n"
    (event,) = caller.hear("220 go ahead")
    assert isinstance(event, TlsAnswered)
    caller.client.secured()
    assert caller.client.capabilities == Capabilities()
    with pytest.raises(ProtocolError, match="begin a transaction while greeted"):
        caller.begin()
    caller.client.hello()
    assert caller.said == b"EHLO us.test\r\n"
    caller.hear(hello_reply(["PIPELINING"]))
    assert caller.client.capabilities.keywords == {"PIPELINING"}


def test_after_tls_ehlo_is_tried_again_though_it_was_refused_before(fresh: Caller) -> None:
    fresh.hear("220 mx")
    fresh.client.hello()
    fresh.hear("502 no")
    fresh.client.hello()
    fresh.hear("250 mx")
    fresh.client.start_tls()
    fresh.hear("220 go")
    fresh.client.secured()
    assert fresh.said
    fresh.client.hello()
    assert fresh.said == b"EHLO us.test\r\n"


def test_octets_in_the_clear_behind_the_220_are_never_read_as_if_encrypted(a_caller) -> None:
    # CVE-2021-38371, RFC 3207 §6
    caller = a_caller(["STARTTLS"])
    caller.client.start_tls()
    caller.hear("220 go ahead", "250-mx", "250 AUTH PLAIN")
    assert isinstance(caller.events[-1], Nonsense)
    with pytest.raises(ProtocolError):
        caller.client.secured()


def test_an_unfinished_line_behind_the_220_forbids_the_handshake(a_caller) -> None:
    caller = a_caller(["STARTTLS"])
    caller.client.start_tls()
    caller.hear(b"220 go ahead\r\n250 m")
    with pytest.raises(ProtocolError):
        caller.client.secured()


def test_refused_starttls_leaves_the_connection_as_it_was(a_caller) -> None:
    caller = a_caller(["STARTTLS", "SIZE 5"])
    caller.client.start_tls()
    (event,) = caller.hear("454 4.7.0 not now")
    assert isinstance(event, TlsAnswered)
    assert caller.client.phase is Phase.READY
    assert caller.client.capabilities.size == 5
    with pytest.raises(ProtocolError):
        caller.client.secured()


def test_tls_cannot_begin_before_it_was_answered(a_caller) -> None:
    caller = a_caller(["STARTTLS"])
    caller.client.start_tls()
    with pytest.raises(ProtocolError):
        caller.client.secured()


@pytest.mark.parametrize("reply", ["354 go", "334 "])
def test_a_class_that_cannot_answer_is_nonsense(a_caller, reply: str) -> None:
    caller = a_caller()
    caller.client.quit()
    (event,) = caller.hear(reply)
    assert isinstance(event, Nonsense)
    assert "cannot answer QUIT" in event.why
