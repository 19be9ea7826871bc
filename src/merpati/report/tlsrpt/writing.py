"""The mail that brings a report about TLS to one who wants it (RFC 8460 §5.3)."""

import re
from collections.abc import Sequence

from merpati.feedback.tls import TlsReport
from merpati.mail.address import Address
from merpati.mail.mime import attachment, message, multipart, text_part
from merpati.mail.trace import date_time
from merpati.report.tlsrpt.document import write_report

MEDIA_TYPE = "application/tlsrpt+gzip"
_MAX_UNIQUE = 64
_NO_ID = re.compile(r"[^A-Za-z0-9]")


def file_name(report: TlsReport, domain: str, submitter: str) -> str:
    """Of the compressed attachment (RFC 8460 §5.1)."""
    begin = int(report.date_range.start_datetime.timestamp())
    end = int(report.date_range.end_datetime.timestamp())
    unique = _NO_ID.sub("", report.report_id)[:_MAX_UNIQUE]
    return f"{submitter}!{domain}!{begin}!{end}!{unique}.json.gz"


def report_message(
    report: TlsReport, domain: str, sender: Address, to: Sequence[Address], now: float
) -> tuple[bytes, bytes]:
    """The header section and the body; `domain` is the policy's, the sender's submits it.

    The mail has to be signed with DKIM by that domain, or nobody may believe it.
    """
    submitter, id_ = sender.domain, report.report_id
    text = f"This is a report about TLS in mail to {domain}, made by {submitter}.\n"
    packed = attachment(write_report(report), file_name(report, domain, submitter), MEDIA_TYPE)
    fields = [
        ("From", f"<{sender}>"),
        ("To", ", ".join(f"<{one}>" for one in to)),
        ("Subject", f"Report Domain: {domain} Submitter: {submitter} Report-ID: <{id_}>"),
        ("TLS-Report-Domain", domain),
        ("TLS-Report-Submitter", submitter),
        ("Date", date_time(int(now))),
        ("Message-ID", f"<{_NO_ID.sub('.', id_)}@{submitter}>"),
        ("Auto-Submitted", "auto-generated"),
        # RFC 8460 §5.3: what tells of broken TLS must not wait for TLS; RFC 8689 §3 says it so.
        ("TLS-Required", "No"),
    ]
    parts = [text_part(text), packed]
    return message(fields, multipart("report", parts, 'report-type="tlsrpt"'))
