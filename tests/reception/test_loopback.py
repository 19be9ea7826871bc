"""A port over real sockets and real TLS, with a client that is not ours."""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from merpati.clock import SystemClock
from merpati.journal.events import Accepted
from merpati.reception.port import Port, PortSettings, Role
from merpati.testing.doors import HOSTNAME, House, networks
from merpati.testing.shown import showing
from merpati.wire.certificates import make_self_signed
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Listener
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind, bound_to
from merpati.wire.tls import TlsContext


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsContext:
    where: Path = tmp_path_factory.mktemp("tls")
    make_self_signed(where / "cert.pem", where / "key.pem", SystemClock(), [HOSTNAME])
    return showing(where / "cert.pem", where / "key.pem")


@asynccontextmanager
async def listening(house: House, tls: TlsContext) -> AsyncIterator[Endpoint]:
    """An mx port of this house on loopback, which may relay."""
    settings = PortSettings(Role.MX, HOSTNAME, trusted=networks("127.0.0.1/32"))
    port = Port(settings, house.intake(), SystemClock(), tls=tls)
    failures: list[Exception] = []
    listener = Listener(Wire(SystemClock(), interval=0.05), port.serve, failures.append)
    sock = bind(Endpoint("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run([sock]))
        yield bound_to(sock)
        port.stop()
        listener.stop(grace=5.0)
    assert failures == []


def send(at: Endpoint, *, encrypted: bool) -> None:
    with smtplib.SMTP(at.ip, at.port, "client.test", timeout=60) as client:
        if encrypted:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
        for to in ("ann@a.test", "x@c.test"):
            client.sendmail("eve@b.test", [to], b"Subject: Hi\r\n\r\n" + b"x" * 70 + b"\r\n")


@pytest.mark.slow
@pytest.mark.parametrize("encrypted", [False, True])
async def test_smtplib_sends_two_messages_over_one_connection(
    tls: TlsContext, encrypted: bool
) -> None:
    house = House()
    async with listening(house, tls) as at:
        await asyncio.to_thread(send, at, encrypted=encrypted)
    accepted = await house.events(Accepted)
    assert [event.recipients for event in accepted] == [("ann@a.test",), ("x@c.test",)]
    assert {event.protocol for event in accepted} == {"ESMTPS" if encrypted else "ESMTP"}
    assert {event.ip for event in accepted} == {"127.0.0.1"}


@pytest.mark.slow
async def test_stopping_ends_a_connection_that_waits(tls: TlsContext) -> None:
    house = House()
    async with listening(house, tls) as at:
        reader, writer = await asyncio.open_connection(at.ip, at.port)
        assert (await reader.readline()).startswith(b"220 mx.a.test ")
        reading = asyncio.ensure_future(reader.read())
    assert (await reading).startswith(b"421 4.3.2")
    writer.close()
    await writer.wait_closed()


def hold(
    at: Endpoint, context: ssl.SSLContext, before: ssl.SSLSession | None
) -> tuple[bool | None, ssl.SSLSession | None]:
    """A whole dialogue by STARTTLS: whether it went on with this session, and what it left."""
    with socket.create_connection((at.ip, at.port), timeout=60) as plain:
        answers = plain.makefile("rb")
        assert answers.readline().startswith(b"220 ")
        plain.sendall(b"EHLO client.test\r\n")
        while answers.readline().startswith(b"250-"):
            pass
        plain.sendall(b"STARTTLS\r\n")
        assert answers.readline().startswith(b"220 ")
        with context.wrap_socket(plain, server_hostname=HOSTNAME, session=before) as secured:
            secured.sendall(b"QUIT\r\n")
            # The ticket of TLS 1.3 comes with the first octets behind the handshake.
            assert secured.recv(512).startswith(b"221 ")
            return secured.session_reused, secured.session


def resumed(at: Endpoint, version: ssl.TLSVersion) -> list[bool | None]:
    """Of two dialogues, the second with the session of the first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    first, session = hold(at, context, None)
    second, _ = hold(at, context, session)
    return [first, second]


@pytest.mark.slow
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_of_tls_goes_on_in_the_next_connection_by_starttls(
    tls: TlsContext, version: ssl.TLSVersion
) -> None:
    async with listening(House(), tls) as at:
        assert await asyncio.to_thread(resumed, at, version) == [False, True]
