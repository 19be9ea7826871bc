"""Where policies of MTA-STS are, and our own with the id that follows its text (RFC 8461 §3)."""

from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

PATH = "/.well-known/mta-sts.txt"
_IDENT = 32  # RFC 8461 §3.1: characters of an id, at most


class Mode(Enum):
    """What senders do when a host does not show what the policy demands (RFC 8461 §5)."""

    NONE = "none"
    TESTING = "testing"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class OwnPolicy:
    """What senders are asked for."""

    mx: tuple[str, ...]
    mode: Mode = Mode.TESTING
    max_age: int = 604_800
    """Seconds that senders keep it: a week."""

    @property
    def text(self) -> str:
        """The document, as RFC 8461 §3.2 has it."""
        hosts = "".join(f"mx: {host}\r\n" for host in self.mx)
        return f"version: STSv1\r\nmode: {self.mode.value}\r\n{hosts}max_age: {self.max_age}\r\n"

    @property
    def ident(self) -> str:
        """Another one for every other text."""
        return sha256(self.text.encode()).hexdigest()[:_IDENT]

    @property
    def record(self) -> str:
        """What the TXT record at `_mta-sts` says."""
        return f"v=STSv1; id={self.ident};"


def policy_host(domain: str) -> str:
    """Where senders look for the text (RFC 8461 §3.3)."""
    return f"mta-sts.{domain}"


def policy_url(domain: str) -> str:
    """The same with scheme and path."""
    return f"https://{policy_host(domain)}{PATH}"
