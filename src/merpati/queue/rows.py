"""How an entry stands in its row: behind a mark and its checksum, since one wrong bit in it could
send a message to somebody else."""

from functools import lru_cache

import msgspec

from merpati.queue.entry import Entry
from merpati.storage.checksum import marked, unmarked
from merpati.storage.errors import StorageError

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Entry)

CHUNK = 256 * 1024
"""Octets of content in one row at most."""
NUMBER_BITS = 16
"""A chunk's key is message << 16 | number: 16 GiB a message."""


def encode_entry(entry: Entry) -> bytes:
    """As a map by field names, so that a later version with more fields reads it."""
    return marked(_encode(entry))


@lru_cache(maxsize=64)
def decode_entry(octets: bytes) -> Entry:
    """The entry of a row; the last few are remembered, since one message has many lanes.

    StorageError when the row holds something else: `damage` says what becomes of it.
    """
    if not isinstance(octets, bytes):
        raise StorageError("an entry cannot be read: it is gone", is_damaged=True)
    try:
        return _decoder.decode(unmarked(octets))
    # msgspec's own, text that is not UTF-8, a wrong checksum
    except (ValueError, RecursionError, StorageError) as error:
        raise StorageError(f"an entry cannot be read: {error}", is_damaged=True) from error


def first_chunk(message: int) -> int:
    """The key of a message's first chunk."""
    return message << NUMBER_BITS


def end_of_chunks(message: int) -> int:
    """The key behind a message's last possible chunk."""
    return message + 1 << NUMBER_BITS
