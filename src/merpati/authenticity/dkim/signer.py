"""Signing a message (RFC 6376 §5): one pass over its parts, constant memory, nothing by chance.

The time is an argument, so that each retry of a message signs the same octets. All of this may run
in a thread: a signer belongs to one message, and computing a signature lets other threads run.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from merpati.authenticity.dkim.body import BodyHashes, Wanted
from merpati.authenticity.dkim.canonical import Canonicalization
from merpati.authenticity.dkim.content import Content
from merpati.authenticity.dkim.fields import SignedFields, unsigned_field
from merpati.authenticity.dkim.keypair import KeyPair
from merpati.errors import MerpatiError
from merpati.mail.headers import Headers

DAY = 86_400

# Each once more than it is there, so that none can be added (RFC 6376 §8.15).
OVERSIGNED = (
    *("from", "to", "cc", "subject", "date", "message-id", "reply-to"),
    *("mime-version", "content-type"),
)
# RFC 6376 §5.4.1; RFC 8058 §4 wants both fields of one-click unsubscription signed.
SIGNED = (
    *("sender", "in-reply-to", "references", "content-transfer-encoding", "content-disposition"),
    *("content-id", "content-description", "resent-date", "resent-from", "resent-to", "resent-cc"),
    *("resent-sender", "resent-message-id", "list-id", "list-help", "list-subscribe", "list-post"),
    *("list-owner", "list-archive", "list-unsubscribe", "list-unsubscribe-post", "auto-submitted"),
    *("feedback-id", "openpgp", "autocrypt"),
    # RFC 8460 §5.3 wants the first two signed.
    *("tls-report-domain", "tls-report-submitter", "tls-required"),
)
_LINE = 72
"""Octets of a line of the field, without its tab."""


class Unsignable(MerpatiError):
    """A message that cannot be signed so that anybody would believe it; the message says why."""


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """How a message is signed."""

    header: Canonicalization = Canonicalization.RELAXED
    body: Canonicalization = Canonicalization.RELAXED
    lifetime: int = 14 * DAY
    """Seconds from t= to x=: what was sent long ago cannot be sent again by others."""
    oversigned: tuple[str, ...] = OVERSIGNED
    """Names in lower case that are signed once more than they are there."""
    signed: tuple[str, ...] = SIGNED
    """Names in lower case that are signed as often as they are there."""


DEFAULTS = SigningSettings()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, and where it is published. Domains in A-labels."""

    domain: str
    selector: str
    pair: KeyPair


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """What signatures need of a message that was read."""

    fields: SignedFields
    body_hash: str
    """In base64."""
    names: tuple[str, ...]
    """What h= lists."""

    def claims(self, settings: SigningSettings, times: str) -> str:
        """The tags that say how it is signed, as lines of a field."""
        return (
            f"c={settings.header.value}/{settings.body.value}; {times}\r\n"
            f"\th={_folded_names(self.names)};\r\n"
            f"\tbh={self.body_hash};"
        )

    def signed(self, form: Canonicalization) -> bytes:
        """The octets of the header fields that are signed."""
        return self.fields.canonical(self.names, form)


class Signer:
    """Of one message: feed its content with `update`, then ask for the fields."""

    def __init__(self, settings: SigningSettings = DEFAULTS) -> None:
        self._settings = settings
        self._wanted = Wanted(settings.body)
        self._hashes = BodyHashes([self._wanted])
        self._headers = Headers()
        self._content = Content(self._begin)

    def update(self, part: bytes) -> None:
        """The next octets of the message, header section first."""
        self._content.update(part)

    def fields(self, keys: Sequence[SigningKey], at: int) -> bytes:
        """A DKIM-Signature for each key, to stand before the message. Call once, last.

        `at` in seconds since 1970 UTC. Raises Unsignable.
        """
        message, form = self.read(), self._settings.header
        claims = message.claims(self._settings, f"t={at}; x={at + self._settings.lifetime};")
        signed = message.signed(form)
        return b"".join(
            signature_field("DKIM-Signature: v=1;", key, claims, signed, form) for key in keys
        )

    def read(self) -> ReadMessage:
        """What signatures of other kinds are made from, too. Call once, last. Raises Unsignable."""
        self._content.finish()
        body = self._hashes.finish()[self._wanted].digest
        if self._headers.truncated:
            raise Unsignable("the header section is too long to be signed")
        if self._headers.count("from") != 1:
            raise Unsignable("a message is signed for its author, and this one has not one From")
        fields = SignedFields(self._headers)
        names = tuple(covered(fields, self._settings))
        return ReadMessage(fields, b64encode(body).decode(), names)

    def _begin(self, headers: Headers) -> Callable[[bytes], object]:
        self._headers = headers
        return self._hashes.update


def sign(
    content: Iterable[bytes],
    keys: Sequence[SigningKey],
    at: int,
    settings: SigningSettings = DEFAULTS,
) -> bytes:
    """The fields to put before a message that is there as a whole, in parts. Raises Unsignable."""
    signer = Signer(settings)
    for part in content:
        signer.update(part)
    return signer.fields(keys, at)


def signature_field(
    opening: str, key: SigningKey, claims: str, signed: bytes, form: Canonicalization
) -> bytes:
    """A whole field: its name with the first tags, the key's, the claims, and the signature."""
    field = (
        f"{opening} a={key.pair.algorithm}; d={key.domain}; s={key.selector};\r\n\t{claims}\r\n\tb="
    ).encode()
    value = key.pair.sign(signed + unsigned_field(field, form))
    return field + _folded(b64encode(value)) + b"\r\n"


def covered(fields: SignedFields, settings: SigningSettings) -> list[str]:
    """The names for h=, in their order."""
    names: list[str] = []
    for name in settings.oversigned:
        names += [name] * (fields.count(name) + 1)
    for name in settings.signed:
        if name in fields:
            names += [name] * fields.count(name)
    return names


def _folded(value: bytes) -> bytes:
    """Base64 in lines that a header field may have."""
    lines = [value[start : start + _LINE] for start in range(0, len(value), _LINE)]
    return b"\r\n\t".join(lines)


# The mail of one program has the same fields again and again.
@lru_cache(maxsize=256)
def _folded_names(names: tuple[str, ...]) -> str:
    lines, line = [], ""
    for name in names:
        if line and len(line) + len(name) >= _LINE:
            lines.append(f"{line}:")
            line = name
        else:
            line = f"{line}:{name}" if line else name
    return "\r\n\t".join([*lines, line])
