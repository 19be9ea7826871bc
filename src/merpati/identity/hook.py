"""A program of the operator that knows passwords, asked by HTTP.

    POST <url>                                  Authorization: Bearer <secret>, if there is one
    {"account": "ann@a.test", "password": "…", "ip": "192.0.2.7"}

    200 {"allow": true}                         it is the password
    200 {"allow": false}                        it is not

Everything else is no answer: another status, a redirect, no JSON, no `allow`, too late.
"""

from dataclasses import dataclass, field

import msgspec

from merpati.identity.checker import Asked, Proof
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.gate import Gate
from merpati.wire.errors import WireError
from merpati.wire.web import Ask, Told, Web


@dataclass(frozen=True, slots=True)
class HookSettings:
    """Whom to ask."""

    url: str
    secret: str = field(default="", repr=False)
    """Shown as a bearer token, so that the program knows who asks."""


class _Question(msgspec.Struct):
    account: str
    password: str
    ip: str


class _Answer(msgspec.Struct):
    allow: bool


class Hook:
    """`PasswordChecker` over a program of the operator."""

    def __init__(self, settings: HookSettings, web: Web, gate: Gate) -> None:
        self._settings = settings
        self._web = web
        self._gate = gate

    @property
    def proof(self) -> Proof:
        """For the journal."""
        return Proof("http")

    async def is_right(self, asked: Asked) -> bool:
        """See `PasswordChecker`."""
        body = msgspec.json.encode(_Question(str(asked.account), asked.password, asked.ip))
        secret = self._settings.secret
        question = Ask(self._settings.url, body, authorization=f"Bearer {secret}" if secret else "")
        try:
            told = await self._gate.through(lambda: self._web.ask(question))
        except WireError as error:
            raise IdentityUnavailable(error.cause) from error
        return self._decision(told)

    def _decision(self, told: Told) -> bool:
        if told.status != 200:
            raise IdentityUnavailable(f"{self._settings.url} answers {told.status}")
        try:
            return msgspec.json.decode(told.body, type=_Answer).allow
        except (msgspec.MsgspecError, RecursionError, ValueError):
            # Not the error's own words: they may repeat what was answered.
            raise IdentityUnavailable(f"{self._settings.url}: no answer with `allow`") from None
