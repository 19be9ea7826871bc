"""The office of this process: over a server's stores, or over stores opened for one command."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

from merpati import __version__
from merpati.api import questions as ask
from merpati.api.certificates import CertificateOffice
from merpati.api.dkim import DkimOffice
from merpati.api.doors import Doors
from merpati.api.errors import Mistaken, Unreachable
from merpati.api.moments import moment
from merpati.api.node import Node
from merpati.api.office import DirectoryOffice, JournalOffice, Office, QueueOffice
from merpati.api.operations import Counter, OwnCounter
from merpati.api.reports import ReportOffice
from merpati.api.sites import SiteOffice
from merpati.api.srs import SrsOffice
from merpati.certificates.desk import Desk
from merpati.certificates.source import OwnReader
from merpati.clock import Clock, SystemClock
from merpati.config.places import Places
from merpati.config.routes import read_routes
from merpati.config.settings import Settings
from merpati.delivery.route import Kind, RouteError, Routes, parse_route
from merpati.directory.directory import Secret
from merpati.directory.password import make_secret
from merpati.intake import OURSELVES, Intake
from merpati.mail.address import Address, AddressError
from merpati.mail.envelope import Body, Envelope, Notify, Recipient, Return
from merpati.policy.rule import Facts
from merpati.queue.ids import IdMaker
from merpati.queue.way import forced_of
from merpati.report.metrics import Series
from merpati.storage.lock import Lock
from merpati.system.aside import notices, set_aside
from merpati.system.blueprint import Blueprint
from merpati.system.doors import IntakeParts, intake_of
from merpati.system.log import Log
from merpati.system.renewing import desk_of
from merpati.system.stores import Stores, open_all

_NOTIFY = {"success": Notify.SUCCESS, "failure": Notify.FAILURE, "delay": Notify.DELAY}
_RETURN = {"full": Return.FULL, "headers": Return.HEADERS}


async def new_secret(program: str, password: str, like: Secret | None) -> Secret:
    """Hash a password in a thread: it takes 25 ms on purpose."""
    return await asyncio.to_thread(make_secret, program, password, os.urandom, like)


def knows_route(text: str) -> bool:
    """Whether a message can be sent this way."""
    try:
        parse_route(text)
    except RouteError:
        return False
    return True


def host_of(routes: Routes, domain: str, forced: str) -> str:
    """The site of the named host that mail of a domain is routed to; empty for any other way."""
    try:
        route = routes.choose(domain, forced)
    except RouteError:
        return ""
    return route.site() if route.kind is Kind.HOST else ""


class Deliveries(Protocol):
    """What deliveries under way are told of an operator's holds; the queue keeps them."""

    def suspend(self, site: str, until: float, why: str) -> None:
        """Leave a site alone until then, also with mail that comes later."""
        ...

    def resume(self, site: str) -> None:
        """Try it now."""
        ...


class NoDeliveries:
    """A command's: nothing is under way, and a server reads the holds when it starts."""

    def suspend(self, site: str, until: float, why: str) -> None:
        """Nobody to tell."""

    def resume(self, site: str) -> None:
        """Nobody to tell."""


def office_of(  # noqa: PLR0913 - its collaborators
    stores: Stores,
    clock: Clock,
    faces: tuple[Doors, Desk],
    routes: Callable[[], Routes],
    deliveries: Deliveries,
    *,
    tried: Callable[[], float],
) -> Office:
    """The office over these stores; `routes` are asked for when an operator names one. `faces` are
    what concerns the server as a whole, and its certificates; `tried` as `DkimOffice` has it."""
    doors, desk = faces
    queue = stores.queue
    return Office(
        QueueOffice(queue, queue, clock, knows_route),
        SiteOffice(
            queue,
            queue,
            clock,
            host_of=lambda domain, route: host_of(routes(), domain, forced_of(route)),
            hosts=lambda: routes().hosts,
            suspended=deliveries.suspend,
            resumed=deliveries.resume,
        ),
        JournalOffice(stores.journal, queue, clock),
        DirectoryOffice(
            stores.directory,
            stores.directory,
            new_secret,
            stores.usage,
            stores.journal,
            clock,
        ),
        DkimOffice(stores.keys, clock, tried),
        CertificateOffice(desk, stores.journal.note),
        ReportOffice(stores.feedback, stores.directory, clock),
        SrsOffice(stores.stamps, clock),
        doors,
    )


async def suspended(stores: Stores) -> tuple[ask.SuspendedUser, ...]:
    """Accounts that may not send."""
    found = await stores.directory.suspensions()
    return tuple(
        ask.SuspendedUser(
            address=str(user.address), since=moment(user.suspension.at), why=user.suspension.why
        )
        for user, _ in found[: ask.MAX_LISTED]
        if user.suspension is not None
    )


