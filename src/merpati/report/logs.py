"""Events as JSON lines: one event, one line, nothing secret, nothing that acts on a terminal."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO, TypeAlias

import msgspec

from merpati.journal.events import Event
from merpati.report.shown import shown

MAX_TEXT = 1000
"""Characters of one string in a log line."""
MAX_LINE = 16 * 1024
"""Octets; the dialogue is left out of a longer line, the journal has it."""

# What msgspec makes of an event: JSON's own kinds.
_Json: TypeAlias = "dict[str, _Json] | list[_Json] | str | int | float | bool | None"


_encode = msgspec.json.Encoder().encode


class EventLog:
    """Writes events to a stream such as standard output."""

    def __init__(
        self, stream: BinaryIO, alone: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        """`alone` keeps other processes from writing to the same stream meanwhile."""
        self._stream = stream
        self._alone = alone
        self._lines: list[bytes] = []

    def take(self, event: Event) -> None:
        """One line; on the stream for good after `pause`."""
        self._lines.append(log_line(event))

    async def pause(self) -> None:
        """Write the lines, in a thread: a reader of the log that stalls must not stall the mail."""
        if self._lines:
            lines, self._lines = self._lines, []
            await asyncio.to_thread(self._write, b"".join(lines))

    def _write(self, octets: bytes) -> None:
        with self._alone():
            self._stream.write(octets)
            self._stream.flush()


def log_line(event: Event) -> bytes:
    """The event as one line of JSON with its line end."""
    line = _encode(event)
    if len(line) <= MAX_TEXT and _is_harmless(line):
        return line + b"\n"
    plain = _escaped(msgspec.to_builtins(event))
    line = msgspec.json.encode(plain)
    if len(line) > MAX_LINE:
        line = msgspec.json.encode(_without_dialogue(plain))
    return line + b"\n"


def _is_harmless(line: bytes) -> bool:
    """Whether a short line can stand as it is, as nearly all can: taking it apart costs 12 us."""
    # A backslash is the escape of a control character, or would be mistaken for ours.
    if not line.isascii() or b"\\" in line or b"\x7f" in line:
        return False
    return b'"auth' not in line.lower()


def _escaped(value: _Json) -> _Json:
    """Depth is that of an event: three levels at most."""
    if isinstance(value, str):
        return shown(value, MAX_TEXT)
    if isinstance(value, dict):
        return {name: _safe(name, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    return value


def _safe(name: str, value: _Json) -> _Json:
    # The conversation masks credentials already; a second lock costs nothing.
    if name == "sent" and isinstance(value, str) and value[:4].upper() == "AUTH":
        return " ".join(value.split(" ")[:2])[:MAX_TEXT]
    return _escaped(value)


def _without_dialogue(plain: _Json) -> _Json:
    if not isinstance(plain, dict):
        return plain
    kept = {name: value for name, value in plain.items() if name != "dialogue"}
    return {name: _shortened(name, value) for name, value in kept.items()}


def _shortened(name: str, value: _Json) -> _Json:
    if isinstance(value, dict):
        return _without_dialogue(value)
    # A message may have very many recipients or aliases; the first ones tell which it was.
    return value[:20] if isinstance(value, list) else value
