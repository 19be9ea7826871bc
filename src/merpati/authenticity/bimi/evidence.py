"""Whether a certificate vouches for a logo: the evidence document of BIMI (a VMC or CMC).

Looks at the octets that `a=` of a record leads to, and fetches nothing, CRLs neither. Named are the
sections of draft-fetch-validation-vmc-wchuang-10; the logo lies in the certificate as RFC 9399 and
RFC 6170 say: in a `data:` URI, compressed.
"""

import base64
import binascii
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ObjectIdentifier

from merpati.authenticity.bimi import indicator
from merpati.authenticity.bimi.record import record_name
from merpati.wire.certificates import UNREADABLE

MAX_OCTETS = 256 * 1024
"""Of a document that is looked at."""
MAX_CERTIFICATES = 10
BRAND_INDICATOR = ObjectIdentifier("1.3.6.1.5.5.7.3.31")
"""id-kp-BrandIndicatorforMessageIdentification: what such a certificate may be used for."""
LOGOTYPE = ObjectIdentifier("1.3.6.1.5.5.7.1.12")
"""id-pe-logotype (RFC 9399 §4.1)."""
_EMBEDDED = b"data:image/svg+xml;base64,"
_IA5_STRING, _CONSTRUCTED = 0x16, 0x20
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose logo it is to be."""

    domain: str
    """The author's; lower case, as A-labels."""
    selector: str
    organization: str = ""
    """The organizational domain, where that is another."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of which a certificate has to name one."""
        domains = [one for one in (self.domain, self.organization) if one]
        return (*domains, *(record_name(one, self.selector) for one in domains))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a document says, and what is wrong with it."""

    flaws: tuple[str, ...]
    """Why receivers would not believe it, in words for people; empty: nothing is known against."""
    names: tuple[str, ...] = ()
    ends: float = 0.0
    """Seconds since 1970 when it is believed no more."""
    logo: bytes = b""
    """The SVG within."""


def authorities_in(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Those in a file of the operator's; none where there is nothing to be read."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except UNREADABLE:
        return ()


def examine(
    pem: bytes, claim: Claim, now: float, authorities: Sequence[x509.Certificate]
) -> Evidence:
    """The document at `now` (seconds since 1970), by the authorities for marks that are trusted.
    Never raises; linear in time."""
    if len(pem) > MAX_OCTETS:
        return Evidence((f"longer than {MAX_OCTETS // 1024} KiB",))
    try:
        chain = x509.load_pem_x509_certificates(pem)
        return _examined(chain, claim, now, authorities)
    except UNREADABLE:
        return Evidence(("it is no chain of certificates in PEM",))


def _examined(
    chain: list[x509.Certificate], claim: Claim, now: float, authorities: Sequence[x509.Certificate]
) -> Evidence:
    if len(chain) > MAX_CERTIFICATES:
        return Evidence((f"it has {len(chain)} certificates",))
    first = chain[0]
    names = _names(first)
    logo, why = _logo(first)
    flaws = [*_age(chain, now), *_trust(chain, authorities), *_use(first)]
    if not set(names) & set(claim.names):
        flaws.append(f"it is not for {claim.domain}, but for {', '.join(names[:10]) or 'no name'}")
    flaws += [why] if why else [f"the logo in it: {flaw}" for flaw in indicator.flaws_of(logo)]
    return Evidence(tuple(flaws), names, first.not_valid_after_utc.timestamp(), logo)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    names = found.value.get_values_for_type(x509.DNSName)
    return tuple(name.lower().rstrip(".") for name in names)


def _age(chain: list[x509.Certificate], now: float) -> Iterator[str]:
    for n, one in enumerate(chain):
        which = "it" if n == 0 else f"certificate {n + 1} of its chain"
        if now >= one.not_valid_after_utc.timestamp():
            yield f"{which} has expired"
        if now < one.not_valid_before_utc.timestamp():
            yield f"{which} is not valid yet"


def _trust(chain: list[x509.Certificate], authorities: Sequence[x509.Certificate]) -> Iterator[str]:
    for n, (one, above) in enumerate(pairwise(chain)):
        if not (_is_authority(above) and _is_signed(one, above)):
            yield f"certificate {n + 2} of its chain did not sign the one before it"
            return
    last = chain[-1]
    if not any(last == one or _is_signed(last, one) for one in authorities):
        yield "no authority for marks that is trusted has signed it"


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def _is_signed(certificate: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(above)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _use(certificate: x509.Certificate) -> Iterator[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        uses = list(found.value)
    except x509.ExtensionNotFound:
        uses = []
    if BRAND_INDICATOR not in uses:
        yield "it is no certificate for marks (VMC): its use is another"


def _logo(certificate: x509.Certificate) -> tuple[bytes, str]:
    """The logo, or why there is none."""
    try:
        found = certificate.extensions.get_extension_for_oid(LOGOTYPE).value
    except x509.ExtensionNotFound:
        return b"", "there is no logo in it"
    return unpacked_logo(found.value if isinstance(found, x509.UnrecognizedExtension) else b"")


def unpacked_logo(der: bytes) -> tuple[bytes, str]:
    """The SVG in a logotype extension (RFC 9399 §4.1), or why there is none. Never raises."""
    for text in _texts(der):
        if text[: len(_EMBEDDED)].lower() == _EMBEDDED:
            return _unpacked(text[len(_EMBEDDED) :])
    return b"", "the logo in it is no embedded SVG"


def _unpacked(text: bytes) -> tuple[bytes, str]:
    try:
        packed = base64.b64decode(text, validate=True)
        unpacking = zlib.decompressobj(_GZIP)
        logo = unpacking.decompress(packed, indicator.MAX_OCTETS + 1)
    except (binascii.Error, zlib.error):
        return b"", "the logo in it cannot be unpacked"
    if not logo:
        return b"", "the logo in it is empty"
    is_whole = unpacking.eof or len(logo) > indicator.MAX_OCTETS
    return (logo, "") if is_whole else (b"", "the logo in it is cut")


def _texts(der: bytes) -> Iterator[bytes]:
    """Every IA5String, at any depth; nothing behind what is malformed."""
    spans = [(0, len(der))]
    while spans:
        at, end = spans.pop()
        while at < end:
            tag, body, stop = _element(der, at, end)
            if stop > end:
                return
            if tag == _IA5_STRING:
                yield der[body:stop]
            elif tag & _CONSTRUCTED:
                spans.append((body, stop))
            at = stop


def _element(der: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, where the value begins, and where it ends (X.690 §8.1); beyond `end` if malformed."""
    body = at + 2
    if body > end:
        return 0, end, end + 1
    length = der[at + 1]
    if length >= 0x80:
        octets = length & 0x7F
        if not 0 < octets <= 4:
            return 0, end, end + 1
        length = int.from_bytes(der[body : body + octets], "big")
        body += octets
    return der[at], body, body + length
