"""Gets certificates from a CA, and new ones before they end.

Every worker of a node looks; the one that has the lock works. What was got lies in the cabinet, and
each worker's watch takes it up from there. Whatever fails is told and tried again, ever less often;
mail goes on meanwhile with the certificate from before.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from merpati.certificates.background import in_background
from merpati.certificates.cabinet import RENEW, Cabinet, Rolling, State
from merpati.certificates.errors import AcmeMissing, IssueError
from merpati.certificates.keys import KeyType, digest_of, make_key, read_key
from merpati.certificates.proof import Prover
from merpati.certificates.rolling import Roller, Step, safe_at
from merpati.certificates.schedule import (
    CHECK,
    CHECK_MOST,
    LATEST,
    LONGEST_WAIT,
    Window,
    has_come,
    next_attempt,
    next_check,
    renewal_time,
)
from merpati.certificates.tlsa import identity_of, public_of
from merpati.clock import Clock
from merpati.storage.lock import Lock
from merpati.wire.certificates import Shown, shown_of
from merpati.wire.errors import TlsError

if TYPE_CHECKING:
    from merpati.certificates.authority import Authority

TICK = 1.0
"""Seconds between two looks for an operator's wish."""
ROUND = 60.0
"""Seconds between two looks at everything."""
LONGEST_ROUND = 1800.0
"""Seconds after which a round is given up, whatever it hangs on."""
_ONCE_A_DAY = 86_400.0
_SOON = 2.0
"""Seconds to the next look while a key changes and the DNS may have news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeSettings:
    """What is wanted, and from whom."""

    directory: str
    orders: tuple[tuple[str, ...], ...]
    """The names of each certificate; its own name is the first of them."""
    prover: Prover
    roller: Roller
    contact: tuple[str, ...] = ()
    binding: tuple[str, str] | None = None
    authorities: Path | None = None
    key_type: KeyType = KeyType.P256


@dataclass(frozen=True, slots=True)
class News:
    """What became of a certificate, for people."""

    name: str
    text: str
    is_bad: bool = False


@dataclass(slots=True)
class Renewal:
    """The work of one process; `run` once."""

    cabinet: Cabinet
    clock: Clock
    settings: Callable[[], AcmeSettings]
    """As they are now; blocks, and raises MerpatiError where they cannot be used."""
    tell: Callable[[News], None]
    """Called in the thread that works."""
    draw: Callable[[], float]
    """A number from 0 to 1 by chance."""
    names: Callable[[], tuple[str, ...]]
    """Of the certificates that are wanted; never blocks."""
    patience: float = LONGEST_ROUND
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: Lock | None = None
    _look_at: float = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                if self.names() and self._is_time():
                    await self._round()
                await self.clock.sleep(TICK)
        finally:
            self._stop.set()

    def _is_time(self) -> bool:
        if self.clock.monotonic() >= self._look_at:
            return True
        return any(map(self.cabinet.is_wanted, self.names()))

    async def _round(self) -> None:
        self.look_in(ROUND)
        stop, limit = self._stop, asyncio.timeout(self.patience)
        try:
            async with limit:
                await in_background(lambda: self.work(stop))
        except TimeoutError:
            if not limit.expired():
                raise  # The work's own.
            self._give_up(stop)

    def look_in(self, seconds: float) -> None:
        """Have everything looked at again no later than in so many."""
        due = self.clock.monotonic() + seconds
        self._look_at = due if seconds >= ROUND else min(self._look_at, due)

    def _give_up(self, stop: threading.Event) -> None:
        """Whoever hangs keeps nobody from renewing any longer, us neither."""
        stop.set()
        self._stop = threading.Event()
        if self._lock is not None:
            self._lock.release()
        self.tell(News("", f"gave up a look that took {self.patience:.0f} s", is_bad=True))

    def work(self, stop: threading.Event | None = None) -> None:
        """One look at each certificate, and what has to be done. Blocks.

        What keeps one of them from being looked at keeps none of the others: it is raised then.
        """
        self.cabinet.open()
        # Each round gives back its own alone: one that was given up may end in the next one's time.
        self._lock = lock = Lock(self.cabinet.lock)
        if not lock.try_take():
            return  # Another worker is at it.
        with lock, closing(_Round(self, self.settings(), stop or self._stop)) as round_:
            round_.tend_all()


@dataclass(slots=True)
class _Round:
    """One look; asks the CA for its directory when first needed."""

    own: Renewal
    settings: AcmeSettings
    stop: threading.Event
    _authority: "Authority | None" = None

    def close(self) -> None:
        if self._authority is not None:
            self._authority.close()

    def tend_all(self) -> None:
        """Each certificate, until told to stop; then what the first of them failed with."""
        failed: list[Exception] = []
        for names in self.settings.orders:
            if self.stop.is_set():
                return
            try:
                self.tend(names)
            except Exception as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def tend(self, names: tuple[str, ...]) -> None:
        """One certificate."""
        name, cabinet = names[0], self.own.cabinet
        state, pem = cabinet.state(name), cabinet.read(name)
        shown = _shown(pem)
        is_wanted = cabinet.wish(name) == RENEW
        cabinet.heard(name)
        if shown is not None:
            state = self._ask_when(name, state, pem, shown)
            if state.rolling is not None:
                state = self._roll(names, state, pem, state.rolling)
                pem = cabinet.read(name)
        why = "an operator wants it" if is_wanted else self._why(names, state, shown)
        now = self.own.clock.now()
        if why and (is_wanted or has_come(state.next_attempt, now, LONGEST_WAIT)):
            self._renew(names, state, pem, why)

    def _roll(self, names: tuple[str, ...], state: State, pem: bytes, rolling: Rolling) -> State:
        """Bring a change of the key on its way as far as it can go now."""
        name, cabinet = names[0], self.own.cabinet
        now = self.own.clock.now()
        if not (rolling.switched or cabinet.next_digest(name) == rolling.digest):
            # Broken off between the two files, or one is lost: nobody was told of the key there is.
            self.own.tell(News(name, f"{name}: the key that was to follow is gone", is_bad=True))
            kind, hurried = self.settings.key_type, rolling.hurried
            rolling = begin_roll(cabinet, name, kind, now, hurried=hurried)
        shown = identity_of(pem)
        key = shown.key if rolling.switched else public_of(read_key(cabinet.next_key(name)))
        rolling, step = self.settings.roller.step(names, rolling, key, shown)
        if self.stop.is_set():
            return state  # Another may be at work by now.
        state = structs.replace(state, rolling=rolling)
        if step is Step.DONE:
            state = structs.replace(state, rolling=None)
            self.own.tell(News(name, f"{name}: its key has changed, nothing of the old is left"))
        cabinet.put_state(name, state)
        if step is Step.SWITCH and has_come(state.next_attempt, now, LONGEST_WAIT):
            if shown.key != key:
                # On disk before the key changes: who breaks off behind that finds the new key in
                # use, and must not take that one's record out of the DNS.
                rolling = structs.replace(rolling, certificate=shown.chain[0])
                state = structs.replace(state, rolling=rolling)
                cabinet.put_state(name, state)
            rolled = structs.replace(rolling, switched=now)
            following = (cabinet.next_key(name), rolled)
            state = self._renew(names, state, pem, "its key changes", following)
            if state.rolling is rolled:
                cabinet.drop_next_key(name)
        if state.rolling is not None:
            self.own.look_in(min(ROUND, max(_SOON, safe_at(state.rolling) - now)))
        return state

    def _why(self, names: tuple[str, ...], state: State, shown: Shown | None) -> str:
        """Why there should be another one now; empty for no reason."""
        now = self.own.clock.now()
        if shown is None:
            return "there is none yet"
        if set(shown.names) != set(names):
            return "its names are to be others"
        window = Window(*state.window) if state.window else None
        if now < renewal_time(shown.begins, shown.ends, window, state.jitter):
            return ""
        # A CA whose window always lies in the past would have us renew without end.
        life = shown.ends - shown.begins
        if window and state.issued <= now < state.issued + min(_ONCE_A_DAY, life * LATEST):
            return ""
        return "the CA suggests it" if window else "two thirds of its life are over"

    def _ask_when(self, name: str, state: State, pem: bytes, shown: Shown) -> State:
        """Have the CA's suggestion, where it makes any, and it is time to look (RFC 9773)."""
        now = self.own.clock.now()
        # RFC 9773 §4.3: not after the certificate has expired.
        if not has_come(state.check_at, now, CHECK_MOST) or now >= shown.ends:
            return state
        try:
            told = self._ca().suggestion(pem)
        except IssueError:
            # Nothing depends on it: without a window the life decides.
            state = structs.replace(state, check_at=now + CHECK)
        else:
            wait = told.retry_after if told else None
            window = told.window if told else None
            state = structs.replace(
                state,
                check_at=next_check(now, wait),
                window=(window.start, window.end) if window else None,
                explanation=told.explanation if told else "",
            )
        self.own.cabinet.put_state(name, state)
        return state

    def _renew(
        self,
        names: tuple[str, ...],
        state: State,
        pem: bytes,
        why: str,
        rolled: tuple[bytes, Rolling] | None = None,
    ) -> State:
        """Ask the CA; how it stands then. `rolled`: the key that is to be used from now on."""
        name, cabinet, clock = names[0], self.own.cabinet, self.own.clock
        try:
            key = rolled[0] if rolled else _key(pem) or make_key(self.settings.key_type)
            chain = self._ca().issue(names, key, self.settings.prover, self.stop, pem)
            if self.stop.is_set():
                return state  # Another may be at work by now.
            cabinet.put(name, key, chain)
        except IssueError as error:
            if self.stop.is_set():
                return state
            failures = state.failures + 1
            again = next_attempt(clock.now(), failures, error.wait, self.own.draw())
            state = structs.replace(state, failures=failures, error=str(error), next_attempt=again)
            cabinet.put_state(name, state)
            wait = again - clock.now()
            text = f"{name}: not renewed ({why}): {error}. Next attempt in {wait / 60:.0f} minutes"
            self.own.tell(News(name, text, is_bad=True))
            return state
        rolling = rolled[1] if rolled else state.rolling
        state = State(issued=clock.now(), jitter=self.own.draw(), rolling=rolling)
        cabinet.put_state(name, state)
        self.own.tell(News(name, f"{name}: got since {why}, {_shown(chain)}"))
        return state

    def _ca(self) -> "Authority":
        if self._authority is None:
            self._authority = authority_of(self.settings, self._account_key(), self.own.clock)
        return self._authority

    def _account_key(self) -> bytes:
        cabinet, directory = self.own.cabinet, self.settings.directory
        if not (key := cabinet.account_key(directory)):
            key = make_key(KeyType.P256)
            cabinet.put_account_key(directory, key)
        return key


