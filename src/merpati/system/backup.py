"""Backups of a data directory, taken while a server works on it, and put back where there is none.

Queues first, then the directory, then mailboxes: what is delivered meanwhile is in both copies and
not in neither. What is in a mailbox already is delivered again under the same name, into its place.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from merpati import __version__
from merpati.config.places import Places
from merpati.errors import MerpatiError
from merpati.storage.backup import check_copy, copy_database, sync
from merpati.storage.connection import Kind
from merpati.storage.lock import Lock
from merpati.system.mailcopy import copy_tree

_MANIFEST = "backup.json"
_CONFIG = "merpati.toml"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds; written last, so that a folder without it is not a whole one."""

    merpati: str
    at: float
    """When it began, seconds since 1970 UTC: what was accepted later may be missing."""
    files: dict[str, str]
    """SHA-256 by name."""
    messages: int
    """In mailboxes."""


def back_up(places: Places, config: bytes, folder: Path, at: float) -> Manifest:
    """Write a whole backup into a folder that is empty; MerpatiError says why there is none.

    `config` is the merpati.toml in force, kept for people to compare; empty for none. Of a backup
    that fails nothing is left: half of one would fill the disk and be of no use.
    """
    _check_empty(folder)
    try:
        return _write_all(places, config, folder, at)
    except BaseException as error:
        _clear(folder)
        if isinstance(error, OSError):
            text = f"no backup: {error.filename or folder}: {error.strerror}"
            raise MerpatiError(text) from error
        raise


def _write_all(places: Places, config: bytes, folder: Path, at: float) -> Manifest:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    messages = _copy_all(places, config, folder)
    files = {name: _sum(folder / name) for name in _names(folder)}
    manifest = Manifest(merpati=__version__, at=at, files=files, messages=messages)
    # Files of mailboxes are many: they are synced together and not one by one.
    os.sync()
    _write(folder / _MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    sync(folder)
    return manifest


def _clear(folder: Path) -> None:
    """Take away what was written, and say nothing of what cannot be: the first failure is told."""
    if folder.is_dir():
        for one in folder.iterdir():
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one, ignore_errors=True)
            else:
                with suppress(OSError):
                    one.unlink()


def _copy_all(places: Places, config: bytes, folder: Path) -> int:
    for queue in places.queues():
        copy_database(queue, Kind.SHARD, folder / queue.name)
    if places.directory.exists():
        copy_database(places.directory, Kind.DIRECTORY, folder / places.directory.name)
    if places.feedback.exists():
        copy_database(places.feedback, Kind.FEEDBACK, folder / places.feedback.name)
    if places.secret.exists():
        shutil.copy2(places.secret, folder / places.secret.name)
    if config:
        (folder / _CONFIG).write_bytes(config)
    for kept in _certificates(places):
        if kept.exists():
            shutil.copytree(kept, folder / kept.name, ignore=shutil.ignore_patterns(".*"))
    return sum(
        copy_tree(root, folder / root.name) for root in (places.mail, places.inbox) if root.exists()
    )


def restore(folder: Path, places: Places) -> Manifest:
    """Put a backup into a data directory that is empty.

    MerpatiError when it is not, or when the backup is not whole: then nothing was written. When
    the disk fails midway, no database is there under its name.
    """
    manifest = _read(folder / _MANIFEST)
    _check_empty(places.data)
    try:
        _check_sums(folder, manifest)
        for name, kind in _databases(folder):
            check_copy(folder / name, kind)
        places.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Lock(places.lock):
            # Once more: a server may have started and stopped since.
            _check_empty(places.data)
            _put_back(folder, places)
    except OSError as error:
        text = f"not restored: {error.filename or folder}: {error.strerror}"
        raise MerpatiError(f"{text}; empty {places.data} before the next try") from error
    return manifest


def _put_back(folder: Path, places: Places) -> None:
    """Databases last, and under their names only when all is there."""
    for root in (places.mail, places.inbox):
        if (folder / root.name).exists():
            copy_tree(folder / root.name, root)
    for kept in _certificates(places):
        if (folder / kept.name).exists():
            shutil.copytree(folder / kept.name, kept)
    if (folder / places.secret.name).exists():
        shutil.copy2(folder / places.secret.name, places.secret)
    names = [name for name, _ in _databases(folder)]
    for name in names:
        shutil.copyfile(folder / name, places.data / f"{name}.restoring")
        (places.data / f"{name}.restoring").chmod(0o600)
    os.sync()
    for name in names:
        (places.data / f"{name}.restoring").rename(places.data / name)
    sync(places.data)


def _certificates(places: Places) -> tuple[Path, ...]:
    """Of our own making, and from a CA."""
    return places.certificate.parent, places.certificates


def _databases(folder: Path) -> Iterator[tuple[str, Kind]]:
    backup = Places(folder)
    for queue in backup.queues():
        yield queue.name, Kind.SHARD
    if backup.directory.exists():
        yield backup.directory.name, Kind.DIRECTORY
    if backup.feedback.exists():
        yield backup.feedback.name, Kind.FEEDBACK


def _check_empty(folder: Path) -> None:
    """A folder may be new or empty; an owner's lock that nobody holds is nothing, too."""
    try:
        there = [one.name for one in folder.iterdir()] if folder.exists() else []
    except OSError as error:
        raise MerpatiError(f"cannot look into {folder}: {error.strerror}") from error
    if set(there) - {Places(folder).lock.name}:
        raise MerpatiError(f"{folder} is not empty: nothing there is ever overwritten")


def _names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.is_file())


def _check_sums(folder: Path, manifest: Manifest) -> None:
    for name, expected in manifest.files.items():
        if not (folder / name).is_file():
            raise MerpatiError(f"the backup is not whole: {name} is missing")
        if _sum(folder / name) != expected:
            raise MerpatiError(f"the backup is damaged: {name} is not as it was written")


def _sum(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _write(file: Path, octets: bytes) -> None:
    beside = file.with_suffix(".new")
    beside.write_bytes(octets + b"\n")
    sync(beside)
    beside.rename(file)


def _read(file: Path) -> Manifest:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        text = f"{file.parent} is no whole backup: it has no {file.name}"
        raise MerpatiError(text) from error
    except OSError as error:
        raise MerpatiError(f"cannot read {file}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise MerpatiError(f"{file} cannot be read: {error}") from error
