"""Writing aggregate reports as the schema of RFC 9990 has them, and the mail that brings one."""

import gzip
import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from merpati.feedback.aggregate import (
    AggregateReport,
    DkimTold,
    Override,
    Published,
    Reporter,
    Row,
    SpfTold,
)
from merpati.mail.address import Address
from merpati.mail.mime import attachment, message, multipart, text_part
from merpati.mail.trace import date_time

NAMESPACE = "urn:ietf:params:xml:ns:dmarc-2.0"
_MAX_TEXT = 1000
_MAX_SIGNATURES = 100
_MAX_UNIQUE = 64
# XML 1.0 §2.2: Char; nothing else may stand in a document, not even as a reference.
_NO_CHAR = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_ID = re.compile(r"[^A-Za-z0-9]")


def write_report(report: AggregateReport) -> bytes:
    """The XML document, in UTF-8. What no XML may have becomes `?`, texts are clipped."""
    return "".join(_document(report)).encode("utf-8")


def compress(xml: bytes) -> bytes:
    """As RFC 9990 §2.6.2 wants it sent. The same octets each time, as a repetition must be."""
    return gzip.compress(xml, mtime=0)


def file_name(report: AggregateReport, receiver: str) -> str:
    """Of the compressed attachment (RFC 9990 §2.6.2); `receiver` is our domain."""
    period, unique = report.period, _NO_ID.sub("", report.reporter.report_id)[:_MAX_UNIQUE]
    name = f"{receiver}!{report.published.domain}!{period.begin}!{period.end}"
    return f"{name}!{unique}.xml.gz" if unique else f"{name}.xml.gz"


def report_message(
    report: AggregateReport, receiver: str, to: Sequence[Address], now: float
) -> tuple[bytes, bytes]:
    """The header section and the body of the mail that brings a report to its destinations."""
    domain, id_ = report.published.domain, report.reporter.report_id
    text = f"This is a DMARC aggregate report for {domain}, made by {receiver}.\n"
    packed = attachment(
        compress(write_report(report)), file_name(report, receiver), "application/gzip"
    )
    fields = [
        ("From", f"<{report.reporter.email}>"),
        ("To", ", ".join(f"<{one}>" for one in to)),
        ("Subject", f"Report Domain: {domain} Submitter: {receiver} Report-ID: <{id_}>"),
        ("Date", date_time(int(now))),
        ("Message-ID", f"<{id_}>" if "@" in id_ else f"<{id_}@{receiver}>"),
        ("Auto-Submitted", "auto-generated"),
    ]
    return message(fields, multipart("mixed", [text_part(text), packed]))


def _document(report: AggregateReport) -> Iterator[str]:
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<feedback xmlns="{NAMESPACE}">\n'
    yield _leaf("version", "1.0")
    yield _node("report_metadata", _reporter(report.reporter, report))
    yield _node("policy_published", _published(report.published))
    for row in report.rows:
        yield _node("record", _row(row))
    yield "</feedback>\n"


def _reporter(reporter: Reporter, report: AggregateReport) -> str:
    dates = _leaf("begin", report.period.begin) + _leaf("end", report.period.end)
    return (
        _leaf("org_name", reporter.organization)
        + _leaf("email", reporter.email)
        + _optional("extra_contact_info", reporter.contact)
        + _leaf("report_id", reporter.report_id)
        + _node("date_range", dates)
        + "".join(_leaf("error", error) for error in reporter.errors)
        + _optional("generator", reporter.generator)
    )


def _published(published: Published) -> str:
    return (
        _leaf("domain", published.domain)
        + _optional("discovery_method", published.method)
        + _leaf("p", published.policy)
        + _optional("sp", published.subdomains)
        + _optional("np", published.missing)
        + _optional("fo", published.when)
        + _leaf("adkim", "s" if published.strict_dkim else "r")
        + _leaf("aspf", "s" if published.strict_spf else "r")
        + _leaf("testing", "y" if published.testing else "n")
    )


def _row(row: Row) -> str:
    evaluated = (
        _leaf("disposition", row.disposition)
        + _leaf("dkim", "pass" if row.dkim else "fail")
        + _leaf("spf", "pass" if row.spf else "fail")
        + "".join(_node("reason", _reason(each)) for each in row.overrides)
    )
    inner = _leaf("source_ip", row.ip) + _leaf("count", row.count)
    identifiers = (
        _leaf("header_from", row.author)
        + _leaf("envelope_from", row.sender)
        + _optional("envelope_to", row.recipient)
    )
    results = "".join(_node("dkim", _dkim(each)) for each in row.signatures[:_MAX_SIGNATURES])
    results += "".join(_node("spf", _spf(each)) for each in row.spf_results)
    return (
        _node("row", inner + _node("policy_evaluated", evaluated))
        + _node("identifiers", identifiers)
        + _node("auth_results", results)
    )


def _reason(override: Override) -> str:
    return _leaf("type", override.kind) + _optional("comment", override.comment)


def _dkim(told: DkimTold) -> str:
    return (
        _leaf("domain", told.domain)
        + _leaf("selector", told.selector)
        + _leaf("result", told.result)
        + _optional("human_result", told.why)
    )


def _spf(told: SpfTold) -> str:
    return (
        _leaf("domain", told.domain)
        + _leaf("scope", told.scope)
        + _leaf("result", told.result)
        + _optional("human_result", told.why)
    )


def _node(name: str, inner: str) -> str:
    return f"<{name}>\n{inner}</{name}>\n"


def _optional(name: str, text: str) -> str:
    return _leaf(name, text) if text else ""


def _leaf(name: str, value: str | int) -> str:
    return f"<{name}>{escape(_NO_CHAR.sub('?', str(value)[:_MAX_TEXT]))}</{name}>\n"
