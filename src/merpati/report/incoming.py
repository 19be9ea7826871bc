"""What the mail to the address of reports brings, and who sent it: read once, without trust."""

import codecs

from merpati.authenticity.dmarc.author import find_author
from merpati.authenticity.results import NAME as RESULTS
from merpati.authenticity.results import Finding, ResultsError, parse_results
from merpati.feedback.aggregate import AggregateReport
from merpati.feedback.received import Content, Origin, Proof, Received, Unreadable
from merpati.feedback.tls import TlsReport
from merpati.mail.headers import Headers
from merpati.mail.parts import read_parts
from merpati.queue.entry import Entry
from merpati.report.arf import MEDIA_TYPE, read_complaint
from merpati.report.attachments import first_report
from merpati.report.dmarc.reading import read_report as read_aggregate
from merpati.report.errors import ReportError
from merpati.report.tlsrpt.document import read_report as read_tls

MAX_OCTETS = 32 * 1024 * 1024
"""Of a message that is looked into: the largest document of all, as base64."""
MAX_KEPT = 256 * 1024
"""Of a message that cannot be read, for a person to look at."""
_MAX_EVIDENCE = 2000


def receive(entry: Entry, message: bytes) -> Received:
    """The report in a message and how it came. Never raises for what strangers write."""
    content = read_content(message)
    return Received(_origin(entry, message, isinstance(content, TlsReport)), content)


def unreadable(entry: Entry, message: bytes, why: str) -> Received:
    """The same for a message that is not looked into."""
    return Received(_origin(entry, message, False), Unreadable(why, message[:MAX_KEPT]))


def read_content(message: bytes) -> Content:
    """Whatever kind of report it is; Unreadable for what is none."""
    if len(message) > MAX_OCTETS:
        return Unreadable(f"larger than {MAX_OCTETS} octets", message[:MAX_KEPT])
    parts = read_parts(message)
    if any(part.media_type == MEDIA_TYPE for part in parts):
        complaint = read_complaint(message)
        if complaint is not None:
            return complaint
    try:
        return first_report(parts, _read)
    except ReportError as error:
        return Unreadable(str(error), message[:MAX_KEPT])


def _read(document: bytes) -> AggregateReport | TlsReport:
    """By what it is and not by what it is called: names and types are often wrong."""
    beginning = document[:100].removeprefix(codecs.BOM_UTF8).lstrip()
    return read_tls(document) if beginning.startswith(b"{") else read_aggregate(document)


def _origin(entry: Entry, message: bytes, is_tls: bool) -> Origin:
    headers = Headers.scan(message)
    author = find_author(headers).domain
    # The first field is ours: what was found of a stranger's message, else Received. Whatever came
    # with the message stands behind it.
    first = next(iter(headers.fields), None)
    told = first.value if first is not None and first.name.lower() == RESULTS else ""
    proof = Proof.UNKNOWN if not told else _proof(told, author, is_tls)
    return Origin(entry.id, entry.received, author, proof, told[:_MAX_EVIDENCE])


def _proof(told: str, author: str, is_tls: bool) -> Proof:
    """RFC 9990 §2.6.2: the mail passes DMARC. RFC 8460 §3: it has a signature of the reporter's
    domain, and one about TLS without it is not believed. Such a signature is as good as DMARC where
    the reporter's domain has no record of it."""
    try:
        findings = parse_results(told).findings
    except ResultsError:
        return Proof.FAILED
    is_proven = bool(author) and any(_proves(finding, author, is_tls) for finding in findings)
    return Proof.PASSED if is_proven else Proof.FAILED


def _proves(finding: Finding, author: str, is_tls: bool) -> bool:
    # A key with s=tlsrpt, which the domain may publish for such reports, passes for no other mail.
    of_reports = is_tls and finding.get("policy", "service") == "tlsrpt"
    if finding.result != "pass" and not (of_reports and finding.result == "policy"):
        return False
    if finding.method == "dmarc" and not is_tls:
        return True
    signer = (finding.get("header", "d") or "").lower()
    return finding.method == "dkim" and bool(signer) and f".{author}".endswith(f".{signer}")
