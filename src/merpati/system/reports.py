"""The daily reports to other domains, of one shard: counted from its journal, sent by its queue."""

import random
import secrets
from collections.abc import Mapping, Sequence

from merpati.api.errors import Mistaken
from merpati.config.settings import Settings
from merpati.dns.client import DnsClient
from merpati.dns.resolver import addresses_of
from merpati.feedback.received import Kind
from merpati.feedback.tallies import DAY
from merpati.intake import Intake
from merpati.mail.address import Address
from merpati.report.book import Book
from merpati.report.dmarc.outgoing import AggregateMaker
from merpati.report.outgoing import Identity
from merpati.report.sending import Sending, SendingParts, SendingSettings
from merpati.report.tallying import Tallying, TallyingParts, TallyingSettings
from merpati.report.tlsrpt.outgoing import TlsMaker, TlsParts
from merpati.system.blueprint import Blueprint
from merpati.system.doors import Household
from merpati.system.log import Log
from merpati.wire.https import HttpsClient, HttpsSettings

_LOOK_AGAIN = 60.0
_UNTOLD = "no reports are sent from here: `send` in [reports] says so, or what stands in its place"


class Reports:
    """Counts and sends while the settings say so."""

    def __init__(self, shard: int, settings: Settings, house: Household, log: Log) -> None:
        self._house = house
        self._log = log
        self._settings = settings
        stores, clock = house.stores, house.clock
        tallying = Tallying(
            shard,
            TallyingSettings(),
            TallyingParts(
                journal=stores.journal,
                tallies=stores.tallies,
                clock=clock,
                chance=random.SystemRandom().random,
                new_name=lambda: secrets.token_hex(8),
            ),
        )
        self._book = Book(tallying, stores.journal, clock, self._is_wanted)
        self._sending = Sending(shard, SendingSettings(), self._parts(), self._door())

    def take_up(self, settings: Settings) -> None:
        """Use changed settings from the next report on."""
        self._settings = settings
        self._sending.take_up(self._door())

    async def count(self) -> None:
        """Until cancelled. Raises StorageError; begin again then."""
        while True:
            if self._is_wanted():
                await self._book.run()
            await self._house.clock.sleep(_LOOK_AGAIN)

    async def send(self) -> None:
        """Until cancelled. Raises StorageError; begin again then."""
        while True:
            if self._is_wanted():
                await self._sending.run()
            await self._house.clock.sleep(_LOOK_AGAIN)

    async def finish(self) -> None:
        """When both have ended."""
        if self._is_wanted():
            await self._book.finish()

    async def gather(self) -> None:
        """Write all that was counted until now. Raises Mistaken where no reports are sent."""
        if not self._is_wanted():
            raise Mistaken(_UNTOLD)
        await self._book.gather()

    async def hasten(self, day: int | None) -> int:
        """Send at once what waits of this day (since 1970), or yesterday, and those before; how
        many reports that are."""
        yesterday = int(self._house.clock.now() // DAY) - 1
        count = await self._house.stores.tallies.hasten(yesterday if day is None else day)
        await self._sending.send()
        return count

    async def waiting(self) -> Mapping[str, float]:
        """Reports that wait, by kind; the same on every shard of a node."""
        standing = await self._house.stores.tallies.standing()
        return {
            kind.value: float(standing.waiting.get(kind, 0)) for kind in (Kind.AGGREGATE, Kind.TLS)
        }

    async def left_out(self) -> Mapping[str, float]:
        """What was counted for domains that there was no room for."""
        standing = await self._house.stores.tallies.standing()
        return {"": float(standing.left_out)}

    def _is_wanted(self) -> bool:
        return self._settings.sends_reports

    def _door(self) -> Intake:
        blueprint = Blueprint(self._settings)
        return self._house.intake(blueprint, blueprint.own_rules())

    def _parts(self) -> SendingParts:
        stores, clock = self._house.stores, self._house.clock
        resolver = DnsClient(clock, Blueprint(self._settings).dns())

        async def addresses(host: str) -> Sequence[str]:
            return await addresses_of(resolver, host)

        async def policy(domain: str) -> bytes:
            kept = await stores.policies.kept(domain)
            return kept.text if kept else b""

        client = HttpsClient(HttpsSettings(), addresses)
        return SendingParts(
            tallies=stores.tallies,
            journal=stores.journal,
            makers={
                Kind.AGGREGATE: AggregateMaker(resolver),
                Kind.TLS: TlsMaker(TlsParts(resolver, client.post, policy, clock.now)),
            },
            identity=self._identity,
            new_id=self._house.new_id,
            clock=clock,
            is_wanted=self._is_wanted,
            defect=self._log.defect,
        )

    def _identity(self) -> Identity:
        told = self._settings.document.reports
        sender = Address.parse(told.sender) if told.sender else self._postmaster()
        return Identity(
            organization=told.organization or sender.domain,
            sender=sender,
            contact=str(told.contact or sender),
        )

    def _postmaster(self) -> Address:
        """Of the domain here that our name is in, whose key signs what it writes."""
        domain = hostname = self._settings.hostname.lower().rstrip(".")
        while domain and not self._house.stores.directory.is_local(domain):
            domain = domain.partition(".")[2]
        return Address("postmaster", domain or hostname)
