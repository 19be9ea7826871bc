"""A report about TLS as it travels: JSON, compressed with gzip (RFC 8460 §4).

Strangers write what is read: unknown fields are passed over, and nothing is believed but the form.
"""

import codecs
import gzip

import msgspec

from merpati.feedback.tls import TlsReport
from merpati.report.archive import open_archive
from merpati.report.errors import ReportError

_DECODER = msgspec.json.Decoder(TlsReport)


def write_report(report: TlsReport) -> bytes:
    """As it is sent: JSON in gzip, the same octets for the same report."""
    return gzip.compress(msgspec.json.encode(report), mtime=0)


def read_report(octets: bytes) -> TlsReport:
    """A report as it came, compressed or not. Raises ReportError."""
    # RFC 8259 §8.1: a reader may pass over a byte order mark; some writers put one.
    document = open_archive(octets).removeprefix(codecs.BOM_UTF8)
    try:
        return _DECODER.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ReportError(f"no report about TLS: {str(error)[:200]}") from None
