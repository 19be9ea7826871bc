"""Work beside the mail: told when it fails, begun again, and never in the way."""

import asyncio
import io
import json

import pytest

from merpati.errors import MerpatiError
from merpati.system.chores import keep_on
from merpati.system.log import Log
from merpati.testing.clock import VirtualClock


@pytest.mark.parametrize(
    ("error", "level"), [(MerpatiError("disk full"), "warning"), (KeyError("oops"), "error")]
)
async def test_a_chore_that_failed_is_told_and_begins_again(error: Exception, level: str) -> None:
    clock, stream = VirtualClock(), io.StringIO()
    failures = [error]
    done = asyncio.Event()

    async def work() -> None:
        if failures:
            raise failures.pop()
        done.set()

    task = asyncio.ensure_future(keep_on("chore", work, clock, Log(clock, stream)))
    await asyncio.sleep(0)
    await clock.advance(10)
    await task
    assert done.is_set()
    line = json.loads(stream.getvalue())
    assert (line["level"], line["event"]) == (level, "chore")


async def test_text_of_strangers_cannot_forge_a_line() -> None:
    stream = io.StringIO()
    Log(VirtualClock(), stream).warning("x", 'a\n{"level":"info"}\x1b[31m')
    (line,) = stream.getvalue().splitlines()
    assert "\x1b" not in line
    assert json.loads(line)["text"].startswith("a\n")
