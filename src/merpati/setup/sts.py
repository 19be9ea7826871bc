"""Our own policy of MTA-STS: its text, and the id that follows it (RFC 8461 §3)."""

from dataclasses import dataclass
from hashlib import sha256

PATH = "/.well-known/mta-sts.txt"
_IDENT = 32  # RFC 8461 §3.1: characters of an id, at most


@dataclass(frozen=True, slots=True)
class OwnPolicy:
    """What senders are asked for."""

    mx: tuple[str, ...]
    mode: str = "testing"
    """RFC 8461 §5: first `testing`, then `enforce`."""
    max_age: int = 604_800
    """Seconds that senders keep it: a week."""

    @property
    def text(self) -> str:
        """The document, as RFC 8461 §3.2 has it."""
        hosts = "".join(f"mx: {host}\r\n" for host in self.mx)
        return f"version: STSv1\r\nmode: {self.mode}\r\n{hosts}max_age: {self.max_age}\r\n"

    @property
    def ident(self) -> str:
        """Another one for every other text."""
        return sha256(self.text.encode()).hexdigest()[:_IDENT]

    @property
    def record(self) -> str:
        """What the TXT record at `_mta-sts` says."""
        return f"v=STSv1; id={self.ident};"


def policy_url(domain: str) -> str:
    """Where senders look for the text."""
    return f"https://mta-sts.{domain}{PATH}"
