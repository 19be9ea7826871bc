"""EXTERNAL (RFC 4422 appendix A): who somebody is was proved below, by a certificate in TLS."""

from merpati.smtp.sasl.exchange import (
    Decision,
    Identified,
    Rejected,
    SaslError,
    Step,
    Succeeded,
    VerifyCertificate,
)
from merpati.smtp.sasl.preparation import decode, username_of
from merpati.smtp.sasl.turns import Turns

EXTERNAL = "EXTERNAL"


class ExternalServer(Turns):
    """One login, in one response: the name to be, or nothing."""

    mechanism = EXTERNAL

    def _read(self, response: bytes) -> Step:
        # RFC 4422 §A.2: extern-initial-resp = [ extern-resp ]; UTF-8 without NUL.
        if response:
            self._username = username_of(decode(response))
        return VerifyCertificate(self._username)

    def answer(self, decision: Decision) -> Step:
        """The certificate was looked at."""
        if isinstance(decision, Identified):
            return Succeeded(decision.username)
        return Rejected("the certificate names no such account", self._username)


class ExternalClient:
    """EXTERNAL as the client sees it."""

    mechanism = EXTERNAL

    def __init__(self, username: str = "") -> None:
        if "\0" in username:
            raise SaslError("NUL in a username")
        self._response = username.encode()

    def initial(self) -> bytes | None:
        """Whom we want to be; empty: whom the certificate names."""
        return self._response

    def respond(self, challenge: bytes) -> bytes:
        """An empty challenge asks for what an initial response would have said."""
        if challenge:
            raise SaslError("EXTERNAL has no challenge")
        return self._response

    def succeeded(self) -> None:
        """The server proves nothing."""
