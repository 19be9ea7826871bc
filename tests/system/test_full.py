"""A start on a full disk: callers are told to come later, and mail is taken once there is room."""

import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from merpati.clock import Clock, SystemClock
from merpati.storage.errors import StorageError
from merpati.system.full import when_there_is_room
from merpati.system.log import Log


@dataclass
class Surroundings:
    log: Log
    clock: Clock


@dataclass
class Store:
    """Opens when it was tried often enough."""

    failures: int
    error: StorageError
    is_open: bool = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        self.failures -= 1
        if self.failures >= 0:
            raise self.error
        self.is_open = True
        yield "the store"
        self.is_open = False


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


async def enter(store: Store, door: socket.socket) -> str:
    given = Surroundings(Log(SystemClock()), SystemClock())
    async with AsyncExitStack() as opened:
        found = await when_there_is_room(opened, store.open, [door], given)
        assert store.is_open
    assert not store.is_open
    return found


@pytest.mark.slow
async def test_callers_hear_421_until_there_is_room(
    door: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("merpati.system.full._EVERY", 0.1)
    with socket.create_connection(door.getsockname()) as caller:
        assert await enter(Store(1, StorageError("full", is_full=True)), door) == "the store"
        assert caller.recv(100).startswith(b"421 4.3.1 No space left")


async def test_who_waits_for_room_can_be_ended_at_any_moment(
    door: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("merpati.system.full._EVERY", 0.0)
    seen = []

    class Slow(Store):
        def open(self) -> AbstractAsyncContextManager[str]:
            seen.append(signal.getsignal(signal.SIGTERM))
            return super().open()

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, remember := lambda *_: None)
    try:
        await enter(Slow(2, StorageError("full", is_full=True)), door)
        assert seen == [remember, signal.SIG_DFL, signal.SIG_DFL]
        assert signal.getsignal(signal.SIGTERM) is remember
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_with_room_nobody_is_turned_away(door: socket.socket) -> None:
    with socket.create_connection(door.getsockname()) as caller:
        assert await enter(Store(0, StorageError("never")), door) == "the store"
        caller.setblocking(False)
        with pytest.raises(BlockingIOError):
            caller.recv(100)


async def test_another_failure_ends_the_start(door: socket.socket) -> None:
    with pytest.raises(StorageError, match="damaged"):
        await enter(Store(1, StorageError("damaged", is_damaged=True)), door)
