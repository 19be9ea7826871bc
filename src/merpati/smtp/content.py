"""Content on its way out: the one place that writes bodies, and it writes no line but `line CRLF`.

A bare CR, a bare LF or a NUL is refused before the final octets leave, so that nothing can be
smuggled to a server that reads lines differently. The test for bare line ends runs in C: a newline
decoder remembers which kinds it saw, also across pieces.
"""

import io
import re
from typing import Protocol

from merpati.errors import MerpatiError

_ONLY_CRLF = (None, "\r\n")
# Most content has none; asking a pattern costs half of what `in` or `replace` does.
_DOT_LINE = re.compile(rb"\r\n\.")
# One octet is found thirty times as fast, and large content, which is encoded, has few dots.
_LARGE = 32 * 1024
_FEW_DOTS = 16


class ContentError(MerpatiError):
    """The content must not go out this way; the connection it began on must be dropped."""


class MiscountError(ContentError):
    """The content is not as long as was announced: a defect of whoever announced it."""


class ContentWriter(Protocol):
    """One body in one form."""

    def write(self, octets: bytes) -> bytes:
        """The octets as they go over the wire. Raises ContentError."""
        ...

    def finish(self) -> bytes:
        """What ends the content. Raises ContentError; then nothing may end it."""
        ...

    @property
    def is_complete(self) -> bool:
        """The receiver needs no more than was written: it may take the content now."""
        ...


class _Count:
    """Holds content to the size that was announced, so that half a message is never ended."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, octets: bytes) -> None:
        """Raises MiscountError as soon as there is too much."""
        self.left -= len(octets)
        if self.left < 0:
            raise MiscountError("there is more content than was announced")

    def end(self) -> None:
        """Raises MiscountError when something is missing."""
        if self.left:
            raise MiscountError("there is less content than was announced")


class LineCheck:
    """Refuses what is not lines that end in CRLF."""

    def __init__(self) -> None:
        self._newlines = io.IncrementalNewlineDecoder(None, translate=False)

    def look(self, octets: bytes) -> None:
        """Raises ContentError as soon as a bare CR or LF, or a NUL, is seen."""
        self._newlines.decode(str(octets, "latin-1"))
        if self._newlines.newlines not in _ONLY_CRLF:
            raise ContentError("content with a bare CR or LF is not sent")
        if b"\0" in octets:
            raise ContentError("content with a NUL is sent as BINARYMIME only")

    def end(self) -> None:
        """Raises ContentError when the last octet is a CR."""
        self._newlines.decode("", final=True)
        if self._newlines.newlines not in _ONLY_CRLF:
            raise ContentError("content that ends in a bare CR is not sent")


class DottedContent:
    """Content of n octets behind DATA: dots stuffed across pieces, ended by CRLF.CRLF."""

    def __init__(self, size: int) -> None:
        self._count = _Count(size)
        self._check = LineCheck()
        self._tail = b"\r\n"

    def write(self, octets: bytes) -> bytes:
        """RFC 5321 §4.5.2: a dot at the beginning of a line gets another before it."""
        self._count.take(octets)
        self._check.look(octets)
        tail = self._tail
        self._tail = octets[-2:] if len(octets) > 1 else (tail + octets)[-2:]
        stuffed = octets.replace(b"\r\n.", b"\r\n..") if _has_dot_line(octets) else octets
        return _stuff_seam(tail, octets, stuffed)

    def finish(self) -> bytes:
        """RFC 5321 §4.1.1.4: the CRLF before the dot is the content's own, if it has one."""
        self._count.end()
        self._check.end()
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"

    @property
    def is_complete(self) -> bool:
        """Never before its dot."""
        return False


def _has_dot_line(octets: bytes) -> bool:
    """Whether a CRLF in there has a dot behind it."""
    start = 0
    if len(octets) > _LARGE:
        for _ in range(_FEW_DOTS):
            at = octets.find(b".", start)
            if at < 0:
                return False
            if octets.endswith(b"\r\n", start, at):
                return True
            start = at + 1
    return _DOT_LINE.search(octets, start) is not None


def _stuff_seam(tail: bytes, octets: bytes, stuffed: bytes) -> bytes:
    """Stuff a dot whose CRLF, or part of it, stood in an earlier piece."""
    if tail == b"\r\n" and octets.startswith(b"."):
        return b"." + stuffed
    if tail.endswith(b"\r") and octets.startswith(b"\n."):
        return b"\n.." + stuffed[2:]
    return stuffed


class CountedContent:
    """Content of one `BDAT n LAST` (RFC 3030 §2): exactly n octets, nothing stuffed."""

    def __init__(self, size: int, binary: bool = False) -> None:
        self._count = _Count(size)
        self._check = None if binary else LineCheck()

    def write(self, octets: bytes) -> bytes:
        """The octets themselves."""
        self._count.take(octets)
        if self._check is not None:
            self._check.look(octets)
        return octets

    def finish(self) -> bytes:
        """Nothing: the count is the end."""
        self._count.end()
        if self._check is not None:
            self._check.end()
        return b""

    @property
    def is_complete(self) -> bool:
        """As soon as the count is reached."""
        return self._count.left == 0
