"""An OpenID provider: where it answers (OpenID Connect Discovery, RFC 8414), and its keys.

Keys are fetched when they are first needed, then once an hour; while that fails, those of the last
day go on. A token that names another key has them fetched at once, but not more often than once a
minute, so that nobody can have us ask the provider without end. Fetching is done by one login, and
the others wait for it only while there are no keys at all.
"""

import asyncio
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from merpati.clock import Clock
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.openid.keys import Header, Key, read_keys
from merpati.wire.errors import WireError
from merpati.wire.web import Ask, Told, Web

T = TypeVar("T")
FRESH = 3600.0
"""Seconds until keys are looked at again."""
LASTING = 86_400.0
"""Seconds that keys are used at most while they cannot be."""
LEAST_WAIT = 60.0
"""Seconds between two looks for a key that is not there."""
AFTER_FAILURE = 5.0
"""Seconds until a provider that gave no answer is asked again."""
_PORTS = {"https": 443, "http": 80}
_OPENID = "/.well-known/openid-configuration"
_OAUTH = "/.well-known/oauth-authorization-server"


class _Configuration(msgspec.Struct):
    issuer: str
    jwks_uri: str
    introspection_endpoint: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    configuration: _Configuration
    keys: list[Key]
    at: float


class Provider:
    """One issuer."""

    def __init__(self, issuer: str, web: Web, clock: Clock, seconds: float) -> None:
        """`seconds`: how long one login asks for keys, so that it can go on with those it has."""
        self.issuer = issuer
        self._web = web
        self._clock = clock
        self._seconds = seconds
        self._known: _Known | None = None
        self._fetching = asyncio.Lock()
        self._failed_at = float("-inf")
        self._failure = ""

    @property
    def configuration_url(self) -> str:
        """Where clients learn of the provider."""
        return self.issuer.rstrip("/") + _OPENID

    async def keys(self, header: Header) -> list[Key]:
        """Keys that may have signed a token with this header; none if the provider has none.

        Raises IdentityUnavailable.
        """
        known = await self._current()
        found = [key for key in known.keys if key.is_for(header)]
        if not found:
            known = await self._renewed(LEAST_WAIT)
            found = [key for key in known.keys if key.is_for(header)]
        return found

    async def introspect(self, token: bytes, authorization: str) -> bytes:
        """What the provider says of a token (RFC 7662 §2.2), given as form data."""
        url = (await self._current()).configuration.introspection_endpoint
        if not url:
            raise IdentityUnavailable(f"{self.issuer} has no introspection endpoint")
        form = "application/x-www-form-urlencoded"
        told = await self._ask(self._named(url, token, form, authorization))
        if told.status != 200:
            raise IdentityUnavailable(f"{url} answers {told.status}")
        return told.body

    async def _current(self) -> _Known:
        """What is known, at most a day old."""
        known = self._lasting
        # While somebody asks, the others go on with what there is.
        if known is not None and self._fetching.locked():
            return known
        return await self._renewed(FRESH)

    async def _renewed(self, age: float) -> _Known:
        """What is known, asked for again if it is older than this."""
        async with self._fetching:
            now, known = self._clock.monotonic(), self._lasting
            has_failed = now - self._failed_at < AFTER_FAILURE
            if known is not None and (has_failed or now - known.at < age):
                return known
            if has_failed:
                raise IdentityUnavailable(self._failure)
            return await self._refresh()

    @property
    def _lasting(self) -> _Known | None:
        known = self._known
        is_old = known is None or self._clock.monotonic() - known.at >= LASTING
        return None if is_old else known

    async def _refresh(self) -> _Known:
        try:
            async with asyncio.timeout(self._seconds):
                self._known = await self._fetch()
        except (IdentityUnavailable, TimeoutError) as error:
            self._failed_at = self._clock.monotonic()
            self._failure = str(error) or f"{self.issuer} gave no answer within {self._seconds:g} s"
            if (known := self._lasting) is None:
                raise IdentityUnavailable(self._failure) from error
            return known
        return self._known

    async def _fetch(self) -> _Known:
        configuration = await self._discover()
        url = configuration.jwks_uri
        told = await self._ask(self._named(url))
        if told.status != 200:
            raise IdentityUnavailable(f"{url} answers {told.status}")
        return _Known(configuration, read_keys(told.body), self._clock.monotonic())

    async def _discover(self) -> _Configuration:
        told = await self._ask(Ask(self.configuration_url))
        if told.status == 404:
            # RFC 8414 §3.1: the well-known part stands before the issuer's own path.
            parts = urlsplit(self.issuer)
            path = parts.path.rstrip("/")
            told = await self._ask(Ask(f"{parts.scheme}://{parts.netloc}{_OAUTH}{path}"))
        if told.status != 200:
            raise IdentityUnavailable(f"{self.configuration_url} answers {told.status}")
        configuration = _decode(told.body)
        if configuration.issuer != self.issuer:
            # Discovery §4.3, RFC 8414 §3.3: it must be exactly who was asked for.
            raise IdentityUnavailable(f"{self.configuration_url} speaks for another issuer")
        return configuration

    def _named(
        self, url: str, body: bytes | None = None, form: str = "", authorization: str = ""
    ) -> Ask:
        """A question to a URL that the provider names: as well protected as the provider is, and if
        at another host or port, then on the Internet: an answer of his must not have us knock at
        whatever else listens beside him."""
        try:
            there, issuer = urlsplit(url), urlsplit(self.issuer)
            is_same = _origin(there) == _origin(issuer)
            is_good = bool(there.hostname) and (there.scheme == "https" or is_same)
        except ValueError:
            is_good = is_same = False
        if not is_good:
            raise IdentityUnavailable(f"{self.issuer} names a URL elsewhere that is not https")
        return Ask(url, body, form or "application/json", authorization, public=not is_same)

    async def _ask(self, question: Ask) -> Told:
        try:
            return await self._web.ask(question)
        except WireError as error:
            raise IdentityUnavailable(error.cause) from error


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    """Scheme, host and port (RFC 6454 §4). ValueError for a port that is none."""
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)


def _decode(document: bytes) -> _Configuration:
    try:
        return msgspec.json.decode(document, type=_Configuration)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise IdentityUnavailable("the provider's configuration cannot be read") from None
