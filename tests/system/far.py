"""A fake of the far side for a whole server: any `PlainServer`, on a real port of loopback."""

import asyncio
import socket
import threading
from types import TracebackType

from merpati.clock import SystemClock
from merpati.testing.plain_server import Ledger, PlainServer
from merpati.wire.listen import Arrival, Listener
from merpati.wire.loop import Wire


class Far:
    """Serves in a thread of its own while the `with` lasts."""

    def __init__(self, kind: type[PlainServer]) -> None:
        self.ledger = Ledger()
        self._kind = kind
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self._failures: list[Exception] = []
        self._loop = asyncio.new_event_loop()
        wire = Wire(SystemClock(), interval=0.05)
        self._listener = Listener(wire, self._serve, self._failures.append)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Far":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._listener.stop, 0.0)
        self._thread.join(60)
        assert not self._failures

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listener.run([self._socket]))

    async def _serve(self, arrival: Arrival) -> None:
        await self._kind(self.ledger).serve(arrival.stream)
