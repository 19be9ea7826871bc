"""One signature as its field says it (RFC 6376 §3.5; of ARC: RFC 8617 §4.1.2)."""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from merpati.authenticity.dkim.canonical import Canonicalization
from merpati.authenticity.dkim.result import Evidence, Result
from merpati.authenticity.seen import Seen
from merpati.authenticity.tags import Tags
from merpati.errors import MerpatiError
from merpati.mail.address import AddressError, parse_domain

MAX_SIGNED = 200
"""Names in h=; each is a field to canonicalize."""
MAX_VALUE = 1024
"""Octets of b=: 512 are RSA with 4,096 bits."""
_CLIPPED = 254
_MARK = 16
"""Octets of b= that tell a signature from all others."""

# RFC 6376 §3.5. hyphenated-word names, but numbers are bounded: 12 digits last for 30,000 years.
_BLANKS = re.compile(r"[ \t]+")
_is_name = re.compile(r"[!-9;-~]+").fullmatch
_is_time = re.compile(r"[0-9]{1,12}").fullmatch
_is_length = re.compile(r"[0-9]{1,76}").fullmatch

KEY_TYPES = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
"""Algorithms that are acceptable (RFC 8301 §3.1, RFC 8463 §3), and the k= of their keys."""
_HISTORIC = "rsa-sha1"


class SignatureError(MerpatiError):
    """A signature that cannot be checked, or its key; `result` is what that comes to."""

    def __init__(self, result: Result, why: str, key: Seen | None = None) -> None:
        super().__init__(why)
        self.result = result
        self.why = why
        self.key = key
        """Its record, if that is at fault."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature claims."""

    algorithm: str
    """A key of KEY_TYPES."""
    value: bytes
    body_hash: bytes
    domain: str
    """In A-labels and lower case."""
    selector: str
    key_name: str
    """Where the record of the key is: `selector._domainkey.domain`."""
    identity: str
    header: Canonicalization
    body: Canonicalization
    signed: tuple[str, ...]
    length: int | None
    at: int | None
    expires: int | None

    @property
    def identity_domain(self) -> str:
        """The domain of i=: that of the signature, or one below it."""
        return self.identity.rpartition("@")[2]


def read_signature(tags: Tags) -> Signature:
    """A DKIM-Signature. Raises SignatureError."""
    if required(tags, "v") != "1":
        raise SignatureError(Result.NEUTRAL, "the signature is of another version")
    domain = read_domain(tags)
    return _read(tags, domain, _identity(tags, domain))


def read_arc_signature(tags: Tags) -> Signature:
    """An ARC-Message-Signature, whose i= is a number and which has no v=. Raises SignatureError."""
    domain = read_domain(tags)
    return _read(tags, domain, f"@{domain}")


def _read(tags: Tags, domain: str, identity: str) -> Signature:
    header, body = _canonicalizations(tags.get("c"))
    at, expires = read_time(tags, "t"), read_time(tags, "x")
    if at is not None and expires is not None and expires <= at:
        raise SignatureError(Result.PERMERROR, "the signature expires before it was made")
    if "dns/txt" not in read_words(tags.get("q") or "dns/txt"):
        raise SignatureError(Result.NEUTRAL, "the key is not to be had from the DNS")
    return Signature(
        algorithm=read_algorithm(tags),
        value=read_base64(tags, "b"),
        body_hash=read_base64(tags, "bh"),
        domain=domain,
        selector=required(tags, "s").lower(),
        key_name=read_key_name(tags, domain),
        identity=identity,
        header=header,
        body=body,
        signed=_signed(tags),
        length=_length(tags.get("l")),
        at=at,
        expires=expires,
    )


def claimed(tags: Tags) -> Evidence:
    """What a signature that is not accepted says, as far as it can be told."""
    domain = tags.get("d") or ""
    try:
        domain = parse_domain(domain)
    except AddressError:
        domain = domain[:_CLIPPED]
    names = (tags.get("h") or "").split(":", MAX_SIGNED)[:MAX_SIGNED]
    return Evidence(
        domain=domain,
        selector=(tags.get("s") or "")[:_CLIPPED],
        identity=(tags.get("i") or "")[:_CLIPPED],
        algorithm=(tags.get("a") or "")[:_CLIPPED],
        signed=tuple(name.strip()[:_CLIPPED] for name in names if name.strip()),
    )


