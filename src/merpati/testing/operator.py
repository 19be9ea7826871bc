"""What an operator does by commands, done in this process: each would take a second to start."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from merpati.api.client import RemoteCounter
from merpati.api.operations import DOMAINS_ADD, USERS_ADD, A, Counter, Operation, Q
from merpati.api.questions import Named, NewUser
from merpati.config.settings import load
from merpati.system.office import own_counter

P = ParamSpec("P")
R = TypeVar("R")


def move_in(config: Path, password: str, *addresses: str) -> None:
    """Add users and their domains to an installation whose server does not run."""
    _in_a_thread(_move_in, config, password, addresses)


def tell(socket: Path, operation: Operation[Q, A], question: Q) -> A:
    """Ask a running server by its control socket."""
    return _in_a_thread(RemoteCounter(socket).ask, operation, question)


async def _move_in(config: Path, password: str, addresses: tuple[str, ...]) -> None:
    async with own_counter(load(config)) as counter:
        assert counter is not None, "somebody works on this data"
        await _add(counter, password, addresses)


async def _add(counter: Counter, password: str, addresses: tuple[str, ...]) -> None:
    for domain in dict.fromkeys(address.rpartition("@")[2] for address in addresses):
        await counter.ask(DOMAINS_ADD, Named(name=domain))
    for address in addresses:
        await counter.ask(USERS_ADD, NewUser(address=address, password=password))


def _in_a_thread(work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **named: P.kwargs) -> R:
    """A loop of its own, also where one runs already."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(work(*args, **named))).result()
