"""Copying mailboxes while mail is delivered into them and read from them.

A file in `new` or `cur` never changes, but its reader moves it from the one to the other and
renames it: whatever was listed and is gone is looked for once more. What is renamed as its folder
is listed may not be in the list at all (readdir(3p)), so that a box is done when a whole look at it
meets nothing new. A message that has several names while it is copied is copied once.
"""

import errno
import os
import shutil
import stat
from pathlib import Path

_ROUNDS = 5
_PIECE = 1024 * 1024
# Nobody is waited for at the other end of a pipe, and no link leads elsewhere.
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_BOXES = ("new", "cur")


def copy_tree(source: Path, target: Path) -> int:
    """Copy Maildirs and what their readers keep beside them; how many messages. OSError as is."""
    messages = 0
    for here, folders, files in os.walk(source):
        folder = Path(here)
        beside = target / folder.relative_to(source)
        beside.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _BOXES[0] in folders and _BOXES[1] in folders:
            messages += _copy_box(folder, beside)
            folders[:] = [name for name in folders if name not in (*_BOXES, "tmp")]
            (beside / "tmp").mkdir(mode=0o700, exist_ok=True)
        for name in files:
            if not name.endswith(".lock"):
                _copy(folder / name, beside / name)
    return messages


def _copy_box(folder: Path, target: Path) -> int:
    copied: set[str] = set()
    for name in _BOXES:
        (target / name).mkdir(mode=0o700, exist_ok=True)
    for _ in range(_ROUNDS):
        # `new` first: what is moved meanwhile is then met in `cur`.
        met = [_copy_new_ones(folder / name, target / name, copied) for name in _BOXES]
        if not any(met):
            break
    return len(copied)


def _copy_new_ones(source: Path, target: Path, copied: set[str]) -> bool:
    """Copy what was not copied before; whether there was any, gone again or not."""
    met = False
    for name in os.listdir(source):  # noqa: PTH208 - names alone, of very many files
        unique = name.partition(":")[0]
        if unique in copied:
            continue
        met = True
        if _copy(source / name, target / name):
            copied.add(unique)
    return met


def _copy(source: Path, target: Path) -> bool:
    """False when it is not there any more. What is no file is passed over.

    By its descriptor: its name may change at any moment, its octets do not.
    """
    try:
        descriptor = os.open(source, _OPEN)
    except FileNotFoundError:
        return False
    except OSError as error:
        # A link, or a socket: nothing of a mailbox.
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            return True
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # What is a folder cannot even be made a file of.
        return True
    with os.fdopen(descriptor, "rb") as octets, target.open("xb") as copy:
        shutil.copyfileobj(octets, copy, _PIECE)
    target.chmod(stat.S_IMODE(status.st_mode) & 0o777)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True
