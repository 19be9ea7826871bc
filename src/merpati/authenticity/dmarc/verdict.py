"""What DMARC found of a message, with the evidence."""

from dataclasses import dataclass
from enum import Enum

from merpati.authenticity.dmarc.author import AuthorFlaw
from merpati.authenticity.dmarc.record import Policy
from merpati.authenticity.dmarc.walk import Published


class Result(Enum):
    """The results of RFC 9989 §9.1; the value is the word that Authentication-Results says."""

    NONE = "none"
    """No record applies."""
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    TEMPERROR = "temperror"
    """The DNS had no answer now, and the answer might have changed the result."""
    PERMERROR = "permerror"
    """The message has no one author domain, or the record that applies is void."""


class Method(Enum):
    """What can authenticate a domain."""

    SPF = "spf"
    """The MAIL FROM identity alone; of the null sender that is the HELO name (RFC 7208 §2.4)."""
    DKIM = "dkim"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A domain that SPF or DKIM checked, and what came of it."""

    method: Method
    domain: str
    """In A-labels and lower case."""
    result: str
    """The word of RFC 8601 §2.7: pass, fail, temperror …"""


class Alignment(Enum):
    """How an identifier stands to the author domain."""

    STRICT = "the same domain"
    RELAXED = "the same organizational domain"
    ELSEWHERE = "another organization"
    NOT_STRICT = "another domain, and the record asks for the same"
    UNKNOWN = "the DNS had no answer"


@dataclass(frozen=True, slots=True)
class Checked:
    """An identifier beside the author domain."""

    identifier: Identifier
    alignment: Alignment

    @property
    def is_aligned(self) -> bool:
        """Whether it would count if it passed."""
        return self.alignment in (Alignment.STRICT, Alignment.RELAXED)

    @property
    def counts(self) -> bool:
        """It passed and is aligned: so does the message."""
        return self.identifier.result == "pass" and self.is_aligned


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result and how it came about."""

    result: Result
    why: str
    """For people, without a stranger's words."""
    author: str = ""
    """The author domain; empty where there is a flaw."""
    flaw: AuthorFlaw | None = None
    published: Published | None = None
    """The record that applies."""
    tag: str = ""
    """The tag of it that decides: p, sp or np."""
    policy: Policy = Policy.NONE
    """What is asked for mail of this domain that fails, `t=y` not yet seen to."""
    checked: tuple[Checked, ...] = ()
    flaws: tuple[str, ...] = ()
    """What is wrong with the records that were found."""

    @property
    def disposition(self) -> Policy:
        """What the domain asks to be done with this message, before any exception of our own."""
        if self.result is not Result.FAIL or self.published is None:
            return Policy.NONE
        return self.policy.below if self.published.record.testing else self.policy

    def aligned(self, method: Method) -> bool:
        """Whether any identifier of this method passed and is aligned."""
        return any(each.counts for each in self.checked if each.identifier.method is method)
