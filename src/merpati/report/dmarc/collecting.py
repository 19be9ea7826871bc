"""Aggregate reports out of the journal: what was judged in a period, by the domain that asked.

The journal has it all already, with the records as they were seen. So nothing else is kept, and a
restart loses nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from merpati.authenticity.dmarc.record import Policy, Record, read_record
from merpati.authenticity.dmarc.verdict import Alignment
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
from merpati.journal.events import Accepted, Check, Event, Refused

MAX_DOMAINS = 10_000
"""Of one period; what comes of more is not reported."""
MAX_ROWS = 5_000
"""Of one report; a report of as many has about 4 MB, and 200 KB as it is sent."""
MAX_ALL_ROWS = 100_000
"""Of one period: a stranger with domains of his own can send mail of which each makes a row."""
_ALIGNED = frozenset({Alignment.STRICT.value, Alignment.RELAXED.value})
_PREFIX = "_dmarc."


@dataclass(frozen=True, slots=True)
class Due:
    """A report and the URIs that want it."""

    report: AggregateReport
    uris: tuple[str, ...]


class Collector:
    """Of one period. Bounded, whatever the journal holds."""

    def __init__(self) -> None:
        self._rows: dict[str, Counter[Row]] = {}
        """By the record as the journal has it, `_dmarc.a.test: v=DMARC1; …`."""
        self._all_rows = 0
        self.left_out = 0
        """Messages for which there was no room."""

    def take(self, events: Iterable[Event]) -> None:
        """Count what was judged among these."""
        for event in events:
            if isinstance(event, Accepted | Refused) and event.checks:
                self._take(event)

    def due(self, reporter: Reporter, period: Period) -> list[Due]:
        """A report for each record that asks for one. `reporter.report_id` is made unique by the
        domain that stands in front of it."""
        reports = []
        for found, rows in self._rows.items():
            domain, record = _read(found)
            if record is not None and record.aggregate:
                about = replace(reporter, report_id=f"{domain}.{reporter.report_id}")
                counted = tuple(replace(row, count=count) for row, count in rows.items())
                published = _published(domain, record)
                report = AggregateReport(about, period, published, counted)
                reports.append(Due(report, record.aggregate))
        return reports

    def _take(self, event: Accepted | Refused) -> None:
        dmarc = event.checks[-1]
        comes_again = isinstance(event, Refused) and event.reply.startswith("4")
        if dmarc.method != "dmarc" or not dmarc.record or comes_again:
            return
        if dmarc.record not in self._rows and len(self._rows) >= MAX_DOMAINS:
            self.left_out += 1
            return
        rows = self._rows.setdefault(dmarc.record, Counter())
        row = _row(event, dmarc)
        if row not in rows:
            if len(rows) >= MAX_ROWS or self._all_rows >= MAX_ALL_ROWS:
                self.left_out += 1
                return
            self._all_rows += 1
        rows[row] += 1


def _read(found: str) -> tuple[str, Record | None]:
    name, _, text = found.partition(": ")
    return name.removeprefix(_PREFIX), read_record(text.encode("ascii", "replace"))


def _published(domain: str, record: Record) -> Published:
    policy = record.policy_for(below=False, exists=True)[1]
    return Published(
        domain=domain,
        policy=policy.value,
        subdomains=_value(record.subdomains),
        missing=_value(record.missing),
        strict_dkim=record.strict_dkim,
        strict_spf=record.strict_spf,
        testing=record.testing,
        when=":".join(sorted(record.when)),
        method="treewalk",
    )


def _value(policy: Policy | None) -> str:
    return policy.value if policy else ""


def _row(event: Accepted | Refused, dmarc: Check) -> Row:
    by_method: Mapping[str, list[Check]] = {
        method: [check for check in event.checks if check.method == method]
        for method in ("spf", "dkim", "arc")
    }
    done, overrides = _done(event, dmarc, by_method["arc"])
    return Row(
        ip=event.ip,
        count=0,
        disposition=done,
        dkim=any(map(_counts, by_method["dkim"])),
        spf=any(map(_counts, by_method["spf"])),
        author=dmarc.about,
        sender=_domain(event.sender),
        recipient=_common_domain(event.recipients),
        overrides=overrides,
        signatures=tuple(
            DkimTold(check.about, check.selector, check.result, check.why)
            for check in by_method["dkim"]
        ),
        spf_results=tuple(
            SpfTold(check.about, check.result, why=check.why) for check in by_method["spf"]
        ),
    )


def _done(
    event: Accepted | Refused, dmarc: Check, chains: list[Check]
) -> tuple[str, tuple[Override, ...]]:
    """What was done with the message, and why not what the record asks (RFC 9990 §2.1.6)."""
    if dmarc.result == "pass":
        return "pass", ()
    if isinstance(event, Refused) and event.rule == "dmarc":
        return "reject", ()
    if dmarc.asks in ("", "none"):
        return "none", ()
    if sealer := next((chain.vouched for chain in chains if chain.vouched), ""):
        return "none", (Override("trusted_forwarder", f"arc={sealer}"),)
    if dmarc.asks == "quarantine" and isinstance(event, Accepted):
        return "quarantine", ()
    return "none", (Override("local_policy"),)


def _counts(check: Check) -> bool:
    return check.result == "pass" and check.alignment in _ALIGNED


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _common_domain(addresses: tuple[str, ...]) -> str:
    """Where they all are; nothing where they are in several, whom one message does not tell of
    one another."""
    domains = {_domain(address) for address in addresses}
    return domains.pop() if len(domains) == 1 else ""
