"""Replies: a code, an enhanced status code and text lines (RFC 5321 §4.2, RFC 2034)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from merpati.smtp.status import Status

_UNPRINTABLE = re.compile(r"[^\t -~]")
# RFC 5321 §4.5.3.1.5: a reply line is at most 512 octets with code, separator and CRLF.
_MAX_TEXT = 512 - len("250-") - len("\r\n")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, complete. Only a Reply reaches a peer. Encoded once, when it is made.

    Text is ASCII; anything else, and every control character, becomes `?`, so that no reply can
    carry an injected line.
    """

    code: int
    text: str = ""
    """Lines separated by `\\n`; long lines are cut to what RFC 5321 §4.5.3.1.5 allows."""
    status: Status | None = None
    octets: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "octets", self._encoded())

    def _encoded(self) -> bytes:
        text = self.text if self.status is None else f"{self.status} {self.text}"
        # One clean line, as the 250 of each message is: a third of the time of the general way.
        if len(text) <= _MAX_TEXT and text.isascii() and text.isprintable():
            return b"%d %b\r\n" % (self.code, text.encode())
        return b"".join(self._lines())

    def _lines(self) -> Iterable[bytes]:
        prefix = f"{self.status} " if self.status else ""
        room = _MAX_TEXT - len(prefix)
        lines = self.text.split("\n")
        for n, line in enumerate(lines):
            mark = " " if n == len(lines) - 1 else "-"
            is_clean = line.isascii() and line.isprintable()
            clean = line[:room] if is_clean else _UNPRINTABLE.sub("?", line)[:room]
            # The space stays when no text follows (RFC 5321 §4.2), as `334 ` of AUTH needs it.
            yield f"{self.code}{mark}{prefix}{clean}".encode() + b"\r\n"

    @property
    def is_positive(self) -> bool:
        """2yz or 3yz."""
        return self.code < 400

    @property
    def is_temporary(self) -> bool:
        """4yz."""
        return 400 <= self.code < 500

    def __str__(self) -> str:
        prefix = f"{self.status} " if self.status else ""
        return f"{self.code} {prefix}" + self.text.replace("\n", " ")


# Said by many, encoded once.
OK = Reply(250, "OK", Status(2, 0, 0))
SENDER_OK = Reply(250, "Sender OK", Status(2, 1, 0))
RECIPIENT_OK = Reply(250, "Recipient OK", Status(2, 1, 5))
START_MAIL_INPUT = Reply(354, "End data with <CR><LF>.<CR><LF>")
READY_FOR_TLS = Reply(220, "Ready to start TLS", Status(2, 0, 0))
CLOSING = Reply(221, "Bye", Status(2, 0, 0))
# RFC 5321 §3.5.3: 252 is the honest answer of a server that does not tell who exists.
CANNOT_VERIFY = Reply(252, "Cannot VRFY user, but will take mail for it", Status(2, 0, 0))

TIMED_OUT = Reply(421, "Waited too long; closing", Status(4, 4, 2))
SHUTTING_DOWN = Reply(421, "Shutting down; try again shortly", Status(4, 3, 2))
TOO_MANY_ERRORS = Reply(421, "Too many errors; closing", Status(4, 7, 0))
# RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest in another transaction.
TOO_MANY_RECIPIENTS = Reply(452, "Too many recipients", Status(4, 5, 3))

UNKNOWN_COMMAND = Reply(500, "Command not recognized", Status(5, 5, 1))
LINE_TOO_LONG = Reply(500, "Line too long", Status(5, 5, 2))
# RFC 4954 §4: its own enhanced code.
AUTH_LINE_TOO_LONG = Reply(500, "Authentication exchange line is too long", Status(5, 5, 6))
NOT_TEXT = Reply(500, "A command is UTF-8 text without controls", Status(5, 5, 2))
NOT_IMPLEMENTED = Reply(502, "Command not implemented", Status(5, 5, 1))
OUT_OF_ORDER = Reply(503, "Bad sequence of commands", Status(5, 5, 1))
HELLO_FIRST = Reply(503, "Say hello first", Status(5, 5, 1))
NO_RECIPIENTS = Reply(503, "No valid recipients", Status(5, 5, 1))
NO_BINARY_DATA = Reply(503, "BINARYMIME goes by BDAT", Status(5, 5, 1))
# RFC 7504 §3 gives 521 this wider use: no mail is taken from this connection.
BARE_NEWLINE_IN_COMMAND = Reply(521, "Lines end in CRLF and nothing else", Status(5, 5, 2))
OUT_OF_TURN = Reply(554, "Spoke where it had to wait for a reply; closing", Status(5, 5, 1))
BARE_NEWLINE = Reply(550, "Bare CR or LF in the message; lines end in CRLF", Status(5, 5, 2))
NUL_IN_CONTENT = Reply(550, "NUL octet in the message", Status(5, 6, 0))
TEXT_LINE_TOO_LONG = Reply(554, "Line too long in the message", Status(5, 6, 0))
# RFC 1870 §6.
MESSAGE_TOO_BIG = Reply(552, "Message size exceeds the fixed limit", Status(5, 3, 4))

ALREADY_AUTHENTICATED = Reply(503, "Already authenticated", Status(5, 5, 1))
NOT_AFTER_AUTH = Reply(503, "STARTTLS comes before AUTH", Status(5, 5, 1))
# RFC 6531 §3.5.
SMTPUTF8_NEEDED = Reply(553, "SMTPUTF8 needed for this address", Status(5, 6, 7))
UNKNOWN_MECHANISM = Reply(504, "Authentication mechanism not offered", Status(5, 5, 4))
# RFC 4954 §6.
ENCRYPTION_REQUIRED = Reply(538, "Encryption required for this mechanism", Status(5, 7, 11))
NOT_BASE64 = Reply(501, "Not base64", Status(5, 5, 2))
AUTH_CANCELLED = Reply(501, "Authentication cancelled", Status(5, 7, 0))
XCLIENT_REFUSED = Reply(550, "XCLIENT is not for you", Status(5, 7, 0))


def bad_syntax(text: str) -> Reply:
    """501 for arguments that are malformed."""
    return Reply(501, text, Status(5, 5, 4))
