"""What a connection must prove, decided before it is opened (RFC 3207 §4.1: or it is stripped).

DANE and MTA-STS will make their own `Security` values here; a conversation only obeys one.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from merpati.delivery.transaction import Host, TlsDemand, Way
from merpati.wire.tls import TlsContext, client_context


@dataclass(frozen=True, slots=True)
class Security:
    """What is demanded of one host."""

    demand: TlsDemand
    implicit: bool = False
    """TLS from the first octet (RFC 8314 §3.3) instead of STARTTLS."""
    name: str = ""
    """What the certificate must be for, when it is checked; else only sent as SNI."""
    policy: str = "route"
    """Who demands it: route; later dane, mta-sts."""
    ca_file: str = ""
    """PEM file of the authorities to trust; empty: the system's."""

    @property
    def verifies(self) -> bool:
        """Whether the certificate must be valid for `name`."""
        return self.demand is TlsDemand.REQUIRED

    @property
    def may_fall_back(self) -> bool:
        """Whether mail may go in plain text when TLS cannot be had."""
        return self.demand is not TlsDemand.REQUIRED and not self.implicit

    def without_tls(self) -> "Security":
        """The same with TLS given up, for an opportunistic host whose TLS is broken."""
        return replace(self, demand=TlsDemand.OFF) if self.may_fall_back else self

    def context(self) -> TlsContext:
        """The TLS settings for this demand; shared by all connections with the same."""
        return _context(self.verifies, self.ca_file)


def decide(way: Way, host: Host, *, plain_only: bool = False, ca_file: str = "") -> Security:
    """What a route demands of a host. `plain_only` is the memory of a TLS that broke."""
    security = Security(way.tls, way.implicit_tls, host.name, ca_file=ca_file)
    return security.without_tls() if plain_only else security


@lru_cache(maxsize=16)
def _context(verifies: bool, ca_file: str) -> TlsContext:
    # RFC 7435: encryption without authentication still beats plain text.
    return client_context(verify=verifies, authorities=Path(ca_file) if ca_file else None)
