"""What the check of a signature found, with the evidence."""

from dataclasses import dataclass
from enum import Enum

from merpati.authenticity.seen import Seen


class Result(Enum):
    """The results of RFC 8601 §2.7.1; the value is the word that Authentication-Results says."""

    NONE = "none"
    """The message has no signature."""
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    """The signature does not belong to this message, or the message was altered."""
    POLICY = "policy"
    """Whatever the signature says, it is not acceptable: weak, expired, not of the whole body."""
    NEUTRAL = "neutral"
    """The signature cannot be read, or its domain only tests."""
    TEMPERROR = "temperror"
    """The key could not be asked for now."""
    PERMERROR = "permerror"
    """There is no key that fits, or the signature lacks what it must have."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a signature says of itself, and the key that was seen. All of bounded length."""

    domain: str = ""
    """d= in lower case and A-labels; as it was written where it is no domain."""
    selector: str = ""
    identity: str = ""
    """i=, or its default `@domain`."""
    algorithm: str = ""
    signed: tuple[str, ...] = ()
    """The names in h=, in their order."""
    at: int | None = None
    """t=: seconds since 1970 UTC."""
    expires: int | None = None
    mark: bytes = b""
    """The beginning of b=, which no other signature has: the same again is the same signature."""
    length: int | None = None
    """l=: octets of the canonical body that were signed; None: all."""
    covers_body: bool = True
    """False: the body is longer than l= says."""
    expired: bool = False
    testing: bool = False
    """t=y: the key's domain tests DKIM."""
    for_reports: bool = False
    """A true signature by a key that proves reports about TLS and no other mail."""
    key_bits: int = 0
    """Of an RSA modulus; 256 for Ed25519; 0 where there is no usable key."""
    key: Seen | None = None
    """The record of the key that fits, or of the first that is there. None: there is none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one signature."""

    result: Result
    why: str
    """For people, without a stranger's words. Empty for a pass without any remark."""
    evidence: Evidence


def best(verdicts: "tuple[Verdict, ...]") -> Result:
    """One word for a message: a pass if any signature does, else the first signature's result."""
    if any(verdict.result is Result.PASS for verdict in verdicts):
        return Result.PASS
    return verdicts[0].result if verdicts else Result.NONE
