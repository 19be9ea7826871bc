"""Which SQLite libraries are safe to trust mail to."""

import apsw

from merpati.storage.errors import StorageError

# Every SQLite from 3.7.0 to 3.51.2 can corrupt a database when the WAL is reset; the repair was
# carried back to 3.44.6 and 3.50.7 alone.
_REPAIRED = (3, 51, 3)
_CARRIED_BACK: dict[tuple[int, ...], int] = {(3, 44): 6, (3, 50): 7}


def is_safe(version: str) -> bool:
    """Whether this version of SQLite has the repair."""
    numbers = tuple(int(part) for part in version.split(".")[:3])
    carried = _CARRIED_BACK.get(numbers[:2])
    return numbers >= _REPAIRED or (carried is not None and numbers[2] >= carried)


def check_library(version: str | None = None) -> None:
    """StorageError when the SQLite inside apsw may corrupt what it keeps."""
    version = version or apsw.sqlite_lib_version()
    if not is_safe(version):
        raise StorageError(
            f"SQLite {version} can corrupt its files (WAL reset bug); "
            "3.51.3 or newer is needed: upgrade the apsw package"
        )
