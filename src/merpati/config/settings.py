"""Which configuration is in force, and where each of its values came from."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from merpati.config.check import check
from merpati.config.document import Document
from merpati.config.errors import ConfigError, Flaw
from merpati.config.locate import Lines
from merpati.config.read import read
from merpati.config.tables.http import HttpTable
from merpati.config.tables.port import PortTable
from merpati.reception.port import Role
from merpati.wire.endpoint import Endpoint

VARIABLE = "MERPATI_CONFIG"
DATA_VARIABLE = "MERPATI_DATA"
"""Where the developer's inbox keeps its mail, if not in the user's own data directory."""
SYSTEM_FILE = Path("/etc/merpati/merpati.toml")
LOCAL_FILE = Path("merpati.toml")
# The port that development mail catchers use, and the one above it for the web.
INBOX_SMTP = Endpoint("127.0.0.1", 1025)
INBOX_HTTP = Endpoint("127.0.0.1", 8025)


@dataclass(frozen=True, slots=True)
class Settings:
    """A document, the place its relative paths start from, and what it was read from."""

    document: Document
    base: Path
    file: Path | None = None
    """None: there is no file, these are the settings of the developer's inbox."""
    lines: Lines | None = None

    @property
    def is_inbox(self) -> bool:
        """The developer's inbox: any login, any recipient, nothing leaves."""
        return self.file is None

    def path(self, text: str) -> Path:
        """A path of the file; relative ones start at the file's directory."""
        return self.base / text

    @property
    def data(self) -> Path:
        """The directory of everything we keep."""
        return self.path(self.document.data)

    @property
    def hostname(self) -> str:
        """The name we say."""
        return self.document.hostname or socket.getfqdn()

    @property
    def workers(self) -> int:
        """Processes that share the work."""
        if self.is_inbox:
            return 1
        return self.document.workers or len(os.sched_getaffinity(0))

    @property
    def sends_reports(self) -> bool:
        """Whether other domains are told how we found their mail and their hosts."""
        if self.is_inbox:
            return False
        if (told := self.document.reports.send) is not None:
            return told
        takes_mail = any(port.role is Role.MX for port in self.document.port)
        return takes_mail and _is_whole(self.hostname)

    def source(self, *path: str | int) -> str:
        """Where a value came from: `merpati.toml:12`, or `default`."""
        line = self.lines.said(path) if self.lines else None
        return f"{self.file}:{line}" if line else "default"


def _is_whole(hostname: str) -> bool:
    """Whether others may know a name: what a machine calls itself often is none."""
    *labels, last = hostname.lower().rstrip(".").split(".")
    return bool(labels) and last not in {"localhost", "localdomain", "local"} and not last.isdigit()


def load(file: Path) -> Settings:
    """The settings that a file says, checked; ConfigError with every flaw."""
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(str(file), [Flaw("", 0, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError(str(file), [Flaw("", 0, "is not UTF-8 text")]) from None
    document, lines = read(text, str(file))
    if flaws := check(document, lines):
        raise ConfigError(str(file), flaws)
    return Settings(document, file.absolute().parent, file, lines)


def developer_inbox(
    environment: Mapping[str, str], smtp: Endpoint | None = None, http: Endpoint | None = None
) -> Settings:
    """The settings without a file: loopback only, mail is kept and never sent."""
    port = PortTable(role=Role.SUBMISSION, listen=smtp or INBOX_SMTP, auth_without_tls=True)
    data = environment.get(DATA_VARIABLE) or str(_home(environment) / "merpati" / "inbox")
    web = HttpTable(listen=http or INBOX_HTTP)
    return Settings(Document(hostname="localhost", data=data, port=(port,), http=web), Path.cwd())


def _home(environment: Mapping[str, str]) -> Path:
    """Where programs keep what is a user's (XDG base directories)."""
    return Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def find(
    explicit: Path | None,
    environment: Mapping[str, str] = os.environ,
    here: Path | None = LOCAL_FILE,
) -> Path | None:
    """The file in force: as told, of $MERPATI_CONFIG, ./merpati.toml, /etc; None for none.

    `here` is None for commands that others call from anywhere (sendmail). A merpati.toml of
    another user in the current directory is not believed: it could send our mail to them.
    """
    if explicit:
        return explicit
    if told := environment.get(VARIABLE):
        return Path(told)
    if here and here.is_file() and here.stat().st_uid in {0, os.geteuid()}:
        return here
    return SYSTEM_FILE if SYSTEM_FILE.is_file() else None


def settle(
    explicit: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    here: Path | None = LOCAL_FILE,
) -> Settings:
    """Find and load, or the developer's inbox."""
    file = find(explicit, environment, here)
    return load(file) if file else developer_inbox(environment)
