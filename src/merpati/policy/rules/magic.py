"""Recipients that fail on purpose, so that an application's handling of refusals can be tested.

`tempfail@…`       451 at RCPT            `tempfail-data@…`    451 after the data
`reject-552@…`     that code at RCPT      `reject-data-554@…`  that code after the data
`slow@…`           250 after 5 seconds    `drop@…`             421, connection closed

Of the developer's inbox only; any domain.
"""

import re
from dataclasses import dataclass

from merpati.clock import Clock
from merpati.mail.address import Address
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

SLOW_SECONDS = 5.0
_MAGIC = re.compile(r"(?:reject-(data-)?([45][0-9][0-9])|tempfail(-data)?)(?:\+.*)?", re.I)
# The enhanced code that usually goes with a code, so that a client sees what a real host says.
_DETAILS = {450: (2, 0), 452: (2, 2), 550: (1, 1), 551: (1, 6), 552: (2, 2), 553: (1, 3)}


@dataclass(frozen=True, slots=True)
class Magic:
    """Fails as the recipient's name asks."""

    clock: Clock
    name: str = "magic"
    moments: frozenset[Moment] = frozenset({Moment.RCPT, Moment.MESSAGE})

    async def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """At RCPT what this recipient asks for; at MESSAGE what any of them does."""
        if moment is Moment.RCPT:
            return await self._judge_recipient(facts.recipient)
        recipients = facts.envelope.recipients if facts.envelope else ()
        wishes = (_wish(recipient.address, after_data=True) for recipient in recipients)
        return next((wish for wish in wishes if wish), None)

    async def _judge_recipient(self, recipient: Address | None) -> Verdict | None:
        if recipient is None:
            return None
        local = recipient.local.lower()
        if local == "slow":
            await self.clock.sleep(SLOW_SECONDS)
        if local == "drop":
            return Verdict(_reply(421), "magic", close=True)
        return _wish(recipient, after_data=False)


def _wish(recipient: Address, *, after_data: bool) -> Verdict | None:
    match = _MAGIC.fullmatch(recipient.local)
    if match is None or bool(match[1] or match[3]) is not after_data:
        return None
    return Verdict(_reply(int(match[2] or 451)), "magic")


def _reply(code: int) -> Reply:
    subject, detail = _DETAILS.get(code, (7, 1) if code == 451 else (0, 0))
    return Reply(code, "You asked for this refusal", Status(code // 100, subject, detail))
