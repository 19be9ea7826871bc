"""Senders rewritten for forwarding, so that SPF passes at the next host (SRS).

There is no RFC; this is the scheme of "The Sender Rewriting Scheme" by Shevek, 2004:

    SRS0=HHHHHH=TT=domain=local@us            a sender forwarded by us
    SRS1=HHHHHH=host==HHHH=TT=domain=local@us  one that `host` had forwarded before us

A notice to such an address comes back to us and is sent on to where it belongs, if we made it: the
hash is an HMAC under our key, and the day in it is not long past, so that nobody can make of us a
relay for notices. Only who made a hash has to understand it. Nothing here does I/O.
"""

import base64
import hmac
from collections.abc import Sequence

from merpati.errors import MerpatiError
from merpati.mail.address import Address, AddressError, parse_domain

MAX_DAYS = 21
"""How long an address is good for: longer than any queue keeps a message."""
MIN_KEY = 16
"""Octets."""
_DAY = 86_400
_PERIOD = 1024  # days, which two characters of base32 count
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_HASH = 6  # characters of base32 (30 bits): some hosts fold case, so none of it tells anything
_SEPARATORS = "=+-"


class SrsError(MerpatiError):
    """An address that was not rewritten by us, or too long ago, or that cannot be rewritten."""


class Rewriter:
    """Rewrites senders into addresses of one domain, and back."""

    def __init__(self, domain: str, keys: Sequence[bytes]) -> None:
        """The first key makes hashes, all of them are recognised: a new key is put in front, and
        an old one is dropped MAX_DAYS later. Raises ValueError for none or a short one."""
        if not keys or any(len(key) < MIN_KEY for key in keys):
            raise ValueError(f"SRS needs keys of at least {MIN_KEY} octets")
        self._domain = domain.lower()
        self._keys = tuple(keys)

    def forward(self, sender: Address, now: float) -> Address:
        """The sender to forward with; `now` in seconds since 1970 UTC.

        A sender of our domain stays as it is, and one that others have rewritten grows once only.
        Raises SrsError for an address that would become too long.
        """
        if sender.domain == self._domain:
            return sender
        scheme, rest = _scheme(sender.local)
        if scheme == "SRS0":
            return self._again(sender.domain, rest)
        if scheme == "SRS1":
            host, separator, inner = rest[1:].partition("=")[2].partition("=")
            # What leads to no host is a local part like any other.
            if _is_domain(host) and separator and inner[:1] in tuple(_SEPARATORS):
                return self._again(host, inner)
        stamp = _stamp(now)
        told = f"{stamp}={sender.domain}={sender.local}"
        return self._address(f"SRS0={self._hash(self._keys[0], told)}={told}", self._domain)

    def reverse(self, address: Address, now: float) -> Address:
        """Whom a notice to a rewritten address is for. Raises SrsError."""
        scheme, rest = _scheme(address.local)
        if not scheme or address.domain != self._domain:
            raise SrsError("not a rewritten sender of ours")
        found, _, told = rest[1:].partition("=")
        if not any(
            hmac.compare_digest(self._hash(key, told).encode(), found.upper().encode())
            for key in self._keys
        ):
            raise SrsError("the hash of the rewritten sender is wrong")
        if scheme == "SRS1":
            host, _, inner = told.partition("=")
            return self._address(f"SRS0{inner}", host)
        stamp, _, path = told.partition("=")
        if not _is_fresh(stamp, now):
            raise SrsError("the rewritten sender is too old")
        domain, _, local = path.partition("=")
        return self._address(local, domain)

    def _again(self, host: str, inner: str) -> Address:
        told = f"{host}={inner}"
        return self._address(f"SRS1={self._hash(self._keys[0], told)}={told}", self._domain)

    def _hash(self, key: bytes, told: str) -> str:
        digest = hmac.digest(key, told.lower().encode("utf-8", "surrogatepass"), "sha256")
        return base64.b32encode(digest)[:_HASH].decode("ascii")

    def _address(self, local: str, domain: str) -> Address:
        try:
            return Address.parse(str(Address(local, domain)))
        except AddressError as error:
            raise SrsError(str(error)) from None


def is_rewritten(address: Address) -> bool:
    """Whether an address looks like a rewritten sender; whose it is, its domain says."""
    return bool(_scheme(address.local)[0])


def _scheme(local: str) -> tuple[str, str]:
    """SRS0 or SRS1 and what follows, with its separator; two empty texts for other addresses."""
    scheme = local[:4].upper()
    if scheme in ("SRS0", "SRS1") and local[4:5] in tuple(_SEPARATORS):
        return scheme, local[4:]
    return "", ""


def _is_domain(text: str) -> bool:
    try:
        return bool(parse_domain(text))
    except AddressError:
        return False


def _stamp(now: float) -> str:
    day = int(now // _DAY) % _PERIOD
    return _DIGITS[day >> 5] + _DIGITS[day & 31]


def _is_fresh(stamp: str, now: float) -> bool:
    digits = [_DIGITS.find(c) for c in stamp.upper()]
    if len(digits) != 2 or -1 in digits:
        return False
    age = (int(now // _DAY) - (digits[0] << 5 | digits[1])) % _PERIOD
    return age <= MAX_DAYS or age == _PERIOD - 1  # the clock of another of our hosts is ahead
