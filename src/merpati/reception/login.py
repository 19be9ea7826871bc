"""AUTH: drives a SASL exchange, finds out whether it is proved, counts those that are not.

Nobody can tell an account that does not exist from a wrong password: the same reply after the
same work and the same delay.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import assert_never

from merpati.clock import Clock
from merpati.directory.directory import Directory, Secret
from merpati.directory.password import SCRAM_ITERATIONS, find_secret
from merpati.errors import MerpatiError
from merpati.journal.events import MAX_TEXT, LoggedIn, LoginFailed
from merpati.journal.journal import Journal
from merpati.mail.address import Address, AddressError
from merpati.mail.trace import Client
from merpati.reception.failures import Failures
from merpati.smtp.replies import AUTH_CANCELLED, Reply, bad_syntax
from merpati.smtp.sasl.exchange import (
    Challenge,
    FetchKeys,
    Rejected,
    ScramKeys,
    ServerExchange,
    ServerSide,
    Step,
    Succeeded,
    VerifyPassword,
    VerifyToken,
)
from merpati.smtp.sasl.mechanisms import begin
from merpati.smtp.status import Status

PLUS = "SCRAM-SHA-256-PLUS"
_NONCE = 24

# RFC 4954 §6.
WELCOME = Reply(235, "Authentication successful", Status(2, 7, 0))
_WRONG = Reply(535, "Authentication credentials invalid", Status(5, 7, 8))
_NOT_NOW = Reply(454, "Too many failed logins, try again later", Status(4, 7, 0))
_BUSY = Reply(454, "Cannot check logins now, try again later", Status(4, 7, 0))
_LIMITED = "too many failures"
_SUSPENDED = "suspended account"
_MALFORMED = bad_syntax("Malformed authentication exchange")


class LoginBusy(MerpatiError):
    """More passwords wait to be hashed than may."""


class Hasher:
    """Checks passwords in threads; the queue before them is bounded."""

    def __init__(self, executor: Executor, max_waiting: int = 64) -> None:
        self._executor = executor
        self._max_waiting = max_waiting
        self._waiting = 0

    async def find(self, secrets: Sequence[Secret], password: str) -> Secret | None:
        """The secret that this password is. Raises LoginBusy."""
        if self._waiting >= self._max_waiting:
            raise LoginBusy("too many passwords wait to be checked")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, find_secret, secrets, password)
        finally:
            self._waiting -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """Who may log in; one for all ports of a worker."""

    directory: Directory
    journal: Journal
    clock: Clock
    hasher: Hasher
    failures: Failures
    entropy: Callable[[int], bytes]
    secret: bytes
    """Of this installation and lasting: invented salts are derived from it."""
    hostname: str
    everyone: bool = False
    """The developer's inbox: every password is right."""

    def begin(self, mechanism: str, client: Client, mechanisms: Sequence[str]) -> "Login | None":
        """A new exchange; None for a mechanism that is not known."""
        side = ServerSide(
            nonce=b64encode(self.entropy(_NONCE)).decode(),
            secret=self.secret,
            channel_bindings=client.tls.channel_bindings if client.tls else (),
            offers_plus=PLUS in mechanisms,
            iterations=SCRAM_ITERATIONS,
        )
        exchange = begin(mechanism, side)
        return Login(self, exchange, mechanism, client) if exchange else None

    def account(self, username: str) -> Address | None:
        """The account that a username means: its address."""
        try:
            return Address.parse(username)
        except AddressError:
            if not self.everyone:
                return None
            return Address(username, self.hostname)


