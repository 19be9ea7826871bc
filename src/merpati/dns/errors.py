"""Why a question to the DNS has no usable answer, and why a change of a zone was not made.

All of the first are temporary.

DnsError              no usable answer; `.cause` says why
├── DnsTimeout        no server answered in time
├── DnsFailure        every server that answered said it failed: SERVFAIL, REFUSED
│   └── DnsBogus      there is an answer, which a validating server does not believe
└── DnsNonsense       an answer that no honest server gives: chains without end, garbage

UpdateError           a change was not made, or nobody knows; `.cause` says why
├── UpdateRefused     the server will not: the key, the zone, what the key may do; `.code`
├── UpdateConflict    the zone is not as it was expected to be: somebody else changed it; `.code`
└── UpdateFailed      no usable answer, temporary; the change may have been made all the same
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


class UpdateError(MerpatiError):
    """A change of a zone was not made, or nobody knows."""

    def __init__(self, cause: str, code: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.code = code
        """The server's word: REFUSED, BADSIG, NXRRSET; empty where there is none."""


class UpdateRefused(UpdateError):
    """The server will not, now or later, until somebody sets something right."""


class UpdateConflict(UpdateError):
    """What was expected of the zone is not so (RFC 2136 §2.4); nothing was changed."""


class UpdateFailed(UpdateError):
    """No usable answer. Whether the change was made can only be seen in the zone."""
