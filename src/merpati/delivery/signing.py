"""Signatures on what leaves this host: of DKIM for whoever may send, by the keys of the author's
domain; seals of ARC on what strangers sent and an alias of ours sends on, where that is wished.

A signature's time is that of acceptance, so each attempt of a message sends the same octets.

What takes a fraction of a millisecond is done on the loop, which has a turn between. A thread would
have to win the interpreter's lock twice for each message, to hash its body and to sign it, and take
it from the loop each time: a third as much again as the signing itself, for a core that other
workers have use for (docs/performance.md, Signed mail). Longer keys and messages go to threads.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from msgspec import structs

from merpati.authenticity.arc.sealer import Sealer
from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import (
    DEFAULTS,
    Signer,
    SigningKey,
    SigningSettings,
    Unsignable,
)
from merpati.delivery.route import Route
from merpati.delivery.transaction import Transaction
from merpati.directory.directory import Directory
from merpati.directory.keys import DkimKey, Keys
from merpati.directory.rotation import valid_for
from merpati.mail.address import Address, AddressError
from merpati.mail.envelope import Body
from merpati.mail.headers import MAX_OCTETS, Headers
from merpati.mail.mailboxes import parse_mailboxes
from merpati.mail.sealing import Sealing
from merpati.queue.entry import Entry
from merpati.storage.errors import StorageError

_REMEMBERED = 1_000
"""Messages whose signatures are kept for their other recipients and their next attempts."""
_SHORT_FROM = 300
"""Characters of a From field whose author is remembered."""
_QUICK_KEYS = frozenset((KeyKind.RSA_2048.value, KeyKind.ED25519.value))
"""Kinds that sign in 0.3 ms or less; RSA with 4,096 bits takes six times as long."""
_QUICK_OCTETS = 64 * 1024
"""Of a message: read and hashed in 0.2 ms."""
Content = Body | Callable[[], AsyncIterator[bytes]]
_END = b"\r\n\r\n"
_KEY = re.compile(rb"; d=([^;]++); s=([^;]++);")


@dataclass(frozen=True, slots=True)
class SigningParts:
    """The collaborators of signing."""

    keys: Keys
    directory: Directory
    executor: Executor
    unsigned: Callable[[str, str], None]
    """Is told of a message, by its id, that cannot be signed, and why."""


class _Maker(Protocol):
    """Makes the fields of one message. A second way to vouch for what is sent on is one more."""

    is_quick: bool
    """Whether its keys sign in a fraction of a millisecond."""

    def update(self, part: bytes) -> None:
        """The next octets of it."""
        ...

    def fields(self) -> bytes:
        """Those to put on top. Once, last. Raises Unsignable."""
        ...


class _Signatures:
    """Of DKIM, one for each key."""

    def __init__(self, entry: Entry, keys: Sequence[DkimKey]) -> None:
        self._signer = Signer(_settings(entry))
        self._keys, self._at = keys, int(entry.received)
        self.is_quick = all(key.kind in _QUICK_KEYS for key in keys)
        self.update = self._signer.update

    def fields(self) -> bytes:
        """See `_Maker`."""
        return self._signer.fields([_signing(key) for key in self._keys], self._at)


class _Seal:
    """Of ARC."""

    def __init__(self, sealing: Sealing, key: DkimKey, at: int) -> None:
        self._sealer = Sealer()
        self._sealing, self._key, self._at = sealing, key, at
        self.is_quick = key.kind in _QUICK_KEYS
        self.update = self._sealer.update

    def fields(self) -> bytes:
        """See `_Maker`."""
        chain = Result(self._sealing.chain)
        return self._sealer.fields(_signing(self._key), self._sealing.found, chain, self._at)


@dataclass(frozen=True, slots=True)
class _Job:
    """One message to sign."""

    id: str
    maker: _Maker
    parts: Sequence[bytes]
    """What the maker has not seen."""

    @property
    def is_quick(self) -> bool:
        """Whether the loop may do it."""
        return self.maker.is_quick and sum(map(len, self.parts)) <= _QUICK_OCTETS


class Signing:
    """Puts signatures on top of messages."""

    def __init__(self, parts: SigningParts) -> None:
        self._parts = parts
        self._known: OrderedDict[str, bytes] = OrderedDict()

    def wants(self, entry: Entry, route: Route) -> bool:
        """Whether a message that goes this way may get a signature or a seal: into a mailbox, none.

        Costs next to nothing where there is no key. Raises nothing: without an answer it is tried.
        """
        if route.is_here or route.lmtp:
            return False
        if entry.sealing is not None or not entry.is_ours:
            return entry.sealing is not None
        try:
            return self._parts.keys.has_active()
        except StorageError:
            return True

    async def sign(self, transactions: Sequence[Transaction]) -> list[Transaction]:
        """The same with signatures, where there is a key for the author; a message is signed once.

        Give it few at a time: they come back together. Raises StorageError when keys or content
        cannot be read now.
        """
        tops = await self._tops({one.entry.id: one for one in transactions}.values())
        signed = []
        for one in transactions:
            top = tops[one.entry.id]
            signed.append(structs.replace(one, top=top) if top else one)
        return signed

    async def _tops(self, transactions: Iterable[Transaction]) -> dict[str, bytes]:
        tops: dict[str, bytes] = {}
        for one in transactions:
            known = self._known.get(one.entry.id)
            if known is not None:
                tops[one.entry.id] = known
            elif job := await self._job(one):
                tops[job.id] = self._made(job, await self._done(job))
            else:
                tops[one.entry.id] = b""
        return tops

    async def _done(self, job: _Job) -> bytes | Unsignable:
        if job.is_quick:
            await asyncio.sleep(0)
            return _signed(job)
        return await asyncio.get_running_loop().run_in_executor(self._parts.executor, _signed, job)

    def _made(self, job: _Job, top: bytes | Unsignable) -> bytes:
        if isinstance(top, Unsignable):
            self._parts.unsigned(job.id, str(top))
            top = b""
        self._known[job.id] = top
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return top

    async def _job(self, transaction: Transaction) -> _Job | None:
        entry, body = transaction.entry, transaction.body
        maker = self._seal(entry) if entry.sealing else await self._signatures(entry, body)
        if maker is None:
            return None
        if isinstance(body, Body):
            return _Job(entry.id, maker, body.parts)
        loop = asyncio.get_running_loop()
        async for piece in body():
            await loop.run_in_executor(self._parts.executor, maker.update, piece)
        return _Job(entry.id, maker, ())

    async def _signatures(self, entry: Entry, body: Content) -> _Maker | None:
        section = _beginning(body.parts) if isinstance(body, Body) else await _first(body())
        keys = self._keys_for(entry, Headers.scan(section))
        return _Signatures(entry, keys) if keys else None

    def _seal(self, entry: Entry) -> _Maker | None:
        """By a key of RSA where there is one: not every verifier of ARC knows Ed25519."""
        sealing = entry.sealing
        if sealing is None:
            return None
        keys = self._keys_of(sealing.domain)
        if not keys:
            self._parts.unsigned(entry.id, f"no key to seal with for {sealing.domain}")
            return None
        key = min(keys, key=lambda one: one.algorithm != "rsa")
        return _Seal(sealing, key, int(entry.received))

    def _keys_for(self, entry: Entry, headers: Headers) -> Sequence[DkimKey]:
        """Those of the author's domain, or of the nearest one above it that has any."""
        authors = _authors(tuple(headers.get_all("from")))
        if len(authors) != 1 or not self._may_sign(entry, authors[0]):
            return ()
        return self._keys_of(authors[0].domain)

    def _keys_of(self, domain: str) -> Sequence[DkimKey]:
        """Its own, or those of the nearest domain above it that has any."""
        while "." in domain:
            if keys := self._parts.keys.active(domain):
                return keys
            domain = domain.partition(".")[2]
        return ()

    def _may_sign(self, entry: Entry, author: Address) -> bool:
        """A login gets no signature of a domain that is none of its own."""
        if not entry.client.login:
            return True
        try:
            login = Address.parse(entry.client.login)
        except AddressError:
            return False
        is_own = author.domain == login.domain or author.domain.endswith(f".{login.domain}")
        return is_own or self._parts.directory.may_send_as(login, author)


