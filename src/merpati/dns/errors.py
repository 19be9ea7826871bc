"""Why a question to the DNS has no usable answer. All of them are temporary.

DnsError              no usable answer; `.cause` says why
├── DnsTimeout        no server answered in time
├── DnsFailure        every server that answered said it failed: SERVFAIL, REFUSED
│   └── DnsBogus      there is an answer, which a validating server does not believe
└── DnsNonsense       an answer that no honest server gives: chains without end, garbage
"""

from merpati.errors import MerpatiError


class DnsError(MerpatiError):
    """No usable answer."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class DnsTimeout(DnsError):
    """No server answered in time."""


class DnsFailure(DnsError):
    """Every server that answered said it failed."""


class DnsBogus(DnsFailure):
    """There is an answer, but its signatures are wrong, missing or expired (RFC 4033 §5)."""


class DnsNonsense(DnsError):
    """An answer that no honest server gives."""
