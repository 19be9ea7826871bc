"""What can go wrong while a certificate is got.

IssueError       there is no certificate now; the text says why
├── AcmeError    the CA cannot be reached, refuses, or talks nonsense
├── ProofError   what proves that a name is ours could not be published
└── AcmeMissing  the library for it is not installed
"""

from merpati.errors import MerpatiError
from merpati.extras import how_to_get

LONGEST = 500
"""Characters of a stranger's words that are repeated."""


class IssueError(MerpatiError):
    """There is no certificate now."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why if len(why) <= LONGEST else why[:LONGEST] + "…")
        self.wait = wait
        """Seconds that the CA wants to be left alone; 0.0 when it says nothing."""


class AcmeError(IssueError):
    """The CA cannot be reached, refuses, or talks nonsense."""


class ProofError(IssueError):
    """What proves that a name is ours could not be published."""


class AcmeMissing(IssueError):
    """The library for it is not installed."""

    def __init__(self) -> None:
        super().__init__(f"[acme] needs a library that is not here. {how_to_get('acme')}")
