"""What an operator does by commands, done in this process: each would take a second to start."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, ParamSpec, TypeVar

from click.testing import CliRunner

from merpati.api.client import RemoteCounter
from merpati.api.operations import DOMAINS_ADD, USERS_ADD, A, Counter, Operation, Q
from merpati.api.questions import Named, NewUser
from merpati.cli.main import merpati
from merpati.config.places import Places
from merpati.config.settings import load
from merpati.system.office import own_counter
from merpati.testing.process import START_SECONDS, MerpatiProcess

P = ParamSpec("P")
R = TypeVar("R")


def move_in(config: Path, password: str, *addresses: str) -> None:
    """Add users and their domains to an installation whose server does not run."""
    _in_a_thread(_move_in, config, password, addresses)


def tell(socket: Path, operation: Operation[Q, A], question: Q) -> A:
    """Ask a running server by its control socket."""
    return _in_a_thread(RemoteCounter(socket).ask, operation, question)


_ALONE = {"serve", "sendmail"}
"""What they change or read is a process's own: signals, its umask, its descriptors."""


class Attended(MerpatiProcess):
    """Its server has a process of its own, most of its operator's commands run in this one."""

    def wait_up(self) -> None:
        """Return when its operator can ask, too: the ports answer before."""
        super().wait_up()
        control = RemoteCounter(Places(load(self.config).data).control)
        end = time.monotonic() + START_SECONDS
        while not _in_a_thread(control.answers):
            assert time.monotonic() < end, self.output()
            assert not self.has_ended, self.output()
            time.sleep(0.02)

    def run(self, *arguments: str, text: str = "") -> CompletedProcess[str]:
        """The same as from a shell, without the start; what the command lets through is raised."""
        if arguments[0] in _ALONE:
            return super().run(*arguments, text=text)
        words = ["--config", os.fspath(self.config), *arguments]
        done = CliRunner().invoke(merpati, words, input=text)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


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
