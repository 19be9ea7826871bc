"""What the quick run of `make check` does without; `make test` does all of it."""

import re
import shutil
from functools import cache
from pathlib import Path

import apsw
import pytest

from merpati.directory import password
from merpati.storage import connection
from merpati.storage.connection import Kind, StorageSettings

_WHOLE_FILE = re.compile(r"^pytestmark = (\[\s+)?pytest\.mark\.(slow|interop)\b", re.MULTILINE)


def is_quick(config: pytest.Config) -> bool:
    """Whether the run was asked for with `--hypothesis-profile quick`."""
    return bool(config.getoption("--hypothesis-profile") == "quick")


@cache
def is_left_out(path: Path) -> bool:
    """Whether all of a file or folder waits for `make test`: its import alone would take long."""
    if path.is_dir():
        tests = list(path.rglob("test_*.py"))
        return bool(tests) and all(map(is_left_out, tests))
    return path.suffix == ".py" and _WHOLE_FILE.search(path.read_text("utf-8")) is not None


def hash_at_no_cost(patch: pytest.MonkeyPatch) -> None:
    """Hashing takes long on purpose, and a slow test checks that."""
    patch.setattr(password, "_MEMORY_KIB", 8)
    patch.setattr(password, "_PASSES", 1)


def begin_databases_as_copies(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """A thousand files are made in a run: each begins as a copy of one that went through all the
    migrations, unless a test lets its disk fail."""
    made = {kind: StorageSettings(folder / kind.value, kind) for kind in Kind}
    for first in made.values():
        connection.abandon(connection.connect(first))
    true_open = connection._open

    def copy_and_open(
        settings: StorageSettings, flags: int, *, is_alone: bool = False
    ) -> apsw.Connection:
        is_new = flags & apsw.SQLITE_OPEN_CREATE and not settings.path.exists()
        if is_new and not settings.vfs and settings.path.parent.is_dir():
            shutil.copyfile(made[settings.kind].path, settings.path)
        return true_open(settings, flags, is_alone=is_alone)

    patch.setattr(connection, "_open", copy_and_open)
