"""What lies where in the data directory."""

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

    @property
    def queue(self) -> Path:
        """Queue and journal of the first shard."""
        return self.data / "queue-0.db"

    def queues(self) -> list[Path]:
        """The shards that are there."""
        return sorted(self.data.glob("queue-*.db"))

    @property
    def directory(self) -> Path:
        """Domains, users, aliases."""
        return self.data / "directory.db"

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
    def secret(self) -> Path:
        """The installation's own secret."""
        return self.data / "secret"

    @property
    def cursor(self) -> Path:
        """Where the log of events ended."""
        return self.data / "log.cursor"

    @property
    def control(self) -> Path:
        """The socket that commands ask."""
        return self.data / "control.sock"

    @property
    def smtp(self) -> Path:
        """The socket that `sendmail -bs` talks SMTP to."""
        return self.data / "smtp.sock"
