"""Nobody relays who may not (promise 5).

Only the last domain of a path decides. `%`, `!` and `@` within a local part are plain characters
here: they never route anything, so `victim%elsewhere@here` is just an unknown user of ours.
"""

from dataclasses import dataclass

from merpati.directory.expansion import Expander
from merpati.policy.rule import MAIL, RCPT, Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

# RFC 4954 §6, RFC 6409 §4.3.
_LOGIN_FIRST = Verdict(Reply(530, "Authentication required", Status(5, 7, 0)), "relay")
_DENIED = Verdict(Reply(550, "Relaying denied", Status(5, 7, 1)), "relay")


@dataclass(frozen=True, slots=True)
class Relay:
    """Mail for others only from logins and listed networks; mail for us from everybody."""

    expander: Expander
    login_required: bool = False
    """A submission port: strangers have no business there, not even with mail for us."""
    everyone: bool = False
    """The developer's inbox: nothing leaves it, so everybody may send anything."""
    name: str = "relay"
    moments: frozenset[Moment] = frozenset({MAIL, RCPT})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """A login, a listed network or a domain of ours."""
        if self.everyone or facts.trusted or facts.login is not None:
            return None
        if moment is MAIL:
            return _LOGIN_FIRST if self.login_required else None
        if facts.recipient is not None and self.expander.is_here(facts.recipient):
            return None
        return _DENIED
