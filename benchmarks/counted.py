"""`python -m benchmarks.counted FILE ARGUMENTS…`: `merpati ARGUMENTS…`, counting its own calls.

FILE is 8 octets that the counter lives in, so that another process reads it while this one works.
Only calls of functions under src/merpati are counted (also each time a coroutine goes on): they are
the same on every machine and, without comprehensions, which 3.12 made calls no more, in every
Python.
"""

import mmap
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import merpati
from merpati.cli.main import main

HOME = str(Path(merpati.__file__).parent)
COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}


def count_calls(file: Path) -> None:
    """From now on, in every thread that starts later, too."""
    with file.open("r+b") as opened:
        counter = memoryview(mmap.mmap(opened.fileno(), 8)).cast("Q")
    known: dict[CodeType, bool] = {}

    def note(frame: FrameType, what: str, _: Any) -> None:
        if what == "call":
            code = frame.f_code
            if code not in known:
                ours = code.co_filename.startswith(HOME) and code.co_name not in COMPREHENSIONS
                known[code] = ours
            if known[code]:
                counter[0] += 1

    threading.setprofile(note)
    sys.setprofile(note)


if __name__ == "__main__":
    count_calls(Path(sys.argv[1]))
    main(sys.argv[2:])
