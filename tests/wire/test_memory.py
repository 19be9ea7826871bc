"""What an idle connection costs."""

import asyncio
import socket
import tracemalloc
from contextlib import ExitStack

import pytest

from merpati.wire.listen import Arrival, ListenSettings

pytestmark = pytest.mark.slow

CONNECTIONS = 200


async def wait_for_octets(arrival: Arrival) -> None:
    while await arrival.stream.read():
        pass


async def test_idle_plain_connection_costs_at_most_8_kib(serving_port) -> None:
    settings = ListenSettings(connections_per_ip=CONNECTIONS + 1)
    served = 0

    async def serve(arrival: Arrival) -> None:
        nonlocal served
        served += 1
        await wait_for_octets(arrival)

    with ExitStack() as clients:
        async with serving_port(serve, settings) as port:
            await port.dial()
            tracemalloc.start()
            try:
                for _ in range(CONNECTIONS):
                    at = (port.at.ip, port.at.port)
                    clients.enter_context(socket.create_connection(at))
                while served <= CONNECTIONS:
                    await asyncio.sleep(0)
                used = tracemalloc.get_traced_memory()[0] / CONNECTIONS
            finally:
                tracemalloc.stop()
            assert used < 8 * 1024, "the connection and its session, without the client"
