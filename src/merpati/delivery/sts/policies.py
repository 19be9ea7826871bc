"""The MTA-STS policies of the domains that mail goes to: found, kept and renewed (RFC 8461).

A policy that was seen once holds until it expires, whatever the DNS or the policy host say or do
not say meanwhile: who can forge an answer must not be able to end it. It is renewed once a day, so
that it does not expire while mail goes. A domain of which no policy is known, and whose policy
cannot be fetched, gets its mail as one without.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from merpati.clock import Clock
from merpati.delivery.backing import StsMode
from merpati.delivery.mx import Exchanges, NoHosts
from merpati.delivery.outcome import Result
from merpati.delivery.sts.policy import PolicyError, StsPolicy, parse_policy
from merpati.delivery.sts.record import policy_id
from merpati.directory.policies import KeptPolicy
from merpati.dns.cache import Cache
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Resolver
from merpati.errors import MerpatiError
from merpati.setup.sts import PATH, policy_host
from merpati.wire.errors import CertificateError, WireError

Fetch = Callable[[str, str], Awaitable[bytes]]
"""The document of a host at a path, over HTTPS. Raises WireError or DnsError."""


class PolicyKeeper(Protocol):
    """Policies over restarts. Every method may raise StorageError."""

    async def kept(self, domain: str) -> KeptPolicy | None:
        """The one of a domain, expired or not."""
        ...

    async def keep(self, policy: KeptPolicy) -> None:
        """In the place of the domain's last one; on disk when it returns."""
        ...

    async def stale(self, now: float, before: float, limit: int) -> list[KeptPolicy]:
        """Those that hold `now` and were looked after `before` for the last time."""
        ...

    async def forget(self, before: float) -> None:
        """Those that expired before."""
        ...


@dataclass(frozen=True, slots=True)
class StsSettings:
    """How policies are looked after. Times in seconds."""

    again: float = 300.0
    """Until a policy that could not be fetched is asked for again."""
    renewed: float = 86_400.0
    """Between two looks at a policy that holds."""
    interval: float = 3600.0
    """Between two looks for what is to be renewed."""
    failures: int = 10_000
    """Domains whose failures are remembered."""
    at_once: int = 100


@dataclass(frozen=True, slots=True)
class PolicyParts:
    """Whom policies are had from, and who is told."""

    keeper: PolicyKeeper
    resolver: Resolver
    fetch: Fetch
    clock: Clock
    tell: Callable[[str, str, str], None]
    """Takes a domain, and what of its policy could not be had and why: see `PolicyUnread`."""


class Policies:
    """Says what a domain demands. Raises only StorageError: without the store nobody knows."""

    def __init__(self, settings: StsSettings, parts: PolicyParts) -> None:
        self._settings = settings
        self._keeper = parts.keeper
        self._resolver = parts.resolver
        self._fetch = parts.fetch
        self._clock = parts.clock
        self._tell = parts.tell
        self._failed: Cache[str, bool] = Cache(settings.failures)

    async def apply(self, domain: str, found: Exchanges) -> Exchanges | NoHosts:
        """The hosts of a domain that its policy allows, and what they have to prove."""
        policy = None if domain.startswith("[") else await self.policy(domain)
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

    async def policy(self, domain: str) -> StsPolicy | None:
        """The policy that holds for a domain now."""
        kept = await self._keeper.kept(domain)
        live = kept if kept and kept.expires > self._clock.now() else None
        ident = await self._ident(domain)
        if ident is None or (live and live.ident == ident):
            return _read(live)
        if self._failed.get(domain, self._clock.monotonic()):
            return _read(live)
        return await self._renew(domain, ident) or _read(live)

    async def run(self) -> None:
        """Look after what is kept, until cancelled."""
        while True:
            await self.refresh()
            await self._clock.sleep(self._settings.interval)

    async def refresh(self) -> None:
        """Renew what was not looked after for a day, and forget what has expired."""
        now = self._clock.now()
        await self._keeper.forget(now)
        before = now - self._settings.renewed
        for kept in await self._keeper.stale(now, before, self._settings.at_once):
            # RFC 8461 §3.3: also where the id is the same, or it would expire while it holds.
            ident = await self._ident(kept.domain)
            if ident is None or await self._renew(kept.domain, ident) is None:
                await self._keeper.keep(replace(kept, looked=now))

    async def _ident(self, domain: str) -> str | None:
        try:
            return policy_id((await self._resolver.txt(f"_mta-sts.{domain}")).records)
        except DnsError:
            return None  # RFC 8461 §5.1: what is kept holds on; what is not kept is not known.

    async def _renew(self, domain: str, ident: str) -> StsPolicy | None:
        try:
            text = await self._fetch(policy_host(domain), PATH)
            policy = parse_policy(text)
        except (WireError, DnsError, PolicyError) as error:
            self._failed.put(domain, True, self._clock.monotonic() + self._settings.again)
            self._tell(domain, _flaw(error), str(error))
            return None
        now = self._clock.now()
        await self._keeper.keep(KeptPolicy(domain, ident, text, now + policy.max_age, now))
        return policy


def _flaw(error: WireError | DnsError | PolicyError) -> str:
    if isinstance(error, PolicyError):
        return "text"
    return "certificate" if isinstance(error, CertificateError) else "fetch"


def _read(kept: KeptPolicy | None) -> StsPolicy | None:
    if kept is None:
        return None
    try:
        return parse_policy(kept.text)
    except PolicyError as error:
        # It was read before it was kept.
        raise MerpatiError(f"the policy kept of {kept.domain} cannot be read: {error}") from error


def _none_allowed(domain: str, found: Exchanges) -> NoHosts:
    text = f"the MTA-STS policy of {domain} allows none of its mail hosts {found.name}"
    # RFC 8461 §5: the mail waits; either side may be mended meanwhile.
    return NoHosts(Result.DEFERRED, "4.7.5", text, "sts-mx-unlisted")
