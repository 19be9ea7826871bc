"""What one message, one peer and one account may use."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from merpati.clock import Clock
from merpati.node.table import Table
from merpati.policy.limit import Limit
from merpati.policy.meters import Meters
from merpati.policy.prefix import is_this_machine, neighbourhoods
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict, of_protocol
from merpati.smtp.replies import MESSAGE_TOO_BIG, TOO_MANY_RECIPIENTS, Reply
from merpati.smtp.status import Status

NAME = "limits"
_TOO_BIG = of_protocol(MESSAGE_TOO_BIG, NAME)
_TOO_MANY_RECIPIENTS = of_protocol(TOO_MANY_RECIPIENTS, NAME)
_CONNECTIONS = Verdict(
    Reply(421, "Too many connections from you, slow down", Status(4, 7, 0)),
    NAME,
    close=True,
    limit=Limit.CONNECTIONS_PER_MINUTE,
)
_MESSAGES = Verdict(
    Reply(450, "Too much mail from you, slow down", Status(4, 7, 0)),
    NAME,
    limit=Limit.MESSAGES_PER_MINUTE,
)
_TOO_MANY = Verdict(
    Reply(450, "Too many recipients in an hour", Status(4, 7, 0)),
    NAME,
    limit=Limit.RECIPIENTS_PER_HOUR,
)
_TOO_MANY_OF_NOBODY = replace(_TOO_MANY, limit=Limit.TRUSTED_RECIPIENTS_PER_HOUR)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Sizes in octets. A rate of 0 is no limit; a burst of one period's worth is let through."""

    max_size: int = 50 * 1024 * 1024
    max_recipients: int = 1000
    """Of one message; RFC 5321 §4.5.3.1.8 demands at least 100."""
    connections_per_minute: int = 300
    """From one address (IPv6: one /64) that is neither trusted nor this machine."""
    messages_per_minute: int = 600
    """From one such address."""
    recipients_per_hour: int = 0
    """Of one login: what a stolen password can send."""
    trusted_recipients_per_hour: int = 0
    """Of one address of trusted networks, this machine's too: what a program there can send."""


class Limits:
    """Sizes, counts and rates."""

    name = NAME
    moments = frozenset({Moment.CONNECT, Moment.MAIL, Moment.RCPT, Moment.MESSAGE})

    def __init__(
        self, settings: LimitSettings, clock: Clock, table: Table | None = None, port: str = ""
    ) -> None:
        """`table` holds what was used at the ports of this node; `port` tells them apart."""
        self._settings = settings
        self._clock = clock
        per_second = settings.connections_per_minute / 60
        self._connections = Meters(per_second, table, f"connections {port}")
        self._messages = Meters(settings.messages_per_minute / 60, table, f"messages {port}")
        per_second = settings.recipients_per_hour / 3600
        self._recipients = Meters(per_second, table, f"recipients {port}")
        per_second = settings.trusted_recipients_per_hour / 3600
        self._trusted = Meters(per_second, table, f"trusted recipients {port}")
        self._judges = {
            Moment.CONNECT: self._connect,
            Moment.MAIL: self._mail,
            Moment.RCPT: self._rcpt,
            Moment.MESSAGE: self._message,
        }

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """The limit that is exceeded, if any."""
        return self._judges[moment](facts)

    def _connect(self, facts: Facts) -> Verdict | None:
        rate = self._settings.connections_per_minute
        return _CONNECTIONS if self._is_stranger_above(self._connections, rate, facts) else None

    def _mail(self, facts: Facts) -> Verdict | None:
        # RFC 1870 §6.1: what was declared too large need not be sent first.
        if facts.size > self._settings.max_size:
            return _TOO_BIG
        if facts.login is not None:
            return None
        rate = self._settings.messages_per_minute
        return _MESSAGES if self._is_stranger_above(self._messages, rate, facts) else None

    def _rcpt(self, facts: Facts) -> Verdict | None:
        if facts.known_recipients >= self._settings.max_recipients:
            return _TOO_MANY_RECIPIENTS
        if facts.login is None:
            return self._rcpt_of_nobody(facts)
        rate = self._settings.recipients_per_hour
        is_above = rate and self._is_above(self._recipients, rate, facts.login)
        return _TOO_MANY if is_above else None

    def _rcpt_of_nobody(self, facts: Facts) -> Verdict | None:
        rate = self._settings.trusted_recipients_per_hour
        if not rate or not facts.trusted:
            return None
        host = neighbourhoods(facts.client.ip)[0]
        return _TOO_MANY_OF_NOBODY if self._is_above(self._trusted, rate, host) else None

    def _message(self, facts: Facts) -> Verdict | None:
        return _TOO_BIG if facts.size > self._settings.max_size else None

    def _is_stranger_above(self, meters: Meters, rate: int, facts: Facts) -> bool:
        ip = facts.client.ip
        if not rate or facts.trusted or is_this_machine(ip):
            return False
        return self._is_above(meters, rate, neighbourhoods(ip)[0])

    def _is_above(self, meters: Meters, rate: int, key: Hashable) -> bool:
        now = self._clock.monotonic()
        # A refused try is not counted, or whoever retries steadily is never let in again.
        if meters.level(key, now) + 1 > rate:
            return True
        meters.add(key, now)
        return False
