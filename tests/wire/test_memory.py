"""What an idle connection costs."""

import tracemalloc

from merpati.wire.listen import Arrival, ListenSettings

CONNECTIONS = 200


async def wait_for_octets(arrival: Arrival) -> None:
    while await arrival.stream.read():
        pass


async def test_idle_plain_connection_costs_at_most_8_kib(serving_port) -> None:
    settings = ListenSettings(connections_per_ip=CONNECTIONS + 1)
    async with serving_port(wait_for_octets, settings) as port:
        await port.dial()
        tracemalloc.start()
        try:
            streams = [await port.dial() for _ in range(CONNECTIONS)]
            used = tracemalloc.get_traced_memory()[0] / CONNECTIONS
        finally:
            tracemalloc.stop()
        assert len(streams) == CONNECTIONS
        assert used < 8 * 1024, "both ends of each connection, and the session"
