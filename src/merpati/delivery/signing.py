"""DKIM signatures on what leaves this host: for whoever may send, by the keys of the author's
domain, in threads that let the loop run on.

A signature's time is that of acceptance, so each attempt of a message sends the same octets.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache

from msgspec import structs

from merpati.authenticity.dkim.keypair import KeyPair
from merpati.authenticity.dkim.signer import (
    DAY,
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
from merpati.mail.address import Address, AddressError
from merpati.mail.envelope import Body
from merpati.mail.headers import MAX_OCTETS, Headers
from merpati.queue.entry import Entry
from merpati.storage.errors import StorageError

_REMEMBERED = 1_000
"""Messages whose signatures are kept for their other recipients and their next attempts."""
_ON_ITS_WAY = 2 * DAY
"""Seconds that a message may take from the last attempt to whoever verifies it."""
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


@dataclass(frozen=True, slots=True)
class _Job:
    """One message to sign, for a thread."""

    id: str
    signer: Signer
    parts: Sequence[bytes]
    """What the signer has not seen."""
    keys: Sequence[DkimKey]
    at: int


class Signing:
    """Puts signatures on top of messages."""

    def __init__(self, parts: SigningParts) -> None:
        self._parts = parts
        self._known: OrderedDict[str, bytes] = OrderedDict()

    def wants(self, route: Route) -> bool:
        """Whether a message of ours that goes this way may get a signature: into a mailbox, none.

        Costs next to nothing where there is no key. Raises nothing: without an answer it is tried.
        """
        if route.is_here or route.lmtp:
            return False
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
        jobs = []
        for one in transactions:
            known = self._known.get(one.entry.id)
            if known is not None:
                tops[one.entry.id] = known
            elif job := await self._job(one):
                jobs.append(job)
            else:
                tops[one.entry.id] = b""
        if jobs:
            loop = asyncio.get_running_loop()
            made = await loop.run_in_executor(self._parts.executor, _do, jobs)
            for job, top in zip(jobs, made, strict=True):
                tops[job.id] = self._made(job, top)
        return tops

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
        section = _beginning(body.parts) if isinstance(body, Body) else await _first(body())
        keys = self._keys_for(entry, Headers.scan(section))
        if not keys:
            return None
        signer, parts = Signer(_settings(entry)), body.parts if isinstance(body, Body) else ()
        if not isinstance(body, Body):
            loop = asyncio.get_running_loop()
            async for piece in body():
                await loop.run_in_executor(self._parts.executor, signer.update, piece)
        return _Job(entry.id, signer, parts, keys, int(entry.received))

    def _keys_for(self, entry: Entry, headers: Headers) -> Sequence[DkimKey]:
        """Those of the author's domain, or of the nearest one above it that has any."""
        authors = headers.mailboxes("from").addresses
        if len(authors) != 1 or not self._may_sign(entry, authors[0]):
            return ()
        domain = authors[0].domain
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


def _settings(entry: Entry) -> SigningSettings:
    """A signature outlives the last attempt, also where the queue tries for weeks."""
    lifetime = int(entry.expires - entry.received) + _ON_ITS_WAY
    return DEFAULTS if lifetime <= DEFAULTS.lifetime else replace(DEFAULTS, lifetime=lifetime)


def keys_of(top: bytes) -> tuple[str, ...]:
    """Where the keys are by which these fields of ours were made."""
    if not top:
        return ()
    found = _KEY.findall(top)
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


def _do(jobs: Sequence[_Job]) -> list[bytes | Unsignable]:
    """In a thread."""
    return [_signed(job) for job in jobs]


def _signed(job: _Job) -> bytes | Unsignable:
    for part in job.parts:
        job.signer.update(part)
    keys = [SigningKey(key.domain, key.selector, _pair(key.private)) for key in job.keys]
    try:
        return job.signer.fields(keys, job.at)
    except Unsignable as why:
        return why


@lru_cache(maxsize=1_000)
def _pair(pem: bytes) -> KeyPair:
    return KeyPair.from_pem(pem, is_checked=True)
