"""What can be wrong with stored data, what is lost by it, and what an operator does next."""

from dataclasses import dataclass
from enum import Enum


class Damage(Enum):
    """Kinds of damage; the value is the name that programs read."""

    FILE = "file"
    ROWS = "rows"
    ENVELOPE = "envelope"
    CONTENT = "content"
    RECIPIENT = "recipient"
    HIDDEN = "hidden"
    DEBT = "debt"
    LEFTOVER = "leftover"
    EVENT = "event"
    DIRECTORY = "directory"
    NOTE = "note"
    MAILBOX = "mailbox"
    REPORT = "report"
    REPORTS = "reports"
    DKIM_KEY = "dkim-key"
    CERTIFICATE = "certificate"

    @property
    def lost(self) -> str:
        """What is lost, in a sentence."""
        return _TEXTS[self][0]

    @property
    def next(self) -> str:
        """What to do, in a sentence or two."""
        return _TEXTS[self][1]


_HOLD = "merpati verify --hold-damaged keeps it from being sent."
_TEXTS = {
    Damage.FILE: (
        "What stood on the damaged pages; the other findings name what that was.",
        "Stop the server and copy the whole data directory before anything else; check the disk; "
        "then `merpati restore` the last backup, or save what can be read with sqlite3's .recover.",
    ),
    Damage.ROWS: (
        "What these rows said: messages, recipients or events that nobody can name any more.",
        "As for a damaged file: copy the data directory, check the disk, restore a backup.",
    ),
    Damage.ENVELOPE: (
        "From whom and to whom the message was; it is sent to nobody.",
        f"{_HOLD} `merpati trace ID` may still name both; then ask the sender to send again and "
        "`merpati queue cancel ID`.",
    ),
    Damage.CONTENT: (
        "The message: what is left of it is not what was accepted. It is sent to nobody.",
        f"{_HOLD} `merpati trace ID` names the sender: ask to send again, then "
        "`merpati queue cancel ID`. Left alone it expires, and the sender is told.",
    ),
    Damage.RECIPIENT: (
        "This recipient's copy: nothing says that it was delivered, failed or ended.",
        "Ask sender or recipient whether it came, and have it sent again if not; the others of "
        "the message are not affected.",
    ),
    Damage.HIDDEN: (
        "Nothing, but it would be sent late or never.",
        "Stop the server, then `merpati verify --repair` counts again what can be counted.",
    ),
    Damage.DEBT: (
        "A notice that the sender is owed.",
        "Tell the sender yourself; `merpati trace ID` says what happened.",
    ),
    Damage.LEFTOVER: (
        "Nothing that anybody waits for; it takes up space.",
        "Nothing needs to be done; it is never removed by itself, in case it is of use.",
    ),
    Damage.EVENT: (
        "A line of a message's story, not the message.",
        "Nothing needs to be done; it goes when the journal's time is over.",
    ),
    Damage.DIRECTORY: (
        "A domain, user, password or alias, or where it leads.",
        "Make it anew with `merpati domain`, `user` or `alias`, or restore directory.db.",
    ),
    Damage.NOTE: (
        "The policy of another domain, or a key for the senders of forwarded mail.",
        "Policies are fetched anew by themselves; for a key `merpati srs rotate`.",
    ),
    Damage.REPORT: (
        "What another host reported of us, or a part of it; no mail.",
        "Nothing needs to be done: new reports come every day, and old ones go by themselves.",
    ),
    Damage.REPORTS: (
        "What other hosts reported of us, some of it or all; no mail.",
        "Check the disk. Stop the server and move feedback.db and feedback.db-wal away, or put "
        "back those of a backup. One that cannot be opened at all is set aside by the next start.",
    ),
    Damage.DKIM_KEY: (
        "A key that signs mail of this domain: signatures fail or are missing.",
        "`merpati dkim remove` it and `merpati dkim add` another, and publish its record; or "
        "`merpati dkim import` it from a copy.",
    ),
    Damage.CERTIFICATE: (
        "A certificate or its key: TLS goes with what else there is, or not at all.",
        "`merpati certificate renew NAME` gets another from the CA. One of our own making is made "
        "anew at a start when tls/ is moved away.",
    ),
    Damage.MAILBOX: (
        "A message in a mailbox, or a part of it.",
        "Copy the file from a backup; check the disk.",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    damage: Damage
    detail: str
    message: str = ""
    """The message's ID, where one is concerned."""