class Login:
    """One AUTH exchange."""

    def __init__(
        self, logins: Logins, exchange: ServerExchange, mechanism: str, client: Client
    ) -> None:
        self._logins = logins
        self._exchange = exchange
        self._mechanism = mechanism
        self._client = client
        self._secrets: Sequence[Secret] = ()
        self._used: Secret | None = None
        self.account: Address | None = None
        """Who logged in, once the reply is 235."""
        self.has_failed = False

    async def respond(self, response: bytes | None) -> Reply:
        """What to answer: 334 to go on, 235, or a refusal."""
        try:
            return await self._conclude(self._exchange.step(response))
        except LoginBusy as error:
            return self._refuse("", str(error), _BUSY)

    async def _conclude(self, step: Step) -> Reply:
        """Answer the exchange's questions until it wants octets or is over."""
        while True:
            match step:
                case Challenge(octets):
                    return Reply(334, b64encode(octets).decode())
                case Succeeded():
                    # Many may have been heard at once: what is above the limit is not told.
                    if not self._may_try(step.username):
                        return self._refuse(step.username, _LIMITED, _NOT_NOW)
                    return self._welcome(step)
                case Rejected():
                    return await self._reject(step)
                case VerifyPassword() | FetchKeys() | VerifyToken():
                    if not self._may_try(step.username):
                        return self._refuse(step.username, _LIMITED, _NOT_NOW)
                    step = await self._answer(step)
                case _:
                    assert_never(step)

    async def _answer(self, question: VerifyPassword | FetchKeys | VerifyToken) -> Step:
        self.account = self._logins.account(question.username)
        if self.account is not None:
            self._secrets = self._logins.directory.secrets(self.account)
        match question:
            case VerifyPassword():
                return self._exchange.answer(await self._is_right(question.password))
            case FetchKeys():
                return self._exchange.answer([_keys(secret) for secret in self._secrets])
            case VerifyToken():
                # No issuer of bearer tokens is configured, so none is good.
                return self._exchange.answer(self._logins.everyone)

    async def _is_right(self, password: str) -> bool:
        if self._logins.everyone:
            return self.account is not None
        self._used = await self._logins.hasher.find(self._secrets, password)
        return self._used is not None

    def _may_try(self, username: str) -> bool:
        return self._logins.failures.may_try(username.casefold(), self._client.ip)

    def _welcome(self, proof: Succeeded) -> Reply:
        logins, now = self._logins, self._logins.clock.now()
        used = self._used or next((s for s in self._secrets if _keys(s) == proof.keys), None)
        if used is not None:
            logins.directory.used(used.id, now)
        logins.failures.succeeded(proof.username.casefold(), self._client.ip)
        logins.journal.note(
            LoggedIn(
                at=now,
                login=str(self.account),
                ip=self._client.ip,
                mechanism=self._mechanism,
                program=used.name if used else "",
            )
        )
        return WELCOME

    async def _reject(self, rejected: Rejected) -> Reply:
        if rejected.cancelled:
            return AUTH_CANCELLED
        if rejected.malformed:
            return self._refuse(rejected.username, rejected.why, _MALFORMED)
        if not self._may_try(rejected.username):
            return self._refuse(rejected.username, _LIMITED, _NOT_NOW)
        delay = self._logins.failures.failed(rejected.username.casefold(), self._client.ip)
        reply = self._refuse(rejected.username, self._why(rejected), _WRONG)
        await self._logins.clock.sleep(delay)
        return reply

    def _why(self, rejected: Rejected) -> str:
        """For the journal alone: the client is told the same of a suspended account."""
        account = self._logins.account(rejected.username)
        user = self._logins.directory.user(account) if account else None
        return _SUSPENDED if user and user.suspended else rejected.why

    def _refuse(self, username: str, why: str, reply: Reply) -> Reply:
        self.account = None
        self.has_failed = True
        self._logins.journal.note(
            LoginFailed(
                at=self._logins.clock.now(),
                login=username[:MAX_TEXT],
                ip=self._client.ip,
                mechanism=self._mechanism,
                why=why,
            )
        )
        return reply


def _keys(secret: Secret) -> ScramKeys:
    return ScramKeys(
        secret.scram_salt, secret.scram_iterations, secret.stored_key, secret.server_key
    )
