"""What a bearer token has to say to let somebody in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """As the operator has it."""

    issuer: str
    audience: tuple[str, ...]
    """One of these."""
    scope: tuple[str, ...] = ()
    """All of these."""
    claim: str = "email"
    """Which claim names the mailbox."""
