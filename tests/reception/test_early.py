"""Who speaks before the greeting does not listen, and is not served at an mx port."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

import pytest
import uvloop

from merpati.clock import SystemClock
from merpati.journal.events import Refused
from merpati.reception.port import Network, Port, PortSettings, Role
from merpati.testing.doors import HOSTNAME, House, networks
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import Listener, ListenSettings
from merpati.wire.loop import Wire
from merpati.wire.sockets import bind, bound_to

Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPBACK = ipaddress.IPv4Network("127.0.0.1/32")
PROXY = b"PROXY TCP4 192.0.2.7 192.0.2.1 49152 25\r\n"


def dialogue(
    loop: Loop,
    said: bytes,
    house: House,
    role: Role = Role.MX,
    *,
    trusted: tuple[Network, ...] = (),
    proxies: tuple[ipaddress.IPv4Network, ...] = (),
) -> str:
    """The first line of a server that is told `said` before it accepts the connection."""

    async def run() -> str:
        clock = SystemClock()
        port = Port(PortSettings(role, HOSTNAME, trusted=trusted), house.intake(), clock)
        failures: list[Exception] = []
        settings = ListenSettings(proxies=proxies)
        listener = Listener(Wire(clock, interval=0.05), port.serve, failures.append, settings)
        listening = bind(Endpoint("127.0.0.1", 0))
        client = socket.create_connection(("127.0.0.1", bound_to(listening).port), 5)
        client.sendall(said)
        async with asyncio.TaskGroup() as group:
            group.create_task(listener.run([listening]))
            reader, writer = await asyncio.open_connection(sock=client)
            first = await reader.readline()
            port.stop()
            listener.stop(grace=5.0)
            writer.close()
        assert failures == []
        return first.decode()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(run())


both_loops = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


@both_loops
def test_a_hello_before_the_greeting_ends_the_session(loop: Loop) -> None:
    house = House()
    assert dialogue(loop, b"EHLO client.test\r\n", house).startswith("554 5.5.1")
    [refused] = asyncio.run(house.events(Refused))
    assert (refused.stage, refused.rule) == ("connect", "early")


@both_loops
def test_who_waits_is_greeted(loop: Loop) -> None:
    assert dialogue(loop, b"", House()).startswith("220 ")


@both_loops
@pytest.mark.parametrize("role", [Role.SUBMISSION, Role.LMTP])
def test_other_ports_do_not_mind(loop: Loop, role: Role) -> None:
    assert dialogue(loop, b"EHLO client.test\r\n", House(), role).startswith("220 ")


@both_loops
def test_a_trusted_network_may_hurry(loop: Loop) -> None:
    said = b"EHLO client.test\r\n"
    trusted = networks("127.0.0.1/32")
    assert dialogue(loop, said, House(), trusted=trusted).startswith("220 ")


@both_loops
def test_the_header_of_a_proxy_is_no_early_word(loop: Loop) -> None:
    assert dialogue(loop, PROXY, House(), proxies=(LOOPBACK,)).startswith("220 ")


@both_loops
def test_behind_a_proxy_a_client_waits_like_any_other(loop: Loop) -> None:
    said = PROXY + b"EHLO client.test\r\n"
    assert dialogue(loop, said, House(), proxies=(LOOPBACK,)).startswith("554 5.5.1")
