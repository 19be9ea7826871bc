"""The records that a domain of this server should have: pure, from what we are and what is there.

What is there already and good is kept: a policy of DMARC that is stricter than the first step, a
place for reports. What becomes of the terms of SPF that others need, `setup.spf` says.
"""

import ipaddress
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from merpati.authenticity.bimi.record import is_record, record_name
from merpati.authenticity.dmarc.record import Policy, read_record
from merpati.authenticity.tags import parse_tags_leniently
from merpati.certificates.tlsa import Identity, owner_of, text_of, usual
from merpati.feedback.ordering import MAX_RECORD, report_uris
from merpati.setup.record import Kind, Purpose, Record
from merpati.setup.seen import Place, Seen
from merpati.setup.sts import OwnPolicy, policy_host

PREFERENCE = 10


@dataclass(frozen=True, slots=True)
class Subject:
    """A domain and the server that its mail goes to. Names are A-labels in lower case."""

    domain: str
    hostname: str
    policy: OwnPolicy
    """Of MTA-STS."""
    keys: tuple[tuple[str, str], ...] = ()
    """Name and text of the DKIM records: of every key that signs, did or will."""
    identity: Identity | None = None
    """What the host shows with TLS; None: there is no certificate yet."""
    submission: int = 0
    """Port of submission with STARTTLS; 0: there is none."""
    submissions: int = 0
    """The same with TLS from the first octet."""
    serves_policy: bool = False
    """Whether it is this server that senders have the policy from."""
    reports: str = ""
    """The local part that takes reports; empty: the postmaster's."""
    sources: tuple[str, ...] = ()
    """Public addresses that this machine sends from, as far as it can know."""
    serves_autoconfig: bool = False
    """Whether mail programs can have their settings from this server."""
    policy_fault: str = ""
    """What the policy costs that is enforced, since nobody can verify our certificate."""

    signs: bool = True
    """Whether one of the keys signs already."""

    @property
    def reports_uri(self) -> str:
        """Where reports are to be sent."""
        return f"mailto:{self.reports or 'postmaster'}@{self.domain}"

    @property
    def dmarc_name(self) -> str:
        """Where the policy of DMARC stands."""
        return f"_dmarc.{self.domain}"

    @property
    def bimi_name(self) -> str:
        """Where it is said where the logo is, if there is one."""
        return record_name(self.domain)

    @property
    def reports_name(self) -> str:
        """Where reports on TLS are ordered (RFC 8460 §3)."""
        return f"_smtp._tls.{self.domain}"

    @property
    def host_places(self) -> tuple[Place, ...]:
        """Where the addresses of the host stand."""
        return (Kind.IPV4, self.hostname), (Kind.IPV6, self.hostname)

    @property
    def places(self) -> tuple[Place, ...]:
        """What to ask the DNS before a plan can be made. PTR comes after the addresses."""
        texts = (self.domain, self.dmarc_name, self.reports_name, self.bimi_name)
        others = ((Kind.MX, self.domain), (Kind.CNAME, self.hostname))
        return (*((Kind.TXT, name) for name in texts), *self.host_places, *others)

    def addresses(self, seen: Seen) -> tuple[str, ...]:
        """Those of the host, and those that this machine sends from."""
        found = (address for place in self.host_places for address in seen.at(*place) or ())
        return tuple(dict.fromkeys((*found, *self.sources)))


def plan(subject: Subject, seen: Seen, spf: str) -> tuple[Record, ...]:
    """Every record, the most important first. `spf`: the text of that one."""
    return (
        Record(Purpose.MX, Kind.MX, subject.domain, f"{PREFERENCE} {subject.hostname}"),
        Record(Purpose.SPF, Kind.TXT, subject.domain, spf),
        *_dkim(subject),
        _dmarc(subject, seen),
        *_ptr(subject, seen),
        Record(Purpose.STS, Kind.TXT, f"_mta-sts.{subject.domain}", subject.policy.record),
        *_policy_host(subject),
        _tls_reports(subject, seen),
        _tlsa(subject),
        *_services(subject),
        _bimi(subject, seen),
    )


def _dkim(subject: Subject) -> Iterator[Record]:
    if not subject.keys:
        yield Record(Purpose.DKIM, Kind.TXT, f"SELECTOR._domainkey.{subject.domain}")
    for name, text in subject.keys:
        yield Record(Purpose.DKIM, Kind.TXT, name, text)


def _dmarc(subject: Subject, seen: Seen) -> Record:
    """What is there stays, if it is one record; of several the places for reports do.

    Several records count as p=none (RFC 9989 §4.10.1), so that is written.
    """
    there = seen.at(Kind.TXT, subject.dmarc_name) or ()
    records = [text for text in there if read_record(text.encode())]
    places = [uri for text in records for uri in report_places(text)]
    text = f"v=DMARC1; p=none; rua={_with_ours(subject, places)}"
    if len(records) == 1:
        text = _with_policy(subject, records[0])
    return Record(Purpose.DMARC, Kind.TXT, subject.dmarc_name, text)


