"""A disk that fails when told: an apsw VFS over the real one.

Operations (open, write, sync, truncate; reads where they alone do) are counted; from the N-th on,
for a while, they fail as a sick or a full device does.
"""

import errno
from dataclasses import dataclass, field
from itertools import count

import apsw

_NAMES = count(1)
_CODES = {
    "open": apsw.SQLITE_CANTOPEN,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
}


@dataclass(slots=True)
class Fault:
    """When the disk fails, and how."""

    at: int = 0
    """The number of the first operation that fails; 0: never."""
    lasting: int = 1
    """How many operations fail."""
    code: int = errno.EIO
    """EIO, or ENOSPC, which strikes writes; opens and syncs fail with EIO all the same."""
    only: str = ""
    """The one kind of operation that counts; empty: all."""
    operations: list[str] = field(default_factory=list)
    """What was asked of the disk so far."""

    def strike(self, operation: str) -> None:
        """Count an operation; raise what SQLite makes of the failure if it is its turn."""
        if self.only not in ("", operation):
            return
        self.operations.append(operation)
        if not self.at <= len(self.operations) < self.at + self.lasting or not self.at:
            return
        if self.code == errno.ENOSPC and operation == "write":
            raise apsw.FullError("the fault disk is full")
        raise apsw.exception_for(_CODES[operation])


class _File(apsw.VFSFile):
    def __init__(self, fault: Fault, name: object, flags: list[int]) -> None:
        self._fault = fault
        super().__init__("", name, flags)  # type: ignore[arg-type]  # as apsw hands it over

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._fault.only == "read":
            self._fault.strike("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._fault.strike("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._fault.strike("sync")
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:
        self._fault.strike("truncate")
        super().xTruncate(newsize)


class FaultDisk(apsw.VFS):
    """A VFS under a name of its own; `fault` may be changed at any time."""

    def __init__(self, fault: Fault) -> None:
        self.name = f"fault{next(_NAMES)}"
        self.fault = fault
        super().__init__(self.name, "")

    def xOpen(self, name: object, flags: list[int]) -> _File:
        self.fault.strike("open")
        return _File(self.fault, name, flags)
