"""AUTH: drives a SASL exchange, has its questions answered, counts those that are not proved.

Nobody can tell an account that does not exist from a wrong password: the same reply after the
same work and the same delay.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

from merpati.clock import Clock
from merpati.directory.directory import Directory
from merpati.directory.password import SCRAM_ITERATIONS
from merpati.identity.checker import PasswordChecker, TokenChecker
from merpati.identity.errors import IdentityUnavailable
from merpati.journal.events import CANNOT_CHECK, MAX_TEXT, LoggedIn, LoginFailed
from merpati.journal.journal import Journal
from merpati.mail.address import Address, AddressError
from merpati.mail.trace import Client
from merpati.policy.limit import Limit
from merpati.reception.failures import Failures
from merpati.reception.hasher import Hasher, LoginBusy
from merpati.reception.witness import Witness
from merpati.smtp.replies import AUTH_CANCELLED, Reply, bad_syntax
from merpati.smtp.sasl.exchange import (
    Challenge,
    FetchKeys,
    Rejected,
    ServerExchange,
    ServerSide,
    Step,
    Succeeded,
    VerifyCertificate,
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
_NOT_ACCEPTED = "the token was not accepted"
_MALFORMED = bad_syntax("Malformed authentication exchange")


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
    passwords: PasswordChecker | None = None
    """Who knows passwords of users here that the directory does not."""
    tokens: TokenChecker | None = None
    """Who knows bearer tokens; None: none is good."""

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


class Login:
    """One AUTH exchange."""

    def __init__(
        self, logins: Logins, exchange: ServerExchange, mechanism: str, client: Client
    ) -> None:
        self._logins = logins
        self._exchange = exchange
        self._mechanism = mechanism
        self._client = client
        self._witness = Witness(logins, client)
        self.account: Address | None = None
        """Who logged in, once the reply is 235."""
        self.has_failed = False
        self.limit: Limit | None = None
        """Which one it was refused by."""
        self._asked = ""
        self._refusal: Reply | None = None
        """What has been decided though the client is owed a challenge before it."""

    async def respond(self, response: bytes | None) -> Reply:
        """What to answer: 334 to go on, 235, or a refusal."""
        if self._refusal is not None:
            return self._refusal
        try:
            return await self._conclude(self._exchange.step(response))
        except LoginBusy as error:
            self.limit = Limit.WAITING_LOGINS
            return self._refuse("", str(error), _BUSY)
        except IdentityUnavailable as error:
            return self._refuse(self._asked, CANNOT_CHECK, _BUSY, str(error))

    async def _conclude(self, step: Step) -> Reply:
        """Answer the exchange's questions until it wants octets or is over."""
        while True:
            match step:
                case Challenge():
                    return _challenge(step)
                case Succeeded():
                    # Many may have been heard at once: what is above the limit is not told.
                    if not self._may_try(step.username):
                        return self._limit(step.username)
                    return self._welcome(step)
                case Rejected():
                    return await self._reject(step)
                case VerifyPassword() | FetchKeys() | VerifyToken() | VerifyCertificate():
                    self._asked = step.username
                    if not self._may_try(step.username):
                        return self._limit(step.username)
                    is_token = isinstance(step, VerifyToken)
                    step = self._exchange.answer(await self._witness.answer(step))
                    if is_token and isinstance(step, Challenge):
                        return await self._tell(step)
                case _:
                    assert_never(step)

    async def _tell(self, failure: Challenge) -> Reply:
        """RFC 7628 §3.2.3: a refused token is told why before the exchange ends. It is counted now:
        whoever hangs up instead of answering has tried as well."""
        refusal = await self._reject(Rejected(_NOT_ACCEPTED, self._asked))
        if refusal is _WRONG:
            self._refusal = refusal
            return _challenge(failure)
        return refusal

    def _may_try(self, username: str) -> bool:
        return self._logins.failures.may_try(self._counted(username), self._client.ip)

    def _counted(self, username: str) -> str:
        """Under which name failures are counted. Those who name nobody (tokens, certificates) from
        one address must not count against those from all others. One name is one, however it is
        written: `"ann"@a.test` is ann@a.test, whoever guesses."""
        with suppress(AddressError):
            account = Address.parse(username)
            return f"{account.local}@{account.domain}".casefold()
        return username.casefold() or f"nobody at {self._client.ip}"

    def _welcome(self, success: Succeeded) -> Reply:
        logins, now = self._logins, self._logins.clock.now()
        used = self._witness.used(success.keys)
        if used is not None:
            logins.directory.used(used.id, now)
        self.account = self._witness.account
        logins.failures.succeeded(self._counted(success.username), self._client.ip)
        proof = self._witness.proof
        logins.journal.note(
            LoggedIn(
                at=now,
                login=str(self.account),
                ip=self._client.ip,
                mechanism=self._mechanism,
                program=used.name if used else "",
                by=proof.by,
                issuer=proof.issuer[:MAX_TEXT],
                subject=proof.subject[:MAX_TEXT],
            )
        )
        return WELCOME

    async def _reject(self, rejected: Rejected) -> Reply:
        if rejected.cancelled:
            return AUTH_CANCELLED
        if rejected.malformed:
            return self._refuse(rejected.username, rejected.why, _MALFORMED)
        if not self._may_try(rejected.username):
            return self._limit(rejected.username)
        delay = self._logins.failures.failed(self._counted(rejected.username), self._client.ip)
        # For the journal alone: the client is told the same whatever is wrong.
        why = self._witness.why or rejected.why
        reply = self._refuse(rejected.username, why, _WRONG, self._witness.detail)
        await self._logins.clock.sleep(delay)
        return reply

    def _limit(self, username: str) -> Reply:
        self.limit = Limit.FAILED_LOGINS
        return self._refuse(username, _LIMITED, _NOT_NOW)

    def _refuse(self, username: str, why: str, reply: Reply, detail: str = "") -> Reply:
        self.account = None
        self.has_failed = True
        proof = self._witness.proof
        self._logins.journal.note(
            LoginFailed(
                at=self._logins.clock.now(),
                login=(username or self._witness.named)[:MAX_TEXT],
                ip=self._client.ip,
                mechanism=self._mechanism,
                why=why,
                detail=detail[:MAX_TEXT],
                issuer=proof.issuer[:MAX_TEXT],
                subject=proof.subject[:MAX_TEXT],
            )
        )
        return reply


def _challenge(step: Challenge) -> Reply:
    return Reply(334, b64encode(step.octets).decode())
