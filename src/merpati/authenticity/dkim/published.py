"""Asking the DNS for the key of a signature."""

from dataclasses import dataclass

from merpati.authenticity.dkim.record import KeyRecord, read_record
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signature import SignatureError
from merpati.authenticity.questions import Asking, txt
from merpati.dns.errors import DnsError

MAX_RECORDS = 4
"""Records at one name that are looked at; RFC 6376 §3.6.2.2 wants one."""
_SHOWN = 1024


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key, and the beginning of its record as text."""

    key: KeyRecord
    record: str


def find_keys(
    name: str, algorithm: str, *, of_reports: bool = False
) -> Asking[tuple[PublishedKey, ...]]:
    """The keys at a name that fit an algorithm; where there are several, any may be the one.

    Raises SignatureError when none is usable: the fault of the first record, if there is one.
    `of_reports`: see `read_record`.
    """
    try:
        answer = yield from txt(name)
    except DnsError:
        raise SignatureError(Result.TEMPERROR, "the key could not be asked for") from None
    found: list[PublishedKey] = []
    fault = SignatureError(Result.PERMERROR, "there is no key in the DNS")
    for octets in reversed(answer.records[:MAX_RECORDS]):
        try:
            key = read_record(octets, algorithm, of_reports=of_reports)
            found.append(PublishedKey(key, _shown(octets)))
        except SignatureError as error:
            fault = SignatureError(error.result, error.why, _shown(octets))
    if not found:
        raise fault
    return tuple(reversed(found))


def choose_key(keys: tuple[PublishedKey, ...], value: bytes, signed: bytes) -> PublishedKey | None:
    """The key by which these octets were signed."""
    return next((each for each in keys if each.key.verifies(value, signed)), None)


def _shown(octets: bytes) -> str:
    return octets[:_SHOWN].decode("ascii", "backslashreplace")
