"""Reports about TLS out of the journal: how connections went, by the domain that mail went to.

A session counts once for each domain whose mail it carried or should have carried. The journal has
it all already, so nothing else is kept, and a restart loses nothing.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from merpati.feedback.tls import (
    DateRange,
    Detail,
    Policy,
    PolicyResult,
    PolicyType,
    ResultType,
    Summary,
    TlsReport,
)
from merpati.journal.events import Attempt, Deferred, Delivered, Event, Failed

MAX_DOMAINS = 10_000
"""Of one period; what comes of more is not reported."""
MAX_DETAILS = 1000
"""Ways to fail of one domain and policy."""
_SESSIONS = 20_000
"""Remembered so that each counts once; one lives for five minutes."""

_POLICIES: Mapping[str, PolicyType] = {
    "dane": PolicyType.TLSA,
    "sts-enforce": PolicyType.STS,
    "sts-testing": PolicyType.STS,
    "opportunistic": PolicyType.NONE,
}
_FAILURES: Mapping[str, ResultType] = {
    "policy-needs-tls": ResultType.NO_STARTTLS,
    "tls-failed": ResultType.FAILED,
    "tlsa-mismatch": ResultType.FAILED,
    "dnssec-bogus": ResultType.DNSSEC_INVALID,
    "certificate-wrong-name": ResultType.WRONG_NAME,
    "certificate-expired": ResultType.EXPIRED,
    "certificate-self-signed": ResultType.NOT_TRUSTED,
    "certificate-invalid": ResultType.NOT_TRUSTED,
}
"""By the cause of an attempt that failed."""
_UNLISTED = "sts-mx-unlisted"


@dataclass(slots=True)
class _Count:
    successes: int = 0
    failures: Counter[tuple[ResultType, str, str, str]] = field(default_factory=Counter)
    """By result, host, IP and reason."""


class Collector:
    """Of one period. Bounded, whatever the journal holds."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[PolicyType, _Count]] = {}
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.left_out = 0
        """Sessions for which there was no room."""

    @property
    def domains(self) -> list[str]:
        """Those that there is something to report to."""
        return list(self._counts)

    def take(self, events: Iterable[Event]) -> None:
        """Count the sessions of these."""
        for event in events:
            if isinstance(event, Delivered | Deferred | Failed):
                self._take(event)

    def report(
        self, domain: str, date_range: DateRange, organization: str, contact: str
    ) -> TlsReport:
        """What there is about one domain."""
        begin = date_range.start_datetime
        return TlsReport(
            organization_name=organization,
            date_range=date_range,
            contact_info=contact,
            report_id=f"{begin:%Y-%m-%dT%H:%M:%SZ}_{domain}",
            policies=tuple(
                _result(domain, kind, count) for kind, count in self._counts[domain].items()
            ),
        )

    def _take(self, event: Delivered | Deferred | Failed) -> None:
        domain = event.address.rpartition("@")[2].lower()
        cause = "" if isinstance(event, Delivered) else event.cause
        if cause == _UNLISTED:
            self._fail(domain, PolicyType.STS, ResultType.FAILED, Attempt(route=""), cause)
            return
        attempt = event.attempt
        kind = _POLICIES.get(attempt.policy) if attempt else None
        if attempt is None or kind is None or not self._is_new(domain, attempt.connection):
            return
        if failure := _failure(attempt, cause):
            self._fail(domain, kind, failure, attempt, cause)
        elif attempt.tls and (count := self._count(domain, kind)):
            count.successes += 1

    def _is_new(self, domain: str, connection: str) -> bool:
        key = (domain, connection)
        if key in self._seen:
            self._seen.move_to_end(key)
            return False
        self._seen[key] = None
        if len(self._seen) > _SESSIONS:
            self._seen.popitem(last=False)
        return True

    def _fail(
        self, domain: str, kind: PolicyType, result: ResultType, attempt: Attempt, cause: str
    ) -> None:
        count = self._count(domain, kind)
        if count is None:
            return
        key = (result, attempt.host, attempt.ip, cause)
        if key in count.failures or len(count.failures) < MAX_DETAILS:
            count.failures[key] += 1
        else:
            self.left_out += 1

    def _count(self, domain: str, kind: PolicyType) -> _Count | None:
        if domain not in self._counts and len(self._counts) >= MAX_DOMAINS:
            self.left_out += 1
            return None
        return self._counts.setdefault(domain, {}).setdefault(kind, _Count())


def _failure(attempt: Attempt, cause: str) -> ResultType | None:
    if failure := _FAILURES.get(cause):
        return failure
    # Mail that had to go in the clear, to a host that was talked to.
    if not attempt.tls and attempt.dialogue:
        return ResultType.NO_STARTTLS
    return None


def _result(domain: str, kind: PolicyType, count: _Count) -> PolicyResult:
    return PolicyResult(
        policy=Policy(policy_type=kind.value, policy_domain=domain),
        summary=Summary(
            total_successful_session_count=count.successes,
            total_failure_session_count=count.failures.total(),
        ),
        failure_details=tuple(
            Detail(
                result_type=result.value,
                failed_session_count=times,
                receiving_mx_hostname=host,
                receiving_ip=ip,
                failure_reason_code=cause,
            )
            for (result, host, ip, cause), times in count.failures.items()
        ),
    )
