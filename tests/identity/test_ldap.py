"""An LDAP server that answers as it likes, on the other end of a pipe (RFC 4511)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.identity.checker import Asked
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.gate import Gate, GateSettings
from merpati.identity.ldap.ber import BerError, encode, integer, read
from merpati.identity.ldap.checker import Ldap, LdapServer, LdapSettings, Ways
from merpati.mail.address import Address
from merpati.testing.clock import VirtualClock
from merpati.testing.pipes import PipeStream, stream_pair
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireRefused

ANN = Asked(Address("ann", "a.test"), "secret")
SERVER = LdapServer("ldap.a.test", 636, implicit_tls=True, start_tls=False)
BIND = LdapSettings((SERVER,), dn="uid={local},dc=a")
SEARCH = LdapSettings((SERVER,), base="dc=a", filter="(mail={user})")

Script = Callable[[PipeStream], Awaitable[None]]


def message(number: int, operation: bytes) -> bytes:
    return encode(0x30, integer(number), operation)


def result(tag: int, code: int, number: int = 1) -> bytes:
    return message(number, encode(tag, integer(code, 0x0A), b"\x04\x00", b"\x04\x04said"))


def entry(name: str, number: int = 1) -> bytes:
    return message(number, encode(0x64, encode(0x04, name.encode()), b"\x30\x00"))


@dataclass
class Network:
    """Leads to a server that says `answers`, one behind each question, and keeps what it heard."""

    answers: list[bytes]
    heard: list[bytes] = field(default_factory=list)
    hangs: bool = False

    async def dial(self, to: Endpoint, seconds: float, source: str = "") -> PipeStream:
        if to.ip == "192.0.2.1":
            raise WireRefused("refused")
        ours, theirs = stream_pair(VirtualClock())
        self._serving = asyncio.ensure_future(self._serve(theirs))
        return ours

    async def _serve(self, stream: PipeStream) -> None:
        await stream.secure(object())
        for answer in self.answers:
            self.heard.append(await stream.read())
            stream.write(answer)
        if not self.hangs:
            await stream.close()


async def places(host: str, port: int) -> list[Endpoint]:
    return [Endpoint("192.0.2.1" if host == "dead.a.test" else "192.0.2.2", port)]


async def ask(
    *answers: bytes, settings: LdapSettings = BIND, asked: Asked = ANN, hangs: bool = False
) -> tuple[bool, Network]:
    network = Network(list(answers), hangs=hangs)
    ldap = Ldap(settings, Ways(network, places, object()), Gate(GateSettings(0.2), "them"))
    return await ldap.is_right(asked), network


async def test_who_may_bind_knows_the_password() -> None:
    is_right, network = await ask(result(0x61, 0))
    assert is_right
    assert b"uid=ann,dc=a\x80\x06secret" in network.heard[0]


@pytest.mark.parametrize("code", [49, 32, 19, 53])
async def test_who_may_not_bind_does_not(code: int) -> None:
    assert not (await ask(result(0x61, code)))[0]


async def test_an_empty_password_never_reaches_the_server() -> None:
    is_right, network = await ask(result(0x61, 0), asked=Asked(ANN.account, ""))
    assert not is_right
    assert network.heard == []


async def test_a_search_finds_the_name_to_bind_with() -> None:
    answers = entry("cn=Ann,dc=a") + result(0x65, 0), result(0x61, 0, 2)
    is_right, network = await ask(*answers, settings=SEARCH)
    assert is_right
    assert b"\x04\x04mail\x04\x0aann@a.test" in network.heard[0]
    assert b"cn=Ann,dc=a" in network.heard[1]


@pytest.mark.parametrize(
    "found", [b"", entry("cn=1") + entry("cn=2"), entry("")], ids=["nobody", "two", "no name"]
)
async def test_nobody_several_and_the_nameless_are_bound_as_by_nobody(found: bytes) -> None:
    is_right, network = await ask(found + result(0x65, 0), result(0x61, 0, 2), settings=SEARCH)
    assert not is_right
    assert len(network.heard) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x80",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x8a" + b"\xff" * 10,
        b"\x30\x00",
        b"\x30\x05\x02\x01\x01\x61\x00",
        result(0x61, 51),
        result(0x61, 0, 7),
        result(0x65, 0),
        message(0, encode(0x78, integer(52, 0x0A), b"\x04\x00", b"\x04\x00")),
        encode(0x30, b"\x02\x00" + encode(0x61, b"")),
    ],
)
async def test_what_is_no_answer_lets_nobody_in_and_calls_nobody_wrong(answer: bytes) -> None:
    with pytest.raises(IdentityUnavailable):
        await ask(answer)


@pytest.mark.parametrize(
    "answer", [result(0x65, 32), entry("x") * 200, message(1, encode(0x04, b""))]
)
async def test_a_search_that_fails_is_no_answer(answer: bytes) -> None:
    with pytest.raises(IdentityUnavailable):
        await ask(answer, settings=SEARCH)


@pytest.mark.slow
async def test_a_server_that_hangs_is_waited_for_no_longer_than_is_said() -> None:
    with pytest.raises(IdentityUnavailable, match="no answer within"):
        await ask(settings=BIND, hangs=True)


async def test_the_next_server_is_asked_when_one_cannot_be() -> None:
    dead = LdapServer("dead.a.test", 636, implicit_tls=True, start_tls=False)
    assert (await ask(result(0x61, 0), settings=LdapSettings((dead, SERVER), dn="uid={local}")))[0]
    with pytest.raises(IdentityUnavailable, match=r"dead\.a\.test.*refused"):
        await ask(settings=LdapSettings((dead,), dn="uid={local}"))


class Plain(Network):
    """A server that is asked for StartTLS, and says more behind its yes."""

    async def _serve(self, stream: PipeStream) -> None:
        self.heard.append(await stream.read())
        for answer in self.answers:
            stream.write(answer)
        await stream.secure(object())
        self.heard.append(await stream.read())
        stream.write(result(0x61, 0, 2))


async def by_start_tls(answer: bytes) -> bool:
    server = LdapServer("ldap.a.test", 389, implicit_tls=False, start_tls=True)
    ways = Ways(Plain([answer]), places, object())
    settings = LdapSettings((server,), dn="uid={local}")
    return await Ldap(settings, ways, Gate(GateSettings(0.2), "them")).is_right(ANN)


async def test_start_tls_comes_before_the_password() -> None:
    assert await by_start_tls(result(0x78, 0))


@pytest.mark.parametrize("answer", [result(0x78, 2), result(0x78, 0) + result(0x61, 0, 2)])
async def test_start_tls_that_is_refused_or_not_clean_ends_it(answer: bytes) -> None:
    with pytest.raises(IdentityUnavailable, match="StartTLS"):
        await by_start_tls(answer)


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_but_what_is_said(octets: bytes) -> None:
    try:
        found = read(octets, 100)
        if found:
            found[0].elements()
    except BerError:
        return


@given(st.integers(min_value=-(2**31), max_value=2**31 - 1), st.binary(max_size=70_000))
def test_what_is_written_is_read(number: int, content: bytes) -> None:
    whole = encode(0x30, integer(number), encode(0x04, content))
    found = read(whole + b"rest", len(whole))
    assert found is not None
    element, end = found
    first, second = element.elements()
    assert (first.number, second.octets, end) == (number, content, len(whole))
    assert read(whole[:-1], len(whole)) is None
