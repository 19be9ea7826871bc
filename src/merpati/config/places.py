"""What lies where in the data directory."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The files and directories below `data`."""

    data: Path

    @property
    def lock(self) -> Path:
        """The owner lock: one server, or one command without a server, at a time."""
        return self.data / "lock"

    def queue(self, shard: int = 0) -> Path:
        """Queue and journal of one shard."""
        return self.data / f"queue-{shard}.db"

    def shards(self) -> list[int]:
        """The numbers of those that are there."""
        found = (re.fullmatch(r"queue-([0-9]{1,4})\.db", one.name) for one in self._files())
        return sorted(int(matched[1]) for matched in found if matched)

    def _files(self) -> list[Path]:
        return list(self.data.iterdir()) if self.data.is_dir() else []

    def queues(self) -> list[Path]:
        """The shards that are there."""
        return sorted(self.data.glob("queue-*.db"))

    @property
    def directory(self) -> Path:
        """Domains, users, aliases."""
        return self.data / "directory.db"

    @property
    def feedback(self) -> Path:
        """What others report of us."""
        return self.data / "feedback.db"

    def damaged_feedback(self) -> list[Path]:
        """Earlier ones that were set aside."""
        name = re.compile(rf"{re.escape(self.feedback.name)}\.damaged-[0-9TZ-]+")
        return sorted(one for one in self._files() if name.fullmatch(one.name))

    @property
    def mail(self) -> Path:
        """Mailboxes: `mail/<domain>/<local part>/{new,cur,tmp}`."""
        return self.data / "mail"

    @property
    def inbox(self) -> Path:
        """The one Maildir of the developer's inbox."""
        return self.data / "inbox"

    @property
    def certificate(self) -> Path:
        """Of our own making, when none is configured."""
        return self.data / "tls" / "self-signed.pem"

    @property
    def key(self) -> Path:
        """Of our own making."""
        return self.data / "tls" / "self-signed.key"

    @property
    def certificates(self) -> Path:
        """Those that are got from a CA, with their keys."""
        return self.data / "certificates"

    @property
    def secret(self) -> Path:
        """The installation's own secret."""
        return self.data / "secret"

    def cursor(self, shard: int = 0) -> Path:
        """Where the log of a shard's events ended."""
        return self.data / (f"log-{shard}.cursor" if shard else "log.cursor")

    @property
    def log_lock(self) -> Path:
        """Held while lines are written, so that those of two workers do not mix."""
        return self.data / "log.lock"

    @property
    def control(self) -> Path:
        """The socket that commands ask."""
        return self.data / "control.sock"

    def control_of(self, shard: int) -> Path:
        """The socket where one shard answers for itself."""
        return self.data / f"control-{shard}.sock"

    @property
    def smtp(self) -> Path:
        """The socket that `sendmail -bs` talks SMTP to."""
        return self.data / "smtp.sock"
