"""A disk that fails for a while when told, and of which a power cut leaves what was synced and,
of the rest, any sectors at all (`testing.power` has the model, and takes pictures of each moment;
this one is for a single cut, and faster)."""

import errno
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import apsw

from merpati.testing.power import Image

_NAMES = count(1)
_CODES = {
    "open": apsw.SQLITE_CANTOPEN,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
}


@dataclass(slots=True)
class Sickness:
    """What the disk refuses."""

    operations: frozenset[str] = frozenset()
    """Of open, write, sync and truncate."""
    code: int = errno.EIO
    """EIO; or ENOSPC, which strikes writes alone."""
    left: int = 0
    """How many more operations of these fail."""

    def strike(self, operation: str) -> None:
        """Raise what SQLite makes of a failure, if there is one."""
        if not self.left or operation not in self.operations:
            return
        self.left -= 1
        if self.code == errno.ENOSPC:
            raise apsw.FullError("the simulated disk is full")
        raise apsw.exception_for(_CODES[operation])


@dataclass(slots=True)
class _Kept:
    """One file as the device has it."""

    durable: bytearray
    is_named: bool
    """Its name was synced once."""
    written: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for offset, piece in self.written:
            if piece is None:
                del self.durable[offset:]
                continue
            self.durable.extend(bytes(max(0, offset - len(self.durable))))
            self.durable[offset : offset + len(piece)] = piece
        self.written.clear()
        self.is_named = True


class SimulatedDisk(apsw.VFS):
    """A VFS under a name of its own, over the files of one folder."""

    def __init__(self, folder: Path, sickness: Sickness) -> None:
        self.name = f"simulated{next(_NAMES)}"
        self.folder = folder
        self.sickness = sickness
        # Also what nobody opens before the power is cut again is there behind it.
        self._kept = {
            path.name: _Kept(bytearray(path.read_bytes()), True)
            for path in sorted(folder.iterdir())
        }
        super().__init__(self.name, "")

    def xOpen(self, name: object, flags: list[int]) -> "_File":
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name))
        self.sickness.strike("open")
        if path.name not in self._kept:
            known = path.exists()
            octets = bytearray(path.read_bytes() if known else b"")
            self._kept[path.name] = _Kept(octets, known)
        return _File(self, self._kept[path.name], name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._kept.pop(Path(filename).name, None)

    def after_a_kill(self, folder: Path) -> "SimulatedDisk":
        """The disk as the next process finds it: everything is there, durable or not.

        This one, which only the dead still have open, fails no more.
        """
        folder.mkdir()
        next_one, self.sickness = SimulatedDisk(folder, self.sickness), Sickness()
        for name, kept in self._kept.items():
            if name.endswith("-shm"):
                continue
            (folder / name).write_bytes((self.folder / name).read_bytes())
            copy = _Kept(bytearray(kept.durable), kept.is_named, list(kept.written))
            next_one._kept[name] = copy
        return next_one

    def after_a_cut(self, folder: Path, chance: Random) -> "SimulatedDisk":
        """The disk as it is found when the power is back; see `after_a_kill` for this one."""
        folder.mkdir()
        sickness, self.sickness = self.sickness, Sickness()
        for name, kept in self._kept.items():
            if name.endswith("-shm"):
                continue
            durable = bytes(kept.durable) if kept.is_named else None
            octets = Image(durable, tuple(kept.written)).after_a_cut(chance)
            if octets is not None:
                (folder / name).write_bytes(octets)
        return SimulatedDisk(folder, sickness)


class _File(apsw.VFSFile):
    def __init__(self, disk: SimulatedDisk, kept: _Kept, name: object, flags: list[int]) -> None:
        self._disk = disk
        self._kept = kept
        super().__init__("", name, flags)  # type: ignore[arg-type]  # as apsw hands it over

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.sickness.strike("write")
        super().xWrite(data, offset)
        self._kept.written.append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        self._disk.sickness.strike("truncate")
        super().xTruncate(newsize)
        self._kept.written.append((newsize, None))

    def xSync(self, flags: int) -> None:
        # The real device need not sync: what is durable is what we say.
        self._disk.sickness.strike("sync")
        self._kept.sync()
