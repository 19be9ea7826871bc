"""MTA-STS (RFC 8461) between whole servers: one serves its policy by its own HTTPS door, and
another of ours and a Postfix send to it.

Policies are asked at port 443 of public addresses, so all of it happens apart.
"""

import asyncio
import contextlib
import email
import email.policy
import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.key import key_of
from merpati.dns.update import Change, RecordSet, Updater, UpdateSettings
from merpati.testing.operator import Attended, move_in
from merpati.testing.process import free_port, wait_port
from tests.interop.apart import Apart, apart
from tests.interop.conftest import Installation, needs, submit, wait_for
from tests.interop.peers import Daemon, Named, Postfix, find, wait_mails

pytestmark = pytest.mark.interop

THERE = "9.0.0.25"
"""On nobody's network, where we are, and public to whoever looks at it."""
MESSAGE = b"From: ann@a.test\r\nSubject: by MTA-STS\r\n\r\nhello\r\n"
THEIRS = """\
hostname = "mx.b.test"
workers = 1
data = "var"
[[port]]
role = "mx"
listen = "{there}:25"
[[port]]
role = "submissions"
listen = "{there}:465"
[autoconfig]
[http]
https = "{there}:443"
tls_reports = true
[tls]
directory = "shown"
[authenticity]
check = false
{policy}
"""
SHOWN = (
    "mx.b.test",
    "other.wrong.test",
    "mta-sts.b.test",
    "mta-sts.wrong.test",
    "autoconfig.b.test",
)
"""Names of their certificates."""
ELSEWHERE = "9.0.0.26"
"""Where a Postfix is, and whoever serves the policies of its domains."""
ENFORCE = '[mta_sts]\nmode = "enforce"\nmax_age = "1w"'
TESTING = '[mta_sts]\nmode = "testing"\nmax_age = "1s"'
ASKING = {
    "relayhost": "",
    "smtp_host_lookup": "dns",
    "smtp_dns_support_level": "enabled",
    "smtp_tls_loglevel": "1",
    "smtp_connection_cache_on_demand": "no",
}
MODES = {"named.test": "enforce", "unnamed.test": "enforce", "tested.test": "testing"}
"""Of the policies of domains whose mail Postfix takes; its certificate is for the first's host."""
RELAYS = {"relay.test": "relay.test", "unproven.test": "unproven.test", "unlisted.test": "mx"}
"""Smarthosts, all the same Postfix, and the host that the policy of each names, in enforce."""
ROUTES = "".join(
    f'[[route]]\nmatch = ["by.{relay}"]\nto = "smtp://{relay}:25"\n' for relay in RELAYS
)
TAKING = {
    "virtual_mailbox_domains": " ".join([*MODES, *(f"by.{relay}" for relay in RELAYS)]),
    "virtual_mailbox_maps": "static:bob/",
    "mynetworks": ELSEWHERE,
}
POLICY_PORT = 8461


class Theirs(Attended):
    """A Merpati with bob of b.test, whose MX is in its policy, and of wrong.test, whose is not."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        super().__init__(folder, THEIRS.format(there=THERE, policy=ENFORCE), [])
        shown = folder / "shown"
        shown.mkdir()
        for name in SHOWN:
            made = authority.issue_cert(name)
            made.private_key_pem.write_to_path(shown / f"{name}.key")
            (shown / f"{name}.pem").write_bytes(made.cert_chain_pems[0].bytes())

    def populate(self) -> None:
        move_in(self.config, "secret words", "bob@b.test", "bob@wrong.test")

    def serve(self, policy: str) -> None:
        """Another policy from now on."""
        self.config.write_text(THEIRS.format(there=THERE, policy=policy))
        self.ask("reload")

    def mails(self, domain: str) -> list[bytes]:
        found = sorted((self.folder / f"var/mail/{domain}/bob/new").glob("*"))
        return [path.read_bytes() for path in found]


class Resolver(Daemon):
    """Debian's postfix-mta-sts-resolver: tells Postfix what policies demand."""

    def start(self) -> None:
        self.folder.mkdir()
        settings = self.folder / "settings.yml"
        settings.write_text(
            f"host: 127.0.0.1\nport: {POLICY_PORT}\ncache:\n  type: internal\n"
            "default_zone:\n  timeout: 30\n"
        )
        self.launch(find("mta-sts-daemon") or "mta-sts-daemon", "-c", settings)
        wait_port(POLICY_PORT)


