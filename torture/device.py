"""A disk that remembers: one file behind FUSE, every write and every flush written down in order.

`python -m torture.device MOUNTPOINT SIZE LOG COUNT` runs until it is unmounted. A loop device over
its file makes it a disk with a volatile cache, of which everything between two flushes may be lost,
torn or reordered by a power cut. The log is a sequence of (offset, length, octets); length 0 is a
flush. COUNT is a file of eight octets that holds the number of entries at any time.

The FUSE protocol is spoken directly (linux/fuse.h, version 7.31), so nothing has to be installed.
"""

import ctypes
import errno
import mmap
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

ENTRY = struct.Struct("<QI")
COUNT = struct.Struct("<Q")
FILE = "disk"

_HEADER = struct.Struct("<IIQQIIII")
_ANSWER = struct.Struct("<IiQ")
_ROOT, _NODE = 1, 2
_MAX_WRITE = 1 << 20
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22
_FOREVER = 1 << 30
_LOOKUP, _FORGET, _GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _STATFS = 1, 2, 3, 4, 14, 15, 16, 17
_RELEASE, _FSYNC, _FLUSH, _INIT, _OPENDIR, _RELEASEDIR = 18, 20, 25, 26, 27, 29
_INTERRUPT, _DESTROY, _BATCH_FORGET = 36, 38, 42
_SILENT = {_FORGET, _BATCH_FORGET, _INTERRUPT}


class Device:
    """Answers the kernel."""

    def __init__(self, size: int, log: Path, count: Path) -> None:
        self._octets = bytearray(size)
        self._log = log.open("wb", buffering=0)
        count.write_bytes(COUNT.pack(0))
        with count.open("r+b") as file:
            self._count = mmap.mmap(file.fileno(), COUNT.size)
        self._entries = 0
        self._answers: dict[int, Callable[[int, memoryview], bytes]] = {
            _INIT: self._init,
            _LOOKUP: self._lookup,
            _GETATTR: self._getattr,
            _SETATTR: self._getattr,
            _OPEN: self._open,
            _OPENDIR: self._open,
            _READ: self._read,
            _WRITE: self._write,
            _FSYNC: self._fsync,
            _STATFS: self._statfs,
            _FLUSH: self._nothing,
            _RELEASE: self._nothing,
            _RELEASEDIR: self._nothing,
            _DESTROY: self._nothing,
        }

    def serve(self, fuse: int) -> None:
        """Until it is unmounted."""
        while True:
            try:
                request = memoryview(os.read(fuse, _MAX_WRITE + 65536))
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                raise
            _, opcode, unique, node, *_ = _HEADER.unpack_from(request)
            if opcode in _SILENT:
                continue
            answer, failure = b"", -errno.ENOSYS
            if opcode in self._answers:
                try:
                    answer, failure = self._answers[opcode](node, request[_HEADER.size :]), 0
                except FileNotFoundError:
                    failure = -errno.ENOENT
            os.write(fuse, _ANSWER.pack(_ANSWER.size + len(answer), failure, unique) + answer)

    def _enter(self, offset: int, octets: bytes) -> None:
        self._log.write(ENTRY.pack(offset, len(octets)) + octets)
        self._entries += 1
        self._count[:] = COUNT.pack(self._entries)

    def _attributes(self, node: int) -> bytes:
        size, mode = (len(self._octets), 0o100600) if node == _NODE else (0, 0o040700)
        numbers = (node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
        return struct.pack("<6Q10I", *numbers)

    def _init(self, _: int, __: memoryview) -> bytes:
        flags = _BIG_WRITES | _MAX_PAGES
        return struct.pack(
            "<IIIIHHIIHH8I", 7, 31, 65536, flags, 16, 12, _MAX_WRITE, 1, 256, 0, *[0] * 8
        )

    def _lookup(self, _: int, name: memoryview) -> bytes:
        if bytes(name) != FILE.encode() + b"\0":
            raise FileNotFoundError
        return struct.pack("<QQQQII", _NODE, 0, _FOREVER, _FOREVER, 0, 0) + self._attributes(_NODE)

    def _getattr(self, node: int, _: memoryview) -> bytes:
        return struct.pack("<QII", _FOREVER, 0, 0) + self._attributes(node)

    def _open(self, _: int, __: memoryview) -> bytes:
        return struct.pack("<QII", 0, 0, 0)

    def _read(self, _: int, body: memoryview) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self._octets[offset : offset + size])

    def _write(self, _: int, body: memoryview) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        octets = bytes(body[40 : 40 + size])
        self._octets[offset : offset + size] = octets
        self._enter(offset, octets)
        return struct.pack("<II", size, 0)

    def _fsync(self, _: int, __: memoryview) -> bytes:
        self._enter(0, b"")
        return b""

    def _statfs(self, _: int, __: memoryview) -> bytes:
        return struct.pack("<5Q4I6I", 0, 0, 0, 0, 0, 4096, 255, 4096, 0, *[0] * 6)

    def _nothing(self, _: int, __: memoryview) -> bytes:
        return b""


def main() -> None:
    """Mount, serve, end when unmounted."""
    mountpoint, size, log, count = sys.argv[1:]
    fuse = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"torture", mountpoint.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    Device(int(size), Path(log), Path(count)).serve(fuse)


if __name__ == "__main__":
    main()
