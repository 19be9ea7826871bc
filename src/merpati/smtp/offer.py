"""What is offered to one client now, and the answer to EHLO that says so (RFC 5321 §4.1.1.1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from merpati.mail.trace import Tls
from merpati.smtp.extensions import Extension
from merpati.smtp.replies import Reply
from merpati.smtp.settings import ServerSettings

XCLIENT_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN")
_DAY = 86_400
_NEEDS = (
    (Extension.BINARYMIME, Extension.CHUNKING),  # RFC 3030 §3: binary content goes by BDAT alone
    (Extension.BINARYMIME, Extension.EIGHT_BIT_MIME),  # its BODY= is a value more
    (Extension.SMTPUTF8, Extension.EIGHT_BIT_MIME),  # RFC 6531 §3.1
)


@dataclass(frozen=True, slots=True)
class Offer:
    """The extensions that a client may use."""

    settings: ServerSettings
    extensions: frozenset[Extension]
    mechanisms: tuple[str, ...]
    starttls: bool
    xclient: bool
    latest_release: float
    """Seconds since 1970 UTC: the last moment that HOLDUNTIL= may name."""
    reply: Reply


def make_offer(settings: ServerSettings, tls: Tls | None, *, xclient: bool, now: float) -> Offer:
    """Everything that may be offered to a client who says EHLO. Made once a day and port."""
    return _make_offer(settings, _mechanisms(settings, tls), bool(tls), xclient, int(now) // _DAY)


def _mechanisms(settings: ServerSettings, tls: Tls | None) -> tuple[str, ...]:
    if tls is None:
        return settings.auth_in_clear
    # RFC 4954 §4: EXTERNAL only where TLS has told who the client is.
    return settings.auth_by_certificate + settings.auth if tls.verified else settings.auth


@lru_cache(maxsize=64)
def make_basic_offer(settings: ServerSettings) -> Offer:
    """Nothing: what a client gets who says HELO."""
    return Offer(settings, frozenset(), (), False, False, 0.0, Reply(250, settings.hostname))


@lru_cache(maxsize=64)
def _make_offer(
    settings: ServerSettings, mechanisms: tuple[str, ...], is_secure: bool, xclient: bool, day: int
) -> Offer:
    extensions = settings.extensions
    if not is_secure:
        # RFC 8689 §2: only where the session itself is protected.
        extensions -= {Extension.REQUIRETLS}
    extensions -= {one for one, other in _NEEDS if other not in extensions}
    starttls = settings.starttls and not is_secure
    latest = float(day * _DAY + settings.max_hold)
    lines = [settings.hostname]
    lines += [
        _announcement(extension, settings, latest)
        for extension in Extension  # its own order: a frozenset has none
        if extension in extensions
    ]
    lines += _connection_lines(mechanisms, starttls, xclient)
    reply = Reply(250, "\n".join(lines))
    return Offer(settings, extensions, mechanisms, starttls, xclient, latest, reply)


def _connection_lines(mechanisms: tuple[str, ...], starttls: bool, xclient: bool) -> Iterator[str]:
    if starttls:
        yield "STARTTLS"
    if mechanisms:
        yield "AUTH " + " ".join(mechanisms)
    if xclient:
        yield "XCLIENT " + " ".join(XCLIENT_ATTRIBUTES)


def _announcement(extension: Extension, settings: ServerSettings, latest: float) -> str:
    """The keyword with its own parameters."""
    match extension:
        case Extension.SIZE:
            return f"SIZE {settings.max_size}"
        case Extension.LIMITS:
            return f"LIMITS RCPTMAX={settings.max_recipients}"
        case Extension.DELIVERBY if settings.min_deliver_by:
            return f"DELIVERBY {settings.min_deliver_by}"
        case Extension.FUTURERELEASE:
            # RFC 4865 §3: the longest interval, then the latest date-time.
            when = datetime.fromtimestamp(latest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return f"FUTURERELEASE {settings.max_hold} {when}"
    keyword: str = extension.value
    return keyword