class PolicyHost:
    """Serves the policies of domains that Postfix takes mail for; each names its host."""

    def __init__(self, authority: trustme.CA) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        names = (f"mta-sts.{domain}" for domain in (*MODES, *RELAYS))
        authority.issue_cert(*names).configure_cert(context)
        self._server = ThreadingHTTPServer((ELSEWHERE, 443), self._Answering)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    class _Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            domain = self.headers["Host"].removeprefix("mta-sts.")
            mode, host = MODES.get(domain, "enforce"), RELAYS.get(domain, f"mx.{domain}")
            lines = ("version: STSv1", f"mode: {mode}", f"mx: {host}", "max_age: 600")
            body = "\r\n".join(lines).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass(frozen=True, slots=True)
class World:
    """Everybody who takes part."""

    zones: Named
    theirs: Theirs
    ours: Installation
    authority: trustme.CA
    authorities: Path

    def announce(self, domain: str, *texts: str) -> None:
        """This TXT record of MTA-STS, or none."""
        server = ("127.0.0.1", 53)
        settings = UpdateSettings(key_of(self.zones.folder / "owner.key"), domain, server)
        updater = Updater(DnsClient(SystemClock(), DnsSettings((server,))), settings)
        values = tuple(f'"{text}"' for text in texts)
        record = RecordSet(f"_mta-sts.{domain}", "TXT", values, 1)
        change = Change(domain, replaced=(record,)) if texts else Change(domain, deleted=(record,))
        asyncio.run(updater.apply(change))

    def send(self, domain: str) -> str:
        """A message of ann's from our server; its id."""
        return submit(self.ours, [f"bob@{domain}"], MESSAGE)

    def story(self, message: str, kind: str) -> list[dict[str, Any]]:
        """What the log has of one kind: a command each time would take longer than all else."""
        lines = [one for one in self.ours.lines() if one.startswith(f'{{"kind":"{kind}"')]
        events = [json.loads(line) for line in lines]
        return [one for one in events if one["message"] == message]

    def attempt(self, message: str) -> tuple[str, str]:
        """By which policy it was delivered, and by what proof."""
        wait_for(lambda: bool(self.story(message, "delivered")))
        (delivered,) = self.story(message, "delivered")
        attempt = delivered["attempt"]
        return attempt["policy"], attempt.get("proof", "")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    needs("named", "bind9")
    needs("ip", "iproute2")
    with apart(tmp_path_factory.mktemp("apart"), (THERE, ELSEWHERE)) as thread:
        yield thread


