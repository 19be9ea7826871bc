"""A message as a client sends it: what MAIL and RCPT say, and whether a server may have it.

A parameter is written only when the server offers its extension. What the parameter asked for is
then either kept by us (DSN: a `relayed` notice), given up (MT-PRIORITY, BODY=8BITMIME), or it
forbids the transfer (REQUIRETLS, SMTPUTF8, BINARYMIME, BY with mode R). FUTURERELEASE is honoured
where the message waits and never passed on (RFC 4865 §4.1).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from merpati.mail.envelope import BodyType, DeliverBy, Envelope, Notify, Recipient
from merpati.smtp.capabilities import Capabilities
from merpati.smtp.errors import ProtocolError
from merpati.smtp.status import Status

# RFC 3461 §4: xchar = %x21-2A / %x2C-3C / %x3E-7E; the rest as "+" and two hexadecimal digits.
_NOT_XCHAR = re.compile(r"[^!-*,-<>-~]")
_FORBIDDEN = re.compile(rb"[\x00-\x1f\x7f]")
_NOTIFY = ((Notify.SUCCESS, "SUCCESS"), (Notify.FAILURE, "FAILURE"), (Notify.DELAY, "DELAY"))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One transaction as it is wished."""

    envelope: Envelope
    """All but its recipients, which are not looked at."""
    recipients: tuple[Recipient, ...]
    size: int
    """Of the content in octets, exactly (RFC 3030 §2: BDAT counts)."""
    eight_bit: bool = False
    utf8_headers: bool = False
    is_lines: bool = False
    """Known to be lines of at most 998 octets without NUL: BINARYMIME content that need not be."""
    deliver_in: int | None = None
    """Seconds left of the envelope's `deliver_by`."""
    bare: bool = False
    """No parameter that is not needed: for a server that answered 555 to them."""

    @property
    def needs_utf8(self) -> bool:
        """Whether an address or the headers need SMTPUTF8 (RFC 6531 §3.1)."""
        sender = self.envelope.sender
        if self.utf8_headers or (sender is not None and not sender.local.isascii()):
            return True
        for recipient in self.recipients:  # noqa: SIM110 - `any` costs thrice as much here
            if not recipient.address.local.isascii():
                return True
        return False

    @property
    def is_binary(self) -> bool:
        """Whether it can go by BDAT as BINARYMIME only."""
        return self.envelope.body is BodyType.BINARY and not self.is_lines


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why a server cannot be given this message, for good or for now. Other hosts may differ."""

    status: Status
    text: str


class Shelter(Enum):
    """What a connection is worth to a message that requires TLS (RFC 8689 §4.2.1)."""

    NONE = "none"
    FAILING = "failing"
    """None for now: the host offers TLS, and it broke, just now or some minutes ago."""
    PROVEN = "proven"
    """TLS, and the host proved to be the one that nobody on the way could have named instead."""
    LOCAL = "local"
    """No network lies between: final delivery to a program of this machine."""


def hindrance(outgoing: Outgoing, offers: Capabilities, shelter: Shelter) -> Hindrance | None:
    """The reason why this message must not be sent to this server, if there is one.

    8-bit content goes to servers without 8BITMIME all the same, as everyone does it.
    """
    if offers.size is not None and outgoing.size > offers.size:
        return Hindrance(Status(5, 3, 4), f"their limit is {offers.size} octets")
    if why := _exposure(outgoing.envelope, offers, shelter):
        return why
    if outgoing.needs_utf8 and not offers.offers("SMTPUTF8"):
        return Hindrance(Status(5, 6, 7), "SMTPUTF8 is not supported there")  # RFC 6531 §3.7.4.2
    if outgoing.is_binary and not {"CHUNKING", "BINARYMIME"} <= offers.keywords:
        return Hindrance(Status(5, 6, 3), "BINARYMIME is not supported there")  # RFC 3030 §3
    return _lateness(outgoing, offers)


def _exposure(envelope: Envelope, offers: Capabilities, shelter: Shelter) -> Hindrance | None:
    """RFC 8689 §4.2.1. §5: what has no sender (notices) is not discarded over it, and goes on
    without the demand."""
    if not envelope.require_tls or envelope.sender is None or shelter is Shelter.LOCAL:
        return None
    if shelter is Shelter.FAILING:
        return Hindrance(Status(4, 7, 10), "REQUIRETLS, and TLS does not work there now")
    if shelter is Shelter.NONE:
        return Hindrance(Status(5, 7, 10), "REQUIRETLS, and no proof by TLS of who is there")
    if not offers.offers("REQUIRETLS"):
        return Hindrance(Status(5, 7, 30), "REQUIRETLS is not supported there")
    return None


def _lateness(outgoing: Outgoing, offers: Capabilities) -> Hindrance | None:
    """RFC 2852 §4.1.4: mode R goes only to who will keep it."""
    wish = outgoing.envelope.deliver_by
    if wish is None or not wish.must_return or outgoing.deliver_in is None:
        return None
    if not offers.offers("DELIVERBY"):
        return Hindrance(Status(5, 4, 7), "DELIVERBY is not supported there")
    if outgoing.deliver_in < max(1, offers.shortest_by):
        return Hindrance(Status(5, 4, 7), "too little time is left of DELIVERBY")
    return None


def mail_command(outgoing: Outgoing, offers: Capabilities) -> bytes:
    """MAIL FROM with every parameter that is wished and offered."""
    sender = outgoing.envelope.sender
    command = f"MAIL FROM:<{'' if sender is None else sender}>"
    if offers.keywords:
        command = " ".join((command, *_mail_parameters(outgoing, offers)))
    return _line(command)


def _mail_parameters(outgoing: Outgoing, offers: Capabilities) -> Iterator[str]:
    envelope = outgoing.envelope
    if "SIZE" in offers.keywords:
        # RFC 1870 §6.1, and servers that run the rest of a refused chunk as commands: always.
        yield f"SIZE={outgoing.size}"
    body = _body(outgoing, offers)
    if body:
        yield body
    if outgoing.needs_utf8:
        yield "SMTPUTF8"
    if envelope.require_tls and "REQUIRETLS" in offers.keywords:
        yield "REQUIRETLS"
    if envelope.deliver_by is not None and "DELIVERBY" in offers.keywords:
        yield from _by(envelope.deliver_by, outgoing.deliver_in)
    if not outgoing.bare:
        yield from _wishes(envelope, offers)


def _body(outgoing: Outgoing, offers: Capabilities) -> str:
    if outgoing.is_binary:
        return "BODY=BINARYMIME"
    eight_bit = outgoing.eight_bit or outgoing.envelope.body is BodyType.EIGHT_BIT
    return "BODY=8BITMIME" if eight_bit and offers.offers("8BITMIME") else ""


def _by(wish: DeliverBy, seconds: int | None) -> Iterator[str]:
    # RFC 2852 §4: by-time is at most nine digits; it may be negative with mode N only.
    if seconds is not None:
        seconds = max(-999_999_999, min(999_999_999, seconds))
        yield f"BY={seconds};{'R' if wish.must_return else 'N'}{'T' if wish.trace else ''}"


def _wishes(envelope: Envelope, offers: Capabilities) -> Iterator[str]:
    """What can be done without."""
    if envelope.ret and "DSN" in offers.keywords:
        yield f"RET={envelope.ret.value}"
    if envelope.envelope_id and "DSN" in offers.keywords:
        yield f"ENVID={to_xtext(envelope.envelope_id)}"
    if envelope.priority and "MT-PRIORITY" in offers.keywords:
        yield f"MT-PRIORITY={envelope.priority}"


def rcpt_command(recipient: Recipient, offers: Capabilities, bare: bool = False) -> bytes:
    """RCPT TO with what the sender asked about notices, where the server takes it."""
    command = f"RCPT TO:<{recipient.address}>"
    if not bare and "DSN" in offers.keywords:
        command += _notify(recipient) + _original(recipient, offers)
    return _line(command)


def _notify(recipient: Recipient) -> str:
    if not recipient.named_notify:
        return ""
    names = [name for flag, name in _NOTIFY if flag in recipient.notify]
    return " NOTIFY=" + (",".join(names) or "NEVER")


def _original(recipient: Recipient, offers: Capabilities) -> str:
    """ORCPT; a `utf-8` address in the ASCII form where SMTPUTF8 is not offered (RFC 6533 §3)."""
    if recipient.original is None:
        return ""
    kind, _, address = recipient.original.partition(";")
    if not address:
        return ""
    if kind.lower() != "utf-8":
        return f" ORCPT={kind};{to_xtext(address)}" if address.isascii() else ""
    return f" ORCPT={kind};{utf8_address(address, unitext=offers.offers('SMTPUTF8'))}"


def utf8_address(address: str, *, unitext: bool) -> str:
    """An address of the type `utf-8`, as UTF-8 or all in ASCII (RFC 6533 §3)."""
    return "".join(_utf8_character(char, unitext) for char in address)


def _utf8_character(char: str, unitext: bool) -> str:
    # RFC 6533 §3: QCHAR is %x21-2a / %x2c-3c / %x3e-5b / %x5d-7e; others as \x{HEX}.
    if "!" <= char <= "~" and char not in "+=\\":
        return char
    return char if unitext and char > "\u009f" else rf"\x{{{ord(char):02X}}}"


def to_xtext(text: str) -> str:
    """RFC 3461 §4; the text is ASCII."""
    return _NOT_XCHAR.sub(lambda char: f"+{ord(char[0]):02X}", text)


def _line(text: str) -> bytes:
    """A command line. Refuses every control character, whoever brought it here."""
    octets = text.encode("utf-8")
    # What is not printable is not forbidden yet, but all that is forbidden is not printable.
    if not text.isprintable() and _FORBIDDEN.search(octets):
        raise ProtocolError("a command with control characters is not sent")
    return octets + b"\r\n"
