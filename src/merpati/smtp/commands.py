"""Commands of a client: what each verb is and how its arguments are read into an event."""

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from merpati.mail.address import Address, AddressError, parse_domain
from merpati.smtp.errors import CommandError
from merpati.smtp.events import (
    AuthResponse,
    AuthStarted,
    ContentStarted,
    Event,
    Expand,
    Hello,
    Help,
    MailFrom,
    Noop,
    Quit,
    RcptTo,
    Reset,
    StartTls,
    Verify,
    Xclient,
)
from merpati.smtp.extensions import Extension
from merpati.smtp.grammar import (
    AUTH,
    BASE64,
    BDAT,
    FORWARD_PATH,
    HELLO_NAME,
    NAME_WITH_SMTPUTF8,
    REVERSE_PATH,
    SOURCE_ROUTE,
)
from merpati.smtp.offer import XCLIENT_ATTRIBUTES, Offer
from merpati.smtp.parameters import decode_xtext, parse_mail_parameters, parse_rcpt_parameters
from merpati.smtp.replies import (
    ENCRYPTION_REQUIRED,
    NOT_BASE64,
    NOT_IMPLEMENTED,
    OUT_OF_ORDER,
    SMTPUTF8_NEEDED,
    UNKNOWN_COMMAND,
    UNKNOWN_MECHANISM,
    XCLIENT_REFUSED,
    Reply,
    bad_syntax,
)
from merpati.smtp.states import Step
from merpati.smtp.status import Status


@dataclass(frozen=True, slots=True)
class Command:
    """A verb that is understood."""

    step: Step
    parse: Callable[[str, str, Offer], Event]
    """(verb, arguments, offer) to event; raises CommandError."""


def parse_chunk(argument: str) -> tuple[int, bool]:
    """Size and LAST of BDAT. Raises CommandError, fatal since the octets cannot be found then."""
    match = BDAT.fullmatch(argument)
    if match is None:
        raise CommandError(bad_syntax("BDAT size [LAST]"), fatal=True)
    return int(match[1]), match[2] is not None


def parse_auth_response(line: str) -> AuthResponse:
    """A line of an AUTH exchange. Raises CommandError."""
    return AuthResponse(None if line == "*" else _decode_base64(line))


def unknown_command(verb: str) -> CommandError:
    """What to say to a verb that is not in COMMANDS."""
    if verb in _UNIMPLEMENTED:
        return CommandError(NOT_IMPLEMENTED)
    # A browser that was tricked into talking to us: its headers are not commands.
    return CommandError(UNKNOWN_COMMAND, fatal=verb in _OF_HTTP)


# Envelopes name few addresses again and again. Only what may be an address is kept, so that a key
# has at most 254 characters.
_parse_address = lru_cache(maxsize=4096)(Address.parse)

_UNIMPLEMENTED = frozenset({"TURN", "ETRN", "ATRN", "SEND", "SOML", "SAML", "BURL"})
_OF_HTTP = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})


def _hello(verb: str, argument: str, offer: Offer) -> Hello:
    name = argument
    if not name.isascii():
        name = _a_labels(name)
    if not HELLO_NAME.fullmatch(name):
        raise CommandError(bad_syntax(f"{verb} needs your host name"))
    return Hello(verb, name, offer.reply)


def _a_labels(name: str) -> str:
    # RFC 6531 §3.7.1: an EHLO name may be U-labels when the server knows SMTPUTF8.
    try:
        return parse_domain(name)
    except AddressError as error:
        raise CommandError(bad_syntax(str(error))) from None


def _mail(verb: str, argument: str, offer: Offer) -> MailFrom:
    match = REVERSE_PATH.fullmatch(argument)
    if match is None:
        raise CommandError(bad_syntax("MAIL FROM:<address> [parameters]"))
    path, rest = match.groups()
    parameters = parse_mail_parameters(rest, offer)
    if not path:
        return MailFrom(None, parameters)
    sender = _address(path, Status(5, 1, 7))
    if not sender.domain:
        raise CommandError(Reply(553, "Sender needs a domain", Status(5, 1, 7)))
    if not sender.is_ascii and not parameters.smtputf8:
        raise CommandError(SMTPUTF8_NEEDED)
    return MailFrom(sender, parameters)


def _rcpt(verb: str, argument: str, offer: Offer) -> RcptTo:
    match = FORWARD_PATH.fullmatch(argument)
    if match is None:
        raise CommandError(bad_syntax("RCPT TO:<address> [parameters]"))
    path, rest = match.groups()
    return RcptTo(_address(path, Status(5, 1, 3)), parse_rcpt_parameters(rest, offer))


