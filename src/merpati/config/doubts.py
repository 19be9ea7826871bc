"""Values of merpati.toml that can be meant and rarely are: a unit that was forgotten, a time that
is never reached, a limit that lets nothing in. A server starts with them."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path as Folder

from merpati.config.document import Document
from merpati.config.locate import Path
from merpati.config.settings import Settings
from merpati.config.values import Duration, Size
from merpati.policy.rules.space import disk_of, kept_free
from merpati.setup.sts import Mode

Found = Iterator[tuple[Path, str, str]]

_MINUTE, _DAY = 60, 86_400
_SMALLEST_MAIL = 64 * 1024
"""RFC 5321 §4.5.3.1.7: what everybody takes at least."""


def doubts(settings: Settings) -> Found:
    """Each with its key, what is odd about it, and what would be usual."""
    document = settings.document
    return chain(_sizes(settings), _connections(document), _times(document), _sts(document))


def _sizes(settings: Settings) -> Found:
    document = settings.document
    places: list[tuple[Path, Size | None]] = [
        (("limits", "message_size"), document.limits.message_size)
    ]
    places += [(("port", n, "message_size"), p.message_size) for n, p in enumerate(document.port)]
    sizes = [(place, size) for place, size in places if size]
    for place, size in sizes:
        if size < _SMALLEST_MAIL:
            hint = 'RFC 5321 wants 64KiB at least; usual is "50MiB"'
            yield place, f"{size} refuses most mail", hint
    # In the order of `max`, what is kept free is kept for the largest of all ports.
    largest, place = max((size, place) for place, size in sizes)
    disk = disk_of(_existing(settings.data))
    if disk and (least := kept_free(disk, largest, document.limits.free_space)) > disk.size:
        if document.limits.free_space is not None:
            place = ("limits", "free_space")
        kept, whole = Size(least).rounded(), Size(disk.size).rounded()
        what = f"{kept} are to be kept free, on a disk of {whole}"
        yield place, what, "No mail would be taken"


def _existing(folder: Folder) -> Folder:
    return next((one for one in (folder, *folder.parents) if one.exists()), folder)


def _connections(document: Document) -> Found:
    for name, table in (("limits", document.limits), ("http", document.http)):
        if table and table.connections_per_address > table.connections:
            yield (
                (name, "connections"),
                f"one address may take all {table.connections}",
                f"connections_per_address is {table.connections_per_address}",
            )


def _times(document: Document) -> Found:
    queue = document.queue
    expire = queue.expire
    if not _DAY <= expire <= 30 * _DAY:
        what = f"mail that cannot be delivered is given up after {expire}"
        yield ("queue", "expire"), what, 'Usual: "5d" (RFC 5321: four to five days at least)'
    if queue.retry[0] >= expire:
        yield ("queue", "retry"), f"mail is tried once, since it expires after {expire}", ""
    if queue.retry[-1] < 5 * _MINUTE:
        what = f"a host that is down would be asked every {queue.retry[-1]} for each message"
        yield ("queue", "retry"), what, 'Usual at last: "30m" and more'
    if queue.delay_notice < 10 * _MINUTE:
        what = f"senders would be told of every delay of {queue.delay_notice}"
        yield ("queue", "delay_notice"), what, 'Usual: "4h"'
    if document.retention.journal < expire:
        what = f"a story is forgotten while its message may wait, which is {expire}"
        yield ("retention", "journal"), what, 'Usual: "30d"'
    if document.reports.age < _DAY:
        what = f"reports are forgotten after {document.reports.age}, and they come daily"
        yield ("reports", "age"), what, ""
    yield from _listed(document, expire)


def _listed(document: Document, expire: Duration) -> Found:
    places: list[tuple[Path, Duration | None]] = [
        (("delivery", "bounce_listed_after"), document.delivery.bounce_listed_after)
    ]
    places += [
        (("route", n, "bounce_listed_after"), route.bounce_listed_after)
        for n, route in enumerate(document.route)
    ]
    for place, after in places:
        if after is not None and after > expire:
            yield place, f"is never reached, since mail expires after {expire}", ""


def _sts(document: Document) -> Found:
    policy = document.mta_sts
    if policy and policy.mode is Mode.ENFORCE and policy.max_age < _DAY:
        what = f"protects for {policy.max_age} after the policy was read"
        yield ("mta_sts", "max_age"), what, "RFC 8461 wants weeks"
