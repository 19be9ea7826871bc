"""Whose a bearer token is, as one OpenID provider has it."""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from merpati.clock import Clock
from merpati.identity.checker import Bearer, Unfit
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.expected import Expected
from merpati.identity.gate import Gate
from merpati.identity.openid.claims import UNREADABLE, Claims, is_access_token
from merpati.identity.openid.keys import Header, is_allowed, payload, read_header
from merpati.identity.openid.provider import Provider
from merpati.smtp.sasl.exchange import TokenRefused


@dataclass(frozen=True, slots=True)
class Introspection:
    """Who we are when we ask about tokens that only the provider can read."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def authorization(self) -> str:
        """RFC 6749 §2.3.1."""
        pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
        return "Basic " + b64encode(pair.encode()).decode()


class OpenId:
    """`TokenChecker` over a provider."""

    def __init__(
        self,
        expected: Expected,
        provider: Provider,
        clock: Clock,
        gate: Gate,
        introspection: Introspection | None = None,
    ) -> None:
        """Without `introspection` only tokens that are signed JWTs are good."""
        self._expected = expected
        self._provider = provider
        self._clock = clock
        self._gate = gate
        self._introspection = introspection

    async def examine(self, token: str) -> Bearer | Unfit:
        """See `TokenChecker`."""
        return await self._gate.through(lambda: self._examine(token))

    async def _examine(self, token: str) -> Bearer | Unfit:
        header = read_header(token)
        if header is not None:
            return await self._read(token, header)
        if self._introspection is not None:
            return await self._ask_about(token, self._introspection)
        return self._unfit(UNREADABLE)

    async def _read(self, token: str, header: Header) -> Bearer | Unfit:
        if not is_allowed(header):
            return self._unfit(UNREADABLE, f"alg {header.alg}")
        if not is_access_token(header.typ):
            return self._unfit("token for another service", f"typ {header.typ}")
        keys = await self._provider.keys(header)
        if not keys:
            return self._unfit("token signed by an unknown key", header.kid)
        signed = payload(token, header, keys)
        if signed is None:
            return self._unfit("token with a wrong signature", header.kid)
        return self._judge_signed(signed)

    def _judge_signed(self, signed: bytes) -> Bearer | Unfit:
        try:
            claims = Claims(signed)
        except ValueError:
            return self._unfit(UNREADABLE)
        if not claims.is_bounded:
            return self._unfit(UNREADABLE, "iss or exp is missing")
        return self._judge(claims)

    async def _ask_about(self, token: str, introspection: Introspection) -> Bearer | Unfit:
        form = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        told = await self._provider.introspect(form, introspection.authorization)
        try:
            claims = Claims(told)
        except ValueError:
            raise IdentityUnavailable("what the provider says of a token is no JSON") from None
        if not claims.is_active:
            return self._unfit("token that is not active")
        return self._judge(claims)

    def _judge(self, claims: Claims) -> Bearer | Unfit:
        return claims.judge(self._expected, self._clock.now(), self._provider.configuration_url)

    def _unfit(self, why: str, detail: str = "") -> Unfit:
        scope = " ".join(self._expected.scope)
        refusal = TokenRefused(scope=scope, configuration=self._provider.configuration_url)
        return Unfit(why, detail, refusal)