def _authors(values: tuple[str, ...]) -> Sequence[Address]:
    """Whom the From fields name. Programs write as the same author again and again."""
    is_short = len(values) == 1 and len(values[0]) <= _SHORT_FROM
    return _known_authors(values[0]) if is_short else _named(values)


@lru_cache(maxsize=1_000)
def _known_authors(value: str) -> Sequence[Address]:
    return _named((value,))


def _named(values: Sequence[str]) -> Sequence[Address]:
    read = [parse_mailboxes(value) for value in values]
    # What is malformed may be read as another author elsewhere: nobody vouches for that.
    return () if any(one.flaws for one in read) else tuple(a for one in read for a in one.addresses)


def _settings(entry: Entry) -> SigningSettings:
    lifetime = int(valid_for(entry.expires - entry.received))
    return DEFAULTS if lifetime <= DEFAULTS.lifetime else replace(DEFAULTS, lifetime=lifetime)


def keys_of(top: bytes) -> tuple[str, ...]:
    """Where the keys are by which these fields of ours were made."""
    if not top:
        return ()
    # A seal and the signature below it are of one key.
    found = dict.fromkeys(_KEY.findall(top))
    return tuple(
        [f"{selector.decode()}._domainkey.{domain.decode()}" for domain, selector in found]
    )


def _beginning(parts: Sequence[bytes]) -> bytes:
    """The header section, or as much of it as is ever looked at."""
    octets = b""
    for part in parts:
        octets += part
        if _END in octets or len(octets) > MAX_OCTETS:
            break
    return octets


async def _first(pieces: AsyncIterator[bytes]) -> bytes:
    """The same of a message that is read from the disk."""
    octets = b""
    async for piece in pieces:
        octets += piece
        if _END in octets or len(octets) > MAX_OCTETS:
            break
    return octets


def _signed(job: _Job) -> bytes | Unsignable:
    for part in job.parts:
        job.maker.update(part)
    try:
        return job.maker.fields()
    except Unsignable as why:
        return why


def _signing(key: DkimKey) -> SigningKey:
    return SigningKey(key.domain, key.selector, _pair(key.private))


@lru_cache(maxsize=1_000)
def _pair(pem: bytes) -> KeyPair:
    return KeyPair.from_pem(pem, is_checked=True)
