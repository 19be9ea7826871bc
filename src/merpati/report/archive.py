"""Opening what a report comes in: gzip, zip or plain, within caps of size and ratio.

Strangers send these. No more is ever decompressed than may be, and nothing within an archive is an
archive again.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from merpati.report.errors import ReportError

MAX_OCTETS = 20 * 1024 * 1024
"""Of a report's XML; one row takes about a thousand."""
MAX_RATIO = 100
"""Octets for each that came, once there are more than `_FREE`.

Real reports are at 10 to 50; one of thousands of rows that differ in the address alone, at 110.
"""
_FREE = 4 * 1024 * 1024
_STEP = 64 * 1024
_MAX_MEMBERS = 10
_MEMBER = b"PK\x01\x02"
"""Stands before each entry in a zip's list of files; data has it by a rare accident."""
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_STORED_OR_DEFLATED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
# All that the library raises for what is no sound archive.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError),
    *(RuntimeError, OSError, LookupError),
)


def open_archive(octets: bytes) -> bytes:
    """The one document in it. Raises ReportError: broken, too large, too dense, nested, several."""
    if octets.startswith(_GZIP):
        document = _gunzip(octets)
    elif octets.startswith(_ZIP):
        document = _unzip(octets)
    else:
        document = octets
    if len(document) > MAX_OCTETS:
        raise ReportError(f"larger than {MAX_OCTETS} octets")
    if document.startswith((_GZIP, _ZIP)):
        raise ReportError("an archive within an archive")
    return document


def _gunzip(octets: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    pending = octets

    def read(most: int) -> bytes:
        nonlocal pending
        part = stream.decompress(pending, most)
        pending = stream.unconsumed_tail
        return part

    try:
        document = _bounded(read, len(octets))
    except zlib.error:
        raise ReportError("the archive is broken") from None
    if not stream.eof:
        raise ReportError("the archive is cut short")
    return document


def _unzip(octets: bytes) -> bytes:
    # The library makes an object of each entry first: a million of them are seconds and gigabytes.
    if octets.count(_MEMBER) > 10 * _MAX_MEMBERS:
        raise ReportError(f"more than {_MAX_MEMBERS} files in the archive")
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            member = _member(archive)
            with archive.open(member) as file:
                return _bounded(file.read, len(octets))
    except _BROKEN:
        raise ReportError("the archive is broken") from None


def _member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = [each for each in archive.infolist() if not each.is_dir()]
    if len(files) > _MAX_MEMBERS:
        raise ReportError(f"more than {_MAX_MEMBERS} files in the archive")
    files = [each for each in files if each.filename.lower().endswith(".xml")]
    if len(files) != 1:
        raise ReportError("not exactly one report in the archive")
    if files[0].flag_bits & _ENCRYPTED or files[0].compress_type not in _STORED_OR_DEFLATED:
        raise ReportError("a kind of archive that is not opened")
    return files[0]


def _bounded(read: Callable[[int], bytes], came: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := read(_STEP):
        parts.append(part)
        size += len(part)
        if size > MAX_OCTETS:
            raise ReportError(f"larger than {MAX_OCTETS} octets")
        if size > max(_FREE, MAX_RATIO * came):
            raise ReportError(f"more than {MAX_RATIO} octets for each that came")
    return b"".join(parts)
