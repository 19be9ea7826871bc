"""Reports about TLS to the domains that ask for them (RFC 8460)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from merpati.authenticity.dmarc.record import mail_address
from merpati.dns.resolver import Resolver
from merpati.feedback.ordering import report_uris
from merpati.feedback.tallies import Due
from merpati.feedback.tls import (
    MAX_DETAILS,
    MAX_POLICIES,
    DateRange,
    Detail,
    Policy,
    PolicyResult,
    PolicyType,
    Summary,
    TlsReport,
)
from merpati.mail.address import Address
from merpati.report.outgoing import MAX_DESTINATIONS, Identity, Wanted, period, report_id
from merpati.report.tlsrpt.document import write_report
from merpati.report.tlsrpt.tallying import Sessions, read_sessions
from merpati.report.tlsrpt.writing import MEDIA_TYPE, report_message

Post = Callable[[str, bytes, str], Awaitable[None]]
"""Takes a URI of https, octets and their media type. Raises WireError or DnsError."""
_MAX_LINE = 1000
_MAX_LINES = 100


@dataclass(frozen=True, slots=True)
class TlsParts:
    """Whom is asked, and how reports are posted."""

    resolver: Resolver
    post: Post
    policy: Callable[[str], Awaitable[bytes]]
    """The text of a domain's MTA-STS policy as we know it; empty where we know none."""
    now: Callable[[], float]


class TlsMaker:
    """A `Maker` of reports about TLS."""

    def __init__(self, parts: TlsParts) -> None:
        self._parts = parts

    async def wanted(self, due: Due) -> Wanted:
        """Whom the record at `_smtp._tls` names today."""
        answer = await self._parts.resolver.txt(f"_smtp._tls.{due.subject.domain}")
        uris = tuple(dict.fromkeys(report_uris(answer.records)))
        by_mail = {address: uri for uri in uris if (address := mail_address(uri))}
        posts = tuple(uri for uri in uris if uri.lower().startswith("https:"))
        chosen = tuple(by_mail)[:MAX_DESTINATIONS]
        left = MAX_DESTINATIONS - len(chosen)
        left_out = [*tuple(by_mail.values())[MAX_DESTINATIONS:], *posts[left:]]
        return Wanted(
            mail=chosen,
            limits=(0,) * len(chosen),
            posts=posts[:left],
            left_out=tuple(f"{uri}: one too many" for uri in left_out),
        )

    async def known(self, due: Due) -> Due:
        """With the text of its policy of MTA-STS, as we know it now."""
        policy = await self._parts.policy(due.subject.domain)
        return replace(due, record=policy.decode("ascii", "replace"))

    def mail(
        self, due: Due, who: Identity, to: Sequence[Address], now: float
    ) -> tuple[bytes, bytes]:
        """See `Maker`."""
        report = tls_report(due, who, now)
        return report_message(report, due.subject.domain, who.sender, to, now)

    async def post(self, due: Due, who: Identity, uri: str) -> None:
        """As it is in the mail (RFC 8460 §5.4)."""
        report = await asyncio.to_thread(_written, due, who, self._parts.now())
        await self._parts.post(uri, report, MEDIA_TYPE)


def _written(due: Due, who: Identity, now: float) -> bytes:
    return write_report(tls_report(due, who, now))


def tls_report(due: Due, who: Identity, now: float) -> TlsReport:
    """What was counted, as a report; `due.record` is the text of the policy of MTA-STS."""
    begin, end = (datetime.fromtimestamp(at, UTC) for at in period(due, now))
    counted: dict[Policy, dict[Sessions, int]] = defaultdict(dict)
    for octets, count in sorted(due.rows, key=lambda row: (-row[1], row[0])):
        sessions = read_sessions(octets)
        about = _policy(sessions, due.subject.domain, due.record)
        if about in counted or len(counted) < MAX_POLICIES:
            counted[about][sessions] = count
    return TlsReport(
        organization_name=who.organization,
        date_range=DateRange(start_datetime=begin, end_datetime=end),
        contact_info=who.contact,
        report_id=report_id(due, who),
        policies=tuple(_result(about, of) for about, of in counted.items()),
    )


def _policy(sessions: Sessions, domain: str, policy: str) -> Policy:
    """RFC 8460 §4.4: the policy as it was applied; of DANE the records, and whose they are."""
    kind = sessions.policy.value
    if sessions.policy is PolicyType.TLSA:
        host = (sessions.host,) if sessions.host else ()
        return Policy(
            policy_type=kind, policy_domain=domain, policy_string=sessions.tlsa, mx_host=host
        )
    lines = tuple(_lines(policy)) if sessions.policy is PolicyType.STS else ()
    hosts = tuple(line[3:].strip() for line in lines if line.lower().startswith("mx:"))
    return Policy(policy_type=kind, policy_domain=domain, policy_string=lines, mx_host=hosts)


def _lines(policy: str) -> Iterator[str]:
    for line in policy.splitlines()[:_MAX_LINES]:
        if told := line.strip():
            yield told[:_MAX_LINE]


def _result(policy: Policy, counted: Mapping[Sessions, int]) -> PolicyResult:
    failures = {one: count for one, count in counted.items() if one.failure}
    return PolicyResult(
        policy=policy,
        summary=Summary(
            total_successful_session_count=sum(counted.values()) - sum(failures.values()),
            total_failure_session_count=sum(failures.values()),
        ),
        failure_details=tuple(_details(failures))[:MAX_DETAILS],
    )


def _details(failures: Mapping[Sessions, int]) -> Iterator[Detail]:
    for sessions, count in failures.items():
        if (failure := sessions.failure) is not None:
            yield Detail(
                result_type=failure.result.value,
                failed_session_count=count,
                sending_mta_ip=failure.local,
                receiving_mx_hostname=failure.host,
                receiving_mx_helo=failure.helo,
                receiving_ip=failure.ip,
                failure_reason_code=failure.why,
            )
