"""One door for mail: its role, its limits, and what its sessions share."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from merpati.clock import Clock
from merpati.intake import Intake
from merpati.journal.events import LoginFailed
from merpati.journal.limits import Limits
from merpati.mail.trace import Client, Tls
from merpati.policy.limit import Limit
from merpati.policy.prefix import without_zone
from merpati.policy.rule import Facts
from merpati.reception.login import PLUS, Login, Logins
from merpati.reception.room import Room, RoomSettings
from merpati.reception.session import Session
from merpati.smtp.extensions import Extension
from merpati.smtp.replies import Reply
from merpati.smtp.sasl.external import EXTERNAL
from merpati.smtp.sasl.mechanisms import offered
from merpati.smtp.sasl.tokens import OAUTHBEARER, XOAUTH2
from merpati.smtp.settings import Protocol, ServerSettings
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import MISSING_CERTIFICATE, CertificateError, TlsError
from merpati.wire.listen import Arrival

Network = IPv4Network | IPv6Network
# RFC 7628 §4: whoever reads a token on the way can use it.
_NEVER_CLEAR = {PLUS, OAUTHBEARER, XOAUTH2}


class Role(Enum):
    """What a port is for."""

    MX = "mx"
    """Mail from other hosts for domains here; relaying for listed networks."""
    SUBMISSION = "submission"
    """Mail from people and programs that log in (RFC 6409)."""
    SUBMISSIONS = "submissions"
    """The same with TLS from the first octet (RFC 8314)."""
    LMTP = "lmtp"
    """Mail for mailboxes here from a server in front (RFC 2033)."""


class ClientCertificates(Enum):
    """Whether clients are asked for a certificate."""

    OFF = "off"
    OPTIONAL = "optional"
    """Who shows a valid one may log in with it (EXTERNAL)."""
    REQUIRED = "required"
    """Who shows none gets no TLS session."""


@dataclass(frozen=True, slots=True)
class PortSettings:
    """One port. Sizes in octets, times in seconds."""

    role: Role
    hostname: str
    trusted: tuple[Network, ...] = ()
    """Networks that may relay without a login."""
    xclient: tuple[Network, ...] = ()
    """Peers that may say for whom they speak."""
    auth_without_tls: bool = False
    """Offer AUTH in the clear; for loopback only, as the configuration checks."""
    client_certificates: ClientCertificates = ClientCertificates.OFF
    max_size: int = 50 * 1024 * 1024
    max_recipients: int = 1000
    connections: int = 2000
    """At a time; as the listener has it. Above three quarters of it slots are short."""
    patience: float = 300.0
    """For a command, and between pieces of content (RFC 5321 §4.5.3.2.7)."""
    short_patience: float = 10.0
    """The same when slots are short."""
    least_rate: float = 500.0
    """Octets a second that content must come with on average, after one `patience`."""
    idle_commands: int = 100
    """NOOP, RSET, EHLO and the like, and messages that are refused for good, between two that are
    taken."""


class Port:
    """What the sessions of one door share. `serve` is for `wire.listen.Listener`."""

    def __init__(  # noqa: PLR0913 - its collaborators, each said by name
        self,
        settings: PortSettings,
        intake: Intake,
        clock: Clock,
        logins: Logins | None = None,
        tls: object | None = None,
        *,
        room: Room | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Without `logins` nobody can log in; `tls` is a `wire.tls.TlsContext` or None.

        `room` and `limits` are what the ports of a worker share; without them the port has its own.
        """
        self.settings = settings
        self.intake = intake
        self.clock = clock
        self.logins = logins
        self.tls = tls
        self.room = room or Room(RoomSettings(), clock)
        self._limits = limits or Limits(intake.journal, clock)
        self.is_lmtp = settings.role is Role.LMTP
        self.is_mx = settings.role is Role.MX
        self.is_stopping = False
        self.protocol = _protocol(settings, logins, can_encrypt=tls is not None)
        self.greeting = _greeting(settings, is_lmtp=self.is_lmtp)
        self._sessions: set[Session] = set()
        self._standing = 0
        self.is_short = False
        """Whether more than three quarters of the slots are taken."""
        self._has_trust = lru_cache(maxsize=4096)(self._trusts)

    async def serve(self, arrival: Arrival) -> None:
        """One session, from the first octet to the end of the stream."""
        self._standing += 1
        try:
            self._look_at_slots()
            await self._serve(arrival)
        finally:
            self._standing -= 1
            self.is_short = self._has_few_slots()

    async def _serve(self, arrival: Arrival) -> None:
        tls = None
        if self.settings.role is Role.SUBMISSIONS:
            arrival.stream.deadline = self.deadline(in_transaction=False)
            tls = await self.secure(arrival)
        session = Session(self, arrival, tls)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    def _look_at_slots(self) -> None:
        """When slots become short, those who stand idle since before have to hurry as well."""
        was_short, self.is_short = self.is_short, self._has_few_slots()
        if self.is_short and not was_short:
            self.hits(Limit.SLOTS)
            for session in self._sessions:
                session.hurry()

    def _has_few_slots(self) -> bool:
        return self._standing * 4 > self.settings.connections * 3

    @property
    def name(self) -> str:
        """As limits that are hit here are listed."""
        return self.settings.role.value

    def hits(self, limit: Limit) -> None:
        """Count what a limit did."""
        self._limits.hit(f"{self.name}: {limit.value}")

    def may_journal(self, rule: str) -> bool:
        """Whether one more refusal by this rule may stand in the journal."""
        return self._limits.may_tell(f"{self.name}: refused by {rule}")

    def stop(self) -> None:
        """End sessions that are between transactions; those within one finish it first."""
        self.is_stopping = True
        for session in self._sessions:
            session.interrupt()

    def facts(self, peer: Endpoint, tls: Tls | None) -> Facts:
        """What is known of a client that has not spoken yet."""
        role = self.settings.role.value
        client = Client(ip=without_zone(peer.ip), port=peer.port, tls=tls, role=role)
        return Facts(client, trusted=self.trusts(client.ip))

    def trusts(self, ip: str) -> bool:
        """Whether an address is in a network that may relay."""
        return self._has_trust(ip)

    def lists_xclient(self, peer: Endpoint) -> bool:
        """Whether a peer may use XCLIENT."""
        return _within(peer.ip, self.settings.xclient)

    def begin_login(self, mechanism: str, client: Client) -> Login | None:
        """A new exchange; None where nobody can log in that way."""
        if self.logins is None:
            return None
        offers = self.protocol.auth if client.tls else self.protocol.auth_in_clear
        return self.logins.begin(mechanism, client, offers)

    @property
    def max_failed_logins(self) -> int:
        """In one session."""
        return self.logins.failures.settings.per_session if self.logins else 0

    def deadline(self, *, in_transaction: bool) -> float:
        """When a wait for a command, or a piece of content, ends that begins now."""
        return self.clock.monotonic() + self.patience(in_transaction=in_transaction)

    def patience(self, *, in_transaction: bool) -> float:
        """Seconds that the next command, or piece of content, may take."""
        if self.is_stopping and not in_transaction:
            return 0.0
        return self.settings.short_patience if self.is_short else self.settings.patience

    async def secure(self, arrival: Arrival) -> Tls:
        """Begin TLS under the stream's deadline; a certificate that is no good is journaled."""
        try:
            return await arrival.stream.secure(self.tls)
        except TlsError as error:
            if self.settings.client_certificates is not ClientCertificates.OFF:
                self._note_bad_certificate(arrival.peer, error)
            raise

    def _note_bad_certificate(self, peer: Endpoint, error: TlsError) -> None:
        is_missing = MISSING_CERTIFICATE in error.cause
        if not (isinstance(error, CertificateError) or is_missing):
            return
        self.hits(Limit.CERTIFICATES)
        if self.may_journal("certificate"):
            why = "no certificate was shown" if is_missing else "the certificate is not accepted"
            self.intake.journal.note(
                LoginFailed(
                    at=self.clock.now(),
                    login="",
                    ip=without_zone(peer.ip),
                    mechanism=EXTERNAL,
                    why=why,
                    detail=error.cause,
                )
            )

    def _trusts(self, ip: str) -> bool:
        return _within(ip, self.settings.trusted)


