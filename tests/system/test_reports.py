"""Two whole servers: the one reports to the other how it found its mail and its TLS."""

import asyncio
import email
import email.policy
import gzip
import json
import smtplib
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from dmarc_report.parser import DMARCParser
from dmarc_report.schema import ReportFormat

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.signer import SigningKey, sign
from merpati.clock import SystemClock
from merpati.testing.operator import move_in
from merpati.testing.zone import serve_zone
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow

KEY = SigningKey("b.test", "s", KeyPair.generate(KeyKind.ED25519))
GOOD = b"From: Eve <eve@b.test>\r\nTo: <ann@a.test>\r\nSubject: Halo\r\n\r\nHi\r\n"
FORGED = GOOD.replace(b"Halo", b"Forged")
THEIR_HOST, FORGER = "192.0.2.7", "192.0.2.66"
ZONE = f"""
7.2.0.192.in-addr.arpa PTR mx.b.test.
s._domainkey.b.test    TXT "{KEY.pair.record.decode()}"
b.test                 MX  10 mx.b.test.
mx.b.test              A   127.0.0.1
b.test                 TXT "v=spf1 ip4:{THEIR_HOST} -all"
_dmarc.b.test          TXT "v=DMARC1; p=reject; rua=mailto:mail-reports@b.test,mailto:eve@b.test"
_smtp._tls.b.test      TXT "v=TLSRPTv1; rua=mailto:mail-reports@b.test,mailto:eve@b.test"
"""


class Theirs(Server):
    """A Merpati for b.test with the user eve, who reads reports beside it."""

    def populate(self) -> None:
        move_in(self.config, "secret words", "eve@b.test")

    def reports(self) -> dict[str, bytes]:
        """What came to eve: the attachments by their media types."""
        found = {}
        for path in (self.folder / "var/mail/b.test/eve/new").glob("*"):
            message = _read(path)
            if message["Subject"].startswith("Report Domain:"):
                assert "d=a.test" in message["DKIM-Signature"]
                *_, part = message.iter_parts()
                found[part.get_content_type()] = part.get_content()
        return found


def hand_in(server: Server, message: bytes, ip: str) -> int:
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as client:
        client.ehlo()
        assert client.docmd(f"XCLIENT ADDR={ip} NAME=mx.b.test")[0] == 220
        client.ehlo("mx.b.test")
        client.mail("eve@b.test")
        client.rcpt("ann@a.test")
        return client.data(message)[0]


async def test_a_server_reports_daily_to_those_who_ask_for_it(tmp_path: Path) -> None:
    theirs = Theirs(tmp_path / "theirs")
    theirs.populate()
    async with serve_zone(ZONE) as dns:
        host, number = dns.address
        ours = Server(tmp_path / "ours", workers=2)
        text = ours.config.read_text().replace("trusted =", "xclient =")
        ours.config.write_text(
            f'{text}[dns]\nservers = ["{host}:{number}"]\n[delivery]\nmx_port = {theirs.mx}\n'
            '[reports]\nsend = true\norganization = "A Inc."\n'
        )
        await asyncio.to_thread(_exchange, ours, theirs)


def _exchange(ours: Server, theirs: Theirs) -> None:
    ours.populate()
    ours.ask("dkim", "add", "a.test")
    ours.ask("dkim", "rotate", "a.test", "--unchecked")
    now = datetime.now(UTC)
    with theirs, ours:
        signed = sign([GOOD], [KEY], int(SystemClock().now())) + GOOD
        assert [hand_in(ours, signed, THEIR_HOST) for _ in range(3)] == [250] * 3
        assert hand_in(ours, FORGED, FORGER) == 550
        ours.ask("send", "--from", "ann@a.test", "--to", "eve@b.test", "--text", "over TLS")
        wait_for(lambda: "Delivered to eve@b.test" in ours.ask("trace", "eve@b.test"))
        said = ours.ask("reports", "send", "--day", f"{now:%Y-%m-%d}")
        assert said == "2 reports had waited, and went to those who want them.\n"
        wait_for(lambda: len(theirs.reports()) == 2)
        reports = theirs.reports()
        _check_aggregate(reports["application/gzip"])
        _check_tls(reports["application/tlsrpt+gzip"])
        wait_for(lambda: len(theirs.ask_json("reports", "list")) == 2)
        kept = {line["kind"]: line for line in theirs.ask_json("reports", "list")}
        assert (kept["dmarc"]["total"], kept["dmarc"]["failed"]) == (4, 1)
        assert (kept["tls"]["total"], kept["tls"]["failed"]) == (1, 0)
        assert "Daily DMARC report to b.test" in ours.ask("trace", "postmaster@a.test")
        assert 'merpati_reports_out_total{result="dmarc_mailed"' in ours.page("/metrics")[1]
        # The sessions that brought these reports are no reason for further ones.
        ours.ask("reports", "send", "--day", f"{datetime.now(UTC):%Y-%m-%d}")
        assert len(theirs.ask_json("reports", "list")) == 2


OUR_READER = """
_dmarc.b.test                       TXT "v=DMARC1; p=none; rua=mailto:ann@a.test"
b.test._report._dmarc.a.test        TXT "v=DMARC1"
"""


async def test_a_server_that_is_killed_counts_all_once(tmp_path: Path) -> None:
    async with serve_zone(OUR_READER) as dns:
        host, number = dns.address
        server = Server(tmp_path)
        text = server.config.read_text().replace("trusted =", "xclient =")
        server.config.write_text(
            f'{text}[dns]\nservers = ["{host}:{number}"]\n[reports]\nsend = true\n'
        )
        await asyncio.to_thread(_killed, server)


def _killed(server: Server) -> None:
    server.populate()
    with server:
        assert [hand_in(server, FORGED, FORGER) for _ in range(3)] == [250] * 3
        server.kill()  # within the minute, so that nothing is written yet
    with server:
        assert [hand_in(server, FORGED, FORGER) for _ in range(2)] == [250] * 2
        server.ask("reports", "send", "--day", f"{datetime.now(UTC):%Y-%m-%d}")
        wait_for(lambda: len(server.mails()) == 6)
        (report,) = (mail for mail in map(_read, server.mails()) if mail["Auto-Submitted"])
        *_, part = report.iter_parts()
        (record,) = DMARCParser.parse_bytes(part.get_content()).records
        assert (record.source_ip, record.count) == (FORGER, 5)


def _read(path: Path) -> EmailMessage:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _check_aggregate(octets: bytes) -> None:
    """As a program of others reads it, which knows the schema of RFC 9990."""
    report = DMARCParser.parse_bytes(octets)
    assert report.format is ReportFormat.RFC_9990
    assert report.warnings == []
    assert report.report_metadata.org_name == "A Inc."
    assert report.policy_published.domain == "b.test"
    rows = {record.source_ip: record for record in report.records}
    good, forged = rows[THEIR_HOST], rows[FORGER]
    assert (good.count, forged.count) == (3, 1)
    assert good.policy_evaluated.disposition.value == "pass"
    assert forged.policy_evaluated.disposition.value == "reject"
    assert [one.selector for one in good.auth_results.dkim] == ["s"]
    assert good.identifiers.header_from == "b.test"


def _check_tls(octets: bytes) -> None:
    report = json.loads(gzip.decompress(octets))
    (policy,) = report["policies"]
    assert policy["policy"] == {"policy-type": "no-policy-found", "policy-domain": "b.test"}
    assert policy["summary"] == {
        "total-successful-session-count": 1,
        "total-failure-session-count": 0,
    }
