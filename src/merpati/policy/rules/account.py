"""What an account may send in a day, and that one which is suspended sends nothing.

Whoever hears these refusals has proved to be the account's owner, or has stolen its password:
strangers learn nothing of it, and can lock out nobody.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import gmtime, strftime

from merpati.directory.directory import User
from merpati.errors import MerpatiError
from merpati.policy.guard import Guard, Row
from merpati.policy.limit import Limit
from merpati.policy.rule import MAIL, MESSAGE, RCPT, Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

QUOTA, SUSPENDED = "quota", "suspended"
_MAX_WHY = 120
_CANNOT_COUNT = Verdict(
    Reply(451, "Cannot count your mail now, try again later", Status(4, 3, 0)), QUOTA
)
# RFC 3463 §3.6 and §3.8; X.7.13 "User Account Disabled" is of the registry of RFC 5248.
_TOO_MANY = Status(4, 5, 3)
_NOT_NOW = Status(4, 7, 1)
_DISABLED = Status(5, 7, 13)
_SAID = {
    Limit.MESSAGES_PER_DAY: ("no more than {} messages", _NOT_NOW),
    Limit.RECIPIENTS_PER_DAY: ("to no more than {} recipients", _TOO_MANY),
    Limit.NEW_RECIPIENTS_PER_DAY: ("to no more than {} recipients that are new to it", _NOT_NOW),
}
_GONE = Verdict(Reply(550, "This account is no more", _DISABLED), SUSPENDED)
"""For sessions that began before it was removed."""


@dataclass(frozen=True, slots=True)
class Account:
    """The quotas of whoever logged in."""

    guard: Guard
    name: str = QUOTA
    moments: frozenset[Moment] = frozenset({Moment.MAIL, Moment.RCPT, Moment.MESSAGE})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """550 5.7.13 for who is suspended or removed, 452 where a day's quota is used up."""
        if facts.login is None:
            return None
        user = self.guard.directory.user(facts.login)
        if user is None:
            return _GONE
        if user.suspension is not None:
            return suspended(user, user.suspension.why)
        try:
            row = self.guard.row(user)
            return None if row is None else _ASKS[moment](self, facts, user, row)
        except MerpatiError:
            return _CANNOT_COUNT

    def _mail(self, facts: Facts, user: User, row: Row) -> Verdict | None:
        limit = self.guard.quotas(user)[0]
        if limit and row.messages + 1 > limit:
            return self._later(user, limit, Limit.MESSAGES_PER_DAY)
        return None

    def _rcpt(self, facts: Facts, user: User, row: Row) -> Verdict | None:
        _, recipients, strangers = self.guard.quotas(user)
        if recipients and row.recipients + facts.known_recipients + 1 > recipients:
            return self._later(user, recipients, Limit.RECIPIENTS_PER_DAY)
        if not strangers or facts.recipient is None:
            return None
        stranger = self.guard.is_stranger(user, facts.recipient)
        if not stranger:
            return None
        if row.strangers + 1 > strangers:
            return self._too_many_strangers(user, strangers)
        self.guard.meet(row, stranger)
        return None

    def _too_many_strangers(self, user: User, limit: int) -> Verdict:
        self.guard.too_many_strangers(user, limit)
        if self.guard.settings.suspends:
            verdict = suspended(user, f"more than {limit} recipients in a day that were new to it")
            return replace(verdict, limit=Limit.NEW_RECIPIENTS_PER_DAY)
        return self._later(user, limit, Limit.NEW_RECIPIENTS_PER_DAY)

    def _message(self, facts: Facts, user: User, row: Row) -> Verdict | None:
        """Counted first and looked at then, so that many at once get no more than one."""
        messages, recipients, _ = self.guard.quotas(user)
        count = _recipients(facts)
        row.take(1, count)
        verdict = None
        if messages and row.messages > messages:
            verdict = self._later(user, messages, Limit.MESSAGES_PER_DAY)
        elif recipients and row.recipients > recipients:
            verdict = self._later(user, recipients, Limit.RECIPIENTS_PER_DAY)
        if verdict is not None:
            row.take(-1, -count)
        return verdict

    def _later(self, user: User, most: int, limit: Limit) -> Verdict:
        until = strftime("%Y-%m-%d %H:%M UTC", gmtime(self.guard.next_day))
        what, status = _SAID[limit]
        text = f"{user.address} may send {what.format(most)} a day"
        reply = Reply(452, f"{text}; go on at {until} or ask the postmaster", status)
        return Verdict(reply, QUOTA, limit=limit)


_ASKS: dict[Moment, Callable[[Account, Facts, User, Row], Verdict | None]] = {
    MAIL: Account._mail,
    RCPT: Account._rcpt,
    MESSAGE: Account._message,
}


def not_stored(guard: Guard, facts: Facts) -> None:
    """A message that was counted could not be stored: it is counted no more."""
    user = facts.login and guard.directory.user(facts.login)
    row = guard.row(user) if user else None
    if row is not None:
        row.take(-1, -_recipients(facts))


def suspended(user: User, why: str) -> Verdict:
    """Whoever sees this can do something about it."""
    text = (
        f"{user.address} may not send: {why[:_MAX_WHY]}. If that was not you, change your "
        "password; then ask the postmaster to let you go on"
    )
    return Verdict(Reply(550, text, _DISABLED), SUSPENDED)


def _recipients(facts: Facts) -> int:
    return len(facts.envelope.recipients) if facts.envelope else 0
