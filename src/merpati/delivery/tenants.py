"""Whose mail a site does not want: a tenant who was refused three times in an hour waits an hour.

A tenant is the login that a message came from, else the domain of its sender. The others' mail goes
to the same site as before, so this is no hold of the site: what a held tenant sends there is
deferred without being tried, since each refusal more costs all of us reputation. A hold that is
over leaves the tenant on probation: for an hour one refusal is enough for the next one.

Kept in memory, by each worker for itself, and bounded: of too many the oldest is forgotten. Nothing
here waits or speaks: facts go in, holds come out. Times are monotonic seconds.
"""

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from merpati.delivery.lesson import Setback
from merpati.diagnosis.replies import Refusal
from merpati.queue.entry import Entry

COUNTED = frozenset(
    {
        "spf-failed",
        "dkim-failed",
        "dmarc-failed",
        "sender-unauthenticated",
        "sender-refused",
        "sender-not-allowed",
        "sender-domain-unresolvable",
        "null-mx-sender",
    }
)
"""What lies with the sender's address or domain. How we log in, relay or are named in the DNS lies
with this server, and a policy that is not explained with nobody we could name."""

_Key = tuple[str, str]
"""Site and tenant."""


def tenant_of(entry: Entry) -> str:
    """The login, else the domain of the sender; empty for a notice without a login."""
    sender = entry.envelope.sender
    return entry.client.login or (sender.domain if sender else "")


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """Times in seconds."""

    refusals: int = 3
    """Messages refused `within` a time that begin a hold."""
    within: float = 3600.0
    held: float = 3600.0
    remembered: int = 10_000
    """Pairs of a site and a tenant: so many counted, and as many on hold."""


@dataclass(frozen=True, slots=True)
class TenantHold:
    """A tenant's mail for a site waits; `until` 0: it waits no longer."""

    site: str
    tenant: str
    until: float
    why: str
    """The refusal that began it, in the site's words."""


@dataclass(slots=True)
class Tenants:
    """What the sites said lately of the tenants."""

    settings: TenantSettings = field(default_factory=TenantSettings)
    _refused: OrderedDict[_Key, dict[str, float]] = field(default_factory=OrderedDict)
    """Messages by their id and when they were last refused."""
    _holds: OrderedDict[_Key, TenantHold] = field(default_factory=OrderedDict)
    _news: list[TenantHold] = field(default_factory=list)

    def learn(self, site: str, setback: Setback, now: float) -> None:
        """Count a refusal; a message counts once, however many of its recipients were refused."""
        meaning, key = setback.meaning, (site, setback.tenant)
        if meaning.refusal is not Refusal.SENDER or meaning.cause not in COUNTED:
            return
        if not setback.tenant or key in self._holds:
            return
        young = self._young(key, now)
        young[setback.entry_id] = now
        if len(young) < self.settings.refusals:
            self._count(key, young)
        else:
            self._refused.pop(key, None)
            self._hold(TenantHold(*key, now + self.settings.held, setback.reply))

    def hold_of(self, site: str, entry: Entry, now: float) -> TenantHold | None:
        """The hold that keeps this message from this site."""
        if not self._holds:
            return None
        hold = self._holds.get((site, tenant_of(entry)))
        return hold if hold and now < hold.until else None

    def holds(self) -> tuple[TenantHold, ...]:
        """All of them."""
        return tuple(self._holds.values())

    def lift(self, site: str) -> None:
        """An operator says that it is mended: the site's tenants begin anew."""
        for key in [key for key in self._holds if key[0] == site]:
            self._end(key)
        for key in [key for key in self._refused if key[0] == site]:
            del self._refused[key]

    def news(self, now: float) -> list[TenantHold]:
        """The holds that began, and those that ended, since this was asked last."""
        for key in [key for key, hold in self._holds.items() if hold.until <= now]:
            self._end(key)
            probation = {f"probation {n}": now for n in range(1, self.settings.refusals)}
            self._count(key, probation)
        news, self._news = self._news, []
        return news

    def _young(self, key: _Key, now: float) -> dict[str, float]:
        known = self._refused.get(key, {})
        return {one: at for one, at in known.items() if now - at < self.settings.within}

    def _count(self, key: _Key, refused: dict[str, float]) -> None:
        self._refused[key] = refused
        self._refused.move_to_end(key)
        while len(self._refused) > self.settings.remembered:
            self._refused.popitem(last=False)

    def _hold(self, hold: TenantHold) -> None:
        self._holds[hold.site, hold.tenant] = hold
        self._news.append(hold)
        while len(self._holds) > self.settings.remembered:
            self._end(next(iter(self._holds)))

    def _end(self, key: _Key) -> None:
        self._news.append(replace(self._holds.pop(key), until=0.0))
