"""The MTA-STS policies of the domains that mail goes to: found, kept and renewed (RFC 8461).

A policy that was seen once holds until it expires, whatever the DNS or the policy host say or do
not say meanwhile: who can forge an answer must not be able to end it. A domain of which no policy
is known, and whose policy cannot be fetched, gets its mail as one without.

So none may expire while its domain still says it (RFC 8461 §3.3, §10.2). Each is fetched again once
a day, or after half of its life where that is less, whether the TXT record is there or not: who
keeps that from us must not let a policy run out. What fails is tried again after 5 minutes, then
after twice as long each time, up to a day, but never so late that half of what is left passes
without a try. The workers of a node share the policies, and the work: each claims one after
another, with several hands, so that hosts which give no answer keep nobody waiting.

What no mail went to for two months rests: it holds on until it expires, and is fetched again only
when mail comes. There is an end to the room; `directory/policies` says who gives way. A policy that
finds none is applied to the mail that it was fetched for, and fetched again for the next.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from merpati.clock import Clock
from merpati.delivery.backing import StsMode
from merpati.delivery.mx import Exchanges, NoHosts
from merpati.delivery.outcome import Result
from merpati.delivery.sts.policy import PolicyError, StsPolicy, parse_policy
from merpati.delivery.sts.record import policy_id
from merpati.directory.policies import KeptPolicy, PolicyRoom
from merpati.dns.cache import Cache
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.dns.resolver import Resolver
from merpati.setup.sts import PATH, policy_host
from merpati.storage.errors import StorageError
from merpati.wire.errors import CertificateError, WireError

Fetch = Callable[[str, str], Awaitable[bytes]]
"""The document of a host at a path, over HTTPS. Raises WireError or DnsError."""


class PolicyKeeper(Protocol):
    """Policies over restarts. Every method may raise StorageError."""

    async def kept(self, domain: str) -> KeptPolicy | None:
        """The one of a domain, expired or not."""
        ...

    async def keep(self, policy: KeptPolicy, room: PolicyRoom) -> bool:
        """In the place of the domain's last one, whose use is not forgotten, or in a free one; on
        disk when it returns. False: there is no room, and nothing changed."""
        ...

    async def use(self, domain: str, at: float, due: float, *, is_ours: bool) -> None:
        """Mail goes there; it is due at `due` at the latest."""
        ...

    async def claim(self, now: float, until: float) -> KeptPolicy | None:
        """The one that is due for longest, for the caller alone until it is due again at `until`.

        Also one that has expired meanwhile: it was to be fetched before.
        """
        ...

    async def put_off(self, policy: KeptPolicy, due: float) -> None:
        """It could not be fetched again; nothing changes where it is not as it was claimed."""
        ...

    async def rest(self, policy: KeptPolicy) -> None:
        """It is not to be fetched again; nothing changes where it is not as it was claimed."""
        ...

    async def forget(self, before: float) -> None:
        """Those that expired before and are not to be fetched again."""
        ...


@dataclass(frozen=True, slots=True)
class StsSettings:
    """How policies are looked after. Times in seconds."""

    again: float = 300.0
    """Until a policy that could not be fetched is asked for again; RFC 8461 §3.3: not less. Also
    until a DNS is that gave no answer in time."""
    renewed: float = 86_400.0
    """Until a policy that holds is fetched again, at most; RFC 8461 §3.3: once a day."""
    least: float = 1800.0
    """The same, at least. What holds for less is fetched when mail goes."""
    interval: float = 60.0
    """Between two looks for what is due."""
    hands: int = 20
    """Policies that are fetched again at once. Were every one of them late (30 s), it would be
    57,600 a day."""
    failures: int = 10_000
    """Domains whose failures are remembered, and as many whose DNS is silent."""
    domains: int = 50_000
    """Whose policies are kept: as many as the hands can renew in a day if all are late."""
    noted: float = 86_400.0
    """Between two notes that mail goes to a domain: each is a write."""
    unused: float = 60 * 86_400.0
    """Without mail for so long, and a policy rests. Mail that goes once a month finds it fresh."""
    unkept: int = 500
    """Policies without room that are remembered as long as failures; of up to 64 KiB each."""
    alarm: float = 3600.0
    """Between two times that it is told of a lack of room."""

    def due(self, now: float, max_age: int) -> float:
        """When a policy that was fetched now is fetched again."""
        return now + max(self.least, min(self.renewed, max_age / 2))

    def due_again(self, now: float, kept: KeptPolicy) -> float:
        """When one that could not be fetched now is tried again."""
        # The bound of the exponent is far beyond a day.
        backed_off = min(self.renewed, self.again * 2.0 ** min(kept.failures, 30))
        return now + max(self.again, min(backed_off, (kept.expires - now) / 2))


@dataclass(frozen=True, slots=True)
class PolicyParts:
    """Whom policies are had from, and who is told."""

    keeper: PolicyKeeper
    resolver: Resolver
    fetch: Fetch
    clock: Clock
    tell: Callable[[str, str, str], None]
    """Takes a domain, and what of its policy could not be had and why: see `PolicyUnread`."""
    full: Callable[[str], None]
    """Takes a domain, one of perhaps many, whose policy could not be kept for want of room."""


class Policies:
    """Says what a domain demands. Raises only StorageError: without the store nobody knows."""

    def __init__(self, settings: StsSettings, parts: PolicyParts) -> None:
        self._settings = settings
        self._keeper = parts.keeper
        self._resolver = parts.resolver
        self._fetch = parts.fetch
        self._clock = parts.clock
        self._tell = parts.tell
        self._full = parts.full
        self._told = -math.inf
        # RFC 8461 §3.3: not again within five minutes for the same id.
        self._failed: Cache[tuple[str, str], bool] = Cache(settings.failures)
        self._unkept: Cache[tuple[str, str], StsPolicy] = Cache(settings.unkept)
        self._silent: Cache[str, bool] = Cache(settings.failures)
        self._flights: dict[tuple[str, str], asyncio.Future[StsPolicy | None]] = {}

    async def apply(self, domain: str, found: Exchanges, *, is_ours: bool) -> Exchanges | NoHosts:
        """The hosts of a domain that its policy allows, and what they have to prove."""
        policy = None if domain.startswith("[") else await self.policy(domain, is_ours=is_ours)
        if policy is None or policy.mode is StsMode.NONE:
            return found
        if policy.mode is StsMode.TESTING:
            names = sorted(name for group in found.groups for name in group)
            unlisted = tuple(name for name in names if not policy.allows(name))
            return replace(
                found, backing=replace(found.backing, sts=policy.mode, unlisted=unlisted)
            )
        backed = replace(found, backing=replace(found.backing, sts=policy.mode))
        allowed = (tuple(name for name in group if policy.allows(name)) for group in found.groups)
        groups = tuple(group for group in allowed if group)
        return replace(backed, groups=groups) if groups else _none_allowed(domain, found)

    async def policy(self, domain: str, *, is_ours: bool) -> StsPolicy | None:
        """The policy that holds now for a domain that mail goes to, of our own people or not."""
        now = self._clock.now()
        kept = await self._keeper.kept(domain)
        if kept:
            await self._note_use(kept, now, is_ours=is_ours)
        held = _read(kept) if kept and kept.expires > now else None
        ident = await self._ident(domain)
        if ident is None or (held and kept and kept.ident == ident):
            return held
        # One fetch for all who want the same now; if who makes it is cancelled, the next does.
        while flight := self._flights.get((domain, ident)):
            await asyncio.wait([flight])
            if not flight.cancelled():
                return flight.result() or held
        lately = (domain, ident), self._clock.monotonic()
        if self._failed.get(*lately):
            return held
        if policy := self._unkept.get(*lately):
            return policy
        new = KeptPolicy(domain, "", b"", 0.0, 0.0, used=now, is_ours=is_ours)
        return await self._renew_for_all(kept or new, ident) or held

    async def _renew_for_all(self, kept: KeptPolicy, ident: str) -> StsPolicy | None:
        key = (kept.domain, ident)
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            policy = await self._renew(kept, ident)
            flight.set_result(policy)
            return policy
        finally:
            del self._flights[key]
            flight.cancel()

    async def _note_use(self, kept: KeptPolicy, now: float, *, is_ours: bool) -> None:
        is_first_of_ours = is_ours and not kept.is_ours
        if now - kept.used < self._settings.noted and not is_first_of_ours:
            return
        # What rests is fetched again, and once a day what holds for too short a time to be renewed.
        due = now if kept.due >= kept.expires else math.inf
        try:
            await self._keeper.use(kept.domain, now, due, is_ours=is_ours)
        except StorageError:
            return  # A disk that is full now is no reason to stop mail: the next one notes it.

    def _is_unused(self, kept: KeptPolicy) -> bool:
        return kept.used < self._clock.now() - self._settings.unused

    async def run(self) -> None:
        """Look after what is kept, until cancelled."""
        while True:
            await self.refresh()
            await self._clock.sleep(self._settings.interval)

    async def refresh(self) -> None:
        """Fetch again what is due, and forget what has expired and could not be had.

        Raises StorageError; and what was a defect at one policy, behind all others."""
        defects: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as hands:
                for _ in range(self._settings.hands):
                    hands.create_task(self._renew_due(defects))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        await self._keeper.forget(self._clock.now())
        if defects:
            raise defects[0]

    async def _renew_due(self, defects: list[Exception]) -> None:
        """As one of several hands."""
        while kept := await self._claim():
            if self._is_unused(kept):
                await self._keeper.rest(kept)
                continue
            ident = await self._ident(kept.domain) or kept.ident
            try:
                policy = await self._renew(kept, ident)
            except Exception as error:  # Whatever one domain's is, others' must not run out.
                defects.append(error)
                policy = None
            if policy is None:
                due = self._settings.due_again(self._clock.now(), kept)
                await self._keeper.put_off(kept, due)

    async def _claim(self) -> KeptPolicy | None:
        now = self._clock.now()
        return await self._keeper.claim(now, now + self._settings.again)

    async def _ident(self, domain: str) -> str | None:
        """None: nobody knows. RFC 8461 §5.1: what is kept holds on; what is not is not known."""
        if self._silent.get(domain, self._clock.monotonic()):
            return None
        try:
            return policy_id((await self._resolver.txt(f"_mta-sts.{domain}")).records)
        except DnsTimeout:
            # Each connection to a smarthost asks, and its mail would wait each time anew.
            until = self._clock.monotonic() + self._settings.again
            self._silent.put(domain, True, until)
            return None
        except DnsError:
            return None

    async def _renew(self, kept: KeptPolicy, ident: str) -> StsPolicy | None:
        """Fetch and keep the policy of a domain; `kept` is the last one, without text if there is
        none."""
        domain = kept.domain
        try:
            text = await self._fetch(policy_host(domain), PATH)
            policy = parse_policy(text)
        except (WireError, DnsError, PolicyError) as error:
            self._remember_failure(domain, ident)
            # RFC 8461 §3.3: a domain that ended it by "none" may then take everything down.
            if ident != kept.ident or not _is_ended(kept):
                self._tell(domain, _flaw(error), str(error))
            return None
        except Exception:
            self._remember_failure(domain, ident)
            raise
        now = self._clock.now()
        expires, due = now + policy.max_age, self._settings.due(now, policy.max_age)
        fresh = replace(kept, ident=ident, text=text, expires=expires, due=due, failures=0)
        await self._keep(fresh, policy)
        return policy

    def _remember_failure(self, domain: str, ident: str) -> None:
        until = self._clock.monotonic() + self._settings.again
        self._failed.put((domain, ident), True, until)

    async def _keep(self, fresh: KeptPolicy, policy: StsPolicy) -> None:
        room = PolicyRoom(self._settings.domains, self._clock.now() - self._settings.unused)
        try:
            if await self._keeper.keep(fresh, room):
                return
        except StorageError:
            pass  # A disk that is full now is no reason to stop mail; others tell of it.
        else:
            self._tell_of_room(fresh.domain)
        until = self._clock.monotonic() + self._settings.again
        self._unkept.put((fresh.domain, fresh.ident), policy, until)

    def _tell_of_room(self, domain: str) -> None:
        now = self._clock.monotonic()
        if now >= self._told + self._settings.alarm:
            self._told = now
            self._full(domain)


def _flaw(error: WireError | DnsError | PolicyError) -> str:
    if isinstance(error, PolicyError):
        return "text"
    return "certificate" if isinstance(error, CertificateError) else "fetch"


def _read(kept: KeptPolicy) -> StsPolicy | None:
    try:
        return parse_policy(kept.text)
    except PolicyError:
        return None  # An older version could read it. It is fetched anew, as if it were not kept.


def _is_ended(kept: KeptPolicy) -> bool:
    policy = _read(kept)
    return policy is not None and policy.mode is StsMode.NONE


def _none_allowed(domain: str, found: Exchanges) -> NoHosts:
    text = f"the MTA-STS policy of {domain} allows none of its mail hosts {found.name}"
    # RFC 8461 §5: the mail waits; either side may be mended meanwhile.
    return NoHosts(Result.DEFERRED, "4.7.5", text, "sts-mx-unlisted")
