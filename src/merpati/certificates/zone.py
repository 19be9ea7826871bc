"""Records of ours that are written into the DNS by DNS UPDATE: proofs for a CA (DNS-01), and what
other servers may hold our certificates against (TLSA).

Everything here blocks: it is called in the thread of the renewal, and asks in a loop of its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from merpati.certificates.errors import ProofError
from merpati.certificates.proof import Proof
from merpati.dns.update import Change, RecordSet, Updater
from merpati.errors import MerpatiError

UpdaterOf = Callable[[str], Updater | None]
"""Who may change a name, made anew for each change; None: nobody is named. Raises MerpatiError."""
_PROOF_TTL = 60


@dataclass(frozen=True, slots=True)
class ZoneWriter:
    """Adds records beside others, and takes back those alone."""

    updater: UpdaterOf

    def may_write(self, name: str) -> bool:
        """Whether somebody is named who may change it; ProofError where that cannot be read."""
        try:
            return self.updater(name) is not None
        except MerpatiError as error:
            raise ProofError(f"{name}: {error}") from error

    def add(self, record: RecordSet) -> None:
        """Returns when the primary has it. ProofError."""
        asyncio.run(self._change(record, adds=True))

    def remove(self, record: RecordSet) -> None:
        """The same when it is gone."""
        asyncio.run(self._change(record, adds=False))

    async def _change(self, record: RecordSet, *, adds: bool) -> None:
        try:
            if (updater := self.updater(record.name)) is None:
                raise ProofError(f"no [[dns.update]] may change {record.name}")
            zone = await updater.zone_of(record.name)
            which = {"added": (record,)} if adds else {"deleted": (record,)}
            await updater.apply(Change(zone, **which))
        except ProofError:
            raise
        except MerpatiError as error:
            raise ProofError(f"{record.name} could not be changed: {error}") from error


@dataclass(frozen=True, slots=True)
class DnsProver:
    """By a TXT record, as `[[dns.update]]` says (RFC 8555 §8.4)."""

    writer: ZoneWriter
    settle: float
    kind: str = "dns-01"

    def present(self, proof: Proof) -> None:
        """See `Prover`."""
        self.writer.add(_txt(proof))

    def withdraw(self, proof: Proof) -> None:
        """See `Prover`."""
        self.writer.remove(_txt(proof))


def _txt(proof: Proof) -> RecordSet:
    return RecordSet(proof.record, "TXT", (f'"{proof.text}"',), _PROOF_TTL)