@pytest.fixture(scope="module")
def world(alone: Apart, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("sts")
    with contextlib.ExitStack() as ended:
        yield alone.run(lambda: everybody(folder, ended))
        alone.run(ended.close)


def everybody(folder: Path, ended: contextlib.ExitStack) -> World:
    zones = Named(folder / "named", 53)
    zones.key("owner")
    hosts = f"mta-sts A {THERE}\nmx A {THERE}\nother A {THERE}\n_mta-sts 1 TXT {{}}"
    record = '"v=STSv1; id=1"'
    told = '\n_smtp._tls TXT "v=TLSRPTv1; rua=mailto:bob@b.test,https://mta-sts.b.test/tls-reports"'
    programs = "\nautoconfig CNAME mx\n_autodiscover._tcp SRV 0 0 443 mx"
    right = f"@ MX 10 mx\n{hosts.format(record)}{programs}"
    zones.add_dynamic("b.test", right, "grant owner zonesub TXT;")
    wrong = f"@ MX 10 other\n{hosts.format(record)}{told}"
    zones.add_dynamic("wrong.test", wrong, "grant owner zonesub TXT;")
    hosts = hosts.format(record).replace(THERE, ELSEWHERE)
    for domain in MODES:
        zones.add(domain, f"@ MX 10 mx\n{hosts}", signed=False)
    for relay in RELAYS:
        zones.add(relay, f"@ A {ELSEWHERE}\n{hosts}", signed=False)
    zones.start()
    ended.callback(zones.stop)
    authority, authorities = trustme.CA(), folder / "authorities.pem"
    authority.cert_pem.write_to_path(authorities)
    theirs = Theirs(folder / "theirs", authority)
    theirs.populate()
    theirs.start()
    ended.callback(theirs.stop)
    ours = Installation(
        folder / "ours", f'[dns]\nservers = ["127.0.0.1:53"]\n[reports]\nsend = true\n{ROUTES}'
    )
    ours.environment["SSL_CERT_FILE"] = str(authorities)
    ours.populate()
    ours.start()
    ended.callback(ours.stop)
    for port in (25, 443):
        wait_port(port, host=THERE)
    return World(zones, theirs, ours, authority, authorities)


def test_who_serves_documents_is_told_what_senders_and_programs_read(
    alone: Apart, world: World
) -> None:
    alone.run(lambda: told_of(world))


def told_of(world: World) -> None:
    with pytest.MonkeyPatch.context() as environment:
        (unproven,) = served(world, "wrong.test")
        assert [one["flaw"] for one in unproven["remarks"]] == ["certificate authority"]
        environment.setenv("SSL_CERT_FILE", str(world.authorities))
        assert [(one["url"], one["state"], one["remarks"]) for one in served(world, "b.test")] == [
            ("https://mta-sts.b.test/.well-known/mta-sts.txt", "there", []),
            ("https://autoconfig.b.test/mail/config-v1.1.xml", "there", []),
            ("https://mx.b.test/autodiscover/autodiscover.xml", "there", []),
        ]
        (unlisted,) = served(world, "wrong.test")
    (remark,) = unlisted["remarks"]
    assert (unlisted["state"], remark["flaw"]) == ("wrong", "hosts refused")
    assert remark["detail"] == "other.wrong.test"


def served(world: World, domain: str) -> list[dict[str, Any]]:
    """What is to be had of a domain, as its own server's operator is told."""
    done = world.theirs.run("domain", "setup", domain, "--check", "--json")
    return list(json.loads(done.stdout)["served"])


def test_postfix_reads_our_policy_and_goes_by_it(
    alone: Apart, world: World, short_path: Path
) -> None:
    needs("postfix", "postfix")
    needs("mta-sts-daemon", "postfix-mta-sts-resolver")
    alone.run(lambda: read_by_postfix(world, short_path))


def read_by_postfix(world: World, folder: Path) -> None:
    maps = f"socketmap:inet:127.0.0.1:{POLICY_PORT}:postfix"
    more = {"smtp_tls_policy_maps": maps, "smtp_tls_CAfile": str(world.authorities)}
    resolver = Resolver(folder / "resolver")
    postfix = Postfix(folder / "postfix", free_port(), more=ASKING | more)
    with contextlib.ExitStack() as ended, pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(world.authorities))
        resolver.start()
        ended.callback(resolver.stop)
        postfix.start()
        ended.callback(postfix.stop)
        for domain in ("b.test", "wrong.test"):
            postfix.send("ann@postfix.test", f"bob@{domain}", MESSAGE.replace(b"\r\n", b"\n"))
        wait_for(lambda: postfix.log().count("status=") >= 2)
        matching, mismatching = (
            next(line for line in postfix.log().splitlines() if f"to=<bob@{domain}>" in line)
            for domain in ("b.test", "wrong.test")
        )
        assert "Verified TLS connection established to mx.b.test" in postfix.log()
        assert "status=sent" in matching
        assert "status=deferred (Server certificate not verified)" in mismatching


def test_our_sender_holds_a_policy_against_postfix(
    alone: Apart, world: World, short_path: Path
) -> None:
    needs("postfix", "postfix")
    alone.run(lambda: held_against_postfix(world, short_path))


