"""TLS over streams: both sides, both loops, STARTTLS injected, split and cut.

RFC 5929 and 6066."""

import asyncio
import contextlib
import hashlib
import ssl
import sys
from pathlib import Path

import pytest
import trustme

from merpati.clock import SystemClock
from merpati.mail.trace import Tls
from merpati.testing.shown import identity_of, showing
from merpati.wire.certificates import make_self_signed
from merpati.wire.chain import Shown, shown
from merpati.wire.errors import CertificateError, CertificateFlaw, TlsError, WireTimeout
from merpati.wire.listen import Arrival
from merpati.wire.tls import (
    Identity,
    TlsContext,
    TlsFilter,
    client_context,
    load_identity,
    server_context,
    unraisable,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    make_self_signed(certificate, key, SystemClock(), ["mx.a.test"], ["127.0.0.1"])
    return certificate, key


@pytest.fixture(scope="module")
def server(pair: tuple[Path, Path]) -> TlsContext:
    return showing(*pair)


@pytest.fixture(scope="module")
def trusting(pair: tuple[Path, Path]) -> TlsContext:
    return client_context(authorities=pair[0])


def implicit(context: TlsContext, facts: list[Tls] | None = None):
    async def echo(arrival: Arrival) -> None:
        agreed = await arrival.stream.secure(context)
        if facts is not None:
            facts.append(agreed)
        while octets := await arrival.stream.read():
            arrival.stream.write(octets)
            await arrival.stream.drain()
        await arrival.stream.close()

    return echo


async def send_and_collect(stream, sent: bytes) -> bytes:
    received = bytearray()

    async def collect() -> None:
        while len(received) < len(sent):
            received.extend(await stream.read())

    async with asyncio.TaskGroup() as group:
        group.create_task(collect())
        for start in range(0, len(sent), 100_000):
            stream.write(sent[start : start + 100_000])
            await stream.drain()
    return bytes(received)


@pytest.mark.slow
async def test_both_sides_agree_and_carry_octets(serving_port, server, trusting) -> None:
    seen: list[Tls] = []
    async with serving_port(implicit(server, seen)) as port:
        stream = await port.dial()
        facts = await stream.secure(trusting, "mx.a.test")
        sent = bytes(range(256)) * 8000
        assert await send_and_collect(stream, sent) == sent
        await stream.close()
    assert facts.version == "TLSv1.3"
    assert facts.verified
    assert facts.peer_name == "mx.a.test"
    assert not seen[0].verified
    assert facts.channel_bindings == seen[0].channel_bindings != ()
    assert facts.channel_bindings[0][0] == "tls-server-end-point"


async def test_a_common_name_is_no_name_of_a_host(serving_port, tmp_path) -> None:
    """RFC 8461 §4.2, RFC 9525 §2: a host's name stands in subjectAltName or nowhere."""
    authority, file = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    for leaf, fits in (
        (authority.issue_cert(common_name="mx.a.test"), False),
        (authority.issue_cert("b.test", common_name="mx.a.test"), False),
        (authority.issue_cert("mx.a.test", common_name="b.test"), True),
    ):
        identity = load_identity(
            leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes(), "of a test"
        )
        server = server_context()
        server.offer(lambda _, identity=identity: identity)
        async with serving_port(implicit(server)) as port:
            stream = await port.dial()
            flaw = None
            try:
                await stream.secure(client_context(authorities=file), "mx.a.test")
            except CertificateError as error:
                flaw = error.flaw
            stream.abort()
        assert flaw is (None if fits else CertificateFlaw.NAME)


async def test_tls_unique_is_offered_for_tls_1_2_alone(serving_port, server, pair) -> None:
    old = client_context(authorities=pair[0])
    old.context.maximum_version = ssl.TLSVersion.TLSv1_2
    seen: list[Tls] = []
    async with serving_port(implicit(server, seen)) as port:
        stream = await port.dial()
        facts = await stream.secure(old, "mx.a.test")
        stream.write(b"x")
        assert await stream.read() == b"x"
        await stream.close()
    assert dict(facts.channel_bindings)["tls-unique"]
    assert facts.channel_bindings == seen[0].channel_bindings


def _is_resumed(server: TlsContext, client: ssl.SSLContext, before: ssl.SSLSession | None):
    """A whole session between two buffers; whether it went on with the one before, and itself."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname="mx.a.test", session=before)
    theirs = server.context.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for side in (ours, theirs):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    theirs.write(b"x")
    assert ours.read(1) == b"x"  # Tickets come with it in TLS 1.3.
    assert isinstance(theirs.context, Identity)
    return ours.session_reused, ours.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("asks", [False, True])
def test_a_renewed_key_of_tickets_opens_no_session_of_before(pair, version, asks) -> None:
    tls = showing(*pair, authorities=pair[0])
    door = tls.asking[False] if asks else tls
    client = client_context(verify=False).context
    client.maximum_version = version
    _, first = _is_resumed(door, client, None)
    resumed, second = _is_resumed(door, client, first)
    assert resumed
    tls.renew()
    resumed, third = _is_resumed(door, client, second)
    assert not resumed
    assert _is_resumed(door, client, third)[0]


def test_a_certificate_is_told_of_by_its_digest_and_first_name(pair) -> None:
    der = ssl.PEM_cert_to_DER_cert(pair[0].read_text())
    assert shown(der) == Shown(hashlib.sha256(der).hexdigest(), "mx.a.test")
    assert shown(b"nonsense").name == ""


async def test_wrong_name_is_a_certificate_error(serving_port, server, trusting) -> None:
    async with serving_port(implicit(server)) as port:
        stream = await port.dial()
        with pytest.raises(CertificateError, match=r"other\.test"):
            await stream.secure(trusting, "other.test")
        stream.write(b"never in plain text")
        with pytest.raises(TlsError):
            await stream.read()
        await stream.close()
        assert not port.failures


async def test_opportunistic_client_takes_any_certificate(serving_port, server) -> None:
    async with serving_port(implicit(server)) as port:
        stream = await port.dial()
        facts = await stream.secure(client_context(verify=False), "other.test")
        assert not facts.verified
        await stream.close()


async def test_plain_text_instead_of_a_handshake_is_a_tls_error(serving_port, server) -> None:
    seen: list[BaseException] = []

    async def serve(arrival: Arrival) -> None:
        try:
            await arrival.stream.secure(server)
        except TlsError as error:
            seen.append(error)

    async with serving_port(serve) as port:
        stream = await port.dial()
        stream.write(b"EHLO a.test\r\n")
        while await stream.read():
            pass
        await stream.close()
    assert len(seen) == 1


async def test_slow_handshake_ends_at_the_deadline(serving_port, server) -> None:
    seen: list[BaseException] = []

    async def serve(arrival: Arrival) -> None:
        arrival.stream.deadline = SystemClock().monotonic() + 0.03
        try:
            await arrival.stream.secure(server)
        except WireTimeout as error:
            seen.append(error)

    async with serving_port(serve) as port:
        stream = await port.dial()
        stream.write(b"\x16\x03\x01")
        async with asyncio.timeout(8):
            assert await stream.read() == b""
        await stream.close()
    assert len(seen) == 1


async def test_octets_behind_starttls_are_seen_before_the_handshake(serving_port, server) -> None:
    seen: list[bytes | int] = []

    async def serve(arrival: Arrival) -> None:
        line = await arrival.stream.read()
        arrival.stream.unread(line.removeprefix(b"STARTTLS\r\n"))
        seen.append(arrival.stream.pending)
        arrival.stream.write(b"220 go\r\n")
        with pytest.raises(TlsError):
            await arrival.stream.secure(server)

    async with serving_port(serve) as port:
        stream = await port.dial()
        stream.write(b"STARTTLS\r\nRSET\r\n")
        while await stream.read():
            pass
        await stream.close()
    assert seen == [len(b"RSET\r\n")]


async def starttls(arrival: Arrival, server: TlsContext, heard: list[bytes], until: bytes) -> None:
    """A server's side: STARTTLS, then everything up to `until`."""
    stream = arrival.stream
    line = b""
    while not line.endswith(b"\r\n"):
        line += await stream.read()
    stream.write(b"220 go\r\n")
    await stream.secure(server)
    octets = b""
    while not octets.endswith(until):
        octets += await stream.read()
    heard.append(octets)
    stream.write(b"250 done\r\n")
    await stream.close()


class RawClient:
    """A TLS client that decides which octets leave in which segment."""

    def __init__(self, port, trusting: TlsContext) -> None:
        self.port = port
        self.filter = TlsFilter(trusting, server_side=False, server_name="mx.a.test")

    async def last_flight(self) -> bytes:
        """Shake hands up to, but without sending, the client's Finished."""
        self.stream = await self.port.dial()
        self.stream.write(b"STARTTLS\r\n")
        assert await self.stream.read() == b"220 go\r\n"
        done = self.filter.handshake(b"")
        while not done:
            self.stream.write(self.filter.take())
            done = self.filter.handshake(await self.stream.read())
        return self.filter.take()


async def test_finished_and_commands_in_one_segment_lose_nothing(
    serving_port, server, trusting
) -> None:
    heard: list[bytes] = []

    async def serve(arrival: Arrival) -> None:
        await starttls(arrival, server, heard, b"NOOP\r\n")

    async with serving_port(serve) as port:
        client = RawClient(port, trusting)
        finished = await client.last_flight()
        client.stream.write(finished + client.filter.encrypt(b"EHLO a.test\r\nNOOP\r\n"))
        plain = b""
        while not plain:
            plain = client.filter.decrypt(await client.stream.read())
        assert plain == b"250 done\r\n"
        client.stream.abort()
    assert heard == [b"EHLO a.test\r\nNOOP\r\n"]


async def test_octet_by_octet_works(serving_port, server, trusting) -> None:
    heard: list[bytes] = []

    async def serve(arrival: Arrival) -> None:
        await starttls(arrival, server, heard, b"\r\n")

    async with serving_port(serve) as port:
        client = RawClient(port, trusting)
        octets = await client.last_flight() + client.filter.encrypt(b"EHLO a.test\r\n")
        for n in range(len(octets)):
            client.stream.write(octets[n : n + 1])
            await asyncio.sleep(0)
        await client.stream.read()
        client.stream.abort()
    assert heard == [b"EHLO a.test\r\n"]


async def test_cut_connection_is_the_peers_end(serving_port, server, trusting) -> None:
    heard: list[bytes] = []

    async def serve(arrival: Arrival) -> None:
        await arrival.stream.read()
        arrival.stream.write(b"220 go\r\n")
        await arrival.stream.secure(server)
        heard.append(await arrival.stream.read())

    async with serving_port(serve) as port:
        client = RawClient(port, trusting)
        finished = await client.last_flight()
        client.stream.write(finished)
        # The raw end closes without close_notify.
        await client.stream.close()
        async with asyncio.timeout(8):
            while len(port.listener):
                await asyncio.sleep(0.005)
    assert heard == [b""]


async def test_damaged_record_breaks_the_stream(serving_port, server, trusting) -> None:
    failed: list[BaseException] = []

    async def serve(arrival: Arrival) -> None:
        await arrival.stream.read()
        arrival.stream.write(b"220 go\r\n")
        try:
            await arrival.stream.secure(server)
            await arrival.stream.read()
        except TlsError as error:
            failed.append(error)

    async with serving_port(serve) as port:
        client = RawClient(port, trusting)
        finished = await client.last_flight()
        record = bytearray(client.filter.encrypt(b"NOOP\r\n"))
        record[-1] ^= 1
        client.stream.write(finished + bytes(record))
        while await client.stream.read():
            pass
        await client.stream.close()
    assert len(failed) == 1


async def test_what_is_offered_later_is_shown_to_those_who_come_later(
    serving_port, tmp_path, pair
) -> None:
    server = showing(*pair)
    newer, key = tmp_path / "new.pem", tmp_path / "newkey.pem"
    make_self_signed(newer, key, SystemClock(), ["new.a.test"])
    with pytest.raises(TlsError, match="mismatch"):
        identity_of(newer, pair[1])
    async with serving_port(implicit(server)) as port:
        old = await port.dial()
        await old.secure(client_context(authorities=pair[0]), "mx.a.test")
        shown = identity_of(newer, key)
        server.offer(lambda _: shown)
        new = await port.dial()
        await new.secure(client_context(authorities=newer), "new.a.test")
        for stream in (old, new):
            stream.write(b"x")
            assert await stream.read() == b"x"
            await stream.close()


def test_a_name_beyond_ascii_is_refused_and_fills_no_log(
    server: TlsContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", unraisable)
    arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = client_context(verify=False).context
    client = context.wrap_bio(arriving, leaving, server_hostname="aaaa.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = leaving.read().replace(b"aaaa.test", b"\xff\xfe\xfd\xfc.test")
    with pytest.raises(TlsError, match="callback failed"):
        TlsFilter(server, True, None).handshake(hello)
    assert capsys.readouterr().err == ""
