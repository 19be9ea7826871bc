"""What is kept of certificates that are got from a CA: one directory, its files replaced whole.

`NAME.pem` has key and chain in one file, so that they can never not fit. Names are those of the
certificates; a wildcard's `*` is written `_`. All of it is for us alone (0600).
"""

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from merpati.certificates.errors import IssueError
from merpati.certificates.keys import digest_of, read_key
from merpati.certificates.source import Source
from merpati.wire.certificates import write_whole

RENEW, LOOK = "renew", "look"
"""What operators can ask for."""
# RFC 8555 §8.3: a token has characters of base64url alone, so that it leads into no other folder.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LONGEST_ANSWER = 1024


class Rolling(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of the key, on its way."""

    since: float
    digest: str
    """Of the new key: what its TLSA record says."""
    seen: float = 0.0
    """When the record was first seen beside the old one; 0.0 for not yet."""
    ttl: float = 0.0
    """The longest that was seen of these records, seconds."""
    absent: float = 0.0
    """Since when no record is seen, where nothing proves that there is none; 0.0 for never."""
    switched: float = 0.0
    """When the new key was taken into use; 0.0 for not yet."""
    hurried: bool = False
    """The old key is known to others, so that nothing is waited for."""
    certificate: bytes = b""
    """The one before (DER): records of it and of its key, in whatever form, may be taken out of the
    DNS after the change. Known from just before the new key is taken into use."""
    trouble: str = ""
    """What keeps it from going on."""


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a certificate's renewal stands."""

    issued: float = 0.0
    jitter: float = 0.0
    window: tuple[float, float] | None = None
    check_at: float = 0.0
    explanation: str = ""
    """Where the CA says why it suggests this window."""
    failures: int = 0
    error: str = ""
    next_attempt: float = 0.0
    rolling: Rolling | None = None


@dataclass(frozen=True, slots=True)
class Cabinet:
    """The directory. What cannot be written raises IssueError."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by whoever renews."""
        return self.folder / "lock"

    def open(self) -> None:
        """Make it, if it is not there."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._answers.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise IssueError(f"cannot make {self.folder}: {error.strerror}") from error

    def pem(self, name: str) -> Path:
        """Key and chain of a certificate."""
        return self.folder / f"{_plain(name)}.pem"

    def source(self, name: str) -> Source:
        """The same for who shows it."""
        return Source(self.pem(name), self.pem(name))

    def read(self, name: str) -> bytes:
        """Key and chain; empty where there is none yet."""
        return self._read(self.pem(name))

    def put(self, name: str, key: bytes, chain: bytes) -> None:
        """In place of what was there; on disk when this returns."""
        self._write(self.pem(name), key.rstrip(b"\n") + b"\n" + chain)

    def next_key(self, name: str) -> bytes:
        """The key that is to follow; empty for none."""
        return self._read(self._next(name))

    def next_digest(self, name: str) -> str:
        """What its TLSA record would say; empty where there is none, or none that can be used."""
        try:
            return digest_of(read_key(self.next_key(name)))
        except IssueError:
            return ""

    def put_next_key(self, name: str, key: bytes) -> None:
        """A key that is to follow."""
        self._write(self._next(name), key)

    def drop_next_key(self, name: str) -> None:
        """It has followed, or shall not."""
        self._next(name).unlink(missing_ok=True)

    def state(self, name: str) -> State:
        """How its renewal stands. What cannot be read is as if it were not there: no certificate
        depends on it."""
        try:
            return msgspec.json.decode(self._read(self._state(name)), type=State)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return State()

    def put_state(self, name: str, state: State) -> None:
        """Note it."""
        self._write(self._state(name), msgspec.json.encode(state) + b"\n")

    def want(self, name: str, what: str = RENEW) -> None:
        """Have it renewed at the next round, whatever its time; or only looked at (`LOOK`)."""
        self._write(self._wish(name), f"{what}\n".encode())

    def is_wanted(self, name: str) -> bool:
        """Whether somebody has asked for either."""
        return self._wish(name).exists()

    def wish(self, name: str) -> str:
        """What was asked for; empty for nothing."""
        return self._read(self._wish(name)).decode("ascii", "replace").strip()

    def heard(self, name: str) -> None:
        """The wish is being met."""
        self._wish(name).unlink(missing_ok=True)

    def account_key(self, directory: str) -> bytes:
        """Of our account at the CA with this directory; empty for none."""
        return self._read(self._account(directory))

    def put_account_key(self, directory: str, key: bytes) -> None:
        """It is not made twice: the CA knows us by it."""
        self._write(self._account(directory), key)

    def next_account_key(self, directory: str) -> bytes:
        """One that the CA may know us by already, if we were stopped as it was told; empty for
        none."""
        return self._read(self._account(directory).with_suffix(".next"))

    def put_next_account_key(self, directory: str, key: bytes) -> None:
        """Before the CA is told of it."""
        self._write(self._account(directory).with_suffix(".next"), key)

    def take_next_account_key(self, directory: str) -> None:
        """The CA knows us by it."""
        try:
            self._account(directory).with_suffix(".next").rename(self._account(directory))
            _sync(self.folder)
        except OSError as error:
            raise IssueError(f"cannot take the next key: {error.strerror}") from error

    def drop_account_key(self, directory: str) -> None:
        """The CA knows us no more."""
        self._account(directory).unlink(missing_ok=True)

    def put_answer(self, token: str, text: str) -> None:
        """What our HTTP door is to answer the CA (HTTP-01)."""
        if not _TOKEN.fullmatch(token):
            raise IssueError("the CA names a token that RFC 8555 does not allow")
        self._write(self._answers / token, text.encode())

    def answer(self, token: str) -> str:
        """The same for the door; empty for a token that nobody expects. Blocks."""
        if not _TOKEN.fullmatch(token):
            return ""
        with suppress(OSError), (self._answers / token).open("rb") as file:
            return file.read(_LONGEST_ANSWER).decode("ascii", "replace")
        return ""

    def drop_answer(self, token: str) -> None:
        """The CA has looked."""
        if _TOKEN.fullmatch(token):
            (self._answers / token).unlink(missing_ok=True)

    @property
    def _answers(self) -> Path:
        return self.folder / "challenges"

    def _state(self, name: str) -> Path:
        return self.folder / f"{_plain(name)}.json"

    def _wish(self, name: str) -> Path:
        return self.folder / f"{_plain(name)}.wanted"

    def _next(self, name: str) -> Path:
        return self.folder / f"{_plain(name)}.next"

    def _account(self, directory: str) -> Path:
        digest = hashlib.sha256(directory.encode()).hexdigest()[:16]
        return self.folder / f"account-{digest}.key"

    def _read(self, file: Path) -> bytes:
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise IssueError(f"cannot read {file}: {error.strerror}") from error

    def _write(self, file: Path, octets: bytes) -> None:
        try:
            write_whole(file, octets, 0o600)
            _sync(file.parent)
        except OSError as error:
            raise IssueError(f"cannot write {file}: {error.strerror}") from error


def _plain(name: str) -> str:
    return name.replace("*", "_")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
