"""One flipped bit anywhere in a data directory: what can be read no longer as it was is named."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.certificates.errors import IssueError
from merpati.certificates.keys import digest_of, read_key
from merpati.config.places import Places
from merpati.directory.directory import Quotas, Suspension
from merpati.directory.keys import DkimKey, KeyState
from merpati.directory.policies import KeptPolicy, PolicyRoom
from merpati.directory.usage import Sent
from merpati.mail.address import Address
from merpati.storage.errors import StorageError
from merpati.system.keys import NO_CERTIFICATE
from merpati.system.stores import open_stores
from merpati.system.verifying import verify
from merpati.testing.clock import VirtualClock
from merpati.wire.certificates import make_self_signed
from tests.upgrade import sample

pytestmark = pytest.mark.slow

SEED = 1
FLIPS = {"directory.db": 200, "queue-0.db": 200, "feedback.db": 100}
PEM = ("tls/self-signed.pem", "tls/self-signed.key")
UNSUMMED = {
    "recipient": {"due", "attempts", "told", "reply", "cause"},
    "owed": {"action", "at", "status", "reply", "host", "cause"},
    "site": {"hold", "why"},
    "lane": {"tenant", "bulk"},
    "day": {"seq"},
    "clock": {"boot", "steady", "time", "seq"},
    "used": {"user", "day", "messages", "recipients", "strangers"},
    "known": {"user", "hash", "day"},
    "counted": {"shard", "seq"},
    "tally_cursor": {"shard", "seq"},
    "sqlite_sequence": {"seq"},
}
"""What has no checksum: how far the attempts have come and what they met, and what is counted."""
PAGE = 8192
TREES = b"\x02\x05\x0a\x0d"
"""What pages of tables and indexes begin with. Others go on with what is too long for one: nearly
all of them are content, and one is as good as another."""


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """Something in every table, folded into one file each."""
    folder = tmp_path / "data"
    folder.mkdir()
    async with open_stores(Places(folder), VirtualClock(sample.RECEIVED)) as stores:
        await sample.fill(stores)
        pair = KeyPair.generate(KeyKind.ED25519)
        key = ("a.test", "s1", "ed25519", KeyState.NEXT, 1.0, pair.record.decode(), pair.pem)
        await stores.keys.add_key(DkimKey(*key))
        await stores.policies.keep(
            KeptPolicy("b.test", "1", b"version: STSv1", 9e9, 1.0), PolicyRoom(1, 0.0)
        )
        await stores.stamps.current(sample.RECEIVED)
        await stores.directory.grant(sample.ANN, Address("", "b.test"))
        await stores.directory.set_quotas(sample.ANN, Quotas(10, 20, 30))
        await stores.directory.suspend(sample.ANN, Suspension(7.0, "sent too much"))
        await stores.usage.add(0, 7, [Sent(sample.ANN, sample.RECEIVED, 2, (11, 12))])
    # What a stream has left that never ended: it is no mail, and nobody reads it.
    connection = apsw.Connection(str(folder / "queue-0.db"))
    connection.execute("DELETE FROM chunk WHERE id >> 16 IN (SELECT id FROM draft)")
    connection.close()
    return folder


Content = dict[str, list[tuple[object, ...]]]


def read(path: Path, columns: dict[str, list[str]]) -> Content | str:
    """Every value in a file; why not, where it cannot be read."""
    connection = apsw.Connection(
        f"file:{path}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    try:
        return {
            table: connection.execute(
                f"SELECT {', '.join(map(octets, names))} FROM {table}"
            ).fetchall()
            for table, names in columns.items()
        }
    except apsw.Error as error:
        return str(error)
    finally:
        connection.close()


def octets(column: str) -> str:
    """With its type, and a text as it stands there: it may be no UTF-8 any more."""
    type_ = f"typeof({column})"
    return f"{type_}, CASE {type_} WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END"


def columns_of(path: Path) -> dict[str, list[str]]:
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    found = connection.execute(
        "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c "
        "WHERE t.type = 'table' AND c.name != 'checksum'"
    ).fetchall()
    connection.close()
    columns: dict[str, list[str]] = {}
    for table, column in found:
        if column not in UNSUMMED.get(str(table), ()):
            columns.setdefault(str(table), []).append(str(column))
    return columns


def flips(content: bytes, count: int) -> Iterator[bytes]:
    """The same with one bit otherwise, where something stands."""
    chance = random.Random(SEED)
    used = [
        place
        for place, octet in enumerate(content)
        if octet and (place < PAGE or content[place - place % PAGE] in TREES)
    ]
    for _ in range(count):
        spoilt = bytearray(content)
        spoilt[chance.choice(used)] ^= 1 << chance.randrange(8)
        yield bytes(spoilt)


def named(folder: Path) -> list[str]:
    try:
        return [
            found.finding.detail for found in verify(Places(folder), lambda _things, _number: None)
        ]
    except StorageError as error:
        return [str(error)]


@pytest.mark.parametrize("name", FLIPS)
def test_what_is_read_otherwise_is_named(data: Path, tmp_path: Path, name: str) -> None:
    sound = (data / name).read_bytes()
    columns = columns_of(data / name)
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copyfile(data / name, alone / name)
    assert named(alone) == []
    before = read(alone / name, columns)
    silent, changed = [], 0
    for spoilt in flips(sound, FLIPS[name]):
        shutil.rmtree(alone)
        alone.mkdir()
        (alone / name).write_bytes(spoilt)
        after = read(alone / name, columns)
        if after != before:
            changed += 1
            if not named(alone):
                silent.append(difference(before, after))
    assert silent == [], f"{len(silent)} of {changed}"
    assert changed > FLIPS[name] / 4


def difference(before: Content | str, after: Content | str) -> object:
    if isinstance(before, str) or isinstance(after, str):
        return after
    return [
        (table, [row for row in after[table] if row not in before[table]])
        for table in before
        if before[table] != after[table]
    ]


@pytest.mark.parametrize("name", PEM)
def test_a_certificate_and_a_key_that_are_others_are_named(tmp_path: Path, name: str) -> None:
    places = Places(tmp_path)
    places.certificate.parent.mkdir()
    clock = VirtualClock(sample.RECEIVED)
    make_self_signed(places.certificate, places.key, clock, ["mx.a.test"], [])
    sound = (tmp_path / name).read_bytes()
    before = told_by(places)
    assert named(tmp_path) == []
    changed = 0
    for spoilt in flips(sound, 100):
        (tmp_path / name).write_bytes(spoilt)
        if told_by(places) != before:
            changed += 1
            assert named(tmp_path), spoilt
    assert changed > 50


def told_by(places: Places) -> object:
    """What whoever reads them gets."""
    try:
        chain = x509.load_pem_x509_certificates(places.certificate.read_bytes())
        key = digest_of(read_key(places.key.read_bytes()))
    except (*NO_CERTIFICATE, IssueError) as error:
        return str(error)
    return [one.public_bytes(Encoding.DER) for one in chain], key
