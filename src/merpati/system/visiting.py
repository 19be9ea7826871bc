"""Asks by HTTPS for what a domain's records lead people to, as a sender and a mail program do, and
says how it is. Policies are fetched and read by what delivery fetches and reads them with."""

import asyncio
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from merpati.delivery.sts.policy import PolicyError, parse_policy
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Resolver, addresses_of
from merpati.mail.address import Address
from merpati.setup.autoconfig import outlook_question
from merpati.setup.finding import Finding
from merpati.setup.plan import Subject
from merpati.setup.record import Purpose
from merpati.setup.served import (
    HTTPS,
    Flaw,
    Page,
    PolicySeen,
    Remark,
    ServedFinding,
    Visit,
    policy_remarks,
    settings_remarks,
    visits,
)
from merpati.setup.sts import Mode, OwnPolicy
from merpati.wire.errors import (
    CertificateError,
    CertificateFlaw,
    TlsError,
    WebError,
    WebFlaw,
    WireError,
)
from merpati.wire.https import HttpsClient, HttpsSettings

SECONDS = 10.0
"""For one document: somebody waits."""
_HOSTS = frozenset({Purpose.STS_HOST, Purpose.AUTOCONFIG})
_XML = ("text/xml", "application/xml")
_CERTIFICATE = {
    CertificateFlaw.NAME: Flaw.CERTIFICATE_NAME,
    CertificateFlaw.TIME: Flaw.CERTIFICATE_TIME,
    CertificateFlaw.AUTHORITY: Flaw.CERTIFICATE_AUTHORITY,
    CertificateFlaw.OTHER: Flaw.CERTIFICATE,
}
_WEB = {
    WebFlaw.NOWHERE: Flaw.NOWHERE,
    WebFlaw.INSIDE: Flaw.INSIDE,
    WebFlaw.REDIRECT: Flaw.REDIRECT,
    WebFlaw.ABSENT: Flaw.ABSENT,
    WebFlaw.STATUS: Flaw.STATUS,
    WebFlaw.TYPE: Flaw.TYPE,
    WebFlaw.LENGTH: Flaw.LENGTH,
}


def web_client(resolver: Resolver, findings: Iterable[Finding]) -> HttpsClient:
    """The one that delivery has, but less patient, and it believes what the zone's servers say of a
    host before the resolver, which may remember for an hour that there was none."""
    leading = {one.record.name: one.seen for one in findings if one.record.purpose in _HOSTS}

    async def addresses(host: str) -> Sequence[str]:
        found: list[str] = []
        for place in leading.get(host) or (host,):
            found += [place] if _is_address(place) else await addresses_of(resolver, place)
        return found

    return HttpsClient(HttpsSettings(SECONDS), addresses)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


async def visit_all(
    subject: Subject, findings: Sequence[Finding], client: HttpsClient
) -> tuple[ServedFinding, ...]:
    """Every document that the records lead to. Never raises for what strangers say."""
    asked = (_visited(subject, findings, visit, client) for visit in visits(subject, findings))
    return tuple(await asyncio.gather(*asked))


async def _visited(
    subject: Subject, findings: Iterable[Finding], visit: Visit, client: HttpsClient
) -> ServedFinding:
    if visit.port != HTTPS:
        return ServedFinding(visit, (Remark(Flaw.PORT),))
    try:
        octets = await _fetched(subject, visit, client)
        if visit.page is Page.POLICY:
            remarks = policy_remarks(subject, findings, _read(octets))
        else:
            remarks = settings_remarks(subject, octets)
        return ServedFinding(visit, tuple(remarks))
    except (WireError, DnsError, PolicyError) as error:
        return ServedFinding(visit, (Remark(_flaw(error), str(error)),))


async def _fetched(subject: Subject, visit: Visit, client: HttpsClient) -> bytes:
    if visit.page is Page.POLICY:
        return await client.text(visit.host, visit.path)
    somebody = Address("postmaster", subject.domain)
    question = outlook_question(somebody) if visit.page is Page.AUTODISCOVER else b""
    return await client.document(visit.host, visit.path, _XML, question)


def _read(octets: bytes) -> PolicySeen:
    found = parse_policy(octets)
    policy = OwnPolicy(found.mx, Mode(found.mode.value), found.max_age)
    return PolicySeen(policy, found.allows)


def _flaw(error: WireError | DnsError | PolicyError) -> Flaw:
    match error:
        case DnsError():
            return Flaw.UNANSWERED
        case PolicyError():
            return Flaw.TEXT
        case WebError():
            return _WEB[error.flaw]
        case CertificateError():
            return _CERTIFICATE[error.flaw]
        case TlsError():
            return Flaw.TLS
    return Flaw.UNREACHABLE
