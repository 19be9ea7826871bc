"""Whether mail is what it says it is: `[authenticity]`."""

from enum import Enum
from typing import Annotated

from merpati.config.table import RATE, Table, key
from merpati.config.values import DomainName
from merpati.policy.replay import Action, ReplaySettings

_REPLAY = ReplaySettings()


class UnclearFrom(Enum):
    """What becomes of a message without exactly one author."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class Dmarc(Enum):
    """What becomes of a message that its author's domain wants refused."""

    ENFORCE = "enforce"
    RECORD = "record"


class AuthenticityTable(Table, frozen=True):
    """Whether mail is what it says it is. Of mail from other servers that come to an `mx` port:
    never of logins, of `trusted` networks, or of this machine."""

    check: Annotated[
        bool,
        key(
            "Check the reverse name, SPF, DKIM, ARC and DMARC, write what was found on top of the "
            "message (Authentication-Results) and into the journal. This asks the DNS."
        ),
    ] = True
    dmarc: Annotated[
        Dmarc,
        key(
            "`enforce` refuses what the domain in From wants refused (p=reject) when neither SPF "
            "nor DKIM proves that it is from there; `record` only writes down what was found."
        ),
    ] = Dmarc.ENFORCE
    trusted_sealers: Annotated[
        tuple[DomainName, ...],
        key(
            "Domains whose ARC seals are believed, of mailing lists and forwarders that alter "
            "messages: what they found authentic is not refused."
        ),
    ] = ()
    unclear_from: Annotated[
        UnclearFrom,
        key(
            "What becomes of a message whose From field does not name one author that all programs "
            "read alike: several fields or domains, none, or one that cannot be read without doubt."
        ),
    ] = UnclearFrom.REFUSE
    replay: Annotated[
        Action,
        key(
            "What becomes of a message whose good signature (DKIM) came to more than "
            "`replay_recipients`, with more than three copies, from hosts that are not its "
            "signer's: `record` tells it in the journal, in `merpati trace` and in metrics; `mark` "
            "also in Authentication-Results (`policy.replay=suspected`), for filters; `defer` "
            "answers 450 4.7.28. Mailing lists and forwarders elsewhere that alter nothing look "
            "the same."
        ),
    ] = _REPLAY.action
    replay_recipients: Annotated[
        int,
        RATE,
        key("Recipients here that one signature may come to so in an hour. 0: it is not counted."),
    ] = _REPLAY.recipients
