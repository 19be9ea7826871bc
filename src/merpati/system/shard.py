"""One file of queue and journal at work: what lies in it is delivered, tidied up and told about.

A worker has one for the mail that it takes in, and may have others that a worker left behind which
is not there any more: those only run dry.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass

from merpati.api.doors import Doors
from merpati.api.office import Office
from merpati.certificates.desk import Desk
from merpati.clock import Clock
from merpati.config.settings import Settings
from merpati.delivery.route import Route
from merpati.node.table import Table
from merpati.report.metrics import Gauge
from merpati.system.accounts import Accounts
from merpati.system.blueprint import Blueprint
from merpati.system.chores import keep_on
from merpati.system.delivering import Delivering, Threads
from merpati.system.doors import Household
from merpati.system.health import Health
from merpati.system.housekeeping import Housekeeping
from merpati.system.log import Log
from merpati.system.office import office_of
from merpati.system.reporting import Reporting
from merpati.system.reports import Reports
from merpati.system.walwatch import WalWatch


@dataclass(frozen=True, slots=True)
class ShardParts:
    """What a worker gives to each of its shards."""

    clock: Clock
    log: Log
    threads: Threads
    sites: Table
    """What the workers of the node know of sites together."""
    first: int
    """The shard that speaks for all where something is to be said once."""


class Shard:
    """One shard of one worker."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        house: Household,
        parts: ShardParts,
        gauges: Mapping[tuple[str, str, str], Gauge],
    ) -> None:
        self.number = number
        self._settings = settings
        self.house = house
        self._parts = parts
        stores = house.stores
        self.delivering = Delivering(settings, house, parts.threads, parts.log, parts.sites)
        self.reporting = Reporting(number, settings, stores, parts.clock, gauges)
        self.health = Health(stores.shard.probe, parts.clock)
        self.reports = Reports(number, settings, house, parts.log)
        self.accounts = Accounts(number, settings, house, tells=parts.first == number)
        self._housekeeping = Housekeeping(
            stores.queue, stores.journal, stores.feedback, parts.clock
        )

    def take_up(self, settings: Settings, routes: list[Route]) -> None:
        """Use changed settings from the next attempt on."""
        self._settings = settings
        self._housekeeping.patience = float(settings.document.queue.delay_notice)
        self._housekeeping.retention = float(settings.document.retention.journal)
        self._housekeeping.room = Blueprint(settings).room()
        self.reports.take_up(settings)
        self.accounts.take_up(settings)
        self.delivering.take_up(settings, routes)

    def office(self, doors: Doors, desk: Desk) -> Office:
        """Where this shard answers operators."""
        return office_of(
            self.house.stores,
            self._parts.clock,
            (doors, desk),
            lambda: self.delivering.routes,
            self.delivering,
            tried=lambda: Blueprint(self._settings).intake().tried,
        )

    async def run(self) -> None:
        """Work until `stop`, then settle what is in flight and return."""
        await self.reporting.begin()
        async with asyncio.TaskGroup() as work:
            tasks = [work.create_task(chore) for chore in self._chores()]
            await self.delivering.run()
            for task in tasks:
                task.cancel()
        await self.reporting.finish()
        await self.reports.finish()
        await self.accounts.finish()

    def stop(self, grace: float) -> None:
        """Take nothing more out of the queue; what is being sent has `grace` seconds to end."""
        self.delivering.stop(grace)

    def _chores(self) -> list[Coroutine[None, None, None]]:
        """What runs beside the mail and must never stop it."""
        clock, log, stores = self._parts.clock, self._parts.log, self.house.stores
        watch = WalWatch(lambda: stores.shard.log_octets, stores.journal, clock, log)
        named = {
            "housekeeping": self._housekeeping.run,
            "reporting": self.reporting.run,
            "cursor": self.reporting.keep_place,
            "wal": watch.run,
            "tallies": self.reports.count,
            "reports": self.reports.send,
            "accounts": self.accounts.count,
            "suspensions": self.accounts.suspend,
            "counts": self.accounts.forget,
        }
        return [keep_on(name, work, clock, log) for name, work in named.items()]