def evidence_of(signature: Signature) -> Evidence:
    """What a signature says of itself."""
    return Evidence(
        domain=signature.domain,
        selector=signature.selector,
        identity=signature.identity,
        algorithm=signature.algorithm,
        signed=signature.signed,
        at=signature.at,
        expires=signature.expires,
        mark=signature.value[:_MARK],
        length=signature.length,
    )


def required(tags: Tags, name: str) -> str:
    """The value of a tag that must be there and not be empty. Raises SignatureError."""
    value = tags.get(name)
    if not value:
        raise SignatureError(Result.PERMERROR, f"the signature lacks {name}=")
    return value


def read_algorithm(tags: Tags) -> str:
    """a=. Raises SignatureError for what is unknown, and for SHA-1 (RFC 8301 §3.1)."""
    algorithm = required(tags, "a")
    if algorithm == _HISTORIC:
        raise SignatureError(Result.POLICY, "SHA-1 proves nothing any more")
    if algorithm not in KEY_TYPES:
        raise SignatureError(Result.NEUTRAL, "the algorithm is not known")
    return algorithm


def read_base64(tags: Tags, name: str) -> bytes:
    """Octets, blanks anywhere between. Raises SignatureError."""
    text = _BLANKS.sub("", required(tags, name))
    try:
        if len(text) > 2 * MAX_VALUE:
            raise ValueError
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        raise SignatureError(Result.NEUTRAL, f"{name}= is not base64 of a signature") from None


def read_domain(tags: Tags) -> str:
    """d= in A-labels and lower case. Raises SignatureError."""
    try:
        domain = parse_domain(required(tags, "d"))
    except AddressError:
        domain = ""
    if "." not in domain or domain.startswith("["):
        raise SignatureError(Result.NEUTRAL, "d= is not a domain")
    return domain


def read_key_name(tags: Tags, domain: str) -> str:
    """Where the key is to be found (RFC 6376 §3.6.2.1). Raises SignatureError."""
    try:
        return parse_domain(f"{required(tags, 's')}._domainkey.{domain}")
    except AddressError:
        raise SignatureError(Result.NEUTRAL, "s= and d= make no name of the DNS") from None


def read_time(tags: Tags, name: str) -> int | None:
    """Seconds since 1970 UTC. Raises SignatureError."""
    value = tags.get(name)
    if value is None:
        return None
    if not _is_time(value):
        raise SignatureError(Result.NEUTRAL, f"{name}= is not a time")
    return int(value)


def _canonicalizations(value: str | None) -> tuple[Canonicalization, Canonicalization]:
    header, _, body = (value or "simple").partition("/")
    try:
        return Canonicalization(header.strip()), Canonicalization((body or "simple").strip())
    except ValueError:
        raise SignatureError(Result.NEUTRAL, "the canonicalization is not known") from None


def _identity(tags: Tags, domain: str) -> str:
    value = tags.get("i")
    if value is None:
        return f"@{domain}"
    local, at, below = value.rpartition("@")
    try:
        below = parse_domain(below)
    except AddressError:
        at = ""
    if not at or len(local) > _CLIPPED:
        raise SignatureError(Result.NEUTRAL, "i= is not an identity")
    if below != domain and not below.endswith(f".{domain}"):
        raise SignatureError(Result.PERMERROR, "i= is not in the signature's domain")
    return f"{local}@{below}"


def _length(value: str | None) -> int | None:
    if value is None:
        return None
    if not _is_length(value):
        raise SignatureError(Result.NEUTRAL, "l= is not a number")
    return int(value)


def _signed(tags: Tags) -> tuple[str, ...]:
    value = required(tags, "h")
    if value.count(":") >= MAX_SIGNED:
        raise SignatureError(Result.POLICY, f"more than {MAX_SIGNED} header fields in h=")
    names = tuple(read_words(value))
    if not all(map(_is_name, names)):
        raise SignatureError(Result.NEUTRAL, "h= is not a list of header fields")
    if "from" not in map(str.lower, names):
        raise SignatureError(Result.PERMERROR, "From is not signed")
    return names


def read_words(value: str) -> Sequence[str]:
    """What stands between colons (RFC 6376 §3.5, §3.6.1)."""
    return [word.strip(" \t") for word in value.split(":")]
