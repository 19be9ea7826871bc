"""How reports of others are shown to people. Every text of theirs is a stranger's."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click

from merpati.api import questions as ask
from merpati.cli.output import clean, say_table
from merpati.feedback.aggregate import AggregateReport, Row
from merpati.feedback.complaint import Complaint
from merpati.feedback.received import Unreadable
from merpati.feedback.sums import Sessions, Source
from merpati.feedback.tls import TlsReport
from merpati.setup.reported import advise, fault_words, source_words, step_words

_SHOWN = 20
"""Lines of a message that cannot be read."""
_WIDTH = 200
_WORDS = {
    "en": {
        "dmarc": "{domain}: {messages} messages in {reports} reports of {of}; {passed} ({share} %) "
        "passed DMARC; p={policy}",
        "dates": "from {first} to {last}",
        "unproven": "{unproven} more reports are not counted: nothing proves who sent them "
        "(merpati reports list)",
        "complaints": "{complaints} messages were complained of, or failed: merpati reports list "
        "{domain} --kind complaint",
        "unreadable": "{number} mails to the address of reports could not be read: merpati reports "
        "list --kind unreadable",
        "sources": "source,messages,passed,DKIM,SPF,refused,what it is",
        "do": "What to do",
        "next": "Next",
        "tls": "{domain}: TLS ({policy}): {good} sessions succeeded, {bad} failed, told by "
        "{reporters} reporters",
        "fault": "{sessions} x {result} at {host}: {what}. {do}",
        "here": "your host",
        "nobody": "nobody",
    },
    "id": {
        "dmarc": "{domain}: {messages} pesan dalam {reports} laporan dari {of}; {passed} "
        "({share} %) lulus DMARC; p={policy}",
        "dates": "dari {first} sampai {last}",
        "unproven": "{unproven} laporan lain tidak dihitung: tidak ada bukti siapa pengirimnya "
        "(merpati reports list)",
        "complaints": "{complaints} pesan dikeluhkan atau gagal: merpati reports list {domain} "
        "--kind complaint",
        "unreadable": "{number} surat ke alamat laporan tidak dapat dibaca: merpati reports list "
        "--kind unreadable",
        "sources": "sumber,pesan,lulus,DKIM,SPF,ditolak,apa ini",
        "do": "Yang perlu dilakukan",
        "next": "Langkah berikutnya",
        "tls": "{domain}: TLS ({policy}): {good} sesi berhasil, {bad} gagal, menurut {reporters} "
        "pelapor",
        "fault": "{sessions} x {result} di {host}: {what}. {do}",
        "here": "host Anda",
        "nobody": "tidak ada",
    },
}
_PROOFS = {
    "passed": "the mail that brought it is proven to be of {author}",
    "failed": "NOT proven to be of {author}: it may be forged, and counts nowhere",
    "unknown": "the mail that brought it was not examined",
}


def say_summary(summary: ask.ReportSummary, language: str) -> None:
    """What the reports about one domain say together."""
    words = _WORDS[language]
    _say_dmarc(summary, words)
    _say_sources(summary.sources, words, language)
    step = advise(summary.dmarc, summary.policy)
    _say(f"{words['next']}: {step_words(step, summary.dmarc, language)}")
    for sessions in summary.tls:
        _say_sessions(sessions, words, language)
    if summary.complaints:
        told = {"complaints": summary.complaints, "domain": summary.domain}
        _say(words["complaints"].format(**told))


def say_unreadable(number: int, language: str) -> None:
    """How many a person has to look at; nothing where there is none."""
    if number:
        click.echo()
        _say(_WORDS[language]["unreadable"].format(number=number))


def _say_dmarc(summary: ask.ReportSummary, words: dict[str, str]) -> None:
    dmarc = summary.dmarc
    share = f"{100 * dmarc.passed / dmarc.messages:.1f}" if dmarc.messages else "0"
    _say(
        words["dmarc"].format(
            domain=summary.domain,
            messages=dmarc.messages,
            reports=dmarc.reports,
            of=", ".join(filter(None, dmarc.reporters)) or words["nobody"],
            passed=dmarc.passed,
            share=share,
            policy=summary.policy or "?",
        )
    )
    if dmarc.reports:
        _say(words["dates"].format(first=_day(dmarc.first), last=_day(dmarc.last)))
    if dmarc.unproven:
        _say(words["unproven"].format(unproven=dmarc.unproven))


def _say_sources(sources: Sequence[Source], words: dict[str, str], language: str) -> None:
    if not sources:
        return
    told = [(source, *source_words(source, language)) for source in sources]
    rows = [
        (one.ip, one.messages, one.passed, one.by_dkim, one.by_spf, one.rejected, what)
        for one, what, _ in told
    ]
    say_table(words["sources"].split(","), rows, "")
    todo = [(source.ip, do) for source, _, do in told if do]
    if todo:
        _say(f"{words['do']}:")
    for ip, do in todo:
        _say(f"  {ip}: {do}")


def _say_sessions(sessions: Sessions, words: dict[str, str], language: str) -> None:
    _say(
        words["tls"].format(
            domain=sessions.domain,
            policy=sessions.policy,
            good=sessions.succeeded,
            bad=sessions.failed,
            reporters=sessions.reporters,
        )
    )
    for fault in sessions.faults:
        what, do = fault_words(fault, language)
        host = fault.host or words["here"]
        told = {"sessions": fault.sessions, "result": fault.result, "host": host}
        line = words["fault"].format(**told, what=what, do=do)
        _say(f"  {line}" + (f" ({fault.reason})" if fault.reason else ""))


def say_report(shown: ask.ReportShown) -> None:
    """One report."""
    origin = shown.origin
    proof = _PROOFS[origin.proof].format(author=origin.author or "anybody")
    _say(f"Came {origin.at:%Y-%m-%d %H:%M} UTC with message {origin.id}; {proof}")
    if origin.evidence:
        _say(f"Found of it: {origin.evidence}")
    if shown.dmarc is not None:
        _say_aggregate(shown.dmarc, shown.left_out)
    elif shown.tls is not None:
        _say_tls(shown.tls)
    elif shown.complaint is not None:
        _say_complaint(shown.complaint)
    elif shown.unreadable is not None:
        _say_unreadable(shown.unreadable)


def _say_aggregate(report: AggregateReport, left_out: int) -> None:
    reporter, published = report.reporter, report.published
    _say(f"DMARC of {published.domain}, told by {reporter.organization} <{reporter.email}>")
    _say(f"Report {reporter.report_id}, {_day(report.period.begin)} to {_day(report.period.end)}")
    asked = {"p": published.policy, "sp": published.subdomains, "np": published.missing}
    _say("Published: " + "; ".join(f"{tag}={value}" for tag, value in asked.items() if value))
    for error in reporter.errors:
        _say(f"Found wrong with the record: {error}")
    headings = ("source", "messages", "done", "DKIM", "SPF", "From", "checks")
    say_table(headings, (_row(row) for row in report.rows), "It has no rows.")
    if left_out or report.skipped:
        _say(f"{left_out} more rows with --json; {report.skipped} rows could not be read.")


def _row(row: Row) -> tuple[object, ...]:
    checks = [f"dkim={one.result} {one.domain} {one.selector}" for one in row.signatures]
    checks += [f"spf={one.result} {one.domain}" for one in row.spf_results]
    checks += [f"{one.kind} {one.comment}" for one in row.overrides]
    dkim, spf = ("pass" if passed else "fail" for passed in (row.dkim, row.spf))
    told = "; ".join(checks)[:_WIDTH]
    return (row.ip, row.count, row.disposition, dkim, spf, row.author, told)


def _say_tls(report: TlsReport) -> None:
    _say(f"TLS, told by {report.organization_name} ({report.contact_info})")
    dates = report.date_range
    _say(f"Report {report.report_id}, {dates.start_datetime} to {dates.end_datetime}")
    for result in report.policies:
        policy, sums = result.policy, result.summary
        _say(
            f"{policy.policy_domain} ({policy.policy_type}): "
            f"{sums.total_successful_session_count} sessions succeeded, "
            f"{sums.total_failure_session_count} failed"
        )
        for one in result.failure_details[:100]:
            words = (one.receiving_mx_hostname, one.receiving_ip, one.sending_mta_ip)
            reason = one.failure_reason_code or one.additional_information
            place = " ".join(filter(None, words))
            _say(f"  {one.failed_session_count} x {one.result_type} {place} {reason}"[:_WIDTH])


def _say_complaint(complaint: Complaint) -> None:
    told = {
        "Kind": complaint.kind,
        "Failed": complaint.failure,
        "Messages": str(complaint.incidents),
        "From host": complaint.ip,
        "Sender": complaint.sender,
        "Recipients": ", ".join(complaint.recipients),
        "Domains": ", ".join(complaint.domains),
        "Arrived": complaint.arrived,
        "Done": complaint.delivery,
        "Told by": complaint.user_agent,
    }
    for label, value in told.items():
        if value:
            _say(f"{label}: {value}")
    _say_lines("The message's header:", complaint.original.splitlines())


def _say_unreadable(unreadable: Unreadable) -> None:
    _say(f"Cannot be read: {unreadable.why}")
    _say_lines("It begins (all of it with --original):", unreadable.octets.splitlines())


def _say_lines(title: str, lines: Iterable[bytes]) -> None:
    shown = list(lines)[:_SHOWN]
    if shown:
        _say(title)
    for line in shown:
        _say("  " + line[:_WIDTH].decode("utf-8", "replace"))


def _say(text: str) -> None:
    click.echo(clean(text))


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
