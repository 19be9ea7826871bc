"""The promises of those who know passwords and tokens that are not in our directory.

Whoever they vouch for also has to be a user of the directory, which says what mailbox and which
addresses they have: somebody unknown there is let in by nobody.
"""

from dataclasses import dataclass, field
from typing import Protocol

from merpati.mail.address import Address
from merpati.smtp.sasl.exchange import TokenRefused


@dataclass(frozen=True, slots=True)
class Proof:
    """Who vouched for somebody, for the journal."""

    by: str
    """`http`, `ldap`, `token` or `certificate`."""
    issuer: str = ""
    subject: str = ""
    """As the issuer calls them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A password to check."""

    account: Address
    """Of a domain here; whether there is such a user is not known yet."""
    password: str = field(repr=False)
    """Prepared (SASLprep), not empty, without control characters."""
    ip: str = ""
    """Where it came from."""


class PasswordChecker(Protocol):
    """Knows passwords."""

    @property
    def proof(self) -> Proof:
        """Who it is."""
        ...

    async def is_right(self, asked: Asked) -> bool:
        """Whether it is the password. True and False are what its keeper said, and nothing else.

        Raises IdentityUnavailable within a bounded time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token is good, and whose it is."""

    account: str
    """The address that the token names; not checked against anything here."""
    proof: Proof


@dataclass(frozen=True, slots=True)
class Unfit:
    """A token is no good."""

    why: str
    """For the journal: one of few texts."""
    detail: str = ""
    """What was found instead, a stranger's text."""
    refusal: TokenRefused = field(default_factory=TokenRefused)
    """What the client is told."""
    proof: Proof | None = None
    """Of a token that was truly issued."""


class TokenChecker(Protocol):
    """Knows bearer tokens."""

    async def examine(self, token: str) -> Bearer | Unfit:
        """Whose token it is. Raises IdentityUnavailable within a bounded time."""
        ...
