"""The same conversations over loopback sockets, with real TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from msgspec import structs

from merpati.clock import SystemClock
from merpati.delivery.backing import Backing, StsMode
from merpati.delivery.conversation import Conversation, Surroundings
from merpati.delivery.dane import Tlsa, Tlsas
from merpati.delivery.ending import End, Ending
from merpati.delivery.lesson import Lesson, SiteMemory, Waive, Waived
from merpati.delivery.link import ConversationSettings
from merpati.delivery.outcome import Result
from merpati.delivery.security import decide
from merpati.delivery.transaction import Host, TlsDemand, Transaction, Way
from merpati.feedback.tls import ResultType
from merpati.journal.events import Event, Opened
from merpati.smtp.rung import Rung
from merpati.testing import broken
from merpati.testing.conversations import WAY, ListSource, PatientClock, a_message
from merpati.testing.plain_server import HangUp, Ledger, PlainServer
from merpati.testing.shown import showing
from merpati.wire.dial import SocketDialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Arrival, Listener
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind, bound_to
from merpati.wire.stream import Stream
from merpati.wire.tls import TlsContext

MakeServer = Callable[[Ledger], PlainServer]
Serving = Callable[[MakeServer], AbstractAsyncContextManager["World"]]
REQUIRED = replace(WAY, tls=TlsDemand.REQUIRED)
OPPORTUNISTIC = replace(WAY, tls=TlsDemand.OPPORTUNISTIC)


class World:
    """A server at a port, and conversations with it."""

    def __init__(self, wire: Wire, at: Endpoint, ca_file: str) -> None:
        self.ledger = Ledger()
        self.lessons: list[Lesson] = []
        self.notes: list[Event] = []
        self._wire = wire
        self._at = at
        self._ca_file = ca_file

    async def play(
        self,
        *transactions: Transaction,
        way: Way = WAY,
        name: str = "mx.b.test",
        memory: SiteMemory = SiteMemory(),  # noqa: B008 - frozen
        tlsa: Tlsas | None = None,
    ) -> tuple[End, list[list[Result]]]:
        """How the conversation ended, and what became of what was taken."""
        host = Host(name, self._at.ip, self._at.port)
        settings = replace(ConversationSettings("us.test"), idle=0.0, idle_tls=0.0)
        around = Surroundings(
            settings,
            self._dial,
            SystemClock(),
            lambda n: b"e" * n,
            self.notes.append,
            self.lessons.append,
        )
        security = decide(way, host, memory, ca_file=self._ca_file, tlsa=tlsa)
        conversation = Conversation(way, host, security, around, memory)
        refused = await conversation.open()
        if refused is not None:
            return refused, []
        clock = PatientClock()
        source = ListSource(clock, transactions)
        async with clock.running():
            end = await conversation.run(source)
        return end, source.results()

    async def _dial(self, host: Host, seconds: float) -> Stream:
        return await SocketDialer(self._wire).dial(Endpoint(host.ip, host.port), seconds)


@pytest.fixture(name="authority", scope="module")
def _authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(name="tls", scope="module")
def _tls(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> TlsContext:
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("mx.b.test", key_type=trustme.KeyType.ECDSA)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for n, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(folder / "cert.pem", append=n > 0)
    return showing(folder / "cert.pem", folder / "key.pem")


@pytest.fixture(name="serving")
def _serving(authority: trustme.CA, tmp_path: Path) -> Serving:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    @asynccontextmanager
    async def serving(make: MakeServer) -> AsyncIterator[World]:
        wire = Wire(SystemClock(), interval=0.05)
        sock = bind(Endpoint("127.0.0.1", 0))
        world = World(wire, bound_to(sock), str(tmp_path / "ca.pem"))
        failures: list[Exception] = []

        async def serve(arrival: Arrival) -> None:
            await make(world.ledger).serve(arrival.stream)

        listener = Listener(wire, serve, failures.append)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(listener.run([sock]))
            yield world
            running.cancel()
        assert failures == []

    return serving


def secured(tls: TlsContext) -> type[PlainServer]:
    class Secured(PlainServer):
        offers = ("STARTTLS", *PlainServer.offers)

        async def starttls(self, line: str) -> None:
            self.say("220 go ahead")
            self.flush()
            await self.stream.secure(tls)

    return Secured


@pytest.mark.slow
@pytest.mark.parametrize("rung", list(Rung)[:4])
@pytest.mark.parametrize("encrypted", [False, True])
async def test_many_messages(
    serving: Serving, tls: TlsContext, rung: Rung, encrypted: bool
) -> None:
    large = (b"x" * 62 + b"\r\n") * (3 * 1024 * 1024 // 64)
    messages = [a_message(n) for n in range(20)] + [a_message(20, body=large), a_message(21)]
    async with serving(secured(tls) if encrypted else PlainServer) as world:
        way = REQUIRED if encrypted else WAY
        end, results = await world.play(*messages, way=way, memory=SiteMemory(rung))
    assert end == End(Ending.IDLE, transactions=22)
    assert results == [[Result.DELIVERED]] * 22
    assert world.ledger.received[20].content == large
    assert world.ledger.verbs().count("STARTTLS") == encrypted


@pytest.mark.slow
async def test_required_tls_wants_the_right_name(serving: Serving, tls: TlsContext) -> None:
    async with serving(secured(tls)) as world:
        end, _ = await world.play(way=REQUIRED, name="other.test")
        assert end.ending is Ending.TLS_FAILED
        assert "certificate was not accepted" in end.why
        end, results = await world.play(a_message(1), way=OPPORTUNISTIC, name="other.test")
    assert results == [[Result.DELIVERED]]
    assert world.lessons == []


async def test_tls_that_is_broken_behind_220(serving: Serving) -> None:
    class Gone(broken.BrokenTls):
        async def line_of_handshake(self) -> None:
            raise HangUp

    for server in (broken.BrokenTls, Gone):
        async with serving(server) as world:
            end, _ = await world.play(way=OPPORTUNISTIC)
            assert end.ending is Ending.TLS_FAILED
            assert [type(one) for one in world.lessons] == [Waive]


@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD])
async def test_a_host_that_dies_in_the_middle_of_a_large_message(
    serving: Serving, rung: Rung
) -> None:
    body = (b"x" * 62 + b"\r\n") * (8 * 1024 * 1024 // 64)
    async with serving(broken.GoneBeforeDot) as world:
        end, results = await world.play(
            a_message(1, body=body), a_message(2), memory=SiteMemory(rung)
        )
    assert end.ending is Ending.LOST
    assert results in ([[Result.DEFERRED]], [[Result.UNKNOWN]])


async def test_nobody_listens() -> None:
    sock = bind(Endpoint("127.0.0.1", 0))
    at = bound_to(sock)
    sock.close()
    end, _ = await World(Wire(SystemClock()), at, "").play()
    assert end.ending is Ending.UNREACHABLE


def told(world: World) -> tuple[str, str]:
    """Who decided, and what was proved."""
    (opened,) = world.notes
    assert isinstance(opened, Opened)
    return opened.policy, opened.proof


@pytest.mark.slow
async def test_what_was_not_demanded_is_checked_all_the_same(
    serving: Serving, tls: TlsContext
) -> None:
    cases = (
        (OPPORTUNISTIC, "mx.b.test", None, "valid"),
        (OPPORTUNISTIC, "other.test", None, "certificate-host-mismatch"),
        (OPPORTUNISTIC, "other.test", Tlsas("other.test", ()), "certificate-host-mismatch"),
        (REQUIRED, "mx.b.test", None, ""),
    )
    for way, name, records, expected in cases:
        async with serving(secured(tls)) as world:
            _, results = await world.play(a_message(1), way=way, name=name, tlsa=records)
        assert results == [[Result.DELIVERED]]
        (opened,) = world.notes
        assert isinstance(opened, Opened)
        assert opened.certificate_check == expected
        assert opened.verified is (way is REQUIRED)


@pytest.mark.slow
async def test_requiretls_takes_a_good_certificate_of_a_host_whose_name_is_vouched_for(
    serving: Serving, tls: TlsContext
) -> None:
    """RFC 8689 §4.2.1: DNSSEC or MTA-STS for the name, RFC 6125 or DANE for the certificate."""

    class Promising(secured(tls)):  # type: ignore[misc]  # made for this test
        offers = ("STARTTLS", "REQUIRETLS", *PlainServer.offers)

    by_mx = replace(OPPORTUNISTIC, route="mx:")
    signed = replace(by_mx, backing=Backing(dnssec=True))
    tested = replace(by_mx, backing=Backing(dnssec=True, sts=StsMode.TESTING))
    message = a_message(1)
    strict = a_message(1, envelope=structs.replace(message.entry.envelope, require_tls=True))
    cases = (
        (signed, "mx.b.test", Result.DELIVERED),
        (tested, "mx.b.test", Result.DELIVERED),
        (replace(by_mx, route="smtp://mx.b.test"), "mx.b.test", Result.DELIVERED),
        (signed, "other.test", Result.FAILED),
        (by_mx, "mx.b.test", Result.FAILED),
        (replace(by_mx, backing=Backing(sts=StsMode.TESTING)), "mx.b.test", Result.FAILED),
    )
    for way, name, expected in cases:
        async with serving(Promising) as world:
            _, results = await world.play(strict, way=way, name=name)
        assert results == [[expected]], (way.route, way.backing, name)
        assert len(world.ledger.received) == (expected is Result.DELIVERED)


async def test_requiretls_waits_while_tls_is_broken_that_the_host_offers(
    serving: Serving, tls: TlsContext
) -> None:
    message = a_message(1)
    strict = a_message(1, envelope=structs.replace(message.entry.envelope, require_tls=True))
    # Of a host that nobody vouches for TLS proves nothing, so that nothing is waited for.
    cases: tuple[tuple[type[PlainServer], Backing, Result], ...] = (
        (secured(tls), Backing(dnssec=True), Result.DEFERRED),
        (secured(tls), Backing(), Result.FAILED),
        (PlainServer, Backing(dnssec=True), Result.FAILED),
    )
    for offered, backing, expected in cases:
        way = replace(OPPORTUNISTIC, route="mx:", backing=backing)
        async with serving(offered) as world:
            memory = SiteMemory(waived=Waived.TLS, failure=ResultType.FAILED)
            _, results = await world.play(strict, way=way, memory=memory)
        assert results == [[expected]]
        assert world.ledger.received == []


@pytest.mark.slow
async def test_dane_holds_the_chain_of_a_true_handshake_against_its_records(
    serving: Serving, tls: TlsContext, authority: trustme.CA
) -> None:
    anchor = ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode())
    cases = (
        (Tlsa(2, 0, 0, anchor), "mx.b.test", "dane-ta"),
        (Tlsa(2, 0, 0, anchor), "other.test", ""),
        (Tlsa(3, 1, 1, b"-" * 32), "mx.b.test", ""),
    )
    for record, name, proof in cases:
        async with serving(secured(tls)) as world:
            records = Tlsas(name, (record,))
            end, results = await world.play(a_message(1), way=OPPORTUNISTIC, tlsa=records)
            assert told(world) == ("dane", proof)
            assert results == ([[Result.DELIVERED]] if proof else [])
            assert proof or end.ending is Ending.TLS_FAILED
            assert world.lessons == []


@pytest.mark.slow
async def test_sts_that_is_enforced_wants_a_valid_certificate_for_the_host(
    serving: Serving, tls: TlsContext
) -> None:
    way = replace(OPPORTUNISTIC, backing=Backing(sts=StsMode.ENFORCE))
    for name, proof in (("mx.b.test", "pkix"), ("other.test", "")):
        async with serving(secured(tls)) as world:
            end, results = await world.play(a_message(1), way=way, name=name)
            assert told(world) == ("sts-enforce", proof)
            assert results == ([[Result.DELIVERED]] if proof else [])
            assert proof or end.ending is Ending.TLS_FAILED
            assert world.lessons == []


@pytest.mark.slow
async def test_sts_in_testing_delivers_whatever_the_certificate(
    serving: Serving, tls: TlsContext
) -> None:
    way = replace(OPPORTUNISTIC, backing=Backing(sts=StsMode.TESTING))
    async with serving(secured(tls)) as world:
        _, results = await world.play(a_message(1), way=way)
        assert results == [[Result.DELIVERED]]
        assert told(world) == ("sts-testing", "pkix")
    failure = ResultType.WRONG_NAME
    async with serving(secured(tls)) as world:
        await world.play(a_message(1), way=way, name="other.test")
        assert world.lessons == [Waive(Waived.PROOF, failure)]
        waived = SiteMemory(waived=Waived.PROOF, failure=failure)
        _, results = await world.play(a_message(1), way=way, name="other.test", memory=waived)
        assert results == [[Result.DELIVERED]]
        assert [note.tls_failure for note in world.notes if isinstance(note, Opened)] == [
            "certificate-host-mismatch"
        ] * 2


@pytest.mark.parametrize(
    ("name", "not_after", "trusted", "failure"),
    [
        ("mx.b.test", datetime(2020, 1, 2, tzinfo=UTC), True, "certificate-expired"),
        ("other.test", None, True, "certificate-host-mismatch"),
        ("mx.b.test", None, False, "certificate-not-trusted"),
    ],
)
async def test_why_a_certificate_failed_is_told_in_the_words_of_reports(
    serving: Serving,
    authority: trustme.CA,
    tmp_path: Path,
    name: str,
    not_after: datetime | None,
    trusted: bool,
    failure: str,
) -> None:
    signer = authority if trusted else trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = signer.issue_cert(name, not_after=not_after, key_type=trustme.KeyType.ECDSA)
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    tls = showing(tmp_path / "own.pem", tmp_path / "own.pem")
    async with serving(secured(tls)) as world:
        end, _ = await world.play(a_message(1), way=REQUIRED)
    assert end.ending is Ending.TLS_FAILED
    assert world.lessons == []
    (opened,) = world.notes
    assert isinstance(opened, Opened)
    assert opened.tls_failure == failure


async def test_a_host_without_starttls_is_told_in_the_words_of_reports(serving: Serving) -> None:
    for way, results in ((OPPORTUNISTIC, [[Result.DELIVERED]]), (REQUIRED, [])):
        async with serving(PlainServer) as world:
            assert (await world.play(a_message(1), way=way))[1] == results
        (opened,) = world.notes
        assert isinstance(opened, Opened)
        assert opened.tls_failure == "starttls-not-supported"
