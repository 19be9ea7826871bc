"""Changes of a zone that a real BIND signs and serves, by keys that may do this and that.

RFC 2136 and 8945."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.errors import UpdateConflict, UpdateError, UpdateFailed, UpdateRefused
from merpati.dns.key import key_of
from merpati.dns.update import Change, RecordSet, Updater, UpdateSettings
from merpati.testing.process import free_port
from tests.interop.conftest import needs
from tests.interop.peers import Named

pytestmark = pytest.mark.interop

DMARC = "_dmarc.a.test"
NONE = RecordSet(DMARC, "TXT", ('"v=DMARC1; p=none"',))
REJECT = RecordSet(DMARC, "TXT", ('"v=DMARC1; p=reject"',))


@dataclass(frozen=True, slots=True)
class Authority:
    """A server and the keys that it knows: of everything in a.test, and of one name in it."""

    named: Named
    whole: Path
    challenge: Path

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.named.port)

    def updater(self, key: Path | None = None, **more: object) -> Updater:
        settings = UpdateSettings(key_of(key or self.whole), server=self.address, seconds=5)
        return Updater(self.resolver(), replace(settings, **more))

    def resolver(self) -> DnsClient:
        return DnsClient(SystemClock(), DnsSettings((self.address,), total_seconds=5))

    def change(self, key: Path | None = None, zone: str = "a.test", **sets: object) -> None:
        """Raises what `apply` does."""
        asyncio.run(self.updater(key).apply(replace(Change(zone), **sets)))

    def texts(self, name: str) -> set[bytes]:
        return set(asyncio.run(self.resolver().txt(name)).records)


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    needs("named", "bind9")
    with tempfile.TemporaryDirectory(prefix="mp") as folder:
        named = Named(Path(folder) / "named", free_port())
        whole, challenge = named.key("whole"), named.key("challenge", "hmac-sha512")
        named.add_dynamic(
            "a.test",
            '@ MX 10 mx\nmx A 127.0.0.1\n@ TXT "of somebody else"',
            "grant whole zonesub ANY; grant challenge name _acme-challenge.a.test. TXT;",
        )
        named.start()
        yield Authority(named, whole, challenge)
        named.stop()


def test_what_was_made_can_be_seen_replaced_and_taken_away(authority: Authority) -> None:
    authority.change(expected=(RecordSet(DMARC, "TXT"),), added=(NONE,))
    assert authority.texts(DMARC) == {b"v=DMARC1; p=none"}
    authority.change(expected=(NONE,), replaced=(REJECT,))
    assert authority.texts(DMARC) == {b"v=DMARC1; p=reject"}
    two = RecordSet(DMARC, "TXT", ('"one" "word"', '"two\\"s"'))
    authority.change(added=(two,))
    assert authority.texts(DMARC) == {b"v=DMARC1; p=reject", b"oneword", b'two"s'}
    authority.change(deleted=(two,))
    assert authority.texts(DMARC) == {b"v=DMARC1; p=reject"}
    authority.change(replaced=(RecordSet(DMARC, "TXT"),))
    assert authority.texts(DMARC) == set()
    assert authority.texts("a.test") == {b"of somebody else"}


def test_a_change_of_somebody_else_in_between_is_not_written_over(authority: Authority) -> None:
    authority.change(added=(REJECT,))
    mx = RecordSet("a.test", "MX", ("10 new.a.test.",))
    with pytest.raises(UpdateConflict) as lost:
        authority.change(expected=(NONE,), replaced=(NONE, mx))
    assert lost.value.code == "NXRRSET"
    with pytest.raises(UpdateConflict) as there:
        authority.change(expected=(RecordSet(DMARC, "TXT"),), added=(NONE,))
    assert there.value.code == "YXRRSET"
    assert [one.host for one in asyncio.run(authority.resolver().mx("a.test")).records] == [
        "mx.a.test"
    ]
    authority.change(deleted=(RecordSet(DMARC, "TXT"),))


def test_a_key_does_what_it_may_and_no_more(authority: Authority) -> None:
    challenge = RecordSet("_acme-challenge.a.test", "TXT", ('"token"',), ttl=60)
    authority.change(authority.challenge, added=(challenge,))
    assert authority.texts(challenge.name) == {b"token"}
    authority.change(authority.challenge, deleted=(challenge,))
    with pytest.raises(UpdateRefused, match="REFUSED: this key may not"):
        authority.change(authority.challenge, added=(NONE,))


def test_a_zone_that_is_not_there_or_a_name_outside_is_refused(authority: Authority) -> None:
    with pytest.raises(UpdateRefused, match="NOTAUTH"):
        authority.change(zone="b.test", added=(RecordSet("b.test", "TXT", ('"x"',)),))
    with pytest.raises(UpdateRefused, match="NOTZONE"):
        authority.change(added=(RecordSet("b.test", "TXT", ('"x"',)),))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("whole", "unknown", "BADKEY"),
        ("sha256", "sha512", "BADKEY"),
        ('secret "d', 'secret "e', "BADSIG"),
    ],
)
def test_a_wrong_key_is_told_and_its_secret_is_not(
    authority: Authority, tmp_path: Path, old: str, new: str, code: str
) -> None:
    wrong = tmp_path / "wrong.key"
    wrong.touch(0o600)
    wrong.write_text(authority.whole.read_text().replace(old, new))
    with pytest.raises(UpdateRefused, match=code) as error:
        authority.change(wrong, added=(NONE,))
    assert error.value.code == code
    key = key_of(wrong)
    assert repr(key.secret) not in f"{key!r} {error.value!r}"
    assert authority.texts(DMARC) == set()


def test_a_clock_that_is_wrong_is_told(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dns.message

    now = dns.message.time.time
    monkeypatch.setattr(
        dns.message, "time", type("Late", (), {"time": staticmethod(lambda: now() - 3600)})
    )
    with pytest.raises(UpdateRefused, match="BADTIME: the server's clock"):
        authority.change(added=(NONE,))


def test_the_zone_and_its_primary_are_found_in_the_dns(authority: Authority) -> None:
    async def run() -> None:
        updater = authority.updater(server=None, port=authority.named.port)
        zone = await updater.zone_of("_tcp.nothing.there.a.test")
        assert zone == "a.test"
        await updater.apply(Change(zone, added=(NONE,)))
        await updater.apply(Change(zone, deleted=(NONE,)))

    # The zone says that its primary is ns.a.test, which is 127.0.0.1.
    asyncio.run(run())


def test_who_cannot_be_reached_or_says_nothing_is_told(authority: Authority) -> None:
    async def apply_at(port: int, seconds: float) -> None:
        updater = authority.updater(server=("127.0.0.1", port), seconds=seconds)
        await updater.apply(Change("a.test", added=(NONE,)))

    with pytest.raises(UpdateFailed, match="no connection"):
        asyncio.run(apply_at(free_port(), 20))

    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UpdateFailed, match="may have been made"),
    ):
        asyncio.run(apply_at(silent.getsockname()[1], 0.5))


def test_what_cannot_be_written_is_an_error_and_not_sent(authority: Authority) -> None:
    with pytest.raises(UpdateError, match="cannot be written"):
        authority.change(added=(RecordSet("a.test", "MX", ("ten mx.a.test.",)),))
    with pytest.raises(UpdateError, match="cannot be written"):
        authority.change(added=(RecordSet("a..test", "TXT", ('"x"',)),))
