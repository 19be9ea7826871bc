"""Lines of commands, ended by CRLF and nothing else.

A bare LF or CR is fatal at once: whoever reads it as the end of a line and whoever does not would
see different commands behind it (SMTP smuggling).
"""

from collections.abc import Container

from merpati.smtp.errors import CommandError
from merpati.smtp.grammar import CONTROL
from merpati.smtp.replies import BARE_NEWLINE_IN_COMMAND, LINE_TOO_LONG, NOT_TEXT

_MAX_QUOTED = 512
_MAX_VERB = 8


class LineReader:
    """Takes lines off the front of a buffer that others also read from."""

    __slots__ = ("_buffer", "_is_overlong", "_longest", "_scanned")

    def __init__(self, buffer: bytearray, longest: int) -> None:
        """`longest` counts the CRLF. What is longer is thrown away as it comes."""
        self._buffer = buffer
        self._longest = longest
        self._scanned = 0
        self._is_overlong = False

    def next_line(self) -> bytearray | None:
        """The next line without its CRLF; None: it is not complete.

        Raises CommandError, fatal for a bare CR or LF; not so for a line that was too long, which
        is gone then.
        """
        buffer = self._buffer
        end = buffer.find(b"\n", self._scanned)
        if end < 0:
            self._drop_overlong()
            return None
        self._scanned = 0
        line = buffer[:end]
        del buffer[: end + 1]
        was_overlong, self._is_overlong = self._is_overlong, False
        if line[-1:] != b"\r":
            raise CommandError(BARE_NEWLINE_IN_COMMAND, fatal=True)
        if was_overlong or end >= self._longest:
            raise CommandError(LINE_TOO_LONG)
        if line.find(b"\r") != end - 1:
            raise CommandError(BARE_NEWLINE_IN_COMMAND, fatal=True)
        del line[-1]
        return line

    def _drop_overlong(self) -> None:
        if len(self._buffer) >= self._longest:
            self._is_overlong = True
            del self._buffer[:-1]  # the last octet may be the CR of its end
        self._scanned = len(self._buffer)


def decode_line(line: bytearray) -> str:
    """The text of a command, white space at its end taken away. Raises CommandError."""
    try:
        text = str(line, "utf-8").rstrip(" \t")  # RFC 5321 §4.1.1: tolerated at the end
    except UnicodeDecodeError:
        raise CommandError(NOT_TEXT) from None
    if not text.isprintable() and CONTROL.search(text):
        raise CommandError(NOT_TEXT)
    return text


def quote_line(line: bytes | bytearray, verbs: Container[str]) -> bytes:
    """What the journal may keep of a line: 512 octets of one with a verb that we know.

    Of any other it keeps the length alone: a client that goes on behind a refused AUTH sends its
    password as such a line, and behind a refused DATA the message.
    """
    verb = bytes(line[: _MAX_VERB + 1]).partition(b" ")[0].upper()
    if verb == b"AUTH" or not line:
        return verb
    if verb.decode("latin-1") in verbs:
        return bytes(line[:_MAX_QUOTED])
    return b"(%d octets, no command)" % len(line)
