"""A report as rows: what a list shows of it, what is summed up, and the whole of it."""

import zlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import msgspec

from merpati.feedback.aggregate import AggregateReport
from merpati.feedback.aggregate import Row as Told
from merpati.feedback.complaint import Complaint
from merpati.feedback.received import Content, Kind, Received, Unreadable
from merpati.feedback.tls import Detail, PolicyResult, TlsReport

MAX_FAULTS = 5_000
"""Ways to fail that are kept apart in the sums, of one report."""
_MAX_NAME = 255
_MAX_REASON = 200
_MOST = 2**53
_ROW_OCTETS = 100
"""About what a row of a source or a fault takes."""
_PASSED_ON = frozenset({"forwarded", "mailing_list", "trusted_forwarder"})
_TYPES = {
    Kind.AGGREGATE: AggregateReport,
    Kind.TLS: TlsReport,
    Kind.COMPLAINT: Complaint,
    Kind.UNREADABLE: Unreadable,
}
SourceRow = tuple[str, int, bool, bool, str, bool, str, str]
"""ip, messages, dkim, spf, disposition, forwarded, signer, envelope."""
SessionsRow = tuple[str, str, int, int]
"""domain, policy, succeeded, failed."""
FaultRow = tuple[int, str, str, str, int]
"""The sessions' number, result, host, reason, failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What is written of one report."""

    kind: Kind
    told: bytes
    domain: str = ""
    organization: str = ""
    report_id: str = ""
    begin: float = 0.0
    end: float = 0.0
    total: int = 0
    failed: int = 0
    why: str = ""
    sources: tuple[SourceRow, ...] = ()
    sessions: tuple[SessionsRow, ...] = ()
    faults: tuple[FaultRow, ...] = ()

    @property
    def octets(self) -> int:
        """About what it takes on disk."""
        rows = len(self.sources) + len(self.sessions) + len(self.faults)
        return len(self.told) + _ROW_OCTETS * (1 + rows)


def filed(report: Received) -> Filed:
    """The rows of a report. Whatever it says, its time ends when it came."""
    content, at = report.content, report.origin.at
    told = zlib.compress(msgspec.json.encode(content))
    if isinstance(content, AggregateReport):
        return _aggregate(content, told, at)
    if isinstance(content, TlsReport):
        return _tls(content, told, at)
    if isinstance(content, Complaint):
        return _complaint(content, told, at)
    return Filed(kind=Kind.UNREADABLE, told=told, begin=at, end=at, why=content.why)


def whole(kind: Kind, told: bytes) -> Content:
    """The report again."""
    octets = zlib.decompress(told)
    return cast(Content, msgspec.json.decode(octets, type=_TYPES[kind]))


def _aggregate(report: AggregateReport, told: bytes, at: float) -> Filed:
    counts: Counter[tuple[str, bool, bool, str, bool, str, str]] = Counter()
    for row in report.rows:
        counts[_source(row)] += row.count
    end = min(float(report.period.end), at)
    return Filed(
        kind=Kind.AGGREGATE,
        told=told,
        domain=report.published.domain,
        organization=report.reporter.organization,
        report_id=report.reporter.report_id,
        begin=min(float(report.period.begin), end),
        end=end,
        total=min(counts.total(), _MOST),
        failed=min(sum(row.count for row in report.rows if not row.passed), _MOST),
        sources=tuple((ip, min(n, _MOST), *rest) for (ip, *rest), n in counts.items()),  # type: ignore[misc]  # of a key
    )


def _source(row: Told) -> tuple[str, bool, bool, str, bool, str, str]:
    signers = (each.domain for each in row.signatures if each.result == "pass")
    envelopes = (each.domain for each in row.spf_results if each.result == "pass")
    passed_on = any(each.kind in _PASSED_ON for each in row.overrides)
    told = (row.ip, row.dkim, row.spf, row.disposition, passed_on)
    return (*told, next(signers, ""), next(envelopes, ""))


def _tls(report: TlsReport, told: bytes, at: float) -> Filed:
    sessions = _Sessions()
    for result in report.policies:
        sessions.take(result)
    rows = sessions.rows()
    end = min(_seconds(report.date_range.end_datetime), at)
    return Filed(
        kind=Kind.TLS,
        told=told,
        domain=rows[0][0] if rows else "",
        organization=report.organization_name,
        report_id=report.report_id,
        begin=min(_seconds(report.date_range.start_datetime), end),
        end=end,
        total=min(sum(good + bad for _, _, good, bad in rows), _MOST),
        failed=min(sum(bad for *_, bad in rows), _MOST),
        sessions=rows,
        faults=sessions.fault_rows(),
    )


class _Sessions:
    """Of one report about TLS, by domain and policy."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._faults: Counter[tuple[int, str, str, str]] = Counter()

    def take(self, result: PolicyResult) -> None:
        name = (_name(result.policy.policy_domain), result.policy.policy_type[:_MAX_NAME])
        number = list(self._counts).index(name) if name in self._counts else len(self._counts)
        counts = self._counts.setdefault(name, [0, 0])
        counts[0] += result.summary.total_successful_session_count
        counts[1] += result.summary.total_failure_session_count
        for detail in result.failure_details:
            self._faults[self._fault(number, detail)] += detail.failed_session_count

    def _fault(self, number: int, detail: Detail) -> tuple[int, str, str, str]:
        reason = detail.failure_reason_code or detail.additional_information
        result, host = detail.result_type[:_MAX_NAME], _name(detail.receiving_mx_hostname)
        key = (number, result, host, reason[:_MAX_REASON])
        is_kept = key in self._faults or len(self._faults) < MAX_FAULTS
        return key if is_kept else (number, "other", "", "")

    def rows(self) -> tuple[SessionsRow, ...]:
        return tuple(
            (domain, policy, min(good, _MOST), min(bad, _MOST))
            for (domain, policy), (good, bad) in self._counts.items()
        )

    def fault_rows(self) -> tuple[FaultRow, ...]:
        return tuple((*key, min(count, _MOST)) for key, count in self._faults.items())


def _complaint(complaint: Complaint, told: bytes, at: float) -> Filed:
    sender = complaint.sender.rpartition("@")[2]
    return Filed(
        kind=Kind.COMPLAINT,
        told=told,
        domain=_name(complaint.domains[0] if complaint.domains else sender),
        organization=complaint.user_agent,
        begin=at,
        end=at,
        total=complaint.incidents,
        failed=complaint.incidents,
        why=" ".join(filter(None, (complaint.kind, complaint.failure))),
    )


def _name(text: str) -> str:
    return text[:_MAX_NAME].lower().removesuffix(".")


def _seconds(time: datetime) -> float:
    """RFC 8460 §4.4 wants the zone; who leaves it out means UTC."""
    return max(0.0, (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
