"""Messages, keys and zones that the tests of DKIM share."""

from base64 import b64encode
from functools import cache
from hashlib import sha256

from merpati.authenticity.dkim.canonical import CanonicalBody, Canonicalization
from merpati.authenticity.dkim.fields import SignedFields, unsigned_field
from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.result import Verdict
from merpati.authenticity.dkim.signer import DEFAULTS, SigningKey, SigningSettings, sign
from merpati.authenticity.dkim.verifier import verify
from merpati.dns.errors import DnsError
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers

AT = 1_790_000_000
HEAD = (
    b"Received: from client by mx.a.test;\r\n\tSat, 28 Nov 2026 07:00:00 +0000\r\n"
    b"From: Ann <ann@a.test>\r\n"
    b"To: Budi <budi@b.test>\r\n"
    b"Subject: Selamat  pagi\r\n"
    b"Date: Sat, 28 Nov 2026 07:00:00 +0000\r\n"
    b"Message-ID: <1@a.test>\r\n"
)
BODY = b"Hi,\r\n\r\napa \t kabar? \r\n\r\n\r\n"
MESSAGE = HEAD + b"\r\n" + BODY


def pair(kind: KeyKind = KeyKind.RSA_2048) -> KeyPair:
    """The same key for all tests: a new one takes long."""
    return _pair(kind)


@cache
def _pair(kind: KeyKind) -> KeyPair:
    return KeyPair.generate(kind)


def a_key(kind: KeyKind = KeyKind.RSA_2048, domain: str = "a.test") -> SigningKey:
    """A key whose selector is its kind."""
    return SigningKey(domain, kind.value, pair(kind))


def name(key: SigningKey) -> str:
    """Where the key is published, as Answers takes it."""
    return f"TXT {key.selector}._domainkey.{key.domain}"


def zone(*keys: SigningKey) -> dict[str, list[object] | DnsError]:
    """What publishes these keys."""
    return {name(key): [key.pair.record] for key in keys}


def signed(message: bytes = MESSAGE, settings: SigningSettings = DEFAULTS) -> bytes:
    """A message with an RSA signature of a.test."""
    return sign([message], [a_key()], AT, settings) + message


def verdict(
    message: bytes,
    records: dict[str, list[object] | DnsError] | None = None,
    now: float = AT + 60,
) -> Verdict:
    """What one signature comes to, by the key of `a_key` unless other records are given."""
    answers = Answers(zone(a_key()) if records is None else records)
    (found,) = answers.answer(verify([message], now))
    return found


def crafted(
    message: bytes = MESSAGE, kind: KeyKind = KeyKind.RSA_2048, **tags: str | None
) -> bytes:
    """A message with a true signature that says what a signer of ours never would; None: no tag."""
    headers = Headers.scan(message)
    body: list[bytes] = []
    form = CanonicalBody(Canonicalization.RELAXED, body.append)
    form.update(message[headers.size :])
    form.finish()
    length = tags.get("l")
    cut = int(length) if length and length.isdigit() else None
    digest = sha256(b"".join(body)[:cut]).digest()
    given: dict[str, str | None] = {
        **{"v": "1", "a": pair(kind).algorithm, "c": "relaxed/relaxed", "d": "a.test"},
        **{"s": kind.value, "h": "from:to", "bh": b64encode(digest).decode()},
        **tags,
    }
    listed = "; ".join(f"{name}={value}" for name, value in given.items() if value is not None)
    field = f"DKIM-Signature: {listed}; b=".encode()
    names = (given["h"] or "").split(":")
    octets = SignedFields(headers).canonical(names, Canonicalization.RELAXED)
    value = pair(kind).sign(octets + unsigned_field(field, Canonicalization.RELAXED))
    return field + b64encode(value) + b"\r\n" + message
