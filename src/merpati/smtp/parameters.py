"""Parameters of MAIL and RCPT: each known, offered, said once, and strictly of its syntax."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from merpati.mail.address import Address, AddressError
from merpati.mail.envelope import BodyType, DeliverBy, Notify, Return
from merpati.smtp.errors import CommandError
from merpati.smtp.events import MailParameters, RcptParameters
from merpati.smtp.extensions import Extension
from merpati.smtp.grammar import (
    DELIVER_BY,
    EMBEDDED_UNICODE,
    HEXCHAR,
    HOLD_FOR,
    HOLD_UNTIL,
    ORIGINAL_RECIPIENT,
    PARAMETER,
    PRIORITY,
    SIZE,
    XTEXT,
)
from merpati.smtp.offer import Offer
from merpati.smtp.replies import MESSAGE_TOO_BIG, Reply, bad_syntax
from merpati.smtp.status import Status

T = TypeVar("T")

_FLAGS = frozenset({"SMTPUTF8", "REQUIRETLS"})
_OF_MAIL: Mapping[str, Extension] = {
    "SIZE": Extension.SIZE,
    "BODY": Extension.EIGHT_BIT_MIME,
    "SMTPUTF8": Extension.SMTPUTF8,
    "RET": Extension.DSN,
    "ENVID": Extension.DSN,
    "REQUIRETLS": Extension.REQUIRETLS,
    "BY": Extension.DELIVERBY,
    "HOLDFOR": Extension.FUTURERELEASE,
    "HOLDUNTIL": Extension.FUTURERELEASE,
    "MT-PRIORITY": Extension.MT_PRIORITY,
}
_OF_RCPT: Mapping[str, Extension] = {"NOTIFY": Extension.DSN, "ORCPT": Extension.DSN}
_NO_MAIL_PARAMETERS = MailParameters()
_NO_RCPT_PARAMETERS = RcptParameters()
_EVENTS = {"SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}

_MAX_ENVID = 100  # RFC 3461 §4.4
_MAX_ORCPT = 500  # RFC 3461 §4.2


def parse_mail_parameters(text: str | None, offer: Offer) -> MailParameters:
    """What stands behind the reverse-path. Raises CommandError."""
    if not text:
        return _NO_MAIL_PARAMETERS
    values = _split(text, _OF_MAIL, offer)
    if "HOLDFOR" in values and "HOLDUNTIL" in values:
        raise _malformed("HOLDUNTIL")
    return MailParameters(
        size=_read(values, "SIZE", _size, offer),
        body=_read(values, "BODY", _body, offer) or BodyType.SEVEN_BIT,
        smtputf8="SMTPUTF8" in values,
        ret=_read(values, "RET", _ret, offer),
        envelope_id=_read(values, "ENVID", _envelope_id, offer),
        auth=_read(values, "AUTH", _submitter, offer),
        require_tls="REQUIRETLS" in values,
        deliver_by=_read(values, "BY", _deliver_by, offer),
        hold_for=_read(values, "HOLDFOR", _hold_for, offer),
        hold_until=_read(values, "HOLDUNTIL", _hold_until, offer),
        priority=_read(values, "MT-PRIORITY", _priority, offer),
    )


def parse_rcpt_parameters(text: str | None, offer: Offer) -> RcptParameters:
    """What stands behind the forward-path. Raises CommandError."""
    if not text:
        return _NO_RCPT_PARAMETERS
    values = _split(text, _OF_RCPT, offer)
    return RcptParameters(
        notify=_read(values, "NOTIFY", _notify, offer),
        original=_read(values, "ORCPT", _original, offer),
    )


def decode_xtext(value: str) -> str | None:
    """The text that an xtext stands for; None when it is none, or stands for a control (§4.4)."""
    if not XTEXT.fullmatch(value):
        return None
    decoded = HEXCHAR.sub(lambda match: chr(int(match[1], 16)), value)
    return decoded if decoded.isascii() and decoded.isprintable() else None


def _split(text: str, known: Mapping[str, Extension], offer: Offer) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in filter(None, text.split(" ")):
        match = PARAMETER.fullmatch(word)
        if match is None:
            raise CommandError(bad_syntax("Malformed parameter"))
        keyword, value = match[1].upper(), match[2]
        if not _is_offered(keyword, known, offer):
            # RFC 5321 §4.1.1.11.
            raise CommandError(Reply(555, f"Parameter {keyword} not recognized", Status(5, 5, 4)))
        if keyword in values or (value is None) is not (keyword in _FLAGS):
            raise _malformed(keyword)
        values[keyword] = value or ""
    return values


def _is_offered(keyword: str, known: Mapping[str, Extension], offer: Offer) -> bool:
    if keyword == "AUTH" and known is _OF_MAIL:
        return bool(offer.mechanisms)
    return known.get(keyword) in offer.extensions


def _read(
    values: Mapping[str, str], keyword: str, reader: Callable[[str, Offer], T | None], offer: Offer
) -> T | None:
    """The value read, None if it was not said; what the reader does not understand is refused."""
    value = values.get(keyword)
    if value is None:
        return None
    result = reader(value, offer)
    if result is None:
        raise _malformed(keyword)
    return result


def _malformed(keyword: str) -> CommandError:
    return CommandError(bad_syntax(f"Parameter {keyword} is malformed, repeated or out of bounds"))


def _size(value: str, offer: Offer) -> int | None:
    if not SIZE.fullmatch(value):
        return None
    size = int(value)
    if size > offer.settings.max_size:
        raise CommandError(MESSAGE_TOO_BIG)
    return size


def _body(value: str, offer: Offer) -> BodyType | None:
    try:
        body = BodyType(value.upper())
    except ValueError:
        return None
    if body is BodyType.BINARY and Extension.BINARYMIME not in offer.extensions:
        return None
    return body


def _ret(value: str, offer: Offer) -> Return | None:
    try:
        return Return(value.upper())
    except ValueError:
        return None


def _envelope_id(value: str, offer: Offer) -> str | None:
    return decode_xtext(value) if len(value) <= _MAX_ENVID else None


def _submitter(value: str, offer: Offer) -> str | None:
    # RFC 4954 §5: an xtext that holds a mailbox, or "<>".
    decoded = decode_xtext(value)
    if decoded is None or decoded == "<>":
        return decoded
    try:
        return str(Address.parse(decoded))
    except AddressError:
        return None


def _deliver_by(value: str, offer: Offer) -> DeliverBy | None:
    match = DELIVER_BY.fullmatch(value)
    if match is None:
        return None
    seconds, must_return = int(match[1]), match[2] in "Rr"
    # RFC 2852 §4: mode R promises to return it by then, which cannot be in the past.
    if must_return and seconds <= 0:
        return None
    if must_return and seconds < offer.settings.min_deliver_by:
        raise CommandError(Reply(555, "Cannot deliver that soon", Status(5, 5, 4)))
    return DeliverBy(float(seconds), must_return, match[3] is not None)


def _hold_for(value: str, offer: Offer) -> int | None:
    if not HOLD_FOR.fullmatch(value) or int(value) > offer.settings.max_hold:
        return None
    return int(value)


def _hold_until(value: str, offer: Offer) -> float | None:
    if not HOLD_UNTIL.fullmatch(value):
        return None
    try:
        until = datetime.fromisoformat(value.upper()).timestamp()
    except ValueError:
        return None
    return until if until <= offer.latest_release else None


def _priority(value: str, offer: Offer) -> int | None:
    return int(value) if PRIORITY.fullmatch(value) else None


def _notify(value: str, offer: Offer) -> Notify | None:
    words = value.upper().split(",")
    # RFC 3461 §4.1: NEVER stands alone.
    if words == ["NEVER"]:
        return Notify.NEVER
    if len(set(words)) != len(words) or not _EVENTS.keys() >= set(words):
        return None
    notify = Notify.NEVER
    for word in words:
        notify |= _EVENTS[word]
    return notify


def _original(value: str, offer: Offer) -> str | None:
    match = ORIGINAL_RECIPIENT.fullmatch(value)
    if match is None or len(value.encode()) > _MAX_ORCPT:
        return None
    kind, address = match[1].lower(), match[2]
    decoded = _decode_utf8_address(address) if kind == "utf-8" else decode_xtext(address)
    return None if decoded is None else f"{kind};{decoded}"


def _decode_utf8_address(address: str) -> str | None:
    # RFC 6533 §3: a backslash stands in both forms for nothing but an escape.
    plain = decode_xtext(address) if address.isascii() else address
    if plain is None or "\\" in EMBEDDED_UNICODE.sub("", plain):
        return None
    try:
        decoded = EMBEDDED_UNICODE.sub(lambda match: chr(int(match[1], 16)), plain)
    except ValueError:
        return None
    return decoded if decoded.isprintable() else None
