"""The TXT record that says that a domain has an MTA-STS policy, and which (RFC 8461 §3.1)."""

import re
from collections.abc import Iterable

# sts-text-record = sts-version 1*(sts-field-delim sts-field) [sts-field-delim]
# sts-id          = %s"id" *WSP "=" *WSP 1*32(ALPHA / DIGIT)
# sts-ext-name    = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")
# sts-ext-value   = 1*(%x21-3A / %x3C / %x3E-7E)
_VERSION = re.compile(rb"v=STSv1[ \t]*;")
_NAMES_ID = re.compile(rb"id[ \t]*=")
_ID = re.compile(rb"id[ \t]*=[ \t]*([A-Za-z0-9]{1,32})")
_EXTENSION = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}[ \t]*=[ \t]*[\x21-\x3a\x3c\x3e-\x7e]+")
MAX_RECORD = 1024
"""Octets that are looked at; an honest one has 30."""


def policy_id(records: Iterable[bytes]) -> str | None:
    """The id of the one record of MTA-STS among these; None: the domain has no policy."""
    found = [record for record in records if _VERSION.match(record)]
    # RFC 8461 §3.1: if there is not exactly one, the domain does not do MTA-STS.
    if len(found) != 1 or len(found[0]) > MAX_RECORD:
        return None
    fields = [field.strip(b" \t") for field in found[0].split(b";")[1:]]
    if fields and not fields[-1]:
        fields.pop()
    if not all(_EXTENSION.fullmatch(field) for field in fields):
        return None
    # RFC 8461 §3.2: of a field that is there twice the first counts.
    ident = _ID.fullmatch(next(filter(_NAMES_ID.match, fields), b""))
    return ident[1].decode("ascii") if ident else None
