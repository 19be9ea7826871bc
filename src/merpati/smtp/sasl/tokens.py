"""Bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, its unpublished elder."""

import json
import re

from merpati.smtp.sasl.exchange import (
    Challenge,
    Decision,
    Identified,
    Rejected,
    SaslError,
    Step,
    Succeeded,
    TokenRefused,
    VerifyToken,
)
from merpati.smtp.sasl.preparation import decode, username_of
from merpati.smtp.sasl.turns import Turns

OAUTHBEARER = "OAUTHBEARER"
XOAUTH2 = "XOAUTH2"

# RFC 7628 §3.1: client-resp = (gs2-header kvsep *kvpair kvsep), the GS2 flag always `n` here.
_OAUTHBEARER = re.compile(r"n,(?:a=([^,\x01]*))?,\x01((?:[A-Za-z]+=[^\x01]*\x01)*)\x01")
_XOAUTH2 = re.compile(r"user=([^\x01]*)\x01((?:[A-Za-z]+=[^\x01]*\x01)*)\x01")
# RFC 6750 §2.1: b64token.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
# XOAUTH2 tells the status of HTTP (RFC 6750 §3.1) where OAUTHBEARER has the code.
_HTTP = {"invalid_token": "401", "insufficient_scope": "403"}


class TokenServer(Turns):
    """One login with a bearer token, in one response."""

    def __init__(self, mechanism: str) -> None:
        super().__init__()
        self.mechanism = mechanism
        self._grammar = _OAUTHBEARER if mechanism == OAUTHBEARER else _XOAUTH2
        self._failed = False

    def step(self, response: bytes | None) -> Step:
        """Take the one response, then the client's acknowledgement of a failure."""
        if self._failed:
            return Rejected("the token was not accepted", self._username)
        return super().step(response)

    def answer(self, decision: Decision) -> Step:
        """The token was looked up."""
        if decision is True:
            return Succeeded(self._username)
        if isinstance(decision, Identified):
            return Succeeded(decision.username)
        self._failed = True
        why = decision if isinstance(decision, TokenRefused) else TokenRefused()
        return Challenge(self._failure(why))

    def _failure(self, why: TokenRefused) -> bytes:
        """RFC 7628 §3.2.2: the failure is told before the exchange ends."""
        is_published = self.mechanism == OAUTHBEARER
        told = {
            "status": why.status if is_published else _HTTP.get(why.status, "400"),
            "schemes": "bearer",
            "scope": why.scope,
            "openid-configuration": why.configuration if is_published else "",
        }
        return json.dumps({key: text for key, text in told.items() if text}).encode()

    def _read(self, response: bytes) -> Step:
        found = self._grammar.fullmatch(decode(response))
        if found is None:
            raise SaslError("not a client response")
        name = (found[1] or "").replace("=2C", ",").replace("=3D", "=")
        self._username = username_of(name) if name else ""
        pairs = dict(pair.split("=", 1) for pair in found[2].split("\x01")[:-1])
        bearer = _BEARER.fullmatch(pairs.get("auth", ""))
        if bearer is None:
            raise SaslError("no bearer token")
        return VerifyToken(self._username, bearer[1])


class TokenClient:
    """One login as the client sees it."""

    def __init__(self, mechanism: str, username: str, token: str, host: str, port: int) -> None:
        if not _BEARER.fullmatch(f"bearer {token}") or "\x01" in username:
            raise SaslError("not a bearer token")
        self.mechanism = mechanism
        if mechanism == OAUTHBEARER:
            name = username.replace("=", "=3D").replace(",", "=2C")
            where = f"host={host}\x01port={port}\x01" if host else ""
            text = f"n,a={name},\x01{where}auth=Bearer {token}\x01\x01"
        else:
            text = f"user={username}\x01auth=Bearer {token}\x01\x01"
        self._response = text.encode()
        self._sent = False

    def initial(self) -> bytes | None:
        """All of it at once."""
        self._sent = True
        return self._response

    def respond(self, challenge: bytes) -> bytes:
        """A challenge behind our response tells of failure; acknowledged, it ends in 535."""
        if not self._sent:
            return self.initial() or b""
        return b"\x01" if self.mechanism == OAUTHBEARER else b""

    def succeeded(self) -> None:
        """The server proves nothing."""