def _within(ip: str, networks: Sequence[Network]) -> bool:
    if not ip or not networks:
        return False
    address = ipaddress.ip_address(without_zone(ip))
    return any(address in network for network in networks)


def _greeting(settings: PortSettings, *, is_lmtp: bool) -> Reply:
    # RFC 5321 §4.3.1: the host's name is the first word.
    return Reply(220, f"{settings.hostname} {'LMTP' if is_lmtp else 'ESMTP'} Merpati")


def _protocol(
    settings: PortSettings, logins: Logins | None, *, can_encrypt: bool
) -> ServerSettings:
    extensions = frozenset(Extension)
    if settings.role in {Role.MX, Role.LMTP}:
        # RFC 4865 §2: FUTURERELEASE is for submission. A stranger must not fill the queue with it.
        extensions -= {Extension.FUTURERELEASE}
    secure, clear = _mechanisms(settings, logins)
    asks = settings.client_certificates is not ClientCertificates.OFF
    return ServerSettings(
        hostname=settings.hostname,
        protocol=Protocol.LMTP if settings.role is Role.LMTP else Protocol.SMTP,
        extensions=extensions,
        starttls=can_encrypt and settings.role is not Role.SUBMISSIONS,
        auth=secure,
        auth_by_certificate=(EXTERNAL,) if secure and asks else (),
        auth_in_clear=clear,
        max_size=settings.max_size,
        max_recipients=settings.max_recipients,
    )


def _mechanisms(
    settings: PortSettings, logins: Logins | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is offered under TLS and in the clear."""
    if logins is None or settings.role in {Role.MX, Role.LMTP}:
        return (), ()
    # Where every password is right nobody can prove to know one, as SCRAM wants.
    secure: tuple[str, ...] = ("PLAIN", "LOGIN")
    if not logins.everyone:
        secure = offered(
            encrypted=True,
            channel_bindings=True,
            tokens=logins.tokens is not None,
            # A client takes SCRAM where it is offered, and would fail with a password that others
            # know: its keys are only in our directory (RFC 5802 §3).
            keys=logins.passwords is None,
        )
    clear = tuple(name for name in secure if name not in _NEVER_CLEAR)
    return secure, clear if settings.auth_without_tls else ()
