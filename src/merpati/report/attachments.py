"""The attachment of a message that is a report, among what else is in it."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from merpati.mail.parts import Part
from merpati.report.archive import MAX_OCTETS, open_archive
from merpati.report.errors import ReportError

T = TypeVar("T")
_MAX_TRIED = 5
_TYPES = frozenset(
    {
        *("application/gzip", "application/x-gzip", "application/zip", "text/xml"),
        *("application/x-zip-compressed", "application/xml", "application/x-zip"),
        *("application/tlsrpt+gzip", "application/tlsrpt+json", "application/json"),
    }
)
_NAMES = (".xml", ".gz", ".zip", ".json")


def first_report(parts: Iterable[Part], read: Callable[[bytes], T]) -> T:
    """What `read` makes of the first attachment's document that it can read.

    Raises ReportError: what is wrong with the first of those that may be a report. Five are tried
    at most, and together no more is read than may be in one.
    """
    fault: ReportError | None = None
    room = MAX_OCTETS
    candidates = [part for part in parts if _may_be_report(part)]
    for part in candidates[:_MAX_TRIED]:
        try:
            document = open_archive(part.content)
            room -= len(document)
            if room < 0:
                break
            return read(document)
        except ReportError as error:
            fault = fault or error
    raise fault or ReportError("no attachment that could be a report")


def _may_be_report(part: Part) -> bool:
    if part.is_container:
        return False
    return part.media_type in _TYPES or part.filename.lower().endswith(_NAMES)
