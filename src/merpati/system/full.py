"""A start on a full disk: who calls is told to come later, until there is room for the store.

To end instead would be worse: the service manager would start us again and again, and a sender's
host would find no server at all.
"""

import asyncio
import selectors
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    contextmanager,
    suppress,
)
from typing import Protocol, TypeVar

from merpati.clock import Clock
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status
from merpati.storage.errors import StorageError
from merpati.system.log import Log

S = TypeVar("S")


class Given(Protocol):
    """What is needed of a worker's surroundings."""

    @property
    def log(self) -> Log: ...

    @property
    def clock(self) -> Clock: ...


# RFC 3463 §3.4: X.3.1 is the system's storage. RFC 5321 §3.8: 421 may be said at any time.
_LATER = Reply(421, "No space left on the disk, try again later", Status(4, 3, 1))
_EVERY = 1.0
"""Seconds between attempts."""


async def when_there_is_room(
    opened: AsyncExitStack,
    open_: Callable[[], AbstractAsyncContextManager[S]],
    doors: Sequence[socket.socket],
    given: Given,
) -> S:
    """Enter what `open_` gives, however long the disk is full; `opened` leaves it in the end.

    Any other StorageError is raised at once.
    """
    told = False
    with ExitStack() as waiting:
        while True:
            try:
                return await opened.enter_async_context(open_())
            except StorageError as error:
                if not error.is_full:
                    raise
                if not told:
                    given.log.error("full", f"{error}; nothing is taken until there is room")
                    # Nothing else runs yet, and nothing was taken that an end could lose.
                    waiting.enter_context(_ended_by_signals())
                    told = True
            await asyncio.to_thread(turn_away, doors, given.clock)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    for name in before:
        signal.signal(name, signal.SIG_DFL)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def turn_away(doors: Sequence[socket.socket], clock: Clock) -> None:
    """Say 421 to whoever comes within a second, and hang up. Blocks."""
    end = clock.monotonic() + _EVERY
    with selectors.DefaultSelector() as waiting:
        for door in doors:
            waiting.register(door, selectors.EVENT_READ, door)
        while (left := end - clock.monotonic()) > 0:
            for key, _ in waiting.select(left):
                _refuse(key.data)


def _refuse(door: socket.socket) -> None:
    with suppress(OSError):  # They have gone, or another worker was quicker.
        caller, _ = door.accept()
        with caller:
            caller.setblocking(False)
            caller.send(_LATER.octets)
