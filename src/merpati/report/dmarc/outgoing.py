"""Aggregate reports to the domains that ask for them (RFC 9990)."""

from collections.abc import Iterator, Sequence

from merpati import __version__
from merpati.authenticity.dmarc.destination import find_destinations
from merpati.authenticity.dmarc.record import Record
from merpati.authenticity.dmarc.walk import Walks
from merpati.authenticity.questions import drive
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Resolver
from merpati.feedback.aggregate import AggregateReport, Period, Reporter, Row
from merpati.feedback.tallies import Due
from merpati.mail.address import Address
from merpati.report.dmarc.tallying import published, read_found, read_row
from merpati.report.dmarc.writing import report_message
from merpati.report.outgoing import MAX_DESTINATIONS, Identity, Wanted, period, report_id
from merpati.wire.errors import WireError

_FALLBACK = Record(text="")


class AggregateMaker:
    """A `Maker` of aggregate reports."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def wanted(self, due: Due) -> Wanted:
        """Whom the domain's record names today, and who of them has agreed (RFC 9990 §4)."""
        found = await drive(Walks().look(due.subject.domain), self._resolver)
        if found is None:
            return Wanted()
        destinations = await drive(find_destinations(found, found.record.aggregate), self._resolver)
        if not destinations.is_settled and not destinations.permitted:
            raise DnsError("whether the destinations agree could not be asked for")
        limits = dict(found.record.limits)
        left_out = [f"{uri}: {why}" for uri, why in destinations.refused]
        left_out += [f"{uri}: one too many" for uri in destinations.uris[MAX_DESTINATIONS:]]
        return Wanted(
            mail=destinations.permitted[:MAX_DESTINATIONS],
            limits=tuple(limits.get(uri, 0) for uri in destinations.uris[:MAX_DESTINATIONS]),
            left_out=tuple(left_out),
        )

    async def known(self, due: Due) -> Due:
        """The record stands with what was counted: it is the one that was applied."""
        return due

    def mail(
        self, due: Due, who: Identity, to: Sequence[Address], now: float
    ) -> tuple[bytes, bytes]:
        """See `Maker`."""
        return report_message(aggregate_report(due, who, now), who.sender.domain, to, now)

    async def post(self, due: Due, who: Identity, uri: str) -> None:
        """RFC 9990 has no other transport than mail."""
        raise WireError(f"aggregate reports do not go to {uri}")


def aggregate_report(due: Due, who: Identity, now: float) -> AggregateReport:
    """What was counted, as a report."""
    domain, record = read_found(due.record)
    rows = tuple(_rows(due))
    reporter = Reporter(
        organization=who.organization,
        email=str(who.sender),
        report_id=report_id(due, who),
        contact=who.contact,
        errors=tuple(_errors(due, record)),
        generator=f"Merpati {__version__}",
    )
    return AggregateReport(
        reporter, Period(*period(due, now)), published(domain, record or _FALLBACK), rows
    )


def _rows(due: Due) -> Iterator[Row]:
    """Those with most messages first."""
    for octets, count in sorted(due.rows, key=lambda row: (-row[1], row[0])):
        yield read_row(octets, count)


def _errors(due: Due, record: Record | None) -> Iterator[str]:
    if record is not None and record.flaws:
        yield f"tags without a meaning in the record: {', '.join(record.flaws)}"
    if due.left_out:
        yield f"{due.left_out} messages are left out: too many rows"