def begin_roll(
    cabinet: Cabinet, name: str, kind: KeyType, now: float, *, hurried: bool = False
) -> Rolling:
    """A key of this kind is to follow, as soon as everybody can know of it, or at once; how far it
    is then. A key that was to follow gives way: whoever knows the one may know the other."""
    key = make_key(kind)
    cabinet.put_next_key(name, key)
    rolling = Rolling(since=now, digest=digest_of(read_key(key)), hurried=hurried)
    cabinet.put_state(name, structs.replace(cabinet.state(name), rolling=rolling))
    return rolling


def authority_of(wanted: AcmeSettings, account_key: bytes, clock: Clock) -> "Authority":
    """Who is asked by these settings, under the account with this key. IssueError."""
    try:
        from merpati.certificates.authority import Authority, CaSettings
    except ImportError as error:
        raise AcmeMissing from error
    settings = CaSettings(
        wanted.directory, account_key, wanted.contact, wanted.binding, wanted.authorities
    )
    return Authority(settings, clock.now, clock.monotonic)


def _shown(pem: bytes) -> Shown | None:
    with suppress(TlsError):
        return shown_of(pem, "the certificate") if pem else None
    return None


def _key(pem: bytes) -> bytes:
    """The key of a certificate that stays the same, so that what is published of it stays true."""
    end = pem.find(b"-----BEGIN CERTIFICATE-----")
    with suppress(IssueError):
        read_key(pem[:end])
        return pem[:end]
    return b""
