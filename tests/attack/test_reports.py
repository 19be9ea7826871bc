"""Reports of others, brought by SMTP to a whole server and shown by its commands: honest ones
count, and who forges, floods or sends what is none gains nothing and is not answered.

Everybody comes through a balancer that tells their addresses (PROXY).
"""

import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.signer import SigningKey, sign
from merpati.testing.zone import zone_in_a_thread
from tests.attack.caller import Caller
from tests.attack.conftest import Fortress
from tests.report import provided
from tests.report.test_incoming import attached

pytestmark = pytest.mark.slow

CONFIG = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
proxy = ["127.0.0.1/32"]
[dns]
servers = ["127.0.0.1:{dns}"]
[http]
listen = "127.0.0.1:{http}"
tls_reports = true
[reports]
count = 12
"""
ZONE = """
honest.test         TXT  "v=spf1 ip4:192.0.2.50 -all"
_dmarc.honest.test  TXT  "v=DMARC1; p=none"
evil.test           TXT  "v=spf1 ip4:192.0.2.66 -all"
"""
KEY = SigningKey("honest.test", "s", KeyPair.generate(KeyKind.ED25519))
ZONE += f's._domainkey.honest.test TXT "{KEY.pair.record.decode()}"\n'
HONEST, FORGER = "192.0.2.50", "192.0.2.66"


class Told(Fortress):
    """A fortress that takes reports; honest hosts sign theirs."""

    def take(self, message: bytes, *to: str, ip: str = HONEST, author: str = "honest.test") -> None:
        """From a host, in the name of an author."""
        head, _, rest = message.partition(b"\r\n")
        assert head.startswith((b"From:", b"Content-Type:", b"Subject:"))
        rest = rest if head.startswith(b"From:") else message
        whole = f"From: <reports@{author}>\r\n".encode() + rest
        with Caller(self.mx) as caller:
            caller.send(f"PROXY TCP4 {ip} 192.0.2.1 40000 25\r\n".encode())
            assert caller.reply().startswith("220")
            assert caller.say("EHLO mx." + author).startswith("250")
            assert caller.say(f"MAIL FROM:<reports@{author}>").startswith("250")
            for one in to or ("mail-reports@a.test",):
                assert caller.say(f"RCPT TO:<{one}>").startswith("250")
            assert caller.say("DATA").startswith("354")
            caller.send(sign([whole], [KEY], NOW) + whole if ip == HONEST else whole)
            assert caller.say(b"\r\n.").startswith("250")
        self.wait_drained()

    def told(self, *arguments: str) -> str:
        result = self.command("reports", *arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def listed(self, *arguments: str) -> list[Any]:
        found: list[Any] = json.loads(self.told("list", "--json", *arguments))
        return found

    def proven(self, *arguments: str) -> list[Any]:
        """What honest hosts told."""
        return [line for line in self.listed(*arguments) if line["origin"]["proof"] == "passed"]


NOW = int(time.time())
DATES = (NOW - 20 * 86400, NOW)
TODAY = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%d")


def a_google_report(id_: str = "4711") -> bytes:
    """Of the last twenty days."""
    return provided.google(document=provided.xml(provided.GOOGLE, id_, dates=DATES))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """It was told of a.test by an honest host; what tests add is no proof or of others."""
    with zone_in_a_thread(ZONE) as dns:
        config = CONFIG.replace("{dns}", str(dns.address[1]))
        told = Told(tmp_path_factory.mktemp("told"), config=config)
        told.populate()
        with told:
            told.take(a_google_report())
            told.take(a_google_report())
            told.take(provided.microsoft(dates=DATES))
            told.take(provided.google_tls(TODAY), "Mail-Reports+tls@a.test")
            told.take(provided.complaint(), "mail-reports@a.test", "ann@a.test")
            yield told
    assert "Traceback" not in told.output(), told.output()


def test_reports_come_are_kept_once_and_are_shown(server: Told) -> None:
    kinds = [line["kind"] for line in server.proven("a.test")]
    assert sorted(kinds) == ["complaint", "dmarc", "dmarc", "tls"]
    told = server.told("summary")
    assert "in 2 reports of honest.test" in told
    assert "192.0.2.10\t940\t940\t940\t940\t0\tin order" in told
    assert "198.51.100.7\t12\t0\t0\t0\t0\tsends as list.test" in told
    assert "203.0.113.66\t57\t0\t0\t0\t0\tunknown: nothing proves it" in told
    assert "3 x certificate-expired at mx.a.test" in told
    (report,) = server.proven("--kind", "tls")
    assert "88 sessions succeeded, 3 failed" in server.told("show", report["origin"]["id"])
    story = server.command("trace", report["origin"]["id"]).stdout
    assert "kept: TLS, told by honest.test" in story
    assert "Delivered to mail-reports@a.test at the reports here" in story
    assert len(server.files("ann")) == 1
    assert not server.files("mail-reports")


def test_a_large_report_that_is_streamed_is_proven_as_well(server: Told) -> None:
    text = b"Content-Type: text/plain\r\n\r\n" + (b"x" * 70 + b"\r\n") * 12_000
    xml = provided.xml(provided.GOOGLE, "large", dates=DATES, domain="large.test")
    body = (
        b"--b\r\n" + text + b"--b\r\nContent-Type: text/xml\r\n\r\n" + xml.replace(b"\n", b"\r\n")
    )
    server.take(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body + b"\r\n--b--\r\n")
    (line,) = server.listed("large.test")
    assert (line["kind"], line["origin"]["proof"]) == ("dmarc", "passed")


def test_a_forgery_is_shown_as_one_and_counts_nowhere(server: Told) -> None:
    before = server.told("summary").splitlines()[0]
    server.take(a_google_report("forged"), ip=FORGER)
    newest = server.listed()[0]
    assert newest["origin"]["proof"] == "failed"
    assert "NOT proven to be of honest.test" in server.told("show", newest["origin"]["id"])
    told = server.told("summary")
    assert told.splitlines()[0] == before
    assert "more reports are not counted" in told


def test_what_is_no_report_is_kept_for_a_person_and_nobody_is_answered(server: Told) -> None:
    server.take(b"Subject: hello\r\n\r\nNo report\r\n")
    bomb = gzip.compress(b" " * 30_000_000)
    server.take(attached(bomb), author="evil.test", ip=FORGER)
    whys = {line["why"] for line in server.listed("--kind", "unreadable")}
    assert whys == {
        "no attachment that could be a report",
        "more than 100 octets for each that came",
    }
    (plain,) = [line for line in server.listed() if "no attachment" in line["why"]]
    original = server.command("reports", "show", plain["origin"]["id"], "--original")
    assert original.stdout_bytes.endswith(b"Subject: hello\r\n\r\nNo report\r\n\r\n")
    accepted = server.command("trace", "@honest.test", "--json").stdout
    assert "noticed" not in accepted
    assert not json.loads(server.command("queue", "list", "--json").stdout)


def test_a_flood_pushes_out_its_own_and_not_what_honest_hosts_told(server: Told) -> None:
    honest = server.proven()
    assert len(honest) >= 4
    for n in range(15):
        server.take(a_google_report(f"flood{n}"), author="evil.test", ip=FORGER)
    assert len(server.listed()) == 12
    assert server.proven() == honest


def test_reports_about_tls_can_be_posted(server: Told) -> None:
    url = f"http://127.0.0.1:{server.http}/tls-reports"
    head = {"Content-Type": "application/tlsrpt+json"}
    document = provided.tls_json(TODAY, "posted.test")
    with urlopen(Request(url, document, head), timeout=60) as answer:
        assert answer.status == 201
    (line,) = server.listed("posted.test")
    assert (line["kind"], line["origin"]["proof"], line["total"]) == ("tls", "unknown", 91)


def test_what_is_published_orders_reports_to_where_they_are_read(server: Told) -> None:
    told = server.command("domain", "setup", "a.test").stdout
    assert '"v=DMARC1; p=none; rua=mailto:mail-reports@a.test"' in told
    assert '"v=TLSRPTv1; rua=mailto:mail-reports@a.test"' in told


def test_they_are_shown_when_no_server_runs(server: Told, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert server.command("backup", str(copy)).exit_code == 0
    still = Told(tmp_path / "still", config=CONFIG.replace("{dns}", "9"))
    assert still.command("restore", str(copy)).exit_code == 0
    assert "of honest.test" in still.told("summary")
    assert "reports" in still.command("verify").stdout
