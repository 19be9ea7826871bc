"""What others report of us, and we of them: `[reports]`."""

from typing import Annotated

from msgspec import Meta

from merpati.config.table import Table, between, key
from merpati.config.values import Duration, LocalPart, Mailbox, Size
from merpati.feedback.feedback import Room

_ROOM = Room()


class ReportsTable(Table, frozen=True):
    """What others report of us, and we of them: of mail (DMARC, complaints), of TLS with hosts."""

    names: Annotated[
        tuple[LocalPart, ...],
        key(
            "The local parts, at every domain here, that take reports; `merpati domain setup` puts "
            "the first into the records, `merpati reports` shows what came. A user of such a name "
            "keeps the mail. `[]`: reports are not taken."
        ),
    ] = (LocalPart("mail-reports"),)
    age: Annotated[
        Duration, between(3_600, 36_500 * 86400), key("Age at which a report is forgotten.")
    ] = Duration(_ROOM.age)
    count: Annotated[
        int,
        between(1, 1_000_000),
        key("Reports that are kept. Of more, those of whoever sends most go first."),
    ] = _ROOM.reports
    size: Annotated[Size, between(64 * 1024, 1024**4), key("Octets of all of them together.")] = (
        Size(_ROOM.octets)
    )
    send: Annotated[
        bool | None,
        key(
            "Whether daily reports go to other domains that ask for them: of mail that came in "
            "their name (DMARC), of TLS with their hosts. Without it where there is an `mx` port "
            "and the hostname is a whole one, as `mx.a.test`."
        ),
    ] = None
    organization: Annotated[
        str,
        Meta(max_length=200),
        key("Who we say that we are in reports that we send; else the domain of `sender`."),
    ] = ""
    sender: Annotated[
        Mailbox | None,
        key(
            "The author of reports that we send. Its domain has to have a DKIM key here, or nobody "
            "believes them. Without it the postmaster of the domain here that the hostname is in."
        ),
    ] = None
    contact: Annotated[
        Mailbox | None, key("Whom others may ask about reports that we send; else `sender`.")
    ] = None
