"""What a connection must prove, decided before it is opened (RFC 3207 §4.1: or it is stripped).

First that counts: DANE, where the host's zone vouches for its certificates; MTA-STS, where the
recipient's domain demands one, or that of a smarthost; the route's own word. What a route requires
is never given up for either: MTA-STS may only add to it. A conversation only obeys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from pathlib import Path

from merpati.delivery.backing import Backing, StsMode
from merpati.delivery.dane import Dane, Tlsa, Tlsas, Usage, prove
from merpati.delivery.lesson import NOTHING_KNOWN, SiteMemory, Waived
from merpati.delivery.mx import Demands, Exchanges, NoHosts
from merpati.delivery.transaction import Host, TlsDemand, Way
from merpati.errors import MerpatiError
from merpati.feedback.tls import ResultType
from merpati.wire.errors import CertificateFlaw, TlsError
from merpati.wire.tls import ClientCertificate, TlsContext, client_context
from merpati.wire.vouching import flaws


class Policy(Enum):
    """Who decided what a connection must prove; the journal has it for every one."""

    NONE = "none"
    """A route without TLS."""
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    """By the route."""
    DANE = "dane"
    STS_ENFORCE = "sts-enforce"
    STS_TESTING = "sts-testing"
    WAIVED = "waived"
    """Opportunistic by the sender's wish, whatever the domain demands. Told of a transaction alone:
    others may share its connection."""
    REQUIRETLS = "requiretls"
    """Proved by the sender's wish, where nobody else demands it (RFC 8689); as above."""


_OF_ROUTE = {
    TlsDemand.OFF: Policy.NONE,
    TlsDemand.OPPORTUNISTIC: Policy.OPPORTUNISTIC,
    TlsDemand.REQUIRED: Policy.REQUIRED,
}
RESULTS = {
    CertificateFlaw.NAME: ResultType.WRONG_NAME,
    CertificateFlaw.TIME: ResultType.EXPIRED,
    CertificateFlaw.AUTHORITY: ResultType.NOT_TRUSTED,
    CertificateFlaw.OTHER: ResultType.NOT_TRUSTED,
}
"""What is told of flaws."""
VALID = "valid"
PKIX = "pkix"
"""Proof by the authorities that we trust."""
_PROOFS = {Usage.TRUST_ANCHOR: "dane-ta", Usage.END_ENTITY: "dane-ee"}


@dataclass(frozen=True, slots=True)
class Security:
    """What is demanded of one host."""

    demand: TlsDemand
    implicit: bool = False
    """TLS from the first octet (RFC 8314 §3.3) instead of STARTTLS."""
    name: str = ""
    """What the certificate must be for, when it is checked; else only sent as SNI."""
    policy: Policy = Policy.OPPORTUNISTIC
    ca_file: str = ""
    """PEM file of the authorities to trust; empty: the system's."""
    tlsa: tuple[Tlsa, ...] = ()
    """DANE: the certificate must match one of them; none: it need not prove anything."""
    names: tuple[str, ...] = ()
    """DANE: what it may be for instead, below an anchor (RFC 7672 §3.2.2)."""
    certificate: ClientCertificate | None = None
    """What we show of ourselves."""
    tests: bool = False
    """The certificate is checked as if it were demanded; mail goes whatever comes of it."""
    failure: ResultType | None = None
    """What is known beforehand to be lacking."""

    @property
    def verifies(self) -> bool:
        """Whether the certificate must be valid for `name` by an authority that we trust."""
        return self.tests or (self.demand is TlsDemand.REQUIRED and self.policy is not Policy.DANE)

    @property
    def may_fall_back(self) -> bool:
        """Whether mail may go in plain text when TLS cannot be had."""
        return self.demand is not TlsDemand.REQUIRED and not self.implicit

    def without_tls(self) -> "Security":
        """The same with TLS given up, for an opportunistic host whose TLS is broken."""
        return replace(self, demand=TlsDemand.OFF, tests=False) if self.may_fall_back else self

    def context(self) -> TlsContext:
        """The TLS settings for this demand; shared by all connections with the same."""
        return _context(self.verifies, self.ca_file, self.certificate)

    def proof(self, chain: Sequence[bytes], now: float) -> str:
        """How a handshake proved who the host is: pkix, dane-ta, dane-ee; empty: not at all.

        `chain` is what it sent (DER). TlsError when it had to prove more than it did.
        """
        if self.verifies:
            return PKIX
        if not self.tlsa:
            return ""
        usage = prove(self.tlsa, chain, (self.name, *self.names), now)
        if usage is None:
            raise TlsError(f"the certificate matches no TLSA record of {self.name}")
        return _PROOFS[usage]

    def check(self, chain: Sequence[bytes], now: float) -> str:
        """What had come of the certificate, had it been demanded: `valid`, or what it lacks, as
        types of RFC 8460 with commas between. Empty: it was not looked at. It decides about mail
        with REQUIRETLS alone.

        Even `valid` only says that the host is the one whose name we had, from wherever.
        """
        authorities = Path(self.ca_file) if self.ca_file else None
        lacks = flaws(chain, self.name, now, authorities)
        if lacks is None:
            return ""
        return ",".join(RESULTS[flaw].value for flaw in lacks) or VALID


