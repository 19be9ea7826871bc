"""What the server says about itself while it runs: one JSON object a line on standard error.

Mail itself is told by the journal; this is for starts, stops, reloads and faults. JSON escapes
every control character, so that no text of a stranger can forge a line.
"""

import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from merpati.clock import Clock

_MAX_TEXT = 8000


class Log:
    """Writes lines; one for the whole process."""

    def __init__(
        self, clock: Clock, stream: TextIO = sys.stderr, worker: int | None = None
    ) -> None:
        self._clock = clock
        self._stream = stream
        self._worker = {} if worker is None else {"worker": worker}

    def info(self, event: str, text: str) -> None:
        """Something that went as it should."""
        self._write("info", event, text)

    def warning(self, event: str, text: str) -> None:
        """Something an operator should look at some day."""
        self._write("warning", event, text)

    def error(self, event: str, text: str) -> None:
        """Something an operator should look at now."""
        self._write("error", event, text)

    def defect(self, event: str, error: BaseException) -> None:
        """An exception that nobody expected, with its trace."""
        self._write("error", event, "".join(traceback.format_exception(error)))

    def _write(self, level: str, event: str, text: str) -> None:
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        told = {"at": at, "level": level, "event": event, "text": text[-_MAX_TEXT:]}
        line = told | self._worker
        # Nobody is left to be told that the log cannot be written; the mail goes on.
        with suppress(OSError, ValueError):
            self._stream.write(msgspec.json.encode(line).decode() + "\n")
            self._stream.flush()