def held_against_postfix(world: World, folder: Path) -> None:
    made = world.authority.issue_cert("mx.named.test", "relay.test")
    shown = made.private_key_and_cert_chain_pem.bytes()
    postfix = Postfix(folder / "postfix", 25, more=TAKING, address=ELSEWHERE, pem=shown)
    with contextlib.ExitStack() as ended:
        postfix.start()
        ended.callback(postfix.stop)
        policies = PolicyHost(world.authority)
        ended.callback(policies.stop)
        assert world.attempt(world.send("named.test")) == ("sts-enforce", "pkix")
        waiting = world.send("unnamed.test")
        wait_for(lambda: bool(world.story(waiting, "deferred")))
        assert world.story(waiting, "deferred")[0]["cause"] == "certificate-wrong-name"
        wait_mails(postfix, "bob", 1)

        assert world.attempt(world.send("tested.test")) == ("sts-testing", "")
        wait_mails(postfix, "bob", 2)
        held_by_their_own_names(world)
        wait_mails(postfix, "bob", 3)


def held_by_their_own_names(world: World) -> None:
    """RFC 8461 §3.4: of smarthosts their own policy counts, though nobody on the route says TLS."""
    assert world.attempt(world.send("by.relay.test")) == ("sts-enforce", "pkix")
    for relay, cause in (
        ("unproven.test", "certificate-wrong-name"),
        ("unlisted.test", "sts-host-unlisted"),
    ):
        waiting = world.send(f"by.{relay}")
        wait_for(lambda waiting=waiting: bool(world.story(waiting, "deferred")))
        deferred = world.story(waiting, "deferred")[0]
        assert (deferred["cause"], deferred["attempt"]["policy"]) == (cause, "sts-enforce")
    assert f"the MTA-STS policy of {relay} does not name" in world.ours.ask("trace", waiting)


def test_our_sender_goes_by_the_policy_of_the_domain(alone: Apart, world: World) -> None:
    alone.run(lambda: gone_by(world))


def gone_by(world: World) -> None:
    """One story, since what is kept of a policy is what the next step is about."""
    assert world.attempt(world.send("b.test")) == ("sts-enforce", "pkix")
    waiting = world.send("wrong.test")
    wait_for(lambda: bool(world.story(waiting, "deferred")))
    assert world.story(waiting, "deferred")[0]["cause"] == "sts-mx-unlisted"
    told = "the MTA-STS policy of wrong.test allows none of its mail hosts other.wrong.test"
    assert told in world.ours.ask("trace", waiting)

    # Another policy under another id is fetched; what waited is delivered by it.
    world.theirs.serve(TESTING)
    world.announce("wrong.test", "v=STSv1; id=2")
    world.announce("b.test")
    assert world.attempt(waiting)[0] == "sts-testing"
    reported(world)

    # Nobody serves a policy now, b.test announces none, and our server has only what it kept.
    world.theirs.serve("")
    world.ours.stop()
    world.ours.start()
    assert world.attempt(world.send("b.test")) == ("sts-enforce", "pkix")
    # What has expired, and cannot be had again, demands nothing.
    assert world.attempt(world.send("wrong.test"))[0] == "opportunistic"
    assert "mta-sts.txt answers 404" in world.ours.output()


def reported(world: World) -> None:
    """Who demands nothing yet is told what would have failed."""
    world.ours.ask("reports", "send", "--day", f"{datetime.now(UTC):%Y-%m-%d}")
    wait_for(lambda: any(b"tlsrpt+gzip" in mail for mail in world.theirs.mails("b.test")))
    (mail,) = (mail for mail in world.theirs.mails("b.test") if b"tlsrpt+gzip" in mail)
    *_, part = email.message_from_bytes(mail, policy=email.policy.default).iter_parts()
    policies = json.loads(gzip.decompress(part.get_content()))["policies"]
    (sts,) = (one for one in policies if one["policy"]["policy-type"] == "sts")
    assert sts["policy"]["policy-domain"] == "wrong.test"
    assert "mode: testing" in sts["policy"]["policy-string"]
    assert sts["summary"]["total-failure-session-count"] > 0
    # The same was posted to their own door.
    wait_for(lambda: '"outcome":"posted"' in world.ours.output())
    (kept,) = world.theirs.ask_json("reports", "list")
    assert (kept["kind"], kept["failed"] > 0) == ("tls", True)