async def submit(intake: Intake, question: ask.Submission) -> ask.Queued:
    """Put a message of a program on this machine into the queue."""
    try:
        envelope = _envelope(question)
    except AddressError as error:
        raise Mistaken(str(error)) from error
    facts = Facts(OURSELVES, trusted=True)
    receipt = await intake.submit(facts, envelope, Body((question.content,)))
    return ask.Queued(id=receipt.id, code=receipt.reply.code, reply=str(receipt.reply))


def _envelope(question: ask.Submission) -> Envelope:
    notify = question.notify
    wishes = Notify(sum(_NOTIFY[one].value for one in notify or ()))
    recipients = tuple(
        Recipient(Address.parse(text))
        if notify is None
        else Recipient(Address.parse(text), notify=wishes, named_notify=True)
        for text in question.recipients
    )
    return Envelope(
        sender=Address.parse(question.sender) if question.sender else None,
        recipients=recipients,
        ret=_RETURN.get(question.returned),
        envelope_id=question.envelope_id or None,
    )


@dataclass(frozen=True, slots=True)
class ClosedDoors:
    """What a command does without a server: it may put mail into the queue for later."""

    settings: Settings
    stores: Stores
    intake: Intake

    async def submit(self, question: ask.Submission) -> ask.Queued:
        """Stored now, delivered when the server runs."""
        return await submit(self.intake, question)

    async def status(self, _: ask.Nothing) -> ask.Status:
        """Not running, but the queue can be counted."""
        return ask.Status(
            running=False,
            version=__version__,
            pid=0,
            started=None,
            data=str(self.settings.data),
            config=str(self.settings.file or ""),
            ports=(),
            queue=await self.stores.queue.count(),
            held_sites=len(await self.stores.queue.held()),
            suspended=await suspended(self.stores),
            notices=notices(Places(self.settings.data)),
        )

    async def health(self, _: ask.Nothing) -> ask.Health:
        """Nobody serves."""
        return ask.Health(trouble="no server runs")

    async def metrics(self, _: ask.Nothing) -> list[Series]:
        """Nobody counts."""
        return []

    async def send_reports(self, _: ask.SendReports) -> ask.Done:
        """They are sent by the server's queue."""
        raise Mistaken("no server runs: it sends what is due when it starts")

    async def reload(self, _: ask.Reload) -> ask.Done:
        """There is nobody to read it again."""
        raise Mistaken("no server runs: it reads the configuration when it starts")

    async def restart(self, _: ask.Nothing) -> ask.Done:
        """Nor to be replaced."""
        raise Mistaken("no server runs")

    async def stop(self, _: ask.Nothing) -> ask.Done:
        """Nor to stop."""
        raise Mistaken("no server runs")


@asynccontextmanager
async def own_counter(settings: Settings) -> AsyncIterator[Counter | None]:
    """A counter over stores of our own; None while somebody else owns the data."""
    places, clock = Places(settings.data), SystemClock()
    # What a command makes is as private as what the server makes.
    before = os.umask(0o077)
    try:
        async with _own_counter(settings, places, clock) as counter:
            yield counter
    finally:
        os.umask(before)


@asynccontextmanager
async def _own_counter(
    settings: Settings, places: Places, clock: SystemClock
) -> AsyncIterator[Counter | None]:
    try:
        places.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unreachable(f"cannot make {places.data}: {error.strerror}") from error
    lock = Lock(places.lock)
    if not lock.try_take():
        yield None
        return
    with lock:
        set_aside(places, clock, Log(clock))
        async with open_all(places, clock, places.shards() or [0]) as stores:
            ids = IdMaker(clock.now, secrets.token_bytes)
            counters = {
                number: _closed(settings, own, clock, ids) for number, own in stores.items()
            }
            yield Node(counters, min(counters), clock)


def _closed(settings: Settings, stores: Stores, clock: Clock, ids: IdMaker) -> Counter:
    """The office of one shard that no server works on."""
    blueprint = Blueprint(settings)
    intake = intake_of(blueprint, blueprint.own_rules(), IntakeParts(stores, clock, ids.make))
    doors = ClosedDoors(settings, stores, intake)
    routes = cache(partial(_routes, settings, stores))
    desk = desk_of(lambda: settings, clock, OwnReader())
    faces, tried = (doors, desk), intake.settings.tried
    return OwnCounter(office_of(stores, clock, faces, routes, NoDeliveries(), tried=lambda: tried))


def _routes(settings: Settings, stores: Stores) -> Routes:
    configured = read_routes(settings.document, settings.base)
    return Routes(stores.directory, configured, keep_all=settings.is_inbox)
