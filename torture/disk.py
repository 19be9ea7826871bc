"""A real ext4 on a disk whose power can be cut at any of its writes.

The disk is `torture.device` behind a loop device. A cut leaves what was flushed and, of what was
written since, any sectors at all; the image that results is mounted from a plain file.
"""

import contextlib
import os
import random
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from torture.device import COUNT, ENTRY, FILE
from torture.torment import lacking

SIZE = 128 << 20
_SECTOR = 4096
"""What a disk writes whole or not at all. With 512 the superblocks of ext4 and its journal may be
torn, and then the file system itself does not come back."""
_PIECE = 1 << 16
_EMPTY = bytes(_PIECE)
_PROGRAMS = ("mkfs.ext4", "mount", "umount", "losetup")


class RecordedDisk:
    """An ext4 under `mountpoint`, on a device that keeps a log of its writes."""

    def __init__(self, folder: Path, mountpoint: Path) -> None:
        self._mountpoint = mountpoint
        self._backing = folder / "device"
        self._log = folder / "device.log"
        self._count = folder / "device.count"
        self._loop = ""
        self._process: subprocess.Popen[bytes] | None = None

    def mount(self) -> None:
        """Make the device and the file system, and mount it. OSError if that is not to be had."""
        for folder in (self._backing, self._mountpoint):
            folder.mkdir(parents=True, exist_ok=True)
        words = [self._backing, SIZE, self._log, self._count]
        command = [sys.executable, "-m", "torture.device", *map(str, words)]
        self._process = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
        end = time.monotonic() + 10
        while not (self._backing / FILE).exists():
            if self._process.poll() is not None or time.monotonic() > end:
                raise OSError("the FUSE device does not come up")
            time.sleep(0.02)
        self._loop = run("losetup", "--find", "--show", str(self._backing / FILE)).strip()
        run("mkfs.ext4", "-q", self._loop)
        run("mount", "-t", "ext4", self._loop, str(self._mountpoint))

    def place(self) -> int:
        """How many writes and flushes there were until now."""
        return int(COUNT.unpack(self._count.read_bytes())[0])

    def unmount(self) -> None:
        """Take everything down again; the log stays."""
        # Lazily, lest something that still holds a file keeps the device from going.
        for words in (
            ["umount", "--lazy", str(self._mountpoint)],
            ["losetup", "--detach", self._loop],
            ["umount", "--lazy", str(self._backing)],
        ):
            subprocess.run(words, capture_output=True, check=False)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(60)
            self._process.kill()
            self._process.wait()

    def history(self) -> "History":
        """What was written, for cuts; after `unmount`."""
        return History.read(self._log)


@dataclass(frozen=True, slots=True)
class History:
    """All writes of a disk, in order."""

    log: bytes
    writes: tuple[tuple[int, int, int], ...]
    """Offset on the disk, start in the log, length; length 0 is a flush."""
    flushes: tuple[int, ...]

    @classmethod
    def read(cls, file: Path) -> "History":
        """From the device's log; a last entry that is not whole is left out."""
        log = file.read_bytes()
        writes: list[tuple[int, int, int]] = []
        at = 0
        while at + ENTRY.size <= len(log):
            offset, length = ENTRY.unpack_from(log, at)
            at += ENTRY.size
            if at + length > len(log):
                break
            writes.append((offset, at, length))
            at += length
        return cls(log, tuple(writes), tuple(n for n, one in enumerate(writes) if not one[2]))

    def cut(self, place: int, folder: Path, chance: random.Random) -> Path:
        """Write the image that a power cut behind entry `place` leaves; its file, in `folder`.

        Each has a file of its own: while somebody in another namespace holds what was mounted from
        a file, mounting that file again gives the old file system, not what is in the file now.
        """
        octets = bytearray(SIZE)
        flushed = self.flushes[bisect_right(self.flushes, place - 1) - 1] if self.flushes else 0
        for offset, start, length in self.writes[:flushed]:
            octets[offset : offset + length] = self.log[start : start + length]
        mercy = chance.choice((0.0, 0.3, 0.7, 0.95, 1.0))
        for offset, start, length in self.writes[flushed:place]:
            for first, last in pairwise([*range(0, length, _SECTOR), length]):
                if chance.random() < mercy:
                    octets[offset + first : offset + last] = self.log[start + first : start + last]
        image = folder / image_name(place)
        with image.open("xb") as file:
            for at in range(0, SIZE, _PIECE):
                if (piece := octets[at : at + _PIECE]) != _EMPTY:
                    os.pwrite(file.fileno(), piece, at)
            file.truncate(SIZE)
        return image


def image_name(place: int) -> str:
    """Of the file that a cut there leaves."""
    return f"image-{place}"


@contextlib.contextmanager
def mounted(image: Path, mountpoint: Path) -> Iterator[None]:
    """An image as a file system, recovered by the kernel as at a boot."""
    run("mount", "-t", "ext4", "-o", "loop", str(image), str(mountpoint))
    try:
        yield
    finally:
        _unmount(mountpoint)


def _unmount(mountpoint: Path) -> None:
    try:
        run("umount", str(mountpoint))
    except OSError:
        # A server that does not end has files there. What is left mounted is in everybody's way
        # who clears the folder later.
        run("umount", "--lazy", str(mountpoint))
        raise


def run(*words: str) -> str:
    """Standard output of a command; OSError with its words if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def missing(folder: Path) -> str:
    """Why there can be no such disk here; empty if there can. It is tried."""
    if absent := lacking(*_PROGRAMS, root=True):
        return absent
    disk = RecordedDisk(folder, folder / "mounted")
    try:
        disk.mount()
    except OSError as error:
        return str(error)
    finally:
        disk.unmount()
    return ""
