"""Content: where it ends, what is stuffed into it, and whether it keeps the rules.

No regular expression runs over content; every scan is one C call over a whole piece, and works
right across pieces.
"""

from io import IncrementalNewlineDecoder

from merpati.smtp.replies import (
    BARE_NEWLINE,
    MESSAGE_TOO_BIG,
    NUL_IN_CONTENT,
    TEXT_LINE_TOO_LONG,
    Reply,
)

_CRLF = b"\r\n"


class DotReader:
    """Takes the content of DATA off a buffer, undotted, up to CRLF.CRLF (RFC 5321 §4.5.2).

    Nothing else ends it, whatever it has of bare CR and LF. It begins as if a CRLF stood before
    it, since the dot may be its first line.
    """

    __slots__ = ("_buffer", "_is_imagined", "has_ended")
    is_last = True

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer
        self._buffer[:0] = _CRLF
        self._is_imagined = True
        self.has_ended = False

    def read(self) -> bytes:
        """What can be told of the content now; b"" at its end, or when it takes more to tell."""
        if self.has_ended:
            return b""  # what is in the buffer now are commands
        piece = self._cut()
        if self._is_imagined and piece:
            self._is_imagined = False
            return piece[2:]
        return piece

    def _cut(self) -> bytes:
        buffer = self._buffer
        # One octet is found ten times as fast as three, and encoded attachments have no dot.
        any_dot = buffer.find(b".")
        dot = -1 if any_dot < 0 else buffer.find(b"\r\n.", max(0, any_dot - 2))
        if dot < 0:
            return self._take(len(buffer) - _held_back(buffer))
        end = buffer.find(b"\r\n.\r\n", dot)
        if end < 0:
            piece = self._take(len(buffer) - _held_back(buffer))
        else:
            piece = self._take(end + 2)
            del buffer[:3]
            self.has_ended = True
        if dot + 2 < len(piece):
            # RFC 5321 §4.5.2: the first dot of a line is taken away.
            return piece.replace(b"\r\n.", _CRLF)
        return piece

    def _take(self, length: int) -> bytes:
        piece = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return piece


class ChunkReader:
    """Takes the octets of one BDAT off a buffer: exactly so many, whatever they are (RFC 3030)."""

    __slots__ = ("_buffer", "_left", "is_last", "size")

    def __init__(self, buffer: bytearray, size: int, *, is_last: bool) -> None:
        self._buffer = buffer
        self._left = size
        self.size = size
        self.is_last = is_last

    @property
    def has_ended(self) -> bool:
        """All octets were read."""
        return self._left == 0

    def read(self) -> bytes:
        """What is there of them; b"" when nothing is."""
        piece = bytes(memoryview(self._buffer)[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        return piece


def _held_back(buffer: bytearray) -> int:
    """How many octets at the end may belong to CRLF.CRLF, and so wait for more."""
    for n, tail in ((4, b"\r\n.\r"), (3, b"\r\n."), (2, _CRLF), (1, b"\r")):
        if buffer.endswith(tail):
            return n
    return 0


class Inspector:
    """Counts content and finds its first flaw. Behind a flaw nothing is handed on."""

    __slots__ = ("_column", "_is_binary", "_max_line", "_max_size", "_newlines", "flaw", "size")

    def __init__(self, max_size: int, max_line: int, *, is_binary: bool = False) -> None:
        """Sizes in octets. `is_binary`: BINARYMIME, which has no lines (RFC 3030 §3)."""
        self._max_size = max_size
        self._max_line = max_line
        self._is_binary = is_binary
        self._newlines = IncrementalNewlineDecoder(None, translate=False)
        self._column = 0
        self.size = 0
        self.flaw: Reply | None = None

    def inspect(self, piece: bytes) -> bytes:
        """Look at the next piece; the piece, or b"" once there is a flaw."""
        self.size += len(piece)
        if self.flaw is None:
            self.flaw = self._flaw_of(piece)
        return piece if self.flaw is None else b""

    def finish(self) -> bytes:
        """What has to be added so that the last line ends: CRLF, or nothing."""
        if self._is_binary or self.flaw is not None:
            return b""
        self._newlines.decode("", final=True)
        if self._newlines.newlines not in (None, "\r\n"):
            self.flaw = BARE_NEWLINE
        elif self._column:
            return self._end_line()
        return b""

    def _end_line(self) -> bytes:
        # RFC 3030 does not ask that the last chunk ends a line; everything behind us does.
        if self._column + len(_CRLF) > self._max_line:
            self.flaw = TEXT_LINE_TOO_LONG
            return b""
        self._column = 0
        self.size += len(_CRLF)
        return _CRLF

    def _flaw_of(self, piece: bytes) -> Reply | None:
        if self.size > self._max_size:
            return MESSAGE_TOO_BIG
        if self._is_binary:
            return None
        self._newlines.decode(str(piece, "latin-1"))
        if self._newlines.newlines not in (None, "\r\n"):
            return BARE_NEWLINE
        if b"\0" in piece:
            return NUL_IN_CONTENT
        return self._flaw_of_lines(piece)

    def _flaw_of_lines(self, piece: bytes) -> Reply | None:
        # A hop to the last LF within the limit passes over many lines at once.
        length, start, room = len(piece), 0, self._max_line - self._column
        while length - start > room:
            newline = piece.rfind(b"\n", start, start + room)
            if newline < 0:
                return TEXT_LINE_TOO_LONG
            start, room = newline + 1, self._max_line
        newline = piece.rfind(b"\n", start)
        if newline >= 0:
            start, room = newline + 1, self._max_line
        self._column = self._max_line - room + length - start
        return None
