"""Which rules apply at which door, in the order in which they are asked."""

from dataclasses import dataclass, field

from merpati.clock import Clock
from merpati.directory.expansion import Expander
from merpati.node.table import Table
from merpati.policy.guard import Guard
from merpati.policy.judge import Judge
from merpati.policy.replay import ReplaySettings
from merpati.policy.rule import Rule
from merpati.policy.rules.account import Account
from merpati.policy.rules.author import Author
from merpati.policy.rules.dmarc import Dmarc, DmarcSettings
from merpati.policy.rules.hops import Hops
from merpati.policy.rules.limits import Limits, LimitSettings
from merpati.policy.rules.magic import Magic
from merpati.policy.rules.recipients import Recipients
from merpati.policy.rules.relay import Relay
from merpati.policy.rules.replay import Replay
from merpati.policy.rules.sender import Sender
from merpati.policy.rules.space import Measure, Space


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What the rules of one port depend on."""

    limits: LimitSettings = field(default_factory=LimitSettings)
    login_required: bool = False
    """A submission port."""
    names_logins: bool = False
    """A port where a front may say who has logged in (XCLIENT)."""
    max_hops: int = 50
    max_unknown: int = 20
    """Unknown recipients in a stranger's session."""
    free_space: int | None = None
    """Octets of the disk that mail does not take; None: see `Space`."""
    port: str = ""
    """Its name where rates are counted: each port for itself."""
    checks_from: bool = True
    """Whether a login's authors have to be addresses that it may send as."""
    dmarc: DmarcSettings | None = None
    """What is made of judgements about strangers' mail; None: nothing."""
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    """What is made of signatures in it that come again and again."""
    inbox: bool = False
    """The developer's inbox: any sender, any recipient, failures by magic names."""

    @property
    def has_accounts(self) -> bool:
        """Whether what comes here can be an account's, with quotas."""
        return (self.login_required or self.names_logins) and not self.inbox


@dataclass(frozen=True, slots=True)
class Watch:
    """What the rules of all ports of a node remember together."""

    meters: Table | None = None
    """What was used lately at each port."""
    guard: Guard | None = None
    """Watches over who logs in."""


def judge_of(
    settings: RuleSettings,
    expander: Expander,
    clock: Clock,
    measure: Measure | None = None,
    watch: Watch | None = None,
) -> Judge:
    """The judge of one port; `measure` tells of the disk that mail is kept on, `watch` is what the
    ports of this node share."""
    watch = watch or Watch()
    rules: list[Rule] = [
        Limits(settings.limits, clock, watch.meters, settings.port),
        Relay(expander, settings.login_required and not settings.inbox, settings.inbox),
        Hops(expander, settings.max_hops),
    ]
    if measure is not None:
        rules.append(Space(measure, settings.limits.max_size, clock, settings.free_space))
    if settings.dmarc is not None:
        rules += [Dmarc(settings.dmarc), Replay(settings.replay.action)]
    if settings.inbox:
        rules.append(Magic(clock))
    else:
        rules.append(Recipients(expander, settings.max_unknown))
        rules.append(Sender(expander.directory))
        if settings.checks_from:
            rules.append(Author(expander.directory))
        # The last, since it counts: what others refuse was not sent.
        if watch.guard is not None:
            rules.append(Account(watch.guard))
    return Judge(rules)
