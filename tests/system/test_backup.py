"""A backup holds everything, is known to be whole, and goes only where nothing is."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
import pytest

from merpati.config.places import Places
from merpati.errors import MerpatiError
from merpati.queue.entry import Selection
from merpati.storage.connection import Kind, newest_schema
from merpati.system.backup import Manifest, back_up, restore
from merpati.system.mailcopy import copy_tree
from merpati.system.stores import open_stores
from merpati.system.verifying import verify
from merpati.testing.clock import VirtualClock
from tests.upgrade import sample

NOW = sample.RECEIVED


@pytest.fixture
async def places(tmp_path: Path) -> Places:
    """Data with mail in every state, a mailbox, a secret and a certificate."""
    places = Places(tmp_path / "var")
    places.data.mkdir()
    async with open_stores(places, VirtualClock(NOW)) as stores:
        await sample.fill(stores)
    for name in ("new/1.a", "cur/2.b:2,S", "tmp/3.c", "subscriptions", ".Sent/cur/4.d:2,"):
        put(places.mail / "a.test/ann" / name, name.encode())
    for name in ("new", "tmp"):
        (places.mail / "a.test/ann/.Sent" / name).mkdir()
    places.secret.write_bytes(b"s" * 32)
    put(places.key, b"key")
    return places


def put(file: Path, octets: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(octets)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.slow
async def test_what_is_restored_is_what_was_there(places: Places, tmp_path: Path) -> None:
    done = back_up(places, b"# mine\n", tmp_path / "backup", NOW)
    assert (done.at, done.messages) == (NOW, 3)
    fresh = Places(tmp_path / "fresh")
    assert restore(tmp_path / "backup", fresh) == done
    kept = tree(fresh.data)
    expected = {name: octets for name, octets in tree(places.data).items() if ".db" not in name}
    del expected["mail/a.test/ann/tmp/3.c"]
    assert {name: octets for name, octets in kept.items() if ".db" not in name} == {
        **expected,
        "lock": b"",
    }
    assert list(verify(fresh, lambda *_: None)) == []
    async with open_stores(fresh, VirtualClock(NOW)) as stores:
        assert len(await stores.queue.search(Selection(), 100)) == 6
        assert len(await stores.queue.owed(10)) == 1
        assert await stores.directory.domains() == ["a.test"]
        for number, subject in enumerate(sample.MESSAGES):
            pieces = [piece async for piece in stores.queue.read(sample.entry(number, subject).id)]
            assert b"".join(pieces) == sample.octets(subject)


@pytest.mark.slow
async def test_what_was_committed_before_is_in_it_while_the_queue_is_written(
    places: Places, tmp_path: Path
) -> None:
    async with open_stores(places, VirtualClock(NOW)) as stores:
        back_up(places, b"", tmp_path / "1", NOW)
        late = sample.entry(7, "fresh")
        await stores.queue.put(late, sample.Body((sample.octets("fresh"),)))
        back_up(places, b"", tmp_path / "2", NOW)
    for name, expected in (("1", 6), ("2", 7)):
        fresh = Places(tmp_path / f"fresh{name}")
        restore(tmp_path / name, fresh)
        async with open_stores(fresh, VirtualClock(NOW)) as stores:
            assert len(await stores.queue.search(Selection(), 100)) == expected


@pytest.mark.slow
async def test_nothing_is_overwritten(places: Places, tmp_path: Path) -> None:
    put(tmp_path / "full/x", b"mine")
    with pytest.raises(MerpatiError, match="is not empty"):
        back_up(places, b"", tmp_path / "full", NOW)
    back_up(places, b"", tmp_path / "backup", NOW)
    before = tree(places.data)
    with pytest.raises(MerpatiError, match="is not empty"):
        restore(tmp_path / "backup", places)
    assert tree(places.data) == before
    assert tree(tmp_path / "full") == {"x": b"mine"}


@pytest.mark.slow
async def test_a_backup_that_is_not_whole_is_refused(places: Places, tmp_path: Path) -> None:
    backup, fresh = tmp_path / "backup", Places(tmp_path / "fresh")
    back_up(places, b"", backup, NOW)
    manifest = (backup / "backup.json").read_bytes()
    (backup / "backup.json").unlink()
    with pytest.raises(MerpatiError, match="is no whole backup"):
        restore(backup, fresh)
    (backup / "backup.json").write_bytes(manifest)
    octets = (backup / "queue-0.db").read_bytes()
    (backup / "queue-0.db").write_bytes(octets[:-1] + b"x")
    with pytest.raises(MerpatiError, match=r"queue-0\.db is not as it was written"):
        restore(backup, fresh)
    (backup / "queue-0.db").unlink()
    with pytest.raises(MerpatiError, match=r"queue-0\.db is missing"):
        restore(backup, fresh)
    assert not fresh.data.exists()


@pytest.mark.slow
async def test_a_backup_of_a_newer_version_is_refused(places: Places, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    back_up(places, b"", backup, NOW)
    connection = apsw.Connection(str(backup / "queue-0.db"))
    connection.execute(f"PRAGMA user_version={newest_schema(Kind.SHARD) + 1}").fetchall()
    connection.close()
    manifest = msgspec.json.decode((backup / "backup.json").read_bytes(), type=Manifest)
    known = {name: sum_ for name, sum_ in manifest.files.items() if name != "queue-0.db"}
    forged = msgspec.structs.replace(manifest, files=known)
    (backup / "backup.json").write_bytes(msgspec.json.encode(forged))
    with pytest.raises(MerpatiError, match="was written by a newer Merpati"):
        restore(backup, Places(tmp_path / "fresh"))


@pytest.mark.slow
async def test_damaged_structure_ends_a_backup(places: Places, tmp_path: Path) -> None:
    connection = apsw.Connection(str(places.queue()))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'message'").get
    connection.close()
    with places.queue().open("r+b") as file:
        file.seek((int(page) - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(MerpatiError, match="malformed"):
        back_up(places, b"", tmp_path / "backup", NOW)
    assert list((tmp_path / "backup").iterdir()) == []


@pytest.mark.slow
def test_mail_that_is_moved_while_it_is_copied_is_copied(tmp_path: Path) -> None:
    box = tmp_path / "mail/a.test/ann"
    names = [f"{number}.x" for number in range(1500)]
    for name in names:
        put(box / "new" / name, name.encode())
    (box / "cur").mkdir()

    def read_mail() -> None:
        for name in names:
            (box / "new" / name).rename(box / "cur" / f"{name}:2,")
        for name in names:
            (box / "cur" / f"{name}:2,").rename(box / "cur" / f"{name}:2,S")

    reader = threading.Thread(target=read_mail)
    reader.start()
    try:
        assert copy_tree(tmp_path / "mail", tmp_path / "copy") == len(names)
    finally:
        reader.join()
    copied = [file for file in (tmp_path / "copy/a.test/ann").rglob("*") if file.is_file()]
    assert sorted(file.name.partition(":")[0] for file in copied) == sorted(names)


def test_mail_that_a_list_leaves_out_is_met_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("new/1", "cur/2:2,S"):
        put(tmp_path / "mail/ann" / name, b"x")
    left_out = ["2:2,S"]  # It is renamed just then.

    def listed(folder: Path, really: Callable[[Path], list[str]] = os.listdir) -> list[str]:
        names = [name for name in really(folder) if name not in left_out]
        left_out[:] = left_out if folder.name == "new" else []
        return names

    monkeypatch.setattr("merpati.system.mailcopy.os.listdir", listed)
    assert copy_tree(tmp_path / "mail", tmp_path / "copy") == 2


def test_what_is_no_file_among_messages_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "mail/new/1", b"mail")
    (tmp_path / "mail/cur/folder").mkdir(parents=True)
    os.mkfifo(tmp_path / "mail/cur/pipe")
    copy_tree(tmp_path / "mail", tmp_path / "copy")
    assert tree(tmp_path / "copy") == {"new/1": b"mail"}
    assert not (tmp_path / "copy/cur/pipe").exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "outside", b"secret")
    put(tmp_path / "mail/new/1", b"x")
    (tmp_path / "mail/cur").mkdir()
    (tmp_path / "mail/cur/2").symlink_to(tmp_path / "outside")
    (tmp_path / "mail/link").symlink_to(tmp_path)
    copy_tree(tmp_path / "mail", tmp_path / "copy")
    assert tree(tmp_path / "copy") == {"new/1": b"x"}
