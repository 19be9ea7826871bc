"""Files that change under a server: both at once, one after the other, and never together."""

import errno
import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as to

from merpati.certificates.source import LONGEST, Source, sources_in
from merpati.certificates.watch import PATIENCE, Watch
from merpati.testing.clock import VirtualClock
from merpati.wire.certificates import make_self_signed
from merpati.wire.errors import TlsError


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def made(folder: Path, name: str, host: str | None = None) -> Source:
    source = Source(folder / f"{name}.pem", folder / f"{name}.key")
    make_self_signed(source.chain, source.key, VirtualClock(), [host or name])
    return source


def shown_to(watch: Watch, name: str | None) -> str:
    """The name in the certificate that a client is shown who asks for one."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname=name)
    theirs = watch.tls.context.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    chosen = theirs.context
    return next(pair for pair in watch.shown if pair.identity is chosen).shown.names[0]


def test_each_name_has_its_certificate(tmp_path: Path, clock: VirtualClock) -> None:
    sources = [made(tmp_path, name) for name in ("a.test", "b.test")]
    watch = Watch(clock)
    assert [told.source for told in watch.look(sources)] == sources
    assert [shown_to(watch, name) for name in ("b.test", "a.test", "c.test", None)] == [
        "b.test",
        "a.test",
        "a.test",
        "a.test",
    ]
    assert watch.look(sources) == []


def test_a_pair_that_changes_one_after_the_other_is_waited_for(
    tmp_path: Path, clock: VirtualClock
) -> None:
    source = made(tmp_path, "a.test")
    watch = Watch(clock)
    watch.look([source])
    later = made(tmp_path, "later", "b.test")
    later.chain.replace(source.chain)
    assert watch.look([source]) == []
    assert shown_to(watch, None) == "a.test"
    later.key.replace(source.key)
    (told,) = watch.look([source])
    assert told.pair is not None
    assert shown_to(watch, None) == "b.test"


async def test_a_pair_that_never_fits_is_told_once_and_the_one_before_is_shown(
    tmp_path: Path, clock: VirtualClock
) -> None:
    source = made(tmp_path, "a.test")
    watch = Watch(clock)
    watch.look([source])
    source.key.write_bytes(made(tmp_path, "other").key.read_bytes())
    assert watch.look([source]) == []
    await clock.advance(PATIENCE)
    (told,) = watch.look([source])
    assert told.kept
    assert "a.test.key" in told.why
    assert watch.look([source]) == []
    assert shown_to(watch, None) == "a.test"


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["remove", "directory", "garbage", "empty", "pipe", "long"])
def test_whatever_takes_its_place_the_one_before_is_shown(
    tmp_path: Path, clock: VirtualClock, spoil: str
) -> None:
    source = made(tmp_path, "a.test")
    watch = Watch(clock)
    watch.look([source])
    source.chain.unlink()
    if spoil == "directory":
        source.chain.mkdir()
    elif spoil == "pipe":
        os.mkfifo(source.chain)
    elif spoil != "remove":
        octets = {"garbage": b"\xff" * 999, "empty": b"", "long": b"\n" * (LONGEST + 1)}[spoil]
        source.chain.write_bytes(octets)
    watch.look([source])
    assert shown_to(watch, None) == "a.test"
    with pytest.raises(TlsError):
        watch.check([source])


def test_what_cannot_be_used_at_first_is_told_at_once_and_taken_up_later(
    tmp_path: Path, clock: VirtualClock
) -> None:
    source, fallback = made(tmp_path, "a.test"), made(tmp_path, "ours")
    pem = source.key.read_bytes()
    source.key.write_text("no key")
    watch = Watch(clock, fallback)
    assert [told.pair is None for told in watch.look([source])] == [True, False]
    assert watch.is_on_fallback
    source.key.write_bytes(pem)
    (told,) = watch.look([source])
    assert told.pair is not None
    assert shown_to(watch, None) == "a.test"
    assert not watch.is_on_fallback


def test_a_key_that_wants_a_password_is_no_question_to_a_terminal(
    tmp_path: Path, clock: VirtualClock
) -> None:
    source = made(tmp_path, "a.test")
    key = to.load_pem_private_key(source.key.read_bytes(), None)
    locked = to.BestAvailableEncryption(b"words")
    source.key.write_bytes(key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, locked))
    with pytest.raises(TlsError, match=r"a\.test"):
        Watch(clock).check([source])


def test_a_directory_has_its_certificates_as_programs_put_them(tmp_path: Path) -> None:
    for name in ("b.test", "c.test", "d.test"):
        (tmp_path / name).mkdir()
    files = ["a.pem", "a.key", "lonely.pem", "README", "b.test/fullchain.pem", "b.test/privkey.pem"]
    for file in [*files, "c.test/tls.crt", "c.test/tls.key", "d.test/cert.pem"]:
        (tmp_path / file).touch()
    found = [(one.chain.relative_to(tmp_path), one.key.name) for one in sources_in(tmp_path)]
    assert found == [
        (Path("a.pem"), "a.key"),
        (Path("b.test/fullchain.pem"), "privkey.pem"),
        (Path("c.test/tls.crt"), "tls.key"),
    ]
    assert sources_in(tmp_path / "not there") == ()


def test_a_system_without_descriptors_makes_no_directory_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starved(_: Path) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    made(tmp_path, "a.test")
    monkeypatch.setattr(os, "scandir", starved)
    with pytest.raises(TlsError, match="Too many open files"):
        sources_in(tmp_path)


class _Enough(Exception):
    """A day has passed."""


class Hours(VirtualClock):
    """Each sleep takes an hour, and what shows then is remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch(self)
        self.seen: list[ssl.SSLContext] = []

    async def sleep(self, seconds: float) -> None:
        self.seen.append(self.watch.tls.context)
        if len(self.seen) == 25:
            raise _Enough
        self._elapsed += 3_600.0


async def test_a_worker_has_a_key_of_tickets_of_its_own_and_a_new_one_twice_a_day() -> None:
    clock = Hours()
    inherited = clock.watch.tls.context
    with pytest.raises(_Enough):
        await clock.watch.run(list, lambda _: None)
    assert inherited not in clock.seen
    assert [clock.seen.count(one) for one in dict.fromkeys(clock.seen)] == [12, 12, 1]
