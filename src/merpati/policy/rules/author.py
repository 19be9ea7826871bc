"""A login writes as itself, too: the authors in From are addresses that it may send as
(RFC 6409 §6.1: submission rights).

Readers see From and not the reverse-path, and a message that leaves is signed for the author's
domain: without this rule anybody with a login could write as anybody else here, and DMARC would
pass. mox asks the same of every login, and cannot be told otherwise; Stalwart looks at the
reverse-path alone.
"""

from dataclasses import dataclass

from merpati.directory.directory import Directory
from merpati.mail.address import Address
from merpati.mail.mailboxes import MAX_FLAW, Mailboxes, parse_mailboxes
from merpati.mail.words import decode_words
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

NAME = "author"
_MOST = 100
"""Authors of a message: each is looked up."""
_LONGEST = 16 * 1024
"""Characters that name them, in all."""
_UNREADABLE = Verdict(
    Reply(
        550,
        "From holds what may be an address and cannot be read as one, or too many authors; "
        "write plain addresses there",
        Status(5, 7, 1),
    ),
    NAME,
)


@dataclass(frozen=True, slots=True)
class Author:
    """Authors in domains elsewhere are nobody's here: such mail leaves as it is, unsigned."""

    directory: Directory
    name: str = NAME
    moments: frozenset[Moment] = frozenset({Moment.MESSAGE})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """550 5.7.1 for the first author here that the login may not send as."""
        if (login := facts.login) is None:
            return None
        values = facts.headers.get_all("from")
        if sum(map(len, values)) > _LONGEST:
            return _UNREADABLE
        found = 0
        for value in values:
            read = parse_mailboxes(value)
            found += len(read.found)
            if found > _MOST or _hides_an_author(read):
                return _UNREADABLE
            for author in read.addresses:
                if self._is_ours(author.domain) and not self.directory.may_send_as(login, author):
                    return _refusal(login, author)
        return None

    def _is_ours(self, domain: str) -> bool:
        """A domain here, or one below it: that is signed by the same key."""
        while domain:
            if self.directory.is_local(domain):
                return True
            domain = domain.partition(".")[2]
        return False


def _hides_an_author(read: Mailboxes) -> bool:
    """Whether some reader may take for an address what is none, as blanks or comments around its @
    let it be: nobody could say whose it is."""
    return any(len(flaw) >= MAX_FLAW or "@" in decode_words(flaw) for flaw in read.flaws)


def _refusal(login: Address, author: Address) -> Verdict:
    text = (
        f"{login} may not write as {author}, as From says; an administrator can allow it: "
        f"merpati user senders add {login} {author}"
    )
    return Verdict(Reply(550, text, Status(5, 7, 1)), NAME)
