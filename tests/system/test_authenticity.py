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
STRANGER = "192.0.2.7"
ZONE = f"""
7.2.0.192.in-addr.arpa PTR mx.b.test.
mx.b.test              A   192.0.2.7
s._domainkey.b.test    TXT "{KEY.pair.record.decode()}"
b.test                 TXT "v=spf1 a:mx.b.test -all"
_dmarc.b.test          TXT "v=DMARC1; p=reject"
bank.test              TXT "v=spf1 -all"
_dmarc.bank.test       TXT "v=DMARC1; p=reject"
"""


def hand_in(server: Server, message: bytes, ip: str | None) -> tuple[int, bytes]:
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=20) as client:
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
        server.config.write_text(f'{text}[dns]\nservers = ["{host}:{number}"]\n')
        await asyncio.to_thread(_exchange, server)
        asked = [name for name, _ in dns.asked]
    # Nobody asked about the message that came from this machine itself.
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
        twice = b"From: <ann@bank.test>\r\n" + signed
        code, reply = hand_in(server, twice, STRANGER)
        assert (code, reply[:5]) == (550, b"5.7.1")
        assert "Pesan ini tidak menyebut tepat satu penulis" in server.ask(
            "trace", "ann@a.test", "--lang", "id"
        )
        code, reply = hand_in(server, MESSAGE.replace(b"eve@b.test", b"ann@bank.test"), STRANGER)
        assert (code, reply) == (550, b"5.7.1 Email rejected per DMARC policy for bank.test")
        story = server.ask("trace", "ann@a.test", "--lang", "id")
        assert "SPF maupun DKIM tidak membuktikan" in story
        assert "_dmarc.bank.test: v=DMARC1; p=reject" in story
        code, _ = hand_in(server, twice, None)
        assert code == 250