def decide(
    way: Way,
    host: Host,
    memory: SiteMemory = NOTHING_KNOWN,
    *,
    ca_file: str = "",
    tlsa: Tlsas | None = None,
) -> Security:
    """What is demanded of a host, of which something may be waived."""
    if tlsa is not None and _decides(tlsa, way):
        return _by_dane(way, tlsa, ca_file)
    policy = _OF_ROUTE[way.tls]
    security = Security(
        way.tls, way.implicit_tls, host.name, policy, ca_file, certificate=way.certificate
    )
    if way.tls is not TlsDemand.OPPORTUNISTIC:
        return security
    if way.backing.sts is StsMode.ENFORCE:
        return replace(security, demand=TlsDemand.REQUIRED, policy=Policy.STS_ENFORCE)
    if way.backing.sts is StsMode.TESTING:
        security = _tested(security, way, host, memory)
    if memory.waived >= Waived.TLS and security.may_fall_back:
        return replace(security.without_tls(), failure=memory.failure)
    return security


def _by_dane(way: Way, tlsa: Tlsas, ca_file: str) -> Security:
    # RFC 8460 §4.3.2.1: none of the records was found to be valid.
    failure = None if tlsa.usable else ResultType.TLSA_INVALID
    security = Security(TlsDemand.REQUIRED, way.implicit_tls, tlsa.base, Policy.DANE, ca_file)
    return replace(security, names=way.backing.names, tlsa=tlsa.usable, failure=failure)


def _tested(security: Security, way: Way, host: Host, memory: SiteMemory) -> Security:
    # RFC 8461 §5: the policy is validated, failures may be reported, and mail goes.
    security = replace(security, policy=Policy.STS_TESTING)
    if host.name in way.backing.unlisted:
        return replace(security, failure=ResultType.FAILED)
    if memory.waived is not Waived.NOTHING:
        return replace(security, failure=memory.failure)
    return replace(security, tests=True)


def _decides(tlsa: Tlsas, way: Way) -> bool:
    """Whether DANE has the word: records that prove nothing do not end what others demand."""
    others = way.tls is TlsDemand.REQUIRED or way.backing.sts is StsMode.ENFORCE
    return way.tls is not TlsDemand.OFF and (bool(tlsa.usable) or not others)


class Unlisted(MerpatiError):
    """A smarthost is none of the hosts that its own domain's policy names: it gets nothing."""


class Decider:
    """Asks what has to be asked first."""

    def __init__(
        self, dane: Dane | None = None, ca_file: str = "", demands: Demands | None = None
    ) -> None:
        """Without `dane` no zone is asked for certificates, without `demands` no smarthost's domain
        for a policy."""
        self._dane = dane
        self._ca_file = ca_file
        self._demands = demands

    async def backed(self, domain: str, found: Exchanges) -> Exchanges:
        """See `Dane.backed`."""
        return await self._dane.backed(domain, found) if self._dane else found

    async def decide(self, way: Way, host: Host, memory: SiteMemory = NOTHING_KNOWN) -> Security:
        """See `decide`. Raises Undecided, Unlisted; StorageError where what is kept of policies
        cannot be read."""
        if way.policy_domain and self._demands:
            way = replace(way, backing=await self._backing(way.policy_domain, host, self._demands))
        tlsa = None
        if self._dane and way.backing.dnssec and way.tls is not TlsDemand.OFF:
            tlsa = await self._dane.of(host)
        return decide(way, host, memory, ca_file=self._ca_file, tlsa=tlsa)

    async def _backing(self, domain: str, host: Host, demands: Demands) -> Backing:
        """What a smarthost's domain demands of it (RFC 8461 §3.4)."""
        own = Exchanges(((domain,),), host.port, from_dns=False)
        # An operator named it: its policy is to stay, whoever's mail it is.
        found = await demands(domain, own, is_ours=True)
        if isinstance(found, NoHosts):
            raise Unlisted(f"the MTA-STS policy of {domain} does not name the host of the route")
        # By its name as the route has it, which may be in other letters.
        return replace(found.backing, unlisted=(host.name,) if found.backing.unlisted else ())


@lru_cache(maxsize=16)
def _context(verifies: bool, ca_file: str, certificate: ClientCertificate | None) -> TlsContext:
    # RFC 7435: encryption without authentication still beats plain text.
    authorities = Path(ca_file) if ca_file else None
    return client_context(verify=verifies, authorities=authorities, certificate=certificate)
