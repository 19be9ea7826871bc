"""What every command needs: the settings, a counter to ask at, and errors said in words."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

import click

from merpati.api.client import RemoteCounter
from merpati.api.errors import Unreachable
from merpati.api.operations import Counter
from merpati.cli.output import clean
from merpati.config.errors import ConfigError
from merpati.config.places import Places
from merpati.config.settings import LOCAL_FILE, SYSTEM_FILE, VARIABLE, Settings, settle
from merpati.errors import MerpatiError

EX_TEMPFAIL = 75
EX_CONFIG = 78
# A server that starts or stops owns the data and does not answer for a moment.
_TRIES = 100
_PAUSE = 0.05
_NOWHERE = (
    f"there is no merpati.toml: --config and ${VARIABLE} name none, and there is none of yours or "
    f"root's at ./{LOCAL_FILE} (where sendmail does not look) nor at {SYSTEM_FILE}. Without one "
    "only a running developer's inbox could be meant, and none runs: merpati serve"
)
P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="JSON for programs.")


class Refused(click.ClickException):
    """An expected error: words, a status, no traceback."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """As every tool does it: the name, then what is wrong."""
        click.echo(f"merpati: {clean(self.message, keep=chr(10))}", file=file, err=True)


class NotNow(Refused):
    """The same later may work."""

    exit_code = EX_TEMPFAIL


class Misconfigured(Refused):
    """merpati.toml must be put right first."""

    exit_code = EX_CONFIG


def settings_of(ctx: click.Context, here: Path | None = LOCAL_FILE) -> Settings:
    """The configuration in force, as the group's --config says."""
    explicit: Path | None = ctx.find_root().obj
    try:
        return settle(explicit, os.environ, here)
    except ConfigError as error:
        raise Misconfigured(str(error)) from error


async def insist_on_server(settings: Settings) -> None:
    """Without a merpati.toml only a running developer's inbox can be meant.

    What its data were given while nobody serves them would never be seen again.
    """
    if settings.is_inbox and not await RemoteCounter(Places(settings.data).control).answers():
        raise Misconfigured(_NOWHERE)


@asynccontextmanager
async def counter_of(settings: Settings, *, only_looks: bool = False) -> AsyncIterator[Counter]:
    """The running server's counter, or one of our own while no server runs.

    Who only looks may look into a developer's inbox that does not run.
    """
    if not only_looks:
        await insist_on_server(settings)
    remote = RemoteCounter(Places(settings.data).control)
    for _ in range(_TRIES):
        if await remote.answers():
            yield remote
            return
        from merpati.system.office import own_counter  # opens the database

        become_owner(settings)

        async with own_counter(settings) as counter:
            if counter is not None:
                yield counter
                return
        await asyncio.sleep(_PAUSE)
    raise Unreachable(
        f"another Merpati owns {settings.data} and does not answer; is it starting or stopping?"
    )


def may_enter(settings: Settings) -> bool:
    """Whether this user may work on the data; cron and PHP of other users may not."""
    data = settings.data
    if os.access(data, os.W_OK | os.X_OK):
        return data.is_dir()
    try:
        return not data.exists()
    except OSError:  # Of a folder above it.
        return False


def insist_on_entry(settings: Settings) -> None:
    """Nobody should be told that there is nothing who only may not look."""
    data, user = settings.data, settings.document.user
    if may_enter(settings):
        return
    try:
        data.stat()
    except PermissionError:
        pass
    except OSError as error:
        raise Misconfigured(f"{data}: {error.strerror}") from error
    else:
        if not data.is_dir():
            raise Misconfigured(f"{data} is not a directory, as data in merpati.toml should be")
    allowed = f"root and the user {user}" if user else "root and the user of the server"
    raise Refused(f"only {allowed} may work on {data}: try it with sudo")


def become_owner(settings: Settings) -> None:
    """Root makes files as the server's user would, or the server could not open them later."""
    user = settings.document.user
    insist_on_entry(settings)
    if not user or os.geteuid() != 0:
        return
    from merpati.supervisor.privileges import drop, give

    if not settings.data.exists():
        settings.data.mkdir(mode=0o700, parents=True)
        give(settings.data, user)
    drop(user)


def asked(command: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Run an async command, and say every expected error in words."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return asyncio.run(command(*args, **kwargs))
        except Unreachable as error:
            raise NotNow(str(error)) from error
        except ConfigError as error:
            raise Misconfigured(str(error)) from error
        except MerpatiError as error:
            raise Refused(str(error)) from error

    return run
