"""What the other side answered, and how its octets become that, within bounds.

Strict where it matters (code, line and total length, classes 2 to 5), lenient where the field is
(LF alone ends a line; the last line's code counts, as Postfix has it).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from merpati.smtp.status import Status

# RFC 5321 §4.5.3.1.5 says 512 with CRLF; large providers send more, so do long EHLO answers.
MAX_LINE = 4096
MAX_OCTETS = 65_536

# RFC 5321 §4.2:
#   Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
#   Reply-code = %x32-35 %x30-35 %x30-39
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\n]*)|\r?)\n")
# RFC 2034 §4: status-code = class "." subject "." detail
_STATUS = re.compile(rb"[2-5][0-9]{2}[ -]([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


# Servers say the same few short replies over and over: each is taken apart once.
_SHORT = 80
# Code and enhanced code, with what must not stand behind them.
_HEAD = len("250 2.123.123 ")


@lru_cache(maxsize=512)
def _status(head: bytes, severity: int) -> Status | None:
    matched = _STATUS.match(head)
    if matched is None or int(matched[1]) != severity:
        return None
    return Status(severity, int(matched[2]), int(matched[3]))


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply of a server, complete."""

    code: int
    octets: bytes
    """Its lines as they came."""

    @property
    def is_positive(self) -> bool:
        """2yz or 3yz."""
        return self.code < 400

    @property
    def status(self) -> Status | None:
        """The enhanced status code, if its class is that of the code (RFC 2034 §4)."""
        return _status(self.octets[:_HEAD], self.code // 100)

    @property
    def text(self) -> str:
        """The words without codes, lines joined by `\\n`; control characters become `?`."""
        lines = self.octets.decode("utf-8", "replace").rstrip("\r\n").split("\n")
        joined = "\n".join(line.removesuffix("\r")[4:] for line in lines)
        status = self.status
        if status is not None:
            joined = re.sub(rf"^{re.escape(str(status))} ?", "", joined, flags=re.MULTILINE)
        return _CONTROLS.sub("?", joined)

    def __str__(self) -> str:
        """On one line, as the journal keeps it."""
        return _shown(self) if len(self.octets) <= _SHORT else _on_one_line(self)


def _on_one_line(answer: Answer) -> str:
    octets = answer.octets
    if octets.isascii() and octets.find(b"\n") == len(octets) - 1:
        line = octets.decode("ascii").rstrip("\r\n ")
        # Most replies are one clean line already; taking it apart would cost 4 us.
        if line.isprintable():
            return line
    status = answer.status
    words = [str(answer.code), str(status) if status else "", answer.text.replace("\n", " ")]
    return " ".join(filter(None, words))


_shown = lru_cache(maxsize=512)(_on_one_line)


@dataclass(frozen=True, slots=True)
class Nonsense:
    """What the server sent is no reply, or not one that can be an answer here: trust it no more."""

    why: str
    octets: bytes = b""
    """What it was, cut."""


@lru_cache(maxsize=512)
def _short(octets: bytes) -> Answer | None:
    """The reply that these octets up to the first line's end are; None: it is not that simple."""
    line = _LINE.fullmatch(octets)
    return None if line is None or line[2] == b"-" else Answer(int(line[1]), octets)


class AnswerReader:
    """Octets in, replies out. Holds at most one unfinished reply and what stands behind it."""

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0
        self._at = 0

    @property
    def pending(self) -> bool:
        """Octets stand behind the last reply."""
        return self._start < len(self._buffer)

    def receive(self, octets: bytes) -> None:
        """Take what arrived."""
        if self._start:
            self._buffer = self._buffer[self._start :] + octets
            self._at -= self._start
            self._start = 0
        else:
            self._buffer += octets

    def next(self) -> Answer | Nonsense | None:
        """The next reply; None: more octets are needed."""
        buffer = self._buffer
        if self._at == len(buffer):
            return None
        end = buffer.find(b"\n", self._at) + 1
        if 0 < end - self._start <= _SHORT and (answer := _short(buffer[self._start : end])):
            self._start = self._at = end
            return answer
        while True:
            line = _LINE.match(buffer, self._at)
            end = line.end() if line else len(buffer)
            if end - self._at > MAX_LINE or end - self._start > MAX_OCTETS:
                return self._nonsense("a reply is too long")
            if line is None:
                return self._unfinished()
            self._at = end
            if line[2] != b"-":
                octets = buffer[self._start : end]
                self._start = end
                return Answer(int(line[1]), octets)

    def _unfinished(self) -> Nonsense | None:
        """Say at once when what stands there can never become a reply line."""
        head = self._buffer[self._at : self._at + 4]
        if self._buffer.find(b"\n", self._at) >= 0 or not _could_begin(head):
            return self._nonsense("not an SMTP reply")
        return None

    def _nonsense(self, why: str) -> Nonsense:
        return Nonsense(why, self._buffer[self._at : self._at + 100])


_BEGINNINGS = (b"2345", b"0123456789", b"0123456789", b" -\r\n")


def _could_begin(head: bytes) -> bool:
    return all(octet in allowed for octet, allowed in zip(head, _BEGINNINGS, strict=False))
