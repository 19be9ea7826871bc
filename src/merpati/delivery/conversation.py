"""One connection to one host, from the first octet to the last: opened, talked over, closed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from merpati.clock import Clock
from merpati.delivery.ending import End, Ending
from merpati.delivery.flight import Telling
from merpati.delivery.lesson import NOTHING_KNOWN, Lesson, SiteMemory
from merpati.delivery.link import ConversationSettings, Link
from merpati.delivery.opening import Opening
from merpati.delivery.route import BY_MX
from merpati.delivery.security import VALID, Security
from merpati.delivery.talk import Limits, Talk
from merpati.delivery.transaction import Host, Source, TlsDemand, Way
from merpati.diagnosis.replies import Stage
from merpati.errors import MerpatiError
from merpati.journal.events import MAX_TEXT, Attempt, Event, Opened
from merpati.smtp.client import ClientConnection, ClientSettings
from merpati.smtp.outgoing import Shelter
from merpati.wire.chain import Shown, shown
from merpati.wire.errors import WireError, WireLocal
from merpati.wire.stream import Stream

Dial = Callable[[Host, float], Awaitable[Stream]]
"""Connect within so many seconds, or raise WireError. Plain TCP or a Unix socket."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a conversation is given by its owner."""

    settings: ConversationSettings
    dial: Dial
    clock: Clock
    entropy: Callable[[int], bytes]
    """So many unguessable octets: `secrets.token_bytes`."""
    note: Callable[[Event], None]
    """Takes the Opened event for the journal."""
    learn: Callable[[Lesson], None]
    """Takes what is learned, at once."""


_TLSA_TOLD = 5
"""TLSA records of a host that the journal keeps with a connection."""


class Conversation:
    """One connection. `open` once, then `run` once; `run` closes.

    Cancelling `run` settles what is in hand first: UNKNOWN for what waits for the verdict on its
    last octets, UNTOUCHED for the rest. Neither method raises for anything a host can do.
    """

    def __init__(
        self,
        way: Way,
        host: Host,
        security: Security,
        surroundings: Surroundings,
        memory: SiteMemory = NOTHING_KNOWN,
    ) -> None:
        self._way = way
        self._host = host
        self._security = security
        self._around = surroundings
        self._settings = surroundings.settings
        self._memory = memory
        self._name = surroundings.entropy(10).hex()
        ignored = self._settings.ignored | way.switches.ehlo_ignore
        self._smtp = ClientConnection(
            ClientSettings(self._settings.hostname, way.lmtp, ignored), memory.rung
        )
        self._link: Link | None = None
        self._opening: Opening | None = None
        self._began = 0.0

    async def open(self) -> End | None:
        """Connect, greet, secure, log in, and note the Opened event. None: ready to `run`."""
        self._began = self._around.clock.monotonic()
        try:
            stream = await self._around.dial(self._host, self._settings.connect)
        except WireError as error:
            ending = Ending.OURS if isinstance(error, WireLocal) else Ending.UNREACHABLE
            end = End(ending, error.cause, Stage.CONNECT, connection=self._name)
            self._note_opened(end)
            return end
        self._link = Link(stream, self._smtp, self._around.clock, self._settings)
        refused = await self._open_over(self._link)
        self._note_opened(refused)
        if refused is None:
            return None
        stream.abort()
        return replace(
            refused,
            connection=self._name,
            tls=self._tls,
            policy=self._security.policy.value,
            failure=self._failure,
        )

    async def run(self, source: Source) -> End:
        """Draw transactions until a reason to end, settle each exactly once, then close."""
        if self._link is None:
            raise MerpatiError("the conversation was not opened")
        shelter = self._shelter
        telling = Telling(
            source,
            self._around.learn,
            self._attempt(),
            self._way.lmtp,
            proves_unasked=shelter is Shelter.PROVEN and not self._proof,
        )
        limits = Limits(self._settings, self._memory, shelter, self._began)
        talk = Talk(self._link, self._around.clock, telling, limits)
        end = End(Ending.LOST, "stopped")
        try:
            end = await talk.converse()
        finally:
            talk.tell_left(end.why)
            # An orderly end has closed it; behind any other there is nothing to trust.
            self._link.stream.abort()
        return End(end.ending, end.why, end.stage, end.meaning, talk.told)

    @property
    def _is_verified(self) -> bool:
        # In mode testing nobody vouches for the host's name: the proof is for the report alone.
        return bool(self._proof) and not self._security.tests

    @property
    def _shelter(self) -> Shelter:
        if self._way.lmtp and self._host.is_here:
            return Shelter.LOCAL
        # RFC 8689 §4.2.1: of a host that unsigned MX records named, the name itself is no proof.
        # Of one that is vouched for, a certificate is (RFC 6125), whoever demands it or nobody.
        if self._way.route == BY_MX.name and not self._way.backing.vouches:
            return Shelter.NONE
        if self._proof or self._check == VALID:
            return Shelter.PROVEN
        return Shelter.FAILING if self._tls_is_failing else Shelter.NONE

    @property
    def _tls_is_failing(self) -> bool:
        """Whether we talk in the clear to a host that offers TLS, though we wished for it."""
        wishes = self._way.tls is not TlsDemand.OFF
        return wishes and not self._tls and self._smtp.capabilities.offers("STARTTLS")

    @property
    def _check(self) -> str:
        return self._opening.check if self._opening else ""

    @property
    def _proof(self) -> str:
        return self._opening.proof if self._opening else ""

    @property
    def _failure(self) -> str:
        failure = self._opening.failure if self._opening else None
        return failure.value if failure else ""

    @property
    def _showed(self) -> Shown | None:
        tls = self._opening.tls if self._opening else None
        return shown(tls.chain[0]) if tls and tls.chain else None

    @property
    def _tls(self) -> str:
        tls = self._opening.tls if self._opening else None
        return f"{tls.version} {tls.cipher}" if tls else ""

    async def _open_over(self, link: Link) -> End | None:
        def nonce() -> str:
            return self._around.entropy(18).hex()

        opening = Opening(link, self._way, self._security, self._settings.tls, nonce)
        self._opening = opening
        try:
            refused = await opening.perform()
        except asyncio.CancelledError:
            link.stream.abort()
            raise
        if opening.waive:
            self._around.learn(opening.waive)
        return refused

    def _note_opened(self, refused: End | None) -> None:
        opening, clock = self._opening, self._around.clock
        showed = self._showed
        self._around.note(
            Opened(
                at=clock.now(),
                connection=self._name,
                site=self._way.site,
                host=self._host.name,
                ip=self._host.ip,
                port=self._host.port,
                tls=self._tls,
                verified=self._is_verified,
                policy=self._security.policy.value,
                proof=self._proof,
                tls_failure=self._failure,
                name=self._security.name if self._tls else "",
                dialogue=tuple(opening.dialogue) if opening else (),
                error=refused.why[:MAX_TEXT] if refused else "",
                local=self._link.stream.local.ip if self._link else "",
                certificate=showed.digest if showed else "",
                certificate_name=showed.name if showed else "",
                certificate_check=self._check,
                tlsa=tuple(str(one)[:MAX_TEXT] for one in self._security.tlsa[:_TLSA_TOLD]),
                seconds=clock.monotonic() - self._began,
            )
        )

    def _attempt(self) -> Attempt:
        return Attempt(
            route=self._way.route,
            site=self._way.site,
            host=self._host.name,
            ip=self._host.ip,
            port=self._host.port,
            connection=self._name,
            tls=self._tls,
            policy=self._security.policy.value,
            proof=self._proof,
            tls_failure=self._failure,
        )