def _address(path: str, status: Status) -> Address:
    if path.startswith("@"):
        # RFC 5321 §3.6.1, appendix F.2: ignore the source route, mail goes by the last domain.
        route = SOURCE_ROUTE.match(path)
        path = path[route.end() :] if route else path
    try:
        return _parse_address(path)
    except AddressError as error:
        raise CommandError(Reply(553, f"Syntax: {error}", status)) from None


def _auth(verb: str, argument: str, offer: Offer) -> AuthStarted:
    match = AUTH.fullmatch(argument)
    if match is None:
        raise CommandError(bad_syntax("AUTH mechanism [initial response]"))
    mechanism, initial = match[1].upper(), match[2]
    if mechanism not in offer.mechanisms:
        raise CommandError(_why_not(mechanism, offer))
    if initial is None:
        return AuthStarted(mechanism, None)
    # RFC 4954 §4: "=" is an initial response of no octets.
    return AuthStarted(mechanism, b"" if initial == "=" else _decode_base64(initial))


def _why_not(mechanism: str, offer: Offer) -> Reply:
    settings = offer.settings
    if not (settings.auth or settings.auth_in_clear):
        return NOT_IMPLEMENTED
    if offer.starttls and mechanism in settings.auth:
        return ENCRYPTION_REQUIRED
    return UNKNOWN_MECHANISM


def _decode_base64(text: str) -> bytes:
    if not BASE64.fullmatch(text):
        raise CommandError(NOT_BASE64)
    return binascii.a2b_base64(text)


def _starttls(verb: str, argument: str, offer: Offer) -> StartTls:
    if argument:  # RFC 3207 §4
        raise CommandError(bad_syntax("STARTTLS has no parameters"))
    if not offer.starttls:
        known = offer.settings.starttls  # then TLS is in use, or EHLO was not said
        raise CommandError(OUT_OF_ORDER if known else NOT_IMPLEMENTED)
    return StartTls()


def _xclient(verb: str, argument: str, offer: Offer) -> Xclient:
    if not offer.xclient:
        raise CommandError(XCLIENT_REFUSED)
    attributes: dict[str, str] = {}
    for word in filter(None, argument.split(" ")):
        name, _, value = word.partition("=")
        decoded = decode_xtext(value)
        if not value or decoded is None or name.upper() not in XCLIENT_ATTRIBUTES:
            raise CommandError(bad_syntax("Bad XCLIENT attribute"))
        attributes[name.upper()] = decoded
    if not attributes:
        raise CommandError(bad_syntax("XCLIENT name=value ..."))
    return Xclient(tuple(attributes.items()))


def _alone(make: Callable[[], Event]) -> Callable[[str, str, Offer], Event]:
    def parse(verb: str, argument: str, offer: Offer) -> Event:
        if argument:
            raise CommandError(bad_syntax(f"{verb} has no parameters"))
        return make()

    return parse


def _string(make: Callable[[str], Event]) -> Callable[[str, str, Offer], Event]:
    def parse(verb: str, argument: str, offer: Offer) -> Event:
        if not argument:
            raise CommandError(bad_syntax(f"{verb} needs a name"))
        match = NAME_WITH_SMTPUTF8.fullmatch(argument)
        if match is None or Extension.SMTPUTF8 not in offer.extensions:
            return make(argument)
        return make(match[1])

    return parse


_BOTH = {
    "MAIL": Command(Step.MAIL, _mail),
    "RCPT": Command(Step.RCPT, _rcpt),
    "DATA": Command(Step.DATA, _alone(lambda: ContentStarted(chunking=False))),
    "RSET": Command(Step.RSET, _alone(Reset)),
    "QUIT": Command(Step.QUIT, _alone(Quit)),
    # RFC 5321 §4.1.1.9: NOOP may have a string, which means nothing.
    "NOOP": Command(Step.NOOP, lambda verb, argument, offer: Noop()),
    "HELP": Command(Step.HELP, lambda verb, argument, offer: Help(argument)),
    "VRFY": Command(Step.VRFY, _string(Verify)),
    "EXPN": Command(Step.EXPN, _string(Expand)),
    "AUTH": Command(Step.AUTH, _auth),
    "STARTTLS": Command(Step.STARTTLS, _starttls),
    "XCLIENT": Command(Step.XCLIENT, _xclient),
}
_HELLO = Command(Step.HELLO, _hello)

SMTP_COMMANDS: Mapping[str, Command] = {**_BOTH, "EHLO": _HELLO, "HELO": _HELLO}
# RFC 2033 §4.1: LHLO takes the place of both, which are not known then.
LMTP_COMMANDS: Mapping[str, Command] = {**_BOTH, "LHLO": _HELLO}
VERBS = frozenset({*SMTP_COMMANDS, *LMTP_COMMANDS, *_UNIMPLEMENTED, "BDAT"})
"""Whatever begins with one of these was meant as a command, whether it is one here or not."""
