"""Keys that the disk has damaged are met before they are needed."""

from pathlib import Path

import apsw
import pytest

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.certificates.keys import KeyType, make_key
from merpati.config.places import Places
from merpati.directory.verifying import verify_keys
from merpati.storage.connection import Kind, StorageSettings, connect
from merpati.storage.finding import Damage
from merpati.system.keys import dkim_flaw, verify_certificates
from merpati.testing.clock import VirtualClock
from merpati.wire.certificates import make_self_signed


def nothing(things: str, number: int) -> None:
    """Nobody is told how much there is."""


@pytest.fixture
def directory(tmp_path: Path) -> apsw.Connection:
    return connect(StorageSettings(tmp_path / "directory.db", Kind.DIRECTORY))


ED, OTHER = (KeyPair.generate(KeyKind.ED25519) for _ in range(2))


@pytest.mark.parametrize(
    ("private", "record", "expected"),
    [
        (ED.pem, ED.record, ""),
        (ED.pem[:-40], ED.record, "cannot be used: not a private key in PEM"),
        (ED.pem, OTHER.record, "is not the one that its record tells of"),
        (7, ED.record, "is gone"),
    ],
    ids=["sound", "cut off", "another", "gone"],  # The same in every process that collects them.
)
def test_a_dkim_key_loads_and_is_that_of_its_record(
    directory: apsw.Connection, private: object, record: bytes, expected: str
) -> None:
    row = ("a.test", "s1", "ed25519", "active", 0.0, record.decode(), private)
    directory.execute("INSERT INTO dkim_key VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
    found = [(one.damage, one.detail) for one in verify_keys(directory, nothing, dkim_flaw)]
    flaw = (Damage.DKIM_KEY, f"the key s1 of a.test {expected}")
    assert found == ([flaw] if expected else [])


def test_a_certificates_key_loads_and_is_its_own(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.certificates.mkdir()
    assert list(verify_certificates(places, nothing)) == []
    names = places.certificate, places.key
    places.certificate.parent.mkdir(exist_ok=True)
    make_self_signed(*names, VirtualClock(1_790_000_000.0), ["mx.a.test"], [])
    chain, key = (name.read_bytes() for name in names)
    assert list(verify_certificates(places, nothing)) == []
    other = make_key(KeyType.P256)
    file = places.certificates / "mx.a.test.pem"
    for octets, expected in (
        (key + chain, []),
        (other + chain, ["its key is another certificate's"]),
        (chain, ["cannot be used"]),
        (key, ["cannot be used"]),
        (b"", ["cannot be used"]),
    ):
        file.write_bytes(octets)
        found = [one.detail for _, one in verify_certificates(places, nothing)]
        assert len(found) == len(expected)
        assert all(one.startswith(text) for one, text in zip(found, expected, strict=True))
    file.with_suffix(".next").write_bytes(b"nonsense")
    file.write_bytes(key + chain)
    ((named, finding),) = verify_certificates(places, nothing)
    assert named.name == "mx.a.test.next"
    assert finding.damage is Damage.CERTIFICATE
