"""What is in hand, on the event loop: fresh mail before its first claim, and what is claimed.

Bounded in octets and in recipients; what does not fit is stored as waiting and claimed from there.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from merpati.mail.envelope import Body
from merpati.queue.berth import Berth, Key
from merpati.queue.claiming import Found
from merpati.queue.entry import Claim, Entry, State, Waiting
from merpati.queue.flow import flow_of
from merpati.queue.lanes import Lane
from merpati.queue.putting import Placed
from merpati.queue.settling import Place
from merpati.queue.turns import Turns


@dataclass(slots=True)
class Parcel:
    """Recipients of one message in one lane."""

    message: int
    berth: Berth
    claim: Claim
    is_fresh: bool
    """The rows say IN_HAND; else WAITING."""


@dataclass(slots=True)
class _Weight:
    """A body in memory, until its message's last fresh recipient is settled or given back."""

    octets: int
    recipients: int


@dataclass(slots=True)
class InHand:
    """Everything that is in hand."""

    max_octets: int
    max_recipients: int
    octets: int = 0
    recipients: int = 0
    _fresh: dict[str, Turns[Parcel]] = field(default_factory=dict)
    """By site."""
    _claimed: dict[tuple[str, int], Parcel] = field(default_factory=dict)
    _berths: dict[int, Berth] = field(default_factory=dict)
    _claimed_lanes: Counter[int] = field(default_factory=Counter)
    """By site: in how many of its lanes rows say WAITING and are claimed."""
    _claimed_waiting: int = 0
    _weights: dict[str, _Weight] = field(default_factory=dict)

    def reserve(self, octets: int, recipients: int, *, is_bulk: bool = False) -> bool:
        """Make room for a fresh message; False when there is none.

        Bulk mail comes in while less than half is taken: single mail always finds the rest.
        """
        part = 2 if is_bulk else 1
        if (self.octets + octets) * part > self.max_octets:
            return False
        if (self.recipients + recipients) * part > self.max_recipients:
            return False
        self.octets += octets
        self.recipients += recipients
        return True

    def give_back(self, octets: int, recipients: int) -> None:
        """Undo a reservation."""
        self.octets -= octets
        self.recipients -= recipients

    @property
    def room(self) -> int:
        """How many more recipients may be taken from storage."""
        return max(self.max_recipients - self.recipients, 0)

    def admit(self, entry: Entry, message: int, body: Body | None, placed: Iterable[Placed]) -> int:
        """Keep what was stored as fresh, out of a reservation; how many recipients that are."""
        fresh = [place for place in placed if place.fresh]
        count = sum(len(place.numbers) for place in fresh)
        if count:
            self._weights[entry.id] = _Weight(body.size if body else 0, count)
        for place in fresh:
            claim = _fresh_claim(entry, body, place)
            berth = self._board(place.lane, len(place.numbers))
            parcel = Parcel(message, berth, claim, is_fresh=True)
            self._line_up(place.lane.site_name, parcel)
        return count

    def _line_up(self, site: str, parcel: Parcel) -> None:
        turns = self._fresh.get(site)
        if turns is None:
            turns = self._fresh[site] = Turns()
        entry = parcel.claim.entry
        turns.add(parcel, flow_of(entry), is_urgent=entry.envelope.priority > 0)

    def take_fresh(
        self,
        room: int,
        busy: Collection[str],
        full_of_bulk: Collection[str],
        is_held: Callable[[str], bool],
    ) -> list[Claim]:
        """Fresh parcels, one of each site in turn; no bulk mail of those that are full of it."""
        claims: list[Claim] = []
        sites = [name for name in self._fresh if name not in busy and not is_held(name)]
        sites = self._having(sites, full_of_bulk)
        while room > 0 and sites:
            for name in sites[:room]:
                parcel = self._next_of(name, room, spares_bulk=name in full_of_bulk)
                self._hold(parcel)
                claims.append(parcel.claim)
                room -= len(parcel.claim.recipients)
                if room <= 0:
                    break
            sites = self._having(sites, full_of_bulk)
        return claims

    def _having(self, sites: Iterable[str], full_of_bulk: Collection[str]) -> list[str]:
        """Those of which anything may be taken."""
        having = (name for name in sites if name in self._fresh)
        return [name for name in having if name not in full_of_bulk or self._fresh[name].single]

    def take_found(self, found: Iterable[Found]) -> list[Claim]:
        """Claim what storage found, but for what was claimed since it was asked."""
        claims = []
        for one in found:
            rows = tuple(w for w in one.recipients if (one.entry.id, w.n) not in self._claimed)
            if rows:
                claim = Claim(one.entry, one.domain, rows, None)
                berth = self._board(one.lane, len(rows))
                self._hold(Parcel(one.message, berth, claim, is_fresh=False))
                self.recipients += len(rows)
                claims.append(claim)
        return claims

    def place(self, entry_id: str, n: int) -> Place | None:
        """Where the row of a claimed recipient is."""
        parcel = self._claimed.get((entry_id, n))
        return Place(parcel.message, parcel.berth.lane.id, not parcel.is_fresh) if parcel else None

    def release(self, entry_id: str, n: int) -> Lane | None:
        """A claimed recipient is settled; its lane, if it was in hand at all."""
        parcel = self._claimed.pop((entry_id, n), None)
        if parcel is None:
            return None
        if not parcel.is_fresh:
            self._unclaim(parcel, n)
        self._lighten(parcel, 1)
        return parcel.berth.lane

    def withdraw(self, chosen: Callable[[Entry, Waiting, str], bool]) -> list[Parcel]:
        """Take fresh parcels out of hand: all those with a recipient that is chosen, by entry,
        recipient and site."""
        withdrawn = []
        for name in list(self._fresh):
            withdrawn += self._remove(name, partial(_is_chosen, chosen, name))
        self._lighten_all(withdrawn)
        return withdrawn

    def withdraw_site(self, name: str) -> list[Parcel]:
        """Take all fresh parcels of a site out of hand."""
        withdrawn = list(self._fresh.pop(name, ()))
        self._lighten_all(withdrawn)
        return withdrawn

    def put_back(self, parcels: Iterable[Parcel]) -> None:
        """Withdrawn in vain: their rows still say that they are in hand."""
        for parcel in parcels:
            claim = parcel.claim
            parcel.claim = Claim(claim.entry, claim.domain, claim.recipients, None)
            self.recipients += len(claim.recipients)
            parcel.berth = self._board(parcel.berth.lane, len(claim.recipients))
            weight = self._weights.setdefault(claim.entry.id, _Weight(0, 0))
            weight.recipients += len(claim.recipients)
            self._line_up(parcel.berth.lane.site_name, parcel)

    def move(self, new: Lane) -> None:
        """A lane hangs on another site from now on, with what is claimed of it: a deferral is
        looked for at the new one."""
        berth = self._berths.get(new.id)
        if berth is None or berth.lane == new:
            return
        old, berth.lane = berth.lane, new
        if berth.claimed:
            self._leave(old.site)
            self._claimed_lanes[new.site] += 1
        if old.site_name in self._fresh:
            for parcel in self._remove(old.site_name, lambda one: one.berth is berth):
                self._line_up(new.site_name, parcel)

    @property
    def has_fresh(self) -> bool:
        """Whether anything waits for its first claim."""
        return bool(self._fresh)

    @property
    def berths(self) -> Mapping[int, Berth]:
        """Lanes of which something is in hand, by their ids."""
        return self._berths

    def has_claimed_lane(self, lane: int) -> bool:
        """Whether rows of a lane say WAITING and are claimed."""
        return lane in self._berths and bool(self._berths[lane].claimed)

    def has_claimed_site(self, site: int) -> bool:
        """Whether rows of a site's lanes say WAITING and are claimed."""
        return site in self._claimed_lanes

    def claimed_rows(self) -> list[Key]:
        """The keys of everything that an attempt has."""
        return [(parcel.message, n) for (_, n), parcel in self._claimed.items()]

    @property
    def claimed_waiting(self) -> int:
        """How many rows say WAITING and are claimed."""
        return self._claimed_waiting

    def _next_of(self, name: str, room: int, *, spares_bulk: bool) -> Parcel:
        """The first parcel of a site, or as much of it as there is room for."""
        turns = self._fresh[name]
        parcel = turns.first(spares_bulk=spares_bulk)
        if len(parcel.claim.recipients) > room:
            return _split(parcel, room)
        turns.pop(spares_bulk=spares_bulk)
        self._tidy(name, turns)
        return parcel

    def _remove(self, name: str, goes: Callable[[Parcel], bool]) -> list[Parcel]:
        """Take fresh parcels of a site out of their turns."""
        turns = self._fresh[name]
        gone = turns.remove(goes)
        self._tidy(name, turns)
        return gone

    def _tidy(self, name: str, turns: Turns[Parcel]) -> None:
        if not turns:
            del self._fresh[name]

    def _hold(self, parcel: Parcel) -> None:
        claim = parcel.claim
        for waiting in claim.recipients:
            self._claimed[claim.entry.id, waiting.n] = parcel
        if not parcel.is_fresh:
            berth = parcel.berth
            if not berth.claimed:
                self._claimed_lanes[berth.lane.site] += 1
            berth.claimed.update((parcel.message, waiting.n) for waiting in claim.recipients)
            self._claimed_waiting += len(claim.recipients)

    def _unclaim(self, parcel: Parcel, n: int) -> None:
        berth = parcel.berth
        berth.claimed.remove((parcel.message, n))
        self._claimed_waiting -= 1
        if not berth.claimed:
            self._leave(berth.lane.site)

    def _leave(self, site: int) -> None:
        """One lane less of it is claimed."""
        self._claimed_lanes[site] -= 1
        if not self._claimed_lanes[site]:
            del self._claimed_lanes[site]

    def _board(self, lane: Lane, count: int) -> Berth:
        """The berth of a lane for so many more recipients."""
        berth = self._berths.setdefault(lane.id, Berth(lane))
        berth.recipients += count
        return berth

    def _lighten_all(self, parcels: Iterable[Parcel]) -> None:
        for parcel in parcels:
            self._lighten(parcel, len(parcel.claim.recipients))

    def _lighten(self, parcel: Parcel, count: int) -> None:
        self.recipients -= count
        parcel.berth.recipients -= count
        if not parcel.berth.recipients:
            del self._berths[parcel.berth.lane.id]
        if not parcel.is_fresh:
            return
        entry_id = parcel.claim.entry.id
        weight = self._weights[entry_id]
        weight.recipients -= count
        if not weight.recipients:
            self.octets -= weight.octets
            del self._weights[entry_id]


def _fresh_claim(entry: Entry, body: Body | None, place: Placed) -> Claim:
    recipients = entry.envelope.recipients
    rows = tuple(Waiting(n, recipients[n], State.IN_HAND, entry.received) for n in place.numbers)
    return Claim(entry, rows[0].recipient.address.domain, rows, body)


def _is_chosen(chosen: Callable[[Entry, Waiting, str], bool], site: str, parcel: Parcel) -> bool:
    claim = parcel.claim
    return any(chosen(claim.entry, waiting, site) for waiting in claim.recipients)


def split(claim: Claim, room: int) -> tuple[Claim, Claim]:
    """The first `room` recipients, and the others."""
    first, others = claim.recipients[:room], claim.recipients[room:]
    return (
        Claim(claim.entry, claim.domain, first, claim.body),
        Claim(claim.entry, claim.domain, others, claim.body),
    )


def _split(parcel: Parcel, room: int) -> Parcel:
    """Cut `room` recipients off a parcel."""
    first, parcel.claim = split(parcel.claim, room)
    return Parcel(parcel.message, parcel.berth, first, parcel.is_fresh)
