"""What others reported is set aside when SQLite cannot read its file, and begun anew.

No mail is in it, so a start does not fail for it. Files with mail or people in them are refused as
they are, and so is one of a newer version or of another program.
"""

import os
import time
from pathlib import Path

from merpati.clock import Clock
from merpati.config.places import Places
from merpati.storage.connection import Kind, StorageSettings, abandon, connect
from merpati.storage.errors import StorageError
from merpati.system.log import Log

EVENT = "reports-set-aside"


def set_aside(places: Places, clock: Clock, log: Log) -> None:
    """Move a damaged `feedback.db` out of the way. Blocks.

    For the owner of the data, before anybody opens the file. StorageError when it cannot be moved.
    """
    if not places.feedback.exists():
        return
    try:
        abandon(connect(StorageSettings(places.feedback, Kind.FEEDBACK)))
    except StorageError as error:
        # Of everything else whoever opens it next will tell.
        if error.is_damaged and not error.is_foreign:
            moved = _move(places.feedback, clock.now())
            log.error(EVENT, f"{told(moved)} ({error.__cause__ or error})")


def told(moved: Path) -> str:
    """What an operator should know of a file that was set aside."""
    return (
        f"feedback.db was damaged and is now {moved.name}; a new one was begun. No mail is in it: "
        "what others reported until then is missing. Put back the one of a backup, or remove it "
        "when you do not need it; and see why the disk damaged it"
    )


def notices(places: Places) -> tuple[str, ...]:
    """The same of every one that lies there still."""
    return tuple(told(file) for file in places.damaged_feedback())


def _move(file: Path, now: float) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    new = _unused(file.with_name(f"{file.name}.damaged-{stamp}"))
    try:
        # The log first: a new database must never find the log of another.
        for end in ("-wal", "-shm", ""):
            old = file.with_name(file.name + end)
            if old.exists():
                old.rename(new.with_name(new.name + end))
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageError(
            f"{file} is damaged and cannot be moved away: {error.strerror}"
        ) from error
    return new


def _unused(name: Path) -> Path:
    """Nothing that was set aside before is overwritten."""
    number, free = 1, name
    while free.exists() or free.with_name(f"{free.name}-wal").exists():
        number += 1
        free = name.with_name(f"{name.name}-{number}")
    return free
