"""A record to publish, and how a zone file has it."""

from dataclasses import dataclass
from enum import Enum

TTL = 3600
"""Seconds; a mistake is forgotten in an hour."""
_STRING = 255  # RFC 1035 §3.3: octets of one string of a TXT record


class Purpose(Enum):
    """What a record is for; the values are the names that people know it by."""

    MX = "MX"
    SPF = "SPF"
    DKIM = "DKIM"
    DMARC = "DMARC"
    PTR = "PTR"
    STS = "MTA-STS"
    STS_HOST = "MTA-STS host"
    TLS_REPORTS = "TLS-RPT"
    TLSA = "TLSA"
    SUBMISSION = "SRV"
    AUTOCONFIG = "autoconfig"
    AUTODISCOVER = "autodiscover"
    BIMI = "BIMI"


class Kind(Enum):
    """The types of records."""

    MX = "MX"
    TXT = "TXT"
    TLSA = "TLSA"
    SRV = "SRV"
    PTR = "PTR"
    CNAME = "CNAME"
    IPV4 = "A"
    IPV6 = "AAAA"


REQUIRED = frozenset({Purpose.MX, Purpose.SPF, Purpose.DKIM, Purpose.DMARC, Purpose.PTR})
"""Without these mail does not come, or is not believed. The others protect or make it easier."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. Names are absolute, without the final dot."""

    purpose: Purpose
    kind: Kind
    name: str
    value: str = ""
    """As a zone file has it, but of TXT the bare text. Empty: cannot be said yet; texts say why."""

    @property
    def is_required(self) -> bool:
        """Whether mail suffers without it."""
        return self.purpose in REQUIRED

    def is_in(self, domain: str) -> bool:
        """Whether it can stand in the zone of a domain."""
        return bool(self.value) and f".{self.name}".endswith(f".{domain}")


def zone_lines(record: Record) -> str:
    """The record as a zone file has it (RFC 1035 §5.1)."""
    quoted = _quoted(record.value) if record.kind is Kind.TXT else []
    data = "(\n  " + "\n  ".join(quoted) + "\n)" if len(quoted) > 1 else zone_value(record)
    return f"{record.name}. {TTL} IN {record.kind.value} {data}"


def zone_value(record: Record) -> str:
    """The record's data on one line of a zone file."""
    return " ".join(_quoted(record.value)) if record.kind is Kind.TXT else _with_dots(record)


def _quoted(text: str) -> list[str]:
    strings = (text[start : start + _STRING] for start in range(0, len(text), _STRING))
    return [f'"{_escaped(string)}"' for string in strings]


def _with_dots(record: Record) -> str:
    """Host names at the end of a value are absolute, too."""
    return record.value if record.kind is Kind.TLSA else f"{record.value}."


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(one if " " <= one <= "~" else f"\\{min(ord(one), 255):03d}" for one in plain)
