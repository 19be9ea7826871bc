"""How it is proven to a CA that a name is ours (RFC 8555 §8): by HTTP, or by a program of yours."""

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from merpati.certificates.cabinet import Cabinet
from merpati.certificates.errors import ProofError

HOOK_SECONDS = 120.0
_SAID = 300
"""Characters of a program's last words that are repeated."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One name to be proven."""

    name: str
    """Without the `*.` of a wildcard."""
    token: str
    text: str
    """The key authorization (HTTP-01), or what the TXT record is to say (DNS-01)."""

    @property
    def record(self) -> str:
        """Where the TXT record belongs (RFC 8555 §8.4)."""
        return f"_acme-challenge.{self.name}"


class Prover(Protocol):
    """One way. Methods block; `present` raises ProofError."""

    @property
    def kind(self) -> str:
        """As ACME calls it: `http-01`, `dns-01`."""
        ...

    @property
    def settle(self) -> float:
        """Seconds until the world sees what was presented."""
        ...

    def present(self, proof: Proof) -> None:
        """Publish it; others of the same name may stand beside it."""
        ...

    def withdraw(self, proof: Proof) -> None:
        """Take it back; what fails is no harm."""
        ...


@dataclass(frozen=True, slots=True)
class HttpProver:
    """By our own HTTP door, whichever worker the CA reaches (RFC 8555 §8.3)."""

    cabinet: Cabinet
    kind: str = "http-01"
    settle: float = 0.0

    def present(self, proof: Proof) -> None:
        """See `Prover`."""
        self.cabinet.put_answer(proof.token, proof.text)

    def withdraw(self, proof: Proof) -> None:
        """See `Prover`."""
        self.cabinet.drop_answer(proof.token)


@dataclass(frozen=True, slots=True)
class HookProver:
    """By a program that can change the zone (RFC 8555 §8.4): it is called with `present` or
    `cleanup`, the name of the TXT record, and its text. No shell comes between."""

    command: tuple[str, ...]
    settle: float
    seconds: float = HOOK_SECONDS
    kind: str = "dns-01"

    def present(self, proof: Proof) -> None:
        """See `Prover`."""
        self._call("present", proof)

    def withdraw(self, proof: Proof) -> None:
        """See `Prover`."""
        self._call("cleanup", proof)

    def _call(self, what: str, proof: Proof) -> None:
        arguments = [*self.command, what, proof.record, proof.text]
        with tempfile.TemporaryFile() as said:
            try:
                program = subprocess.Popen(  # noqa: S603 - the operator's own, without a shell
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProofError(f"hook {self.command[0]}: {error.strerror}") from error
            status = _wait(program, self.seconds)
            if status != 0:
                why = f"gave no answer within {self.seconds:g} s"
                if status is not None:
                    why = f"ended with status {status}"
                raise ProofError(f"hook {self.command[0]} {what}: {why}. {_last_words(said)}")


def _wait(program: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    """Its status; None when it had to be killed, with all that it had started."""
    try:
        return program.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        return None


def _last_words(said: BinaryIO) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _SAID))
    return " ".join(said.read().decode("utf-8", "replace").split())
