"""Everything that is kept in a data directory, checked: whether a server works on it or not."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from merpati.config.places import Places
from merpati.directory.verifying import verify_directory, verify_keys
from merpati.feedback.verifying import verify_feedback
from merpati.journal.verifying import verify_journal
from merpati.queue.repairing import repair_queue
from merpati.queue.verifying import verify_queue
from merpati.storage.connection import Kind, StorageSettings, change
from merpati.storage.errors import StorageError
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import Seen, inspected, integrity, schema
from merpati.storage.lock import Lock
from merpati.system.keys import dkim_flaw, verify_certificates

_PIECE = 1024 * 1024
_Check = Callable[..., Iterator[Finding]]
_CHECKS: Mapping[Kind, Sequence[_Check]] = {
    Kind.SHARD: (verify_queue, verify_journal),
    Kind.DIRECTORY: (verify_directory, partial(verify_keys, flaw=dkim_flaw)),
    Kind.FEEDBACK: (verify_feedback,),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A finding and the file that it was made in."""

    file: Path
    finding: Finding


def verify(places: Places, seen: Seen) -> Iterator[Found]:
    """Every shard, the directory and the reports; StorageError for a file that this version does
    not read."""
    for file in places.queues():
        yield from _database(file, Kind.SHARD, seen)
    if places.directory.exists():
        yield from _database(places.directory, Kind.DIRECTORY, seen)
    if places.feedback.exists():
        for found in _database(places.feedback, Kind.FEEDBACK, seen):
            yield _of_reports(found)
    for file, finding in verify_certificates(places, seen):
        yield Found(file, finding)


def _of_reports(found: Found) -> Found:
    """Damage that is no reason to restore what mail lies in."""
    if found.finding.damage not in {Damage.FILE, Damage.ROWS}:
        return found
    return replace(found, finding=replace(found.finding, damage=Damage.REPORTS))


def _database(file: Path, kind: Kind, seen: Seen) -> Iterator[Found]:
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(inspected(file, kind))
        except StorageError as error:
            if not error.is_damaged:
                raise
            yield Found(file, Finding(Damage.FILE, str(error)))
            return
        seen("files", 1)
        other = list(schema(connection, kind))
        checks: list[Iterable[Finding]] = [other, integrity(connection)]
        # What asks for columns that are not there finds nothing.
        checks += [] if other else [check(connection, seen) for check in _CHECKS[kind]]
        for check in checks:
            yield from (Found(file, finding) for finding in check)


def verify_mailboxes(places: Places, seen: Seen) -> Iterator[Found]:
    """Read every file of every mailbox: nothing says what was in it, but a sick disk shows."""
    for root in (places.mail, places.inbox):
        for file in root.rglob("*"):
            if file.parent.name in {"new", "cur"}:
                yield from _mailbox_file(file, seen)


def _mailbox_file(file: Path, seen: Seen) -> Iterator[Found]:
    seen("mailbox files", 1)
    octets = 0
    try:
        with file.open("rb") as source:
            while piece := source.read(_PIECE):
                octets += len(piece)
    except FileNotFoundError:
        return  # Its reader has moved or removed it.
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
        yield Found(file, Finding(Damage.MAILBOX, text))
        return
    if not octets:
        yield Found(file, Finding(Damage.MAILBOX, "is empty"))


def repair(places: Places) -> None:
    """Count again what can be counted, in every shard. StorageError while somebody else owns the
    data, or when a file is too damaged for it."""
    with Lock(places.lock):
        for file in places.queues():
            change(StorageSettings(file), repair_queue)
