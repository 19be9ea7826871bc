"""Whether a client's address and its name in the DNS know each other (RFC 8601 §3)."""

from dataclasses import dataclass
from enum import Enum

from merpati.authenticity.questions import Asking, ipv4, ipv6, ptr
from merpati.dns.errors import DnsError

MAX_NAMES = 10
"""RFC 7208 §4.6.4 has the same limit for the names of an address."""


class Result(Enum):
    """The results of RFC 8601 §2.7.3."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    """None of its names leads back."""
    TEMPERROR = "temperror"
    PERMERROR = "permerror"
    """It has no name."""


@dataclass(frozen=True, slots=True)
class ReverseName:
    """What was found, with the name that leads back."""

    result: Result
    name: str = ""


def check(ip: str) -> Asking[ReverseName]:
    """Of a client's address as text. Never raises; at most eleven questions."""
    try:
        names = (yield from ptr(ip)).records[:MAX_NAMES]
    except DnsError:
        return ReverseName(Result.TEMPERROR)
    if not names:
        return ReverseName(Result.PERMERROR)
    failed = False
    for name in names:
        try:
            answer = yield from (ipv6(name) if ":" in ip else ipv4(name))
        except DnsError:
            failed = True
            continue
        if ip in answer.records:
            return ReverseName(Result.PASS, name.lower().removesuffix("."))
    return ReverseName(Result.TEMPERROR if failed else Result.FAIL)
