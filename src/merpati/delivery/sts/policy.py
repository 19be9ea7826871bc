"""An MTA-STS policy: what a domain says at its policy host (RFC 8461 §3.2)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from merpati.delivery.backing import StsMode
from merpati.errors import MerpatiError

MAX_AGE = 31_557_600
"""Seconds that a policy may be kept: a year."""
MAX_MX = 1000
MAX_LINES = 2000

# sts-policy-field = name ":" *WSP value, one a line, LF or CRLF behind it.
# sts-policy-ext-name  = alphanum *31(alphanum / "_" / "-" / ".")
# sts-policy-ext-value = sts-policy-vchar [*(%x20 / sts-policy-vchar) sts-policy-vchar]
# sts-policy-vchar     = %x21-7E / UTF8-2 / UTF8-3 / UTF8-4
# A value that nobody knows is not looked at: what holds with a control in it is safer than what is
# thrown away for one.
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*+:(.*+)")
# sts-policy-mx-value = ["*."] Domain
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_MX = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*\.?")
_LONGEST_NAME = 255
_AGE = re.compile(r"[0-9]{1,10}")


class PolicyError(MerpatiError):
    """A text that is no policy; says why."""


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """What a domain demands."""

    mode: StsMode
    max_age: int
    """Seconds that it holds from when it was fetched."""
    mx: tuple[str, ...] = ()
    """Names of hosts, lower case, `*.a.test` for all one label below it."""

    def allows(self, host: str) -> bool:
        """Whether a host of this name may take the domain's mail (RFC 8461 §4.1)."""
        name = host.lower().rstrip(".")
        return name in self.mx or f"*.{name.partition('.')[2]}" in self.mx


def parse_policy(octets: bytes) -> StsPolicy:
    """The policy in a text. Raises PolicyError."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyError("it is not UTF-8 text") from None
    fields: dict[str, str] = {}
    hosts: list[str] = []
    for key, value in _fields(text):
        if key == "mx":
            hosts.append(_pattern(value))
        else:
            # RFC 8461 §3.2: of a field that is there twice the first counts.
            fields.setdefault(key, value)
    return _policy(fields, tuple(dict.fromkeys(hosts)))


def _fields(text: str) -> Iterator[tuple[str, str]]:
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise PolicyError(f"it has more than {MAX_LINES} lines")
    for line in lines:
        bare = line.removesuffix("\r")
        if not bare.strip(" \t"):
            continue
        field = _FIELD.fullmatch(bare)
        if field is None:
            raise PolicyError(f"{bare[:80]!r} is no field")
        yield field[1], field[2].strip(" \t")


def _pattern(value: str) -> str:
    # RFC 8461 §3.2: an A-label, and lower case makes ASCII of two other letters.
    if not value.isascii():
        raise PolicyError(f"{value[:80]!r} names no host: it is not ASCII")
    host = value.lower()
    if len(host) > _LONGEST_NAME or not _MX.fullmatch(host):
        raise PolicyError(f"{value[:80]!r} names no host")
    return host.rstrip(".")


def _policy(fields: dict[str, str], mx: tuple[str, ...]) -> StsPolicy:
    if fields.get("version") != "STSv1":
        raise PolicyError("it does not say version: STSv1")
    if not _AGE.fullmatch(age := fields.get("max_age", "")) or int(age) > MAX_AGE:
        raise PolicyError(f"max_age is no number of seconds up to {MAX_AGE}")
    try:
        mode = StsMode(fields.get("mode", ""))
    except ValueError:
        raise PolicyError("mode is not enforce, testing or none") from None
    if not mx and mode is not StsMode.NONE:
        raise PolicyError("it names no mx")
    if len(mx) > MAX_MX:
        raise PolicyError(f"it names more than {MAX_MX} mx")
    return StsPolicy(mode, int(age), mx)
