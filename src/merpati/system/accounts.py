"""What is counted of accounts on one shard, and what becomes of those that are suspected."""

from merpati.config.settings import Settings
from merpati.directory.usage import DAY
from merpati.report.book import Book
from merpati.report.counting import Counting, CountingParts, CountingSettings
from merpati.report.suspending import Suspending, SuspendingParts
from merpati.system.blueprint import Blueprint
from merpati.system.doors import Household

_FORGET_AT_ONCE = 5_000
_TIDY_EVERY = 3_600.0


class Accounts:
    """Counts, suspends and resumes."""

    def __init__(self, shard: int, settings: Settings, house: Household, *, tells: bool) -> None:
        self._house = house
        self._tells = tells
        stores, clock, guard = house.stores, house.clock, house.guard
        counted = CountingParts(stores.journal, stores.usage, guard, clock)
        counting = Counting(shard, CountingSettings(), counted)
        self._book = Book(counting, stores.journal, clock)
        parts = SuspendingParts(stores.directory, guard, stores.queue, stores.journal, clock, tells)
        blueprint = Blueprint(settings)
        door = house.intake(blueprint, blueprint.own_rules())
        self._suspending = Suspending(parts, door, blueprint.notices())

    def take_up(self, settings: Settings) -> None:
        """Use changed settings from the next mail on."""
        blueprint = Blueprint(settings)
        door = self._house.intake(blueprint, blueprint.own_rules())
        self._suspending.take_up(door, blueprint.notices())

    async def count(self) -> None:
        """Until cancelled. Raises StorageError; begin again then."""
        await self._book.run()

    async def suspend(self) -> None:
        """Until cancelled. Raises StorageError; begin again then."""
        await self._suspending.run()

    async def gather(self) -> None:
        """Write all that was counted until now."""
        await self._book.gather()

    async def finish(self) -> None:
        """When both have ended."""
        await self._book.finish()

    async def forget(self) -> None:
        """Once an hour, what is too old, until cancelled; one shard does it for all."""
        clock = self._house.clock
        while self._tells:
            today = int(clock.now() // DAY)
            while await self._house.stores.usage.forget(today, _FORGET_AT_ONCE):
                await clock.sleep(0.05)
            await clock.sleep(_TIDY_EVERY)
