"""What can be asked about the reports of others."""

from dataclasses import dataclass, replace

from merpati.api import questions as ask
from merpati.api.errors import Unknown
from merpati.api.moments import moment
from merpati.api.names import named_domain
from merpati.clock import Clock
from merpati.directory.directory import Registrar
from merpati.feedback.aggregate import AggregateReport
from merpati.feedback.complaint import Complaint
from merpati.feedback.feedback import Feedback, Line, Selection
from merpati.feedback.received import Kind, Origin, Unreadable
from merpati.feedback.tls import TlsReport

_MAX_SOURCES = 50


@dataclass(frozen=True, slots=True)
class ReportOffice:
    """Everything that came."""

    feedback: Feedback
    registrar: Registrar
    clock: Clock

    async def lines(self, question: ask.ListReports) -> list[ask.ReportLine]:
        """One line a report, newest first."""
        selection = Selection(
            domain=question.domain and named_domain(question.domain),
            since=self.clock.now() - question.seconds,
            kind=Kind(question.kind) if question.kind else None,
            most=question.limit,
        )
        return [_line(line) for line in await self.feedback.reports(selection)]

    async def show(self, question: ask.ReadReport) -> ask.ReportShown:
        """The whole report; rows above those that were asked for are left out and counted."""
        found = await self.feedback.report(question.id)
        if found is None:
            raise Unknown(f"there is no report {question.id}")
        content, left_out = found.content, 0
        if isinstance(content, AggregateReport):
            left_out = max(0, len(content.rows) - question.rows)
            content = replace(content, rows=content.rows[: question.rows])
        return ask.ReportShown(
            origin=_origin(found.origin),
            left_out=left_out,
            dmarc=content if isinstance(content, AggregateReport) else None,
            tls=content if isinstance(content, TlsReport) else None,
            complaint=content if isinstance(content, Complaint) else None,
            unreadable=content if isinstance(content, Unreadable) else None,
        )

    async def summary(self, question: ask.SumReports) -> list[ask.ReportSummary]:
        """Of one domain, or of every domain here about which there is a report."""
        since = self.clock.now() - question.seconds
        if question.domain:
            return [await self._sum(named_domain(question.domain), since)]
        sums = [await self._sum(domain, since) for domain in await self.registrar.domains()]
        return [one for one in sums if _is_told_of(one)]

    async def _sum(self, domain: str, since: float) -> ask.ReportSummary:
        return ask.ReportSummary(
            domain=domain,
            since=moment(since),
            policy=await self._policy(domain, since),
            dmarc=await self.feedback.alignment(domain, since),
            complaints=await self._complaints(domain, since),
            sources=tuple(await self.feedback.sources(domain, since, _MAX_SOURCES)),
            tls=tuple(await self.feedback.sessions(domain, since)),
        )

    async def _complaints(self, domain: str, since: float) -> int:
        selection = Selection(domain, since, Kind.COMPLAINT, ask.MAX_LISTED)
        lines = await self.feedback.reports(selection)
        return sum(line.total for line in lines if line.origin.is_believed)

    async def _policy(self, domain: str, since: float) -> str:
        """As the newest report that is believed has it; empty where there is none."""
        for line in await self.feedback.reports(Selection(domain, since, Kind.AGGREGATE, 20)):
            found = await self.feedback.report(line.origin.id) if line.origin.is_believed else None
            if found is not None and isinstance(found.content, AggregateReport):
                return found.content.published.policy
        return ""


def _is_told_of(summary: ask.ReportSummary) -> bool:
    dmarc = summary.dmarc
    return bool(dmarc.reports or dmarc.unproven or summary.tls or summary.complaints)


def _line(line: Line) -> ask.ReportLine:
    return ask.ReportLine(
        kind=line.kind.value,
        origin=_origin(line.origin),
        domain=line.domain,
        organization=line.organization,
        report_id=line.report_id,
        begin=moment(line.begin),
        end=moment(line.end),
        total=line.total,
        failed=line.failed,
        why=line.why,
    )


def _origin(origin: Origin) -> ask.ReportOrigin:
    return ask.ReportOrigin(
        id=origin.id,
        at=moment(origin.at),
        author=origin.author,
        proof=origin.proof.value,
        evidence=origin.evidence,
    )
