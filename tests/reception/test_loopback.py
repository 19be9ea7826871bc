"""A port over real sockets and real TLS, with a client that is not ours."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from merpati.clock import SystemClock
from merpati.journal.events import Accepted
from merpati.reception.port import Port, PortSettings, Role
from merpati.testing.doors import HOSTNAME, House, networks
from merpati.wire.certificates import make_self_signed
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Listener
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind, bound_to
from merpati.wire.tls import TlsContext, server_context


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsContext:
    where: Path = tmp_path_factory.mktemp("tls")
    make_self_signed(where / "cert.pem", where / "key.pem", SystemClock(), [HOSTNAME])
    return server_context(where / "cert.pem", where / "key.pem")


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
    with smtplib.SMTP(at.ip, at.port, "client.test", timeout=10) as client:
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
