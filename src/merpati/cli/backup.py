"""`merpati backup`: a copy of everything that is kept, while the server runs."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from merpati.cli.context import Refused, asked, become_owner, insist_on_entry, settings_of
from merpati.cli.output import clean, counted
from merpati.clock import SystemClock
from merpati.config.places import Places
from merpati.config.settings import Settings

if TYPE_CHECKING:
    from merpati.system.backup import Manifest


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.pass_context
@asked
async def backup(ctx: click.Context, folder: Path) -> None:
    """Copy queue, journal, directory, mailboxes and secrets into FOLDER, new or empty.

    The server may run and take mail meanwhile: everything that it had acknowledged when the backup
    began is in it. As root it is made by the server's user, who must be able to reach FOLDER.

    \b
    Examples:
      merpati backup /backup/2026-11-23
      merpati restore /backup/2026-11-23
    """
    settings = settings_of(ctx)
    config = settings.file.read_bytes() if settings.file else b""
    places = Places(settings.data)
    insist_on_entry(settings)
    if not places.queues():
        raise Refused(f"there is no queue in {settings.data}: there is nothing to back up")
    os.umask(0o077)
    with _made(settings, folder):
        done = _as_owner(settings, places, config, folder)
    files = counted(len(done.files), "file")
    messages = counted(done.messages, "message")
    click.echo(f"{files} and {messages} of mailboxes are in {clean(str(folder))}.")


@contextmanager
def _made(settings: Settings, folder: Path) -> Iterator[None]:
    """The folder is there, and those above it; of what was not there nothing stays on failure."""
    missing = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    try:
        _make(settings, folder, missing)
        yield
    except BaseException:
        # Only what is empty: nothing that somebody else has put there is lost.
        for one in missing:
            with suppress(OSError):
                one.rmdir()
        raise


def _make(settings: Settings, folder: Path, missing: list[Path]) -> None:
    """Root gives them to the server's user, as everything that is made in the data directory."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        user = settings.document.user
        if user and os.geteuid() == 0:
            from merpati.supervisor.privileges import give

            # An empty folder that root has prepared is for the user as well.
            for one in missing or ([] if any(folder.iterdir()) else [folder]):
                give(one, user)
    except OSError as error:
        raise Refused(f"cannot make {folder}: {error.strerror}") from error


def _as_owner(settings: Settings, places: Places, config: bytes, folder: Path) -> "Manifest":
    """Root lets a child become the server's user, and stays who may take the folders away."""
    work = (settings, places, config, folder, SystemClock().now())
    if not settings.document.user or os.geteuid() != 0:
        return _back_up(*work)
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as child:
        return child.submit(_back_up, *work).result()


def _back_up(
    settings: Settings, places: Places, config: bytes, folder: Path, at: float
) -> "Manifest":
    from merpati.system.backup import back_up  # opens databases

    become_owner(settings)
    return back_up(places, config, folder, at)
