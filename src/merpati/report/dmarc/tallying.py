"""What counts for aggregate reports, from the journal: messages that were judged, by the domain
whose record asks for reports (RFC 9990 §2).

Looking at a message costs a few microseconds; rows are made of what is alike when it is written.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import msgspec

from merpati.authenticity.dmarc.record import Policy, Record, read_record
from merpati.authenticity.dmarc.verdict import Alignment
from merpati.feedback.aggregate import DkimTold, Override, Published, Row, SpfTold
from merpati.feedback.tallies import DAY
from merpati.journal.events import Accepted, Check, Refused

MAX_WHY = 100
"""Characters of a reason in a row: what a stranger can make the rows grow by is bounded."""
REPORT_SUBJECT = "Report Domain:"
"""How the subject of every report begins, by both RFCs."""
_ALIGNED = frozenset({Alignment.STRICT.value, Alignment.RELAXED.value})
_PREFIX = "_dmarc."
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Row).decode


class _Alike(NamedTuple):
    """All that messages have to share to be one row."""

    checks: tuple[Check, ...]
    ip: str
    sender: str
    recipient: str
    refused_by: str
    """The rule; empty for what was accepted."""


class Group:
    """What was counted for one domain on one day."""

    __slots__ = ("counts", "reasons", "record")

    def __init__(self) -> None:
        self.record = ""
        self.counts: Counter[_Alike] = Counter()
        self.reasons = 0

    def rows(self) -> dict[bytes, int]:
        """As they are kept."""
        rows: Counter[bytes] = Counter()
        for alike, count in self.counts.items():
            rows[_encode(_row(alike))] += count
        return rows


class DmarcTally:
    """What was counted since it was emptied."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, str], Group] = {}
        self.size = 0
        """Rows, as far as they differ in memory."""

    def take(self, event: Accepted | Refused) -> None:
        """Count it, if it is a message that a domain wants to be told of."""
        checks = event.checks
        if not checks:
            return
        dmarc = checks[-1]
        if dmarc.method != "dmarc" or not (domain := wanting(dmarc.record)):
            return
        refused_by = ""
        is_report = False
        if isinstance(event, Accepted):
            # One that proves nothing is none: it would hide behind a subject.
            passed = dmarc.result == "pass"
            is_report = passed and event.subject.startswith(REPORT_SUBJECT)
        elif event.reply.startswith("4"):
            return  # It comes again.
        else:
            refused_by = event.rule
        alike = _Alike(
            checks, event.ip, _domain(event.sender), _common(event.recipients), refused_by
        )
        self._count((int(event.at // DAY), domain), dmarc.record, alike, is_report)

    def _count(self, key: tuple[int, str], record: str, alike: _Alike, is_report: bool) -> None:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group()
        # RFC 9990 §2.1: of several configurations in one period the last is told.
        group.record = record
        known = len(group.counts)
        group.counts[alike] += 1
        self.size += len(group.counts) - known
        # Two who report to each other would tell of their reports for ever.
        group.reasons += not is_report

    def groups(self) -> Iterator[tuple[tuple[int, str], Group]]:
        """By day and domain."""
        yield from self._groups.items()


def read_row(octets: bytes, count: int) -> Row:
    """A row as it was kept. ValueError when it is none."""
    return replace(_decode(octets), count=count)


def wanting(found: str) -> str:
    """The domain of a record as the journal has it (`_dmarc.a.test: v=DMARC1; …`), if it asks for
    reports."""
    domain, record = read_found(found)
    return domain if record is not None and record.aggregate else ""


@lru_cache(maxsize=4096)
def read_found(found: str) -> tuple[str, Record | None]:
    """The domain and the record that the journal has of it."""
    name, _, text = found.partition(": ")
    return name.removeprefix(_PREFIX), read_record(text.encode("ascii", "replace"))


def published(domain: str, record: Record) -> Published:
    """The record as reports tell it, with the defaults of what it does not say."""
    policy = record.policy_for(below=False, exists=True)[1]
    return Published(
        domain=domain,
        policy=policy.value,
        subdomains=(record.subdomains or policy).value,
        missing=record.missing.value if record.missing else "",
        strict_dkim=record.strict_dkim,
        strict_spf=record.strict_spf,
        testing=record.testing,
        when=":".join(sorted(record.when)),
        method="treewalk",
    )


def _row(alike: _Alike) -> Row:
    dmarc = alike.checks[-1]
    by_method: Mapping[str, list[Check]] = {
        method: [check for check in alike.checks if check.method == method]
        for method in ("spf", "dkim", "arc")
    }
    done, overrides = _done(alike, dmarc, by_method["arc"])
    return Row(
        ip=alike.ip,
        count=0,
        disposition=done,
        dkim=any(map(_counts, by_method["dkim"])),
        spf=any(map(_counts, by_method["spf"])),
        author=dmarc.about,
        sender=alike.sender,
        recipient=alike.recipient,
        overrides=overrides,
        signatures=tuple(
            DkimTold(check.about, check.selector, check.result, check.why[:MAX_WHY])
            for check in by_method["dkim"]
            if check.result != "none"  # Where there is no signature, no element stands for it.
        ),
        spf_results=tuple(
            SpfTold(check.about, check.result, _scope(alike), check.why[:MAX_WHY])
            for check in by_method["spf"]
            if not check.identity  # DMARC goes by MAIL FROM alone (RFC 9989 §4.1).
        ),
    )


def _scope(alike: _Alike) -> str:
    # RFC 7208 §2.4: the null reverse-path is checked by the name in EHLO.
    return "mfrom" if alike.sender else "helo"


def _done(alike: _Alike, dmarc: Check, chains: list[Check]) -> tuple[str, tuple[Override, ...]]:
    """What was done with the message, and why not what the record asks (RFC 9990 §2.1.6)."""
    if dmarc.result == "pass":
        return "pass", ()
    if alike.refused_by == "dmarc":
        return "reject", ()
    testing = _testing(dmarc.record)
    if dmarc.asks in ("", "none"):
        return "none", testing
    if sealer := next((chain.vouched for chain in chains if chain.vouched), ""):
        return "none", (Override("trusted_forwarder", f"arc={sealer}"),)
    if dmarc.asks == "quarantine" and not alike.refused_by:
        return "quarantine", testing
    return "none", (Override("local_policy"),)


def _testing(found: str) -> tuple[Override, ...]:
    _, record = read_found(found)
    is_lowered = record is not None and record.testing and record.policy is not Policy.NONE
    return (Override("policy_test_mode"),) if is_lowered else ()


def _counts(check: Check) -> bool:
    return check.result == "pass" and check.alignment in _ALIGNED


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _common(addresses: tuple[str, ...]) -> str:
    """Where they all are; nothing where they are in several, whom one message does not tell of
    one another."""
    if len(addresses) == 1:
        return _domain(addresses[0])
    domains = {_domain(address) for address in addresses}
    return domains.pop() if len(domains) == 1 else ""
