"""What vouches for the names of a domain's mail hosts, so that a certificate can prove something.

Hosts that nothing vouches for were named by an answer that anybody on the way could have forged:
checking their certificates would show only that the forger has one.
"""

from dataclasses import dataclass
from enum import Enum


class StsMode(Enum):
    """How a domain wants its MTA-STS policy taken (RFC 8461 §5)."""

    NONE = "none"
    TESTING = "testing"
    """Hosts that fail it get mail all the same; the journal and reports tell of them."""
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class Backing:
    """Who stands for the names."""

    dnssec: bool = False
    """The answer that named them was validated (RFC 7672 §2.2.1)."""
    sts: StsMode = StsMode.NONE
    unlisted: tuple[str, ...] = ()
    """Hosts that a policy in testing does not name."""
    names: tuple[str, ...] = ()
    """The domain, and the end of its alias: what a host may show a certificate for instead of its
    own name, where its zone vouches for an authority (RFC 7672 §3.2.2)."""

    @property
    def vouches(self) -> bool:
        """Whether the names are those that the domain meant."""
        return self.dnssec or self.sts is StsMode.ENFORCE

    def __str__(self) -> str:
        """For the name of a site, since who is backed differently is talked to differently."""
        unlisted = f"unlisted={','.join(self.unlisted)}" if self.unlisted else ""
        names = f"names={','.join(self.names)}" if self.names else ""
        told = ("dnssec=yes" if self.dnssec else "", _SAID[self.sts], unlisted, names)
        return "&".join(filter(None, told))


_SAID = {StsMode.NONE: "", StsMode.TESTING: "sts=testing", StsMode.ENFORCE: "sts=enforce"}
UNBACKED = Backing()
