"""Asking the DNS for the key of a signature."""

from dataclasses import dataclass

from merpati.authenticity.dkim.record import KeyRecord, read_record
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signature import SignatureError
from merpati.authenticity.questions import Asking, txt
from merpati.authenticity.seen import Seen
from merpati.dns.errors import DnsError

MAX_RECORDS = 4
"""Records at one name that are looked at; RFC 6376 §3.6.2.2 wants one."""
MAX_KEYS = 2
"""Of these that are tried, an old and a new one; §6.1.2 lets a verifier choose one. Each that is no
good costs a signature, or all seals of a chain, as much as the one that is."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key, and its record."""

    key: KeyRecord
    seen: Seen


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
    fault: SignatureError | None = None
    for octets in answer.records[:MAX_RECORDS]:
        try:
            key = read_record(octets, algorithm, of_reports=of_reports)
        except SignatureError as error:
            fault = fault or SignatureError(error.result, error.why, Seen.of(name, octets))
            continue
        found.append(PublishedKey(key, Seen.of(name, octets)))
        if len(found) == MAX_KEYS:
            break
    if not found:
        raise fault or SignatureError(Result.PERMERROR, "there is no key in the DNS")
    return tuple(found)


def choose_key(keys: tuple[PublishedKey, ...], value: bytes, digest: bytes) -> PublishedKey | None:
    """The key by which octets with this SHA-256 were signed."""
    return next((each for each in keys if each.key.verifies(value, digest)), None)
