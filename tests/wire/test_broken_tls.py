"""An encrypted stream that breaks while the peer takes nothing must not keep its slot."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from merpati.clock import SystemClock
from merpati.testing.shown import showing
from merpati.wire.certificates import make_self_signed
from merpati.wire.errors import WireError
from merpati.wire.listen import Arrival

pytestmark = pytest.mark.slow


def break_the_record(port: int) -> socket.socket:
    """Shake hands, then send a record that cannot be decrypted, and read nothing."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", port))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.socket(fileno=context.wrap_socket(plain).detach())
    raw.sendall(b"\x17\x03\x03\x00\x20" + b"z" * 32)
    return raw


async def test_a_broken_stream_is_closed_though_its_peer_reads_nothing(
    serving_port, tmp_path: Path
) -> None:
    clock = SystemClock()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_self_signed(certificate, key, clock, ["mx.a.test"])
    context = showing(certificate, key)
    ended = asyncio.Event()

    async def flood(arrival: Arrival) -> None:
        stream = arrival.stream
        stream.deadline = clock.monotonic() + 10
        await stream.secure(context)
        stream.deadline = clock.monotonic() + 0.5
        for _ in range(400):
            stream.write(b"y" * 16_384)
        try:
            while await stream.read():
                pass
        except WireError:
            await stream.close()
        ended.set()

    async with serving_port(flood) as port:
        raw = await asyncio.to_thread(break_the_record, port.at.port)
        try:
            await asyncio.wait_for(ended.wait(), 8)
            assert len(port.wire) == 0
        finally:
            raw.close()
