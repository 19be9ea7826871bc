"""An aggregate report (RFC 9990 §2.1): who sent how much mail in a domain's name, and what of it
was authentic.

`report.dmarc` makes it of XML and the other way.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who made the report."""

    organization: str
    email: str
    report_id: str
    contact: str = ""
    errors: tuple[str, ...] = ()
    """What the reporter found wrong with the domain's records."""
    generator: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """The time that a report is about; seconds since 1970 UTC."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Published:
    """The record as the reporter saw it."""

    domain: str
    policy: str
    """p: none, quarantine or reject."""
    subdomains: str = ""
    """sp, the same; empty where it was not published."""
    missing: str = ""
    """np."""
    strict_dkim: bool = False
    strict_spf: bool = False
    testing: bool = False
    when: str = ""
    """fo, as it was published."""
    method: str = ""
    """How the record was found: treewalk, or psl as in RFC 7489."""


@dataclass(frozen=True, slots=True)
class DkimTold:
    """One signature and what its check found."""

    domain: str
    selector: str
    result: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class SpfTold:
    """What SPF found."""

    domain: str
    result: str
    scope: str = "mfrom"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Override:
    """Why something else was done than the record asks for."""

    kind: str
    """local_policy, mailing_list, other, policy_test_mode, trusted_forwarder; as it was told."""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Messages from one address that were all alike."""

    ip: str
    count: int
    disposition: str
    """What was done: none, pass, quarantine, reject."""
    dkim: bool
    """Whether it passed for a domain that is aligned."""
    spf: bool
    author: str
    """The domain of From."""
    sender: str = ""
    """The domain of MAIL FROM."""
    recipient: str = ""
    """The domain of RCPT TO."""
    overrides: tuple[Override, ...] = ()
    signatures: tuple[DkimTold, ...] = ()
    spf_results: tuple[SpfTold, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether these messages passed DMARC."""
        return self.dkim or self.spf


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """A whole report."""

    reporter: Reporter
    period: Period
    published: Published
    rows: tuple[Row, ...]
    skipped: int = 0
    """Rows that were there and could not be read."""
