"""RFC 4954: AUTH as a client speaks it."""

import base64
from collections.abc import Callable

import pytest

from merpati.smtp.answers import Nonsense
from merpati.smtp.client_events import LoginAnswered, ShutDown
from merpati.smtp.client_states import Command, Phase
from merpati.smtp.sasl.exchange import ClientExchange, SaslError
from merpati.smtp.sasl.mechanisms import ClientSide, Credentials, choose
from merpati.testing.caller import Caller

MakeCaller = Callable[..., Caller]


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def an_exchange(mechanism: str, **credentials: str) -> ClientExchange:
    who = Credentials("ann@a.test", **(credentials or {"password": "pencil"}))
    exchange = choose([mechanism], ClientSide(who, "nonce-of-24-octets-in-all", encrypted=True))
    assert exchange is not None
    return exchange


class Scripted:
    """An exchange with an initial response and one answer to each challenge."""

    mechanism = "X-TEST"

    def __init__(self, initial: bytes | None, *responses: bytes, proved: bool = True) -> None:
        self._initial = initial
        self._responses = list(responses)
        self._proved = proved

    def initial(self) -> bytes | None:
        return self._initial

    def respond(self, challenge: bytes) -> bytes:
        if not self._responses:
            raise SaslError("one challenge too many")
        return self._responses.pop(0)

    def succeeded(self) -> None:
        if not self._proved:
            raise SaslError("the server did not prove itself")


def test_plain_in_one_round_trip(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(an_exchange("PLAIN"))
    assert caller.said == b"AUTH PLAIN " + base64.b64encode(b"\0ann@a.test\0pencil") + b"\r\n"
    assert caller.client.waiting_for is Command.AUTH
    (event,) = caller.hear("235 2.7.0 welcome")
    assert isinstance(event, LoginAnswered)
    assert (event.answer.code, event.error) == (235, "")
    assert caller.client.phase is Phase.READY


def test_login_in_three(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(an_exchange("LOGIN"))
    assert caller.said == b"AUTH LOGIN\r\n"
    assert caller.hear(f"334 {encoded(b'Username:')}") == []
    assert caller.said == base64.b64encode(b"ann@a.test") + b"\r\n"
    caller.hear(f"334 {encoded(b'Password:')}")
    assert caller.said == base64.b64encode(b"pencil") + b"\r\n"
    (event,) = caller.hear("535 5.7.8 no")
    assert isinstance(event, LoginAnswered)
    assert not event.answer.is_positive
    assert event.error == ""


def test_an_empty_challenge_and_an_empty_response(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(Scripted(b"", b"", b"x"))
    assert caller.said == b"AUTH X-TEST =\r\n"
    caller.hear("334 ")
    assert caller.said == b"\r\n"
    caller.hear("334")
    assert caller.said == b"eA==\r\n"


def test_an_initial_response_that_does_not_fit_is_asked_for(a_caller: MakeCaller) -> None:
    # RFC 4954 §4, erratum 5224
    caller = a_caller()
    exchange = an_exchange("XOAUTH2", token="t" * 1000)
    caller.client.log_in(exchange)
    assert caller.said == b"AUTH XOAUTH2\r\n"
    caller.hear("334 ")
    assert caller.said == base64.b64encode(exchange.initial() or b"") + b"\r\n"
    caller.hear("235 ok")
    assert caller.events[-1].error == ""


def test_who_speaks_first_where_the_client_should_is_not_trusted(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(an_exchange("XOAUTH2", token="t" * 1000))
    assert caller.said
    caller.hear(f"334 {encoded(b'hello')}")
    assert caller.said == b"*\r\n"
    caller.hear("501 5.0.0 cancelled")
    assert "speaks first" in caller.events[-1].error


@pytest.mark.parametrize("challenge", ["334 !!!", "334 YQ", "334-YQ==\r\n334 YQ=="])
def test_a_challenge_that_is_not_base64_ends_it(a_caller: MakeCaller, challenge: str) -> None:
    caller = a_caller()
    caller.client.log_in(an_exchange("LOGIN"))
    assert caller.said
    caller.hear(challenge)
    assert caller.said == b"*\r\n"
    # Whatever it answers to that, it is not trusted.
    (event,) = caller.hear("235 welcome")
    assert isinstance(event, LoginAnswered)
    assert event.error == "the challenge is not base64"


def test_a_challenge_too_many_ends_it(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(Scripted(None))
    caller.hear("334 ")
    assert caller.said == b"AUTH X-TEST\r\n*\r\n"
    caller.hear("501 cancelled")
    assert caller.events[-1].error == "one challenge too many"


def test_a_server_that_asks_on_after_the_cancel_is_left(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(Scripted(None))
    caller.hear("334 ", "334 ")
    assert isinstance(caller.events[-1], Nonsense)


def test_a_server_that_never_stops_asking_is_left(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(an_exchange("PLAIN"))
    for _ in range(100):
        caller.hear("334 ")
    assert isinstance(caller.events[-1], Nonsense)
    assert caller.said.count(b"\r\n") < 20


def test_success_without_proof_is_no_success(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(Scripted(b"x", proved=False))
    (event,) = caller.hear("235 welcome")
    assert isinstance(event, LoginAnswered)
    assert event.error == "the server did not prove itself"


def test_scram_does_not_take_235_for_a_proof(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(an_exchange("SCRAM-SHA-256"))
    (event,) = caller.hear("235 come in")
    assert isinstance(event, LoginAnswered)
    assert event.error


def test_the_error_of_one_login_is_not_that_of_the_next(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(Scripted(b"x", proved=False))
    caller.hear("235 welcome")
    caller.client.log_in(an_exchange("PLAIN"))
    caller.hear("235 welcome")
    assert caller.events[-1].error == ""


def test_421_in_a_login(a_caller: MakeCaller) -> None:
    caller = a_caller()
    caller.client.log_in(an_exchange("LOGIN"))
    (event,) = caller.hear("421 4.7.0 too many logins")
    assert isinstance(event, ShutDown)
    assert event.command is Command.AUTH
