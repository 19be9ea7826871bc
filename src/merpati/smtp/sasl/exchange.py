"""What a SASL exchange says and asks, as values, and the two shapes an exchange has.

How a server drives one (`reception/login.py`):

    exchange = mechanisms.begin(event.mechanism, ServerSide(...))     # None: unknown, answer 504
    step = exchange.step(event.response)                              # of AuthStarted
    while the step is
        Challenge(octets)    answer 334 with them; step = exchange.step(AuthResponse.response)
        VerifyPassword(...)  look it up in constant time; step = exchange.answer(True or False)
        VerifyToken(...)     step = exchange.answer(Identified(...) or why not)
        VerifyCertificate()  the same
        FetchKeys(username)  step = exchange.answer(the keys of that user, () for nobody)
    Succeeded(...)           answer 235; `username` is who it is
    Rejected(...)            answer 535 5.7.8, or 501 5.5.2 when it is malformed

A later response of None (the client sent `*`) ends any exchange with Rejected. After Succeeded or
Rejected an exchange is over and must not be stepped again. Base64 is the connection's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from merpati.errors import MerpatiError

# RFC 4954 §4: a base64 line is at most 12,288 octets; decoded that is 9,216.
MAX_RESPONSE = 9216


class SaslError(MerpatiError):
    """The server's side of an exchange cannot be trusted or understood: stop, do not log in."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps of a password for SCRAM-SHA-256 (RFC 5802 §3)."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True)
class ServerSide:
    """What a server's exchange is made with."""

    nonce: str
    """At least 18 octets of entropy as printable ASCII without a comma; new for each exchange."""
    secret: bytes
    """The server's own and lasting: salts of users who do not exist are derived from it."""
    channel_bindings: tuple[tuple[str, bytes], ...] = ()
    """(type, data) as `mail.trace.Tls` has them; empty without TLS."""
    offers_plus: bool = False
    """SCRAM-SHA-256-PLUS stood in the EHLO reply; whoever says it did not was tampered with."""
    iterations: int = 4096
    """Of keys that are invented for nobody; the same as for real ones (RFC 7677 §4: >= 4,096)."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send these octets (possibly none) as a 334 and step with the response."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class VerifyPassword:
    """Is this the password? Both are prepared (SASLprep) and free of control characters."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifyToken:
    """Is this bearer token good for this user? Nothing about it was checked but its form."""

    username: str
    """Empty when the client named nobody: the token says who it is."""
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifyCertificate:
    """Whose is the certificate that the client showed in its TLS handshake?"""

    username: str
    """Who it wants to be; empty when it named nobody: the certificate says who it is."""


@dataclass(frozen=True, slots=True)
class Identified:
    """Token or certificate are good, and are this user's."""

    username: str


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The token is no good; what the client is told of it (RFC 7628 §3.2.2)."""

    status: str = "invalid_token"
    """A code of RFC 6750 §3.1: `invalid_token`, `insufficient_scope`."""
    scope: str = ""
    """What a token has to be good for, separated by spaces."""
    configuration: str = ""
    """The URL of the provider's OpenID configuration."""


@dataclass(frozen=True, slots=True)
class FetchKeys:
    """Which SCRAM keys does this user have? Answer () for nobody; the exchange goes on the same.

    The first key's salt is the one the client is given, so that only keys that share its salt and
    iteration count can match: give a user's passwords the same salt.
    """

    username: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The login is proved."""

    username: str
    keys: ScramKeys | None = None
    """The keys that matched, so that an app password can be told from the account's own."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The login failed. `why` is for the journal, never for the peer."""

    why: str
    username: str = ""
    malformed: bool = False
    """The exchange itself was broken (501 5.5.2), not the credentials (535 5.7.8)."""
    cancelled: bool = False
    """The client gave up with `*` (501 5.0.0)."""


Question = VerifyPassword | VerifyToken | VerifyCertificate | FetchKeys
Step = Challenge | Question | Succeeded | Rejected
Decision = bool | Identified | TokenRefused | Sequence[ScramKeys]


class ServerExchange(Protocol):
    """One login as the server sees it."""

    def step(self, response: bytes | None) -> Step:
        """Take the client's next response; None at the beginning: no initial response was sent.

        Later None means that the client cancelled.
        """
        ...

    def answer(self, decision: Decision) -> Step:
        """Answer the question that the last step asked: keys to FetchKeys, a bool to the others.

        To those who may have named nobody, `Identified` says who it is.
        """
        ...


class ClientExchange(Protocol):
    """One login as the client sees it."""

    @property
    def mechanism(self) -> str:
        """The name behind AUTH."""
        ...

    def initial(self) -> bytes | None:
        """The initial response, or None when the server speaks first."""
        ...

    def respond(self, challenge: bytes) -> bytes:
        """The response to a challenge. Raises SaslError when the server must not be trusted."""
        ...

    def succeeded(self) -> None:
        """The server said 235. Raises SaslError when it did not prove itself though it had to."""
        ...
