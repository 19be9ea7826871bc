"""What becomes of a stranger's message by what was found of its authenticity."""

from dataclasses import dataclass

from merpati.authenticity.dmarc.record import Policy
from merpati.authenticity.dmarc.verdict import Result
from merpati.policy.rule import JUDGED, Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

_UNCLEAR = Verdict(
    Reply(550, "From must name one author (RFC 5322 3.6.2)", Status(5, 7, 1)), "from"
)


@dataclass(frozen=True, slots=True)
class DmarcSettings:
    """What is done, and what is only recorded."""

    enforce: bool = True
    """Refuse what fails when the domain in From asks for that."""
    refuse_unclear: bool = True
    """Refuse a From that programs may read differently: nobody can say whose mail it is."""


@dataclass(frozen=True, slots=True)
class Dmarc:
    """RFC 9989 §5.3.6: refuse what its domain wants refused, unless somebody trusted vouches for
    it. What is to be put in quarantine is marked in Authentication-Results and delivered."""

    settings: DmarcSettings
    name: str = "dmarc"
    moments: frozenset[Moment] = frozenset({JUDGED})

    def judge(self, moment: Moment, facts: Facts) -> Verdict | None:
        """550 for what fails, 451 for what cannot be told from a forgery now."""
        if (judgement := facts.judgement) is None:
            return None
        if judgement.flaw is not None:
            return _UNCLEAR if self.settings.refuse_unclear else None
        dmarc = judgement.dmarc
        if dmarc is None or not self.settings.enforce or judgement.is_vouched_for:
            return None
        if dmarc.disposition is Policy.REJECT:
            # RFC 9989 §7.3 gives this text, with the word that programs look for.
            text = f"Email rejected per DMARC policy for {dmarc.author}"
            return Verdict(Reply(550, text, Status(5, 7, 1)), self.name)
        if dmarc.result is Result.TEMPERROR and dmarc.policy is Policy.REJECT:
            text = f"DMARC of {dmarc.author} cannot be checked now, try again later"
            return Verdict(Reply(451, text, Status(4, 7, 1)), "dmarc-later")
        return None
