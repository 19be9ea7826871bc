"""A whole server examines the mail of strangers and tells what it found."""

import asyncio
import smtplib
from pathlib import Path

import pytest

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.signer import SigningKey, sign
from merpati.authenticity.results import parse_results
from merpati.clock import SystemClock
from merpati.mail.headers import Headers
from merpati.testing.zone import serve_zone
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow

MESSAGE = b"From: Eve <eve@b.test>\r\nTo: <ann@a.test>\r\nSubject: Halo\r\n\r\nHi\r\n"
FORGED = b"Authentication-Results: mx.a.test; dkim=pass header.d=bank.test\r\n"
KEY = SigningKey("b.test", "s", KeyPair.generate(KeyKind.ED25519))
STRANGER, ANOTHER = "192.0.2.7", "192.0.2.8"
REPLAY = '[authenticity]\nreplay = "mark"\nreplay_recipients = 3\n'
ZONE = f"""
7.2.0.192.in-addr.arpa PTR mx.b.test.
mx.b.test              A   192.0.2.7
s._domainkey.b.test    TXT "{KEY.pair.record.decode()}"
b.test                 TXT "v=spf1 include:_spf.b.test -all"
_spf.b.test            TXT "v=spf1 a:mx.b.test -all"
_dmarc.b.test          TXT "v=DMARC1; p=reject"
bank.test              TXT "v=spf1 -all"
_dmarc.bank.test       TXT "v=DMARC1; p=reject"
"""


def hand_in(server: Server, message: bytes, ip: str | None) -> tuple[int, bytes]:
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as client:
        client.ehlo()
        if ip:
            assert client.docmd(f"XCLIENT ADDR={ip} NAME=mx.b.test")[0] == 220
            client.ehlo("mx.b.test")
        client.mail("eve@b.test")
        client.rcpt("ann@a.test")
        return client.data(message)


async def test_mail_of_strangers_is_examined_and_that_of_friends_is_not(tmp_path: Path) -> None:
    async with serve_zone(ZONE) as dns:
        server = Server(tmp_path)
        host, number = dns.address
        text = server.config.read_text().replace("trusted =", "xclient =")
        server.config.write_text(f'{text}[dns]\nservers = ["{host}:{number}"]\n{REPLAY}')
        await asyncio.to_thread(_exchange, server)
        asked = [name for name, _ in dns.asked]
    # Nobody asked about the message that came from this machine itself; later ones are remembered.
    assert asked.count("s._domainkey.b.test") == 1


def _exchange(server: Server) -> None:
    signed = sign([MESSAGE], [KEY], int(SystemClock().now())) + MESSAGE
    server.populate()
    with server:
        code, reply = hand_in(server, FORGED + signed, STRANGER)
        assert code == 250, reply
        wait_for(lambda: len(server.mails()) == 1)
        (path,) = server.mails()
        octets = path.read_bytes()
        assert b"bank.test" not in octets
        told = parse_results(Headers.scan(octets).get("authentication-results") or "")
        assert told.id == "mx.a.test"
        assert [(one.method, one.result) for one in told.findings] == [
            ("iprev", "pass"),
            ("spf", "pass"),
            ("dkim", "pass"),
            ("dmarc", "pass"),
        ]
        story = server.ask("trace", reply.decode().rsplit("queued as ", 1)[1], "--lang", "id")
        assert "DKIM: pass b.test (s)" in story
        assert "SPF, catatan _spf.b.test: v=spf1 a:mx.b.test -all" in story
        twice = b"From: <ann@bank.test>\r\n" + signed
        code, reply = hand_in(server, twice, STRANGER)
        assert (code, reply[:5]) == (550, b"5.7.1")
        wait_for(lambda: "Pesan ini tidak menyebut tepat satu penulis" in _told(server))
        code, reply = hand_in(server, MESSAGE.replace(b"eve@b.test", b"ann@bank.test"), STRANGER)
        assert (code, reply) == (550, b"5.7.1 Email rejected per DMARC policy for bank.test")
        wait_for(lambda: "SPF maupun DKIM tidak membuktikan" in _told(server))
        assert "_dmarc.bank.test: v=DMARC1; p=reject" in _told(server)
        assert "DKIM: none; pesan ini tidak ditandatangani: " in _told(server)
        code, _ = hand_in(server, twice, None)
        assert code == 250
        _replay(server, signed)


def _replay(server: Server, message: bytes) -> None:
    """Who got a message of b.test brings it to many, from a host that is not of b.test."""
    for _ in range(4):
        code, reply = hand_in(server, message, ANOTHER)
        assert code == 250, reply
    story = server.ask("trace", reply.decode().rsplit("queued as ", 1)[1])
    assert "repeated signature: that of b.test (s) came with 4 messages to 4 recipients" in story
    wait_for(
        lambda: sum(b"policy.replay=suspected" in one.read_bytes() for one in server.mails()) == 1
    )


def _told(server: Server) -> str:
    return server.ask("trace", "ann@a.test", "--lang", "id")
