"""Mechanisms that hand the password over: PLAIN (RFC 4616) and LOGIN, which has no RFC."""

from merpati.smtp.sasl.exchange import (
    Challenge,
    Decision,
    Rejected,
    SaslError,
    Step,
    Succeeded,
    VerifyPassword,
)
from merpati.smtp.sasl.preparation import decode, password_of, username_of
from merpati.smtp.sasl.turns import Turns


class _Asking(Turns):
    """What both have in common: one question at the end."""

    def _ask(self, username: str, password: str) -> Step:
        self._username = username_of(username)
        return VerifyPassword(self._username, password_of(password))

    def answer(self, decision: Decision) -> Step:
        """The password was looked up."""
        if decision is True:
            return Succeeded(self._username)
        return Rejected("wrong password or unknown user", self._username)


class PlainServer(_Asking):
    """authzid NUL authcid NUL password, in one response."""

    mechanism = "PLAIN"

    def _read(self, response: bytes) -> Step:
        # RFC 4616 §2: message = [authzid] UTF8NUL authcid UTF8NUL passwd
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise SaslError("not two NULs")
        authzid, authcid, password = map(decode, parts)
        if authzid and authzid != authcid:
            raise SaslError("nobody may act for another")
        return self._ask(authcid, password)


class LoginServer(_Asking):
    """Username and password, each asked for."""

    mechanism = "LOGIN"
    prompt = b"Username:"

    def __init__(self) -> None:
        super().__init__()
        self._name: str | None = None

    def _read(self, response: bytes) -> Step:
        if self._name is None:
            self._name = username_of(decode(response))
            return Challenge(b"Password:")
        return self._ask(self._name, decode(response))


class PlainClient:
    """PLAIN as the client sees it."""

    mechanism = "PLAIN"

    def __init__(self, username: str, password: str) -> None:
        if "\0" in username + password:
            raise SaslError("NUL in a username or password")
        self._response = f"\0{username}\0{password}".encode()

    def initial(self) -> bytes | None:
        """All of it at once."""
        return self._response

    def respond(self, challenge: bytes) -> bytes:
        """An empty challenge asks for what an initial response would have said."""
        if challenge:
            raise SaslError("PLAIN has no challenge")
        return self._response

    def succeeded(self) -> None:
        """The server proves nothing."""


class LoginClient:
    """LOGIN as the client sees it."""

    mechanism = "LOGIN"

    def __init__(self, username: str, password: str) -> None:
        self._responses = [password.encode(), username.encode()]

    def initial(self) -> bytes | None:
        """Some servers know no initial response here."""
        return None

    def respond(self, challenge: bytes) -> bytes:
        """Username, then password, whatever the prompts say."""
        if not self._responses:
            raise SaslError("LOGIN has two challenges")
        return self._responses.pop()

    def succeeded(self) -> None:
        """The server proves nothing."""