def _with_policy(subject: Subject, text: str) -> str:
    """A record whose policy can be read stays, whatever else is wrong with it: receivers obey it.

    Else each policy that is void is made the one that they take all of it for, and where no
    reports are ordered, they are, or the record would say nothing.
    """
    if published_policy(text):
        return text
    tags = {"v": "DMARC1", "p": "none"} | dict(parse_tags_leniently(text.encode()).pairs)
    for name in {"p", "sp", "np"} & tags.keys():
        if tags[name].lower() not in _POLICIES:
            tags[name] = "none"
    if not report_places(text):
        tags["rua"] = subject.reports_uri
    return "; ".join(f"{name}={value}" for name, value in tags.items())


_POLICIES = {policy.value for policy in Policy}


def _with_ours(subject: Subject, places: Iterable[str]) -> str:
    return ",".join(dict.fromkeys([subject.reports_uri, *places]))


def published_policy(text: str) -> str:
    """none, quarantine or reject, of a record of DMARC; empty where receivers can read none."""
    record = read_record(text.encode())
    return record.policy.value if record is not None and record.policy is not None else ""


def report_places(text: str) -> tuple[str, ...]:
    """URIs that a record of DMARC orders aggregate reports to."""
    record = read_record(text.encode())
    return record.aggregate if record is not None else ()


def _ptr(subject: Subject, seen: Seen) -> Iterator[Record]:
    for address in subject.addresses(seen):
        reverse = ipaddress.ip_address(address).reverse_pointer
        yield Record(Purpose.PTR, Kind.PTR, reverse, subject.hostname)
    if not any(seen.at(*place) for place in subject.host_places):
        yield Record(Purpose.PTR, Kind.PTR, subject.hostname)


def _policy_host(subject: Subject) -> Iterator[Record]:
    if subject.serves_policy:
        host = policy_host(subject.domain)
        yield Record(Purpose.STS_HOST, Kind.CNAME, host, subject.hostname)


def _tls_reports(subject: Subject, seen: Seen) -> Record:
    ordered = {one: tls_places(one) for one in seen.at(Kind.TXT, subject.reports_name) or ()}
    there = [text for text, places in ordered.items() if places]
    text = f"v=TLSRPTv1; rua={_with_ours(subject, itertools.chain(*ordered.values()))}"
    while len(text) > MAX_RECORD:  # Nobody would read it.
        text = text.rpartition(",")[0]
    text = there[0] if len(there) == 1 else text
    return Record(Purpose.TLS_REPORTS, Kind.TXT, subject.reports_name, text)


def tls_places(text: str) -> tuple[str, ...]:
    """URIs that a record of TLS-RPT orders reports to, as those read it who report."""
    return report_uris([text.encode()])


def _tlsa(subject: Subject) -> Record:
    # RFC 7672 §3.1: the host's own key, by its digest.
    value = text_of(usual(subject.identity.digest)) if subject.identity else ""
    return Record(Purpose.TLSA, Kind.TLSA, owner_of(subject.hostname), value)


def _services(subject: Subject) -> Iterator[Record]:
    """RFC 6186 §3.1 for STARTTLS, RFC 8314 §5.1 for TLS from the first octet, which comes first."""
    ports = {"_submissions": (0, subject.submissions), "_submission": (10, subject.submission)}
    for service, (priority, port) in ports.items():
        if port:
            name = f"{service}._tcp.{subject.domain}"
            value = f"{priority} 1 {port} {subject.hostname}"
            yield Record(Purpose.SUBMISSION, Kind.SRV, name, value)
    yield from _autoconfig(subject)


def _autoconfig(subject: Subject) -> Iterator[Record]:
    host = f"autoconfig.{subject.domain}"
    if not subject.serves_autoconfig:
        yield Record(Purpose.AUTOCONFIG, Kind.IPV4, host)
        return
    yield Record(Purpose.AUTOCONFIG, Kind.CNAME, host, subject.hostname)
    yield Record(
        Purpose.AUTODISCOVER,
        Kind.SRV,
        f"_autodiscover._tcp.{subject.domain}",
        f"0 0 443 {subject.hostname}",
    )


def _bimi(subject: Subject, seen: Seen) -> Record:
    """Nothing to publish without a logo: what is there is only looked at."""
    there = seen.at(Kind.TXT, subject.bimi_name) or ()
    records = [text for text in there if is_record(text.encode())]
    return Record(Purpose.BIMI, Kind.TXT, subject.bimi_name, records[0] if records else "")
