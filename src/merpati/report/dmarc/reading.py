"""Reading aggregate reports (RFC 9990, and RFC 7489 before it) as they come, without trust."""

import ipaddress

from merpati.authenticity.dmarc.record import Policy
from merpati.feedback.aggregate import (
    AggregateReport,
    DkimTold,
    Override,
    Period,
    Published,
    Reporter,
    Row,
    SpfTold,
)
from merpati.mail.parts import read_parts
from merpati.report.attachments import first_report
from merpati.report.dmarc.document import Element, read_document
from merpati.report.errors import ReportError

MAX_ROWS = 50_000
MAX_SIGNATURES = 100
"""Of one row (RFC 9990 §2.1.5)."""
_MAX_COUNT = 10**12
_DISPOSITIONS = frozenset({"none", "pass", "quarantine", "reject"})
_POLICIES = frozenset(policy.value for policy in Policy)


def find_report(message: bytes) -> AggregateReport:
    """The report that a message carries. Raises ReportError: what is wrong with the first of its
    attachments that may be one."""
    return first_report(read_parts(message), read_report)


def read_report(xml: bytes) -> AggregateReport:
    """Raises ReportError: no XML, no report, or one without domain, times or identity.

    A row that cannot be read is skipped and counted. Texts are clipped and shown to nobody without
    being escaped.
    """
    report = _Report()
    read_document(xml, "feedback", report.take)
    return report.finish()


class _Report:
    """A report as its elements come, in whatever order."""

    def __init__(self) -> None:
        self._metadata = self._published = Element("")
        self._rows: list[Row] = []
        self._skipped = 0

    def take(self, element: Element) -> None:
        if element.name == "report_metadata":
            self._metadata = element
        elif element.name == "policy_published":
            self._published = element
        elif element.name == "record":
            self._take_row(element)

    def _take_row(self, record: Element) -> None:
        if len(self._rows) + self._skipped >= MAX_ROWS:
            raise ReportError(f"more than {MAX_ROWS} rows")
        row = _row(record)
        if row is None:
            self._skipped += 1
        else:
            self._rows.append(row)

    def finish(self) -> AggregateReport:
        metadata, dates = self._metadata, self._metadata.get("date_range")
        reporter = Reporter(
            organization=metadata.of("org_name"),
            email=metadata.of("email"),
            report_id=metadata.of("report_id"),
            contact=metadata.of("extra_contact_info"),
            errors=tuple(each.text.strip() for each in metadata.all("error")[:20]),
            generator=metadata.of("generator"),
        )
        begin, end = _number(dates.of("begin")), _number(dates.of("end"))
        if begin is None or end is None or not reporter.report_id:
            raise ReportError("without an identity or its times")
        published = _published(self._published)
        rows = tuple(self._rows)
        return AggregateReport(reporter, Period(begin, end), published, rows, self._skipped)


def _published(element: Element) -> Published:
    domain = _domain(element.of("domain"))
    if not domain:
        raise ReportError("about no domain")
    return Published(
        domain=domain,
        policy=_policy(element.of("p")) or Policy.NONE.value,
        subdomains=_policy(element.of("sp")),
        missing=_policy(element.of("np")),
        strict_dkim=element.of("adkim").lower() == "s",
        strict_spf=element.of("aspf").lower() == "s",
        testing=element.of("testing").lower() == "y",
        when=element.of("fo"),
        method=element.of("discovery_method"),
    )


def _row(record: Element) -> Row | None:
    row, identifiers = record.get("row"), record.get("identifiers")
    results, evaluated = record.get("auth_results"), row.get("policy_evaluated")
    ip, count = _ip(row.of("source_ip")), _number(row.of("count"))
    if not ip or count is None:
        return None
    disposition = evaluated.of("disposition").lower()
    return Row(
        ip=ip,
        count=count,
        disposition=disposition if disposition in _DISPOSITIONS else "none",
        dkim=evaluated.of("dkim").lower() == "pass",
        spf=evaluated.of("spf").lower() == "pass",
        author=_domain(identifiers.of("header_from")),
        sender=_domain(identifiers.of("envelope_from")),
        recipient=_domain(identifiers.of("envelope_to")),
        overrides=tuple(_override(each) for each in evaluated.all("reason")[:MAX_SIGNATURES]),
        signatures=tuple(_dkim(each) for each in results.all("dkim")[:MAX_SIGNATURES]),
        spf_results=tuple(_spf(each) for each in results.all("spf")[:MAX_SIGNATURES]),
    )


def _override(element: Element) -> Override:
    return Override(element.of("type").lower(), element.of("comment"))


def _dkim(element: Element) -> DkimTold:
    result = element.of("result").lower()
    why = element.of("human_result")
    return DkimTold(_domain(element.of("domain")), element.of("selector"), result, why)


def _spf(element: Element) -> SpfTold:
    result, scope = element.of("result").lower(), element.of("scope").lower() or "mfrom"
    return SpfTold(_domain(element.of("domain")), result, scope, element.of("human_result"))


def _domain(text: str) -> str:
    return text[:255].lower().removesuffix(".")


def _policy(text: str) -> str:
    """Empty for what is no policy."""
    return text.lower() if text.lower() in _POLICIES else ""


def _number(text: str) -> int | None:
    # Some reporters write times with a fraction.
    whole = text.partition(".")[0]
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 13):
        return None
    return min(int(whole), _MAX_COUNT)


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
