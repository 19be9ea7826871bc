"""Both event loops, a zone on loopback and a client that asks it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvloop

from merpati.dns.client import DnsClient, DnsSettings
from merpati.testing.clock import VirtualClock
from merpati.testing.zone import ZoneServer, serve_zone
from tests.quick import is_quick

ZONE = """
a.test             MX     10 mx1.a.test
a.test             MX     20 mx2.a.test
a.test             TXT    "v=spf1 " "-all"
null.test          MX     0 .
mx1.a.test         A      192.0.2.1
mx1.a.test         A      192.0.2.2
mx1.a.test         AAAA   2001:db8::1
1 short.a.test     A      192.0.2.3
999999 long.a.test A      192.0.2.4
www.a.test         CNAME  mx1.a.test     # an alias
loop1.a.test       CNAME  loop2.a.test
loop2.a.test       CNAME  loop1.a.test
1.2.0.192.in-addr.arpa PTR mx1.a.test
_25._tcp.mx1.a.test TLSA  3 1 1 0011223344556677001122334455667700112233445566770011223344556677
"""


def pytest_asyncio_loop_factories(
    config: pytest.Config,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test of this room runs on both loops; a quick one on that of our servers."""
    if is_quick(config):
        return {"uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


class Asker:
    """A client, the server it asks, and the clock of its cache."""

    def __init__(self, server: ZoneServer, **settings: object) -> None:
        self.server = server
        self.clock = VirtualClock()
        chosen = {"servers": (server.address,), "server_seconds": 5.0, "total_seconds": 20.0}
        self.dns = DnsClient(self.clock, DnsSettings(**(chosen | settings)))


@asynccontextmanager
async def zone_asker(**settings: object) -> AsyncIterator[Asker]:
    async with serve_zone(ZONE) as server:
        yield Asker(server, **settings)


@pytest.fixture
def asking() -> Callable[..., AbstractAsyncContextManager[Asker]]:
    return zone_asker
