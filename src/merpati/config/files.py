"""The files that a merpati.toml names, looked at before a server depends on them."""

import os
from collections.abc import Iterator
from pathlib import Path

from merpati.config.errors import Flaw
from merpati.config.locate import Path as KeyPath
from merpati.config.read import say
from merpati.config.settings import Settings


def look(settings: Settings) -> list[Flaw]:
    """What would stop a server: files that are missing, unreadable, or open to others."""
    lines = settings.lines
    return [
        Flaw(say(path), lines.of(path) if lines else 0, what, hint)
        for path, what, hint in [*_tls(settings), *_passwords(settings), *_data(settings)]
    ]


Found = Iterator[tuple[KeyPath, str, str]]


def _tls(settings: Settings) -> Found:
    if tls := settings.document.tls:
        yield from _readable(settings.path(tls.certificate), ("tls", "certificate"))
        yield from _secret(settings.path(tls.key), ("tls", "key"))


def _passwords(settings: Settings) -> Found:
    for n, route in enumerate(settings.document.route):
        if route.password_file:
            yield from _secret(settings.path(route.password_file), ("route", n, "password_file"))


def _data(settings: Settings) -> Found:
    """An existing ancestor must let us write, or the directory itself."""
    folder = settings.data
    if folder.exists() and not folder.is_dir():
        yield ("data",), f"{folder} is not a directory", ""
        return
    if folder.exists() and folder.stat().st_mode & 0o002:
        # Whoever can rename there can put a queue and passwords of their own in place of ours.
        yield (
            ("data",),
            f"every user of this machine can change {folder}",
            f"Run: chmod o-w {folder}",
        )
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        yield ("data",), f"{folder} cannot be written to", "Run as its owner, or change it"


def _readable(file: Path, path: KeyPath) -> Found:
    if not file.is_file():
        yield path, f"{file} does not exist", ""
    elif not os.access(file, os.R_OK):
        yield path, f"{file} cannot be read", "Run as its owner, or change its permissions"


def _secret(file: Path, path: KeyPath) -> Found:
    yield from _readable(file, path)
    if file.is_file() and file.stat().st_mode & 0o007:
        yield path, f"every user of this machine can use {file}", f"Run: chmod o= {file}"
