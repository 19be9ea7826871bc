"""Whether an LDAP server knows a password: it does if it lets us bind with it as the user."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from merpati.identity.checker import Asked, Proof
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.gate import Gate
from merpati.identity.ldap.conversation import Conversation, LdapError
from merpati.identity.ldap.names import TemplateError, fill_filter, fill_name
from merpati.mail.address import Address
from merpati.wire.dial import Dialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireError
from merpati.wire.stream import Stream

Places = Callable[[str, int], Awaitable[list[Endpoint]]]
"""The addresses of a host. Raises WireError."""

_RIGHT = 0
# RFC 4511 appendix A: 49 is the answer to a wrong password. Servers also say 32 to a name that is
# not there, and 19 and 53 to an account that is locked.
_WRONG = {49, 32, 19, 53}


@dataclass(frozen=True, slots=True)
class LdapServer:
    """One server."""

    host: str
    port: int
    implicit_tls: bool
    start_tls: bool

    def __str__(self) -> str:
        return f"{'ldaps' if self.implicit_tls else 'ldap'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """Where people are, and how they are called there."""

    servers: tuple[LdapServer, ...]
    """In turn, until one can be asked."""
    seconds: float = 5.0
    dn: str = ""
    """Template of their names, if these follow from the address."""
    base: str = ""
    filter: str = ""
    """Else the template of a filter that finds them below `base`."""
    bind_dn: str = ""
    bind_password: str = field(default="", repr=False)
    """Who searches."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How servers are reached."""

    dialer: Dialer
    places: Places
    tls: object
    """`wire.tls.TlsContext` of a client that verifies."""


class Ldap:
    """`PasswordChecker` over LDAP servers. A connection a question: a bind makes it the user's."""

    def __init__(self, settings: LdapSettings, ways: Ways, gate: Gate) -> None:
        self._settings = settings
        self._ways = ways
        self._gate = gate
        # One that hangs leaves time for the next.
        self._patience = settings.seconds / max(1, len(settings.servers))

    @property
    def proof(self) -> Proof:
        """For the journal."""
        return Proof("ldap")

    async def is_right(self, asked: Asked) -> bool:
        """See `PasswordChecker`."""
        if not asked.password:
            return False  # An empty one would bind as nobody, and succeed (RFC 4513 §5.1.2).
        return await self._gate.through(lambda: self._ask_in_turn(asked))

    async def _ask_in_turn(self, asked: Asked) -> bool:
        failures: list[str] = []
        for server in self._settings.servers:
            try:
                async with asyncio.timeout(self._patience):
                    return await self._ask(server, asked)
            except (WireError, TemplateError) as error:
                failures.append(f"{server}: {error}")
            except TimeoutError:
                failures.append(f"{server}: no answer within {self._patience:g} s")
        raise IdentityUnavailable("; ".join(failures))

    async def _ask(self, server: LdapServer, asked: Asked) -> bool:
        stream = await self._connect(server)
        try:
            conversation = Conversation(stream)
            if server.start_tls:
                await conversation.start_tls(self._ways.tls, server.host)
            name = await self._name(conversation, asked.account)
            if not name:
                return False
            result = await conversation.bind(name, asked.password)
            conversation.unbind()
        finally:
            stream.abort()
        if result.code == _RIGHT:
            return True
        if result.code in _WRONG:
            return False
        raise LdapError(f"the server answers {result.code} {result.text}")

    async def _connect(self, server: LdapServer) -> Stream:
        error = WireError(f"{server.host} has no address")
        for place in await self._ways.places(server.host, server.port):
            try:
                stream = await self._ways.dialer.dial(place, self._patience)
                if server.implicit_tls:
                    await self._secure(stream, server.host)
            except WireError as failed:
                error = failed
            else:
                return stream
        raise error

    async def _secure(self, stream: Stream, host: str) -> None:
        try:
            await stream.secure(self._ways.tls, host)
        except BaseException:
            stream.abort()
            raise

    async def _name(self, conversation: Conversation, account: Address) -> str:
        """How the user is called there; empty for nobody, and for who is not one alone."""
        settings = self._settings
        if settings.dn:
            return fill_name(settings.dn, account)
        if settings.bind_dn:
            result = await conversation.bind(settings.bind_dn, settings.bind_password)
            if result.code != _RIGHT:
                raise LdapError(f"{settings.bind_dn} may not search ({result.code} {result.text})")
        found = await conversation.search(settings.base, fill_filter(settings.filter, account))
        return found[0] if len(found) == 1 else ""
