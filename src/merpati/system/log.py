"""What the server says about itself while it runs: one JSON object a line on standard error.

Mail itself is told by the journal; this is for starts, stops, reloads and faults. JSON escapes
every control character, so that no text of a stranger can forge a line.

The log never stops the mail: a line that whoever reads it does not take at once is dropped, and the
next one that is taken says how many were.
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
        self, clock: Clock, stream: TextIO | None = None, worker: int | None = None
    ) -> None:
        """Without a stream on standard error; `system/outlet` is one that never waits."""
        self._clock = clock
        self._stream = stream or sys.stderr
        self._worker = {} if worker is None else {"worker": worker}
        self._untold = 0
        self.dropped = 0
        """Lines that nobody took."""

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

    def catch_up(self) -> None:
        """Say what was dropped, if that is taken by now. For whoever comes by from time to time."""
        with suppress(OSError, ValueError):
            self._stream.flush()
        if self._untold:
            text = f"{self._untold} lines were dropped: whoever reads the log did not take them"
            if self._put(self._line("warning", "log", text)):
                self._untold = 0

    def _write(self, level: str, event: str, text: str) -> None:
        self.catch_up()
        # Behind one that was dropped there is room for none, or those dropped were told of.
        if self._untold or not self._put(self._line(level, event, text)):
            self._untold += 1
            self.dropped += 1

    def _line(self, level: str, event: str, text: str) -> str:
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        told = {"at": at, "level": level, "event": event, "text": text[-_MAX_TEXT:]}
        return msgspec.json.encode(told | self._worker).decode() + "\n"

    def _put(self, line: str) -> bool:
        # Nobody is left to be told that the log cannot be written; the mail goes on.
        with suppress(OSError, ValueError):
            self._stream.write(line)
            self._stream.flush()
            return True
        return False
