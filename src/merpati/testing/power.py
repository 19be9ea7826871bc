"""A disk whose power is cut: an apsw VFS that keeps apart what was written and what was synced.

The files themselves are on the real disk and always whole. Beside them stands, for each, what a
sync has made durable and what was written since. A cut leaves the durable part and, of the rest,
any sectors at all: a write may be lost, be torn, or overtake an earlier one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from random import Random

import apsw

_NAMES = count(1)
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Image:
    """One file as the device has it."""

    durable: bytes | None
    """None while not even its name was synced."""
    written: tuple[tuple[int, bytes | None], ...] = ()
    """Offset and octets, or None for a truncation, since the last sync; oldest first."""

    def synced(self) -> "Image":
        """Everything that was written is durable."""
        octets = bytearray(self.durable or b"")
        for offset, piece in self.written:
            _apply(octets, offset, piece)
        return Image(bytes(octets))

    def after_a_cut(self, chance: Random) -> bytes | None:
        """What is found when the power is back; None if there is no such file."""
        if self.durable is None and chance.random() < 0.5:
            return None
        octets = bytearray(self.durable or b"")
        mercy = chance.choice((0.0, 0.5, 0.95, 1.0))
        for offset, piece in self.written:
            for start, sector in _sectors(offset, piece):
                if chance.random() < mercy:
                    _apply(octets, start, sector)
        return bytes(octets)


Picture = Mapping[str, Image]


def restore(picture: Picture, folder: Path, chance: Random) -> None:
    """Lay into `folder` what a power cut at the time of the picture leaves."""
    folder.mkdir()
    for name, image in picture.items():
        octets = image.after_a_cut(chance)
        if octets is not None:
            (folder / name).write_bytes(octets)


class PowerDisk(apsw.VFS):
    """A VFS under a name of its own. `watch` is called behind every operation that changes it."""

    def __init__(self, watch: Callable[[Picture], None], *, keeps_syncs: bool = True) -> None:
        """Without `keeps_syncs` the device lies: what it was told to sync it only says it has."""
        self.name = f"power{next(_NAMES)}"
        self._watch = watch
        self._keeps_syncs = keeps_syncs
        self._images: dict[str, Image] = {}
        super().__init__(self.name, "")

    def xOpen(self, name: object, flags: list[int]) -> "_File":
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        file = Path(path).name
        if file not in self._images:
            known = Path(path)
            self._images[file] = Image(known.read_bytes() if known.exists() else None)
        return _File(self, file, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._images.pop(Path(filename).name, None)
        self._watch(self._images)

    def written(self, file: str, offset: int, piece: bytes | None) -> None:
        """The file was written to, or truncated to `offset`."""
        image = self._images[file]
        self._images[file] = Image(image.durable, (*image.written, (offset, piece)))
        self._watch(self._images)

    def synced(self, file: str) -> None:
        """The file was synced, and its name with it."""
        if self._keeps_syncs:
            self._images[file] = self._images[file].synced()
        self._watch(self._images)


class _File(apsw.VFSFile):
    def __init__(self, disk: PowerDisk, file: str, name: object, flags: list[int]) -> None:
        self._disk = disk
        self._file = file
        super().__init__("", name, flags)  # type: ignore[arg-type]  # as apsw hands it over

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._disk.written(self._file, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.written(self._file, newsize, None)

    def xSync(self, flags: int) -> None:
        # The real device need not sync: what is durable is what we say.
        self._disk.synced(self._file)


def _apply(octets: bytearray, offset: int, piece: bytes | None) -> None:
    if piece is None:
        del octets[offset:]
        return
    octets.extend(bytes(max(0, offset - len(octets))))
    octets[offset : offset + len(piece)] = piece


def _sectors(offset: int, piece: bytes | None) -> list[tuple[int, bytes | None]]:
    if piece is None:
        return [(offset, None)]
    end = offset + len(piece)
    edges = [offset, *range((offset // _SECTOR + 1) * _SECTOR, end, _SECTOR), end]
    return [(start, piece[start - offset : stop - offset]) for start, stop in pairwise(edges)]
