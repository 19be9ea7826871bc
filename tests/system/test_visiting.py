"""What a domain's records lead to is asked for over HTTPS, at our own door and at others'."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import trustme
from aiohttp import web

from merpati.api.autoconfig import add_autoconfig
from merpati.api.http import strangers
from merpati.dns.errors import DnsTimeout
from merpati.dns.resolver import Answer, Found, Resolver
from merpati.setup.autoconfig import MailHosts
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import Kind, Purpose, Record
from merpati.setup.served import Flaw, Page, ServedFinding
from merpati.setup.sts import Mode, OwnPolicy
from merpati.system.visiting import visit_all, web_client
from merpati.wire.https import HttpsClient, HttpsSettings

CA = trustme.CA()
POLICY = OwnPolicy(("mx.a.test",), Mode.ENFORCE)
SUBJECT = Subject("a.test", "mx.a.test", POLICY, serves_policy=True, serves_autoconfig=True)
HOSTS = MailHosts("a.test", "mx.a.test", 465, imap="imap.a.test")
NAMES = ("mta-sts.a.test", "autoconfig.a.test", "mx.a.test")


def found(purpose: Purpose, name: str, *seen: str) -> Finding:
    return Finding(Record(purpose, Kind.TXT, name, "x"), State.THERE, seen)


PUBLISHED = (
    found(Purpose.MX, "a.test", "10 mx.a.test"),
    found(Purpose.STS, "_mta-sts.a.test", POLICY.record),
    found(Purpose.AUTOCONFIG, "autoconfig.a.test", "mx.a.test"),
    found(Purpose.AUTODISCOVER, "_autodiscover._tcp.a.test", "0 0 443 mx.a.test"),
)
STS = PUBLISHED[:2]


def our_door() -> web.Application:
    """As `[http] https` has it."""

    async def policy(host: str) -> str:
        return POLICY.text if host.startswith("mta-sts.a.test") else ""

    async def hosts(domain: str) -> MailHosts | None:
        return HOSTS if domain == "a.test" else None

    app = strangers(policy)
    add_autoconfig(app, hosts)
    return app


def saying(response: Callable[[], web.StreamResponse]) -> web.Application:
    """A web server of somebody else's."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


@dataclass
class World:
    """Where names lead, and whom the visitor trusts."""

    settings: HttpsSettings
    names: tuple[str, ...] = NAMES
    ips: Sequence[str] = ("127.0.0.1",)
    expires: datetime.datetime | None = None
    authority: trustme.CA = CA

    @asynccontextmanager
    async def served(self, app: web.Application) -> AsyncIterator[HttpsClient]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made = self.authority.issue_cert(*self.names, not_after=self.expires)
        made.configure_cert(context)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            yield HttpsClient(replace(self.settings, port=runner.addresses[0][1]), self.addresses)
        finally:
            await runner.cleanup()

    async def addresses(self, host: str) -> Sequence[str]:
        return self.ips

    async def visited(
        self, app: web.Application, findings: Sequence[Finding] = STS
    ) -> tuple[ServedFinding, ...]:
        async with self.served(app) as client:
            return await visit_all(SUBJECT, findings, client)

    async def flaw(self, app: web.Application) -> tuple[State, Flaw, str]:
        """The only one of the policy."""
        (finding,) = await self.visited(app)
        (remark,) = finding.remarks
        return finding.state, remark.flaw, remark.detail


@pytest.fixture
def world(tmp_path: Path) -> World:
    authorities = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(authorities))
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)
    return World(HttpsSettings(30.0, allowed=loopback, authorities=authorities))


@pytest.mark.slow
async def test_our_own_door_is_in_order(world: World) -> None:
    findings = await world.visited(our_door(), PUBLISHED)
    assert [one.visit.page for one in findings] == [*Page]
    assert [one.remarks for one in findings] == [(), (), ()]


@pytest.mark.slow
async def test_a_document_that_is_not_handed_out_says_how(world: World) -> None:
    good = POLICY.text
    expected = {
        Flaw.ABSENT: lambda: web.Response(status=404),
        Flaw.STATUS: lambda: web.Response(status=503),
        Flaw.REDIRECT: lambda: web.Response(status=302, headers={"Location": "https://a.test/"}),
        Flaw.TYPE: lambda: web.Response(text=good, content_type="text/html"),
        Flaw.LENGTH: lambda: web.Response(text=good + "\n" * 65_536),
        Flaw.TEXT: lambda: web.Response(text="version: STSv2"),
        Flaw.OTHER: lambda: web.Response(text=good.replace("604800", "700000")),
    }
    for flaw, response in expected.items():
        state, told, detail = await world.flaw(saying(response))
        assert (state, told) == (State.WRONG, flaw)
        assert detail


