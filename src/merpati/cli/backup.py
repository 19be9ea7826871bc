"""`merpati backup`: a copy of everything that is kept, while the server runs."""

import os
from pathlib import Path

import click

from merpati.cli.context import Refused, asked, become_owner, settings_of
from merpati.cli.output import clean, counted
from merpati.clock import SystemClock
from merpati.config.places import Places
from merpati.config.settings import Settings


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
    from merpati.system.backup import back_up  # opens databases

    settings = settings_of(ctx)
    config = settings.file.read_bytes() if settings.file else b""
    places = Places(settings.data)
    if not places.queues():
        raise Refused(f"there is no queue in {settings.data}: there is nothing to back up")
    os.umask(0o077)
    _make_folder(settings, folder)
    become_owner(settings)
    done = back_up(places, config, folder, SystemClock().now())
    files = counted(len(done.files), "file")
    messages = counted(done.messages, "message")
    click.echo(f"{files} and {messages} of mailboxes are in {clean(str(folder))}.")


def _make_folder(settings: Settings, folder: Path) -> None:
    """Root gives it to the server's user, as everything that is made in the data directory."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        user = settings.document.user
        if user and os.geteuid() == 0 and not any(folder.iterdir()):
            from merpati.supervisor.privileges import give

            give(folder, user)
    except OSError as error:
        raise Refused(f"cannot make {folder}: {error.strerror}") from error
