"""The TXT record at `_smtp._tls` that says who wants reports about TLS (RFC 8460 §3)."""

import re
from collections.abc import Iterable

# tlsrpt-record    = tlsrpt-version 1*(field-delim tlsrpt-field) [field-delim]
# tlsrpt-rua       = %s"rua=" tlsrpt-uri *(*WSP "," *WSP tlsrpt-uri)
# tlsrpt-ext-name  = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")
_VERSION = re.compile(rb"v=TLSRPTv1[ \t]*;")
_FIELD = re.compile(rb"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*=[ \t]*([\x21-\x3a\x3c-\x7e \t]+)")
_URI = re.compile(r"(mailto:[^\s,!;]+@[^\s,!;]+|https://[^\s,!;]+)", re.IGNORECASE)
MAX_RECORD = 2048
MAX_URIS = 10
"""Receivers of one domain that get reports; more would make us a means of sending."""


def report_uris(records: Iterable[bytes]) -> tuple[str, ...]:
    """The URIs in the one record of TLS reporting among these; none: nobody wants reports."""
    found = [record for record in records if _VERSION.match(record)]
    # RFC 8460 §3: if there is not exactly one, the domain does not want reports.
    if len(found) != 1 or len(found[0]) > MAX_RECORD:
        return ()
    fields = [field.strip(b" \t") for field in found[0].split(b";")[1:]]
    if fields and not fields[-1]:
        fields.pop()
    read = [_FIELD.fullmatch(field) for field in fields]
    wanted = [match[2].decode("ascii") for match in read if match and match[1] == b"rua"]
    if None in read or len(wanted) != 1:
        return ()
    uris = [uri.strip(" \t") for uri in wanted[0].split(",")]
    return tuple(uri for uri in uris if _URI.fullmatch(uri))[:MAX_URIS]