@pytest.mark.slow
async def test_a_certificate_says_why_it_is_not_taken(world: World) -> None:
    world.names = ("a.test",)
    state, flaw, detail = await world.flaw(our_door())
    assert (state, flaw) == (State.WRONG, Flaw.CERTIFICATE_NAME)
    assert "mta-sts.a.test" in detail

    world.names = NAMES
    world.expires = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    assert (await world.flaw(our_door()))[1] is Flaw.CERTIFICATE_TIME

    world.expires, world.authority = None, trustme.CA()
    assert (await world.flaw(our_door()))[1] is Flaw.CERTIFICATE_AUTHORITY


async def test_a_host_that_cannot_be_asked_says_why(world: World) -> None:
    async with world.served(our_door()) as client:
        for ips, expected in (((), Flaw.NOWHERE), (("10.0.0.1",), Flaw.INSIDE)):
            world.ips = ips
            (finding,) = await visit_all(SUBJECT, STS, client)
            assert [one.flaw for one in finding.remarks] == [expected]
    world.ips = ("127.0.0.1",)
    (finding,) = await visit_all(SUBJECT, STS, client)  # whose server is gone
    assert [one.flaw for one in finding.remarks] == [Flaw.UNREACHABLE]


async def test_a_port_that_speaks_no_tls_is_told(world: World) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = HttpsClient(replace(world.settings, port=port), world.addresses)
        (finding,) = await visit_all(SUBJECT, STS, client)
    assert [one.flaw for one in finding.remarks] == [Flaw.TLS]


class Forgetful:
    """A resolver that remembers of some names that there was nothing."""

    def __init__(self, **known: str) -> None:
        self._known = {name.replace("_", "."): ip for name, ip in known.items()}

    async def ipv4(self, host: str) -> Answer[str]:
        there = self._known.get(host)
        return Answer(Found.RECORDS, (there,)) if there else Answer(Found.NO_NAME)

    async def ipv6(self, _: str) -> Answer[str]:
        return Answer(Found.NO_DATA)


async def test_what_the_zone_says_of_a_host_is_believed_before_a_resolver_that_remembers() -> None:
    resolver = cast(Resolver, Forgetful(mx_a_test="10.0.0.9"))
    for seen in ("mx.a.test", "10.0.0.9"):
        records = [found(Purpose.STS_HOST, "mta-sts.a.test", seen)]
        (finding,) = await visit_all(SUBJECT, records, web_client(resolver, records))
        assert [one.flaw for one in finding.remarks] == [Flaw.INSIDE]
        assert "10.0.0.9" in finding.remarks[0].detail
    gone = [found(Purpose.STS_HOST, "mta-sts.a.test", "gone.a.test")]
    (finding,) = await visit_all(SUBJECT, gone, web_client(resolver, gone))
    assert [one.flaw for one in finding.remarks] == [Flaw.NOWHERE]


async def test_a_dns_that_does_not_answer_is_no_fault(world: World) -> None:
    async def addresses(_: str) -> Sequence[str]:
        raise DnsTimeout("nobody answered")

    client = HttpsClient(world.settings, addresses)
    (finding,) = await visit_all(SUBJECT, STS, client)
    assert (finding.state, finding.is_fault) == (State.UNKNOWN, False)


@pytest.mark.slow
async def test_mail_programs_are_answered_in_xml_that_names_this_host(world: World) -> None:
    settings = PUBLISHED[2:]
    for response, flaw in (
        (lambda: web.Response(text="<html>", content_type="text/html"), Flaw.TYPE),
        (
            lambda: web.Response(text="<hostname>b.test</hostname>", content_type="text/xml"),
            Flaw.OTHER,
        ),
        (lambda: web.Response(status=404), Flaw.ABSENT),
    ):
        findings = await world.visited(saying(response), settings)
        assert [one.remarks[0].flaw for one in findings] == [flaw, flaw]
        assert all(one.is_fault for one in findings)


async def test_a_service_at_another_port_is_not_asked(world: World) -> None:
    other = found(Purpose.AUTODISCOVER, "_autodiscover._tcp.a.test", "0 0 22 mx.a.test")
    (finding,) = await world.visited(our_door(), (other,))
    assert (finding.state, finding.remarks[0].flaw) == (State.UNKNOWN, Flaw.PORT)


@pytest.mark.slow
async def test_a_target_that_is_no_name_of_a_host_is_not_asked(world: World) -> None:
    for host in ("user@b.test/x", "127.0.0.1", "a\\032b.test"):
        other = found(Purpose.AUTODISCOVER, "_autodiscover._tcp.a.test", f"0 0 443 {host}")
        (finding,) = await world.visited(our_door(), (other,))
        assert finding.remarks[0].flaw is Flaw.NOWHERE
