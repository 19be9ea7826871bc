"""Logins by certificate (EXTERNAL): over real TLS, with a client that is not ours."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from merpati.clock import SystemClock
from merpati.journal.events import Lifecycle, LoggedIn, LoginFailed
from merpati.mail.address import Address
from merpati.mail.trace import Tls
from merpati.reception.port import ClientCertificates, Port, PortSettings, Role
from merpati.testing.clock import VirtualClock
from merpati.testing.doors import HOSTNAME, House, greeted, networks
from merpati.testing.shown import showing
from merpati.wire.certificates import make_self_signed
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import TlsError
from merpati.wire.listen import Listener
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind, bound_to


@dataclass(frozen=True)
class Office:
    """An authority for clients, one that nobody trusts, and a server's pair."""

    folder: Path
    trusted: trustme.CA
    strange: trustme.CA

    @property
    def pair(self) -> tuple[Path, Path]:
        return self.folder / "cert.pem", self.folder / "key.pem"

    @property
    def authorities(self) -> Path:
        return self.folder / "clients.pem"

    def client(self, *names: str, strange: bool = False) -> ssl.SSLContext:
        """What a client with a certificate for these mail addresses brings; none: none."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if names:
            (self.strange if strange else self.trusted).issue_cert(*names).configure_cert(context)
        return context

    def context(self, *, required: bool = False):  # type: ignore[no-untyped-def]
        return showing(*self.pair, self.authorities).asking[required]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    found = Office(tmp_path_factory.mktemp("office"), trustme.CA(), trustme.CA())
    make_self_signed(*found.pair, SystemClock(), [HOSTNAME])
    found.trusted.cert_pem.write_to_path(found.authorities)
    return found


@asynccontextmanager
async def listening(
    house: House, tls: object, *, required: bool = False
) -> AsyncIterator[Endpoint]:
    """A port with TLS from the first octet that asks for certificates."""
    asks = ClientCertificates.REQUIRED if required else ClientCertificates.OPTIONAL
    settings = PortSettings(Role.SUBMISSIONS, HOSTNAME, client_certificates=asks)
    port = Port(settings, house.intake(), SystemClock(), house.logins(), tls)
    failures: list[Exception] = []
    listener = Listener(Wire(SystemClock(), interval=0.05), port.serve, failures.append)
    sock = bind(Endpoint("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run([sock]))
        yield bound_to(sock)
        port.stop()
        listener.stop(grace=5.0)
    assert failures == []


@contextmanager
def connected(at: Endpoint, context: ssl.SSLContext) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP_SSL(at.ip, at.port, "client.test", timeout=60, context=context) as client:
        client.ehlo()
        yield client


def log_in(at: Endpoint, context: ssl.SSLContext, response: str = "=") -> tuple[str, int]:
    """What was offered, and the answer to EXTERNAL."""
    with connected(at, context) as client:
        return client.esmtp_features["auth"], client.docmd("AUTH", f"EXTERNAL {response}")[0]


@pytest.mark.slow
async def test_the_address_in_the_certificate_logs_in(office: Office) -> None:
    house = House()
    async with listening(house, office.context()) as at:
        offered, code = await asyncio.to_thread(log_in, at, office.client("ann@a.test"))
    assert (offered.split()[0], code) == ("EXTERNAL", 235)
    [event] = await house.events(LoggedIn)
    assert (event.login, event.mechanism, event.by) == ("ann@a.test", "EXTERNAL", "certificate")
    assert "trustme" in event.issuer


@pytest.mark.slow
async def test_without_a_certificate_external_is_not_offered_and_passwords_are(
    office: Office,
) -> None:
    house = House()
    async with listening(house, office.context()) as at:
        offered, code = await asyncio.to_thread(log_in, at, office.client())
    assert "EXTERNAL" not in offered
    assert "PLAIN" in offered
    assert code == 504


@pytest.mark.slow
@pytest.mark.parametrize(("required", "names"), [(False, ("ann@a.test",)), (True, ())])
async def test_who_shows_a_bad_certificate_or_none_where_one_is_required_gets_no_session(
    office: Office, required: bool, names: tuple[str, ...]
) -> None:
    house = House()
    async with listening(house, office.context(required=required), required=required) as at:
        context = office.client(*names, strange=True)
        with pytest.raises((ssl.SSLError, smtplib.SMTPException, OSError)):
            await asyncio.to_thread(log_in, at, context)
    [event] = await house.events(LoginFailed)
    why = "no certificate was shown" if required else "the certificate is not accepted"
    assert (event.mechanism, event.why, event.ip) == ("EXTERNAL", why, "127.0.0.1")
    [limit] = await house.events(Lifecycle)
    assert (limit.what, limit.detail) == ("limit", "submissions: client certificates refused")


@pytest.mark.slow
async def test_a_revoked_certificate_gets_no_session(office: Office, tmp_path: Path) -> None:
    house = House()
    context = office.client("ann@a.test")
    issued = office.trusted.issue_cert("bob@a.test")
    revoked = ssl.create_default_context()
    revoked.check_hostname, revoked.verify_mode = False, ssl.CERT_NONE
    issued.configure_cert(revoked)
    leaf = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    authorities = tmp_path / "clients.pem"
    authorities.write_bytes(office.trusted.cert_pem.bytes() + a_list(office.trusted, leaf))
    tls = showing(*office.pair, authorities).asking[False]
    async with listening(house, tls) as at:
        assert (await asyncio.to_thread(log_in, at, context))[1] == 235
        with pytest.raises((ssl.SSLError, smtplib.SMTPException, OSError)):
            await asyncio.to_thread(log_in, at, revoked)
    [event] = await house.events(LoginFailed)
    assert "revoked" in event.detail


def a_list(authority: trustme.CA, leaf: x509.Certificate) -> bytes:
    """A list of revoked certificates (PEM) with this one on it."""
    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    entry = x509.RevokedCertificateBuilder(leaf.serial_number, leaf.not_valid_before_utc).build()
    builder = x509.CertificateRevocationListBuilder(
        issuer.subject,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        revoked_certificates=[entry],
    )
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]  # trustme's key is one
    return signed.public_bytes(serialization.Encoding.PEM)


def test_a_reload_with_other_authorities_trusts_the_former_no_more(
    office: Office, tmp_path: Path
) -> None:
    tls = showing(*office.pair, office.authorities)
    kept = tls.asking[True]
    before = kept.context
    office.strange.cert_pem.write_to_path(other := tmp_path / "other.pem")
    tls.trust(other)
    assert tls.asking[True] is kept
    assert kept.context is not before
    assert len(kept.context.get_ca_certs()) == 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_are_none_leave_all_as_it_was(
    office: Office, tmp_path: Path, content: str | None
) -> None:
    tls = showing(*office.pair, office.authorities)
    before = tls.asking[False].context
    if content:
        (tmp_path / "bad.pem").write_text(content)
    with pytest.raises(TlsError, match=r"bad\.pem"):
        tls.trust(tmp_path / "bad.pem")
    assert tls.asking[False].context is before


async def external(house: House, shown: trustme.LeafCert | None, response: str) -> str:
    """The answer to EXTERNAL of a client who has shown this certificate."""
    tls = Tls("TLSv1.3", "x", verified=shown is not None)
    if shown:
        der = ssl.PEM_cert_to_DER_cert(shown.cert_chain_pems[0].bytes().decode())
        tls = Tls("TLSv1.3", "x", verified=True, chain=(der,))
    port = house.port(Role.SUBMISSION, client_certificates=ClientCertificates.OPTIONAL)
    async with greeted(port) as client:
        client.stream.tls = client.stream._other.tls = tls
        await client.start_tls()
        answer = asyncio.ensure_future(client.say(f"AUTH EXTERNAL {response}"))
        await house.clock.advance(0)
        while not answer.done():
            await house.clock.advance(1)
        return await answer


# base64 of ann@a.test, ANN@a.test, bob@a.test
ANN, BIG_ANN, BOB = "YW5uQGEudGVzdA==", "QU5OQGEudGVzdA==", "Ym9iQGEudGVzdA=="


@pytest.mark.parametrize(
    ("names", "response", "reply", "why"),
    [
        (("ann@a.test",), ANN, "235", ""),
        (("ann@a.test", "nobody@a.test", "eve@b.test"), "=", "235", ""),
        (("ann@a.test", "bob@a.test"), ANN, "235", ""),
        (("ann@a.test", "bob@a.test"), "=", "535", "certificate of several users"),
        (("ann@a.test",), BOB, "535", "of another user"),
        (("nobody@a.test",), "=", "535", "no user here"),
        (("a.test",), "=", "535", "no user here"),
    ],
)
async def test_who_a_certificate_is(
    office: Office, names: tuple[str, ...], response: str, reply: str, why: str
) -> None:
    house = House()
    assert (await external(house, office.trusted.issue_cert(*names), response))[:3] == reply
    assert [event.why for event in await house.events(LoginFailed)] == ([why] if why else [])


async def test_a_front_lends_nobody_its_certificate(office: Office) -> None:
    house = House()
    shown = office.trusted.issue_cert("ann@a.test").cert_chain_pems[0].bytes().decode()
    port = house.port(
        Role.SUBMISSION,
        client_certificates=ClientCertificates.OPTIONAL,
        xclient=networks("192.0.2.7/32"),
    )
    async with greeted(port) as client:
        chain = (ssl.PEM_cert_to_DER_cert(shown),)
        client.stream.tls = client.stream._other.tls = Tls("1.3", "x", verified=True, chain=chain)
        await client.start_tls()
        assert (await client.say("XCLIENT ADDR=198.51.100.1", "EHLO client.test"))[:3] == "250"
        answer = asyncio.ensure_future(client.say("AUTH EXTERNAL ="))
        await house.clock.advance(0)
        await house.clock.advance(2)
        assert (await answer)[:3] == "535"


async def test_a_suspended_user_has_a_certificate_in_vain(office: Office) -> None:
    house = House()
    house.residents.suspended.add(Address.parse("ann@a.test"))
    assert (await external(house, office.trusted.issue_cert("ann@a.test"), "="))[:3] == "535"
    [event] = await house.events(LoginFailed)
    assert (event.why, event.login) == ("suspended account", "ann@a.test")


async def test_a_certificate_out_of_its_time_logs_nobody_in(office: Office) -> None:
    house = House(clock=VirtualClock(86_400.0))
    assert (await external(house, office.trusted.issue_cert("ann@a.test"), "="))[:3] == "535"
    [event] = await house.events(LoginFailed)
    assert event.why == "certificate out of its time"


async def test_a_certificate_that_is_not_mail_for_anybody_counts_for_its_address_alone(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House()
    logins = house.logins()  # One for all connections, and with it what has failed.
    monkeypatch.setattr(house, "logins", lambda: logins)
    shown = office.trusted.issue_cert("nobody@a.test")
    assert [(await external(house, shown, "="))[:3] for _ in range(12)][-1] == "454"
    good = office.trusted.issue_cert("ann@a.test")
    assert (await external(house, good, ANN))[:3] == "235"
