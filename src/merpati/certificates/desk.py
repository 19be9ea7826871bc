"""What operators ask about certificates, and have done about them.

Answered from the files, by whichever process is asked. Everything blocks."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from merpati.certificates.cabinet import Cabinet, State
from merpati.certificates.errors import IssueError
from merpati.certificates.keys import KeyType, make_key, read_key
from merpati.certificates.reason import Reason
from merpati.certificates.renewal import AcmeSettings, authority_of, begin_roll
from merpati.certificates.schedule import Window, renewal_time
from merpati.certificates.source import Reader, Source
from merpati.certificates.tlsa import Identity, Tlsa, identity_of, public_of
from merpati.clock import Clock
from merpati.dns.resolver import Answer
from merpati.storage.lock import Lock
from merpati.wire.certificates import UNREADABLE, Shown, shown_of
from merpati.wire.errors import TlsError

if TYPE_CHECKING:
    from merpati.certificates.authority import Authority


class Origin(Enum):
    """Whose a certificate is."""

    FILE = "file"
    CA = "ca"
    OWN = "self-signed"


@dataclass(frozen=True, slots=True)
class Kept:
    """One certificate that is here, or is to be."""

    name: str
    origin: Origin
    source: Source
    shown: Shown | None
    """None: there is none yet, or it cannot be read."""
    identity: Identity | None = None
    """What TLSA records may say of who shows it."""
    trouble: str = ""
    state: State = field(default_factory=State)

    @property
    def renew_at(self) -> float:
        """When the CA is asked for the next one; 0.0 where that is not ours to do."""
        if self.shown is None or self.origin is not Origin.CA:
            return self.state.next_attempt
        window = Window(*self.state.window) if self.state.window else None
        due = renewal_time(self.shown.begins, self.shown.ends, window, self.state.jitter)
        return max(due, self.state.next_attempt)


@dataclass(frozen=True, slots=True)
class Desk:
    """Of one server."""

    cabinet: Cabinet
    clock: Clock
    reader: Reader
    orders: Callable[[], Sequence[tuple[str, ...]]]
    """The names of each certificate of the CA's."""
    sources: Callable[[], Sequence[Source]]
    """Those in files of the operator's."""
    fallback: Callable[[], Source]
    key_type: Callable[[], KeyType]
    acme: Callable[[], AcmeSettings]
    """Whom certificates are got from; raises MerpatiError where that cannot be said."""
    tlsa: Callable[[str], Awaitable[Answer[Tlsa]]]
    """What the DNS has of a host's keys now; alone here it does not block. Raises DnsError."""

    def all(self) -> list[Kept]:
        """In the order of their precedence."""
        found = [*self._of_operator(), *map(self._of_ca, self.orders())]
        if any(one.shown for one in found):
            return found
        own = self.fallback()
        return [*found, *([self._read(own, Origin.OWN)] if own.chain.exists() else [])]

    def find(self, name: str) -> Kept:
        """The one that is called so; IssueError where there is none."""
        wanted = name.lower().rstrip(".")
        for one in self.all():
            if wanted in (one.name, str(one.source)):
                return one
        known = ", ".join(one.name for one in self.all()) or "none"
        raise IssueError(f"no certificate is called {name}; there are: {known}")

    def next_key(self, kept: Kept) -> bytes:
        """The public key that is to follow (SubjectPublicKeyInfo, DER); empty where none is."""
        rolling = kept.state.rolling
        if rolling is None or rolling.switched:
            return b""
        with suppress(IssueError):
            return public_of(read_key(self.cabinet.next_key(kept.name)))
        return b""

    def renew(self, name: str) -> Kept:
        """Have the CA asked for another one now; what there is before."""
        kept = self._ours(name)
        self.cabinet.open()
        self.cabinet.want(kept.name)
        return kept

    def roll(self, name: str) -> Kept:
        """Begin to change its key, or have it looked how far that is."""
        kept = self._ours(name)
        if kept.shown is None:
            raise IssueError(f"there is no certificate for {kept.name} yet whose key could change")
        self.cabinet.open()
        if kept.state.rolling is None:
            with self._alone():
                begin_roll(self.cabinet, kept.name, self.key_type(), self.clock.now())
        self.cabinet.want(kept.name, "look")
        return self.find(kept.name)

    def revoke(self, name: str, reason: Reason) -> Kept:
        """Have the CA declare that it is not to be believed any more, and get another one, at once.

        With a key that others know, the next one is of a new key: its TLSA records are told, and
        changed where we may, and nothing waits for them.
        """
        kept = self._ours(name)
        if kept.shown is None:
            raise IssueError(f"there is no certificate for {kept.name} yet")
        settings = self.acme()
        with self._alone(), closing(self._ca(settings)) as authority:
            chain = self.cabinet.read(kept.name)
            authority.revoke(chain[chain.find(b"-----BEGIN CERTIFICATE-----") :], reason.number)
            if reason is Reason.KEY_COMPROMISE:
                now = self.clock.now()
                begin_roll(self.cabinet, kept.name, self.key_type(), now, hurried=True)
        self.cabinet.want(kept.name, "look" if reason is Reason.KEY_COMPROMISE else "renew")
        return self.find(kept.name)

    def change_account_key(self) -> None:
        """Be known to the CA by another key. It is kept before the CA is told."""
        settings = self.acme()
        key = make_key(KeyType.P256)
        with self._alone(), closing(self._ca(settings)) as authority:
            self.cabinet.put_next_account_key(settings.directory, key)
            authority.change_key(key)
            self.cabinet.take_next_account_key(settings.directory)

    def close_account(self) -> None:
        """End the account at the CA for good, and forget its key."""
        settings = self.acme()
        with self._alone(), closing(self._ca(settings)) as authority:
            authority.deactivate()
            self.cabinet.drop_account_key(settings.directory)

    def _ca(self, settings: AcmeSettings) -> "Authority":
        if not (key := self.cabinet.account_key(settings.directory)):
            raise IssueError(f"we have no account at {settings.directory}")
        return authority_of(settings, key, self.clock)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else works on certificates meanwhile."""
        self.cabinet.open()
        lock = Lock(self.cabinet.lock)
        if not lock.try_take():
            raise IssueError("certificates are just being looked after: try again in a moment")
        with lock:
            yield

    def _ours(self, name: str) -> Kept:
        kept = self.find(name)
        if kept.origin is not Origin.CA:
            raise IssueError(f"{kept.name} is not got from a CA by this server ([acme])")
        return kept

    def _of_operator(self) -> Iterator[Kept]:
        for source in self.sources():
            yield self._read(source, Origin.FILE)

    def _of_ca(self, names: tuple[str, ...]) -> Kept:
        name = names[0]
        source = self.cabinet.source(name)
        state = self.cabinet.state(name)
        if not source.chain.exists():
            trouble = state.error or "there is none yet"
            return Kept(name, Origin.CA, source, None, trouble=trouble, state=state)
        kept = self._read(source, Origin.CA)
        trouble = kept.trouble or state.error
        return Kept(name, Origin.CA, source, kept.shown, kept.identity, trouble, state)

    def _read(self, source: Source, origin: Origin) -> Kept:
        name = str(source)
        with suppress(FileNotFoundError):
            try:
                files = self.reader.read(source, None)
                pem = files.chain if files else b""
                shown = shown_of(pem, name)
                identity = identity_of(pem)
            except (OSError, *UNREADABLE, TlsError) as error:
                return Kept(name, origin, source, None, trouble=str(error))
            return Kept(shown.name or name, origin, source, shown, identity, self._age(shown))
        return Kept(name, origin, source, None, trouble="the files are not there")

    def _age(self, shown: Shown) -> str:
        now = self.clock.now()
        if now >= shown.ends:
            return "has expired"
        return "is not valid yet" if now < shown.begins else ""
