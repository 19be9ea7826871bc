"""Octets in a column that say by themselves whether they are as they were written.

They stand behind a mark and their CRC-32: one wrong bit can make another word of a word, and
SQLite's own check looks at the structure of a file, not at what stands in it.
"""

import zlib

import apsw
import msgspec

from merpati.storage.errors import StorageError

MARK = b"\xc1"
"""No MessagePack, no JSON and no text begins with it. What came before checksums has none."""
_SUM = 4
_encode = msgspec.msgpack.Encoder().encode


def marked(octets: bytes, place: int = 0) -> bytes:
    """With mark and checksum in front. `place`: the row's own number, so that it is no other's."""
    return MARK + zlib.crc32(octets, place & 0xFFFFFFFF).to_bytes(_SUM) + octets


def has_checksum(octets: bytes) -> bool:
    """Whether they can be checked."""
    return octets[:1] == MARK


def unmarked(octets: bytes, place: int = 0) -> bytes:
    """What was marked; as it is what never was. StorageError when the checksum does not match."""
    if not has_checksum(octets):
        return octets
    told = octets[1 + _SUM :]
    if zlib.crc32(told, place & 0xFFFFFFFF).to_bytes(_SUM) != octets[1 : 1 + _SUM]:
        raise StorageError("its checksum does not match", is_damaged=True)
    return told


def provide(connection: apsw.Connection) -> None:
    """Give a connection the function that triggers sum rows with (storage/sums.py)."""
    connection.create_scalar_function(
        "row_checksum", _of_row, deterministic=True, flags=apsw.SQLITE_INNOCUOUS
    )


def _of_row(*values: float | bytes | str | None) -> int:
    return zlib.crc32(_encode(values))
