"""`python -m benchmarks.discard PORT`: the receiving half alone; its queue keeps nothing."""

import asyncio
import gc
import ipaddress
import secrets
import signal
import sys
from collections.abc import Sequence
from typing import cast

import uvloop

from merpati.clock import SystemClock
from merpati.directory.expansion import Expander
from merpati.intake import Intake, IntakeSettings
from merpati.mail.envelope import Body
from merpati.policy.rules.table import RuleSettings, judge_of
from merpati.queue.entry import Entry
from merpati.queue.ids import IdMaker
from merpati.queue.queue import Queue
from merpati.reception.port import Port, PortSettings, Role
from merpati.testing.memory import MemoryJournal
from merpati.testing.residents import Residents
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Listener, ListenSettings
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind


class NowhereQueue:
    """Takes every message and forgets it: P4 measures what comes before the queue."""

    async def put(
        self,
        entry: Entry,
        content: Body,
        events: Sequence[object] = (),
        discharged: Sequence[int] = (),
    ) -> None:
        """Stored nowhere."""


def failed(error: Exception) -> None:
    """A defect of a session must be seen."""
    print(f"session failed: {error!r}", file=sys.stderr)


async def serve(number: int) -> None:
    """Until SIGTERM."""
    clock = SystemClock()
    expander = Expander(Residents(), "mx.example.org")
    intake = Intake(
        settings=IntakeSettings("mx.example.org"),
        queue=cast("Queue", NowhereQueue()),  # only `put` is called for mail this small
        journal=MemoryJournal(),
        expander=expander,
        judge=judge_of(RuleSettings(), expander, clock),
        clock=clock,
        new_id=IdMaker(clock.now, secrets.token_bytes).make,
    )
    trusted = (ipaddress.ip_network("127.0.0.1/32"),)
    port = Port(PortSettings(Role.MX, "mx.example.org", trusted), intake, clock)
    listener = Listener(Wire(clock), port.serve, failed, ListenSettings(connections_per_ip=2000))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, listener.stop, 0.0)
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    await listener.run([bind(Endpoint.parse(f"127.0.0.1:{number}"))])


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
