"""Certificates from a CA: when they are asked for, and what becomes of a CA's nonsense.

RFC 8555 and 9773."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from msgspec import structs

from merpati.certificates.cabinet import Cabinet, State
from merpati.certificates.desk import Desk, Origin
from merpati.certificates.errors import IssueError
from merpati.certificates.keys import KeyType, digest_of, make_key, read_key, request
from merpati.certificates.proof import HttpProver
from merpati.certificates.reason import Reason
from merpati.certificates.renewal import AcmeSettings, News, Renewal
from merpati.certificates.rolling import Roller
from merpati.certificates.source import OwnReader, Source
from merpati.certificates.tlsa import Tlsa
from merpati.certificates.transport import LONGEST
from merpati.certificates.zone import ZoneWriter
from merpati.dns.errors import DnsError, DnsFailure, DnsTimeout
from merpati.dns.resolver import Answer as Answered
from merpati.dns.resolver import Found
from merpati.storage.lock import Lock
from merpati.testing.clock import VirtualClock
from merpati.wire.certificates import read_shown
from tests.certificates.ca import DAY, Answer, FakeCa, problem, told

pytestmark = pytest.mark.slow

NAME = "mx.a.test"
NOW = 1_900_000_000.0


class World:
    """A CA, and a server that wants a certificate of it."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(NOW)
        self.ca = FakeCa(folder, NOW)
        self.cabinet = Cabinet(folder / "certificates")
        self.news: list[News] = []
        self.zone: dict[str, list[Tlsa]] = {}
        self.is_signed = True
        """Whether answers are proven (DNSSEC)."""
        self.dns_failure: DnsError | None = None
        self.orders: tuple[tuple[str, ...], ...] = ((NAME,),)
        self.renewal = Renewal(
            self.cabinet,
            self.clock,
            settings=self.settings,
            tell=self.news.append,
            draw=lambda: 0.5,
            names=lambda: tuple(names[0] for names in self.orders),
        )

    def tlsa(self, host: str) -> Answered[Tlsa]:
        """What the DNS has of a host's key."""
        found = self.zone.get(host, [])
        if self.dns_failure is not None:
            raise self.dns_failure
        kind = Found.RECORDS if found else Found.NO_DATA
        return Answered(kind, tuple(found), ttl=300.0, secure=self.is_signed)

    async def asked(self, host: str) -> Answered[Tlsa]:
        """The same for operators."""
        return self.tlsa(host)

    def pin(self, *digests: str) -> None:
        """Publish these keys and no others."""
        self.zone[NAME] = [(3, 1, 1, bytes.fromhex(digest)) for digest in digests]

    def digest(self) -> str:
        """Of the key in use."""
        return digest_of(x509.load_pem_x509_certificate(self.cabinet.read(NAME)))

    def settings(self) -> AcmeSettings:
        return AcmeSettings(
            directory=self.ca.directory,
            orders=self.orders,
            prover=HttpProver(self.cabinet),
            roller=Roller(self.tlsa, ZoneWriter(lambda name: None), self.clock.now),
            authorities=self.ca.authorities,
        )

    @property
    def desk(self) -> Desk:
        nowhere = Source(self.cabinet.folder / "no", self.cabinet.folder / "no")
        return Desk(
            self.cabinet,
            self.clock,
            OwnReader(),
            orders=lambda: self.orders,
            sources=lambda: (),
            fallback=lambda: nowhere,
            key_type=lambda: KeyType.P384,
            acme=self.settings,
            tlsa=self.asked,
        )

    def at(self, seconds: float) -> None:
        """Later, by the clock of both."""
        self.clock.jump(NOW + seconds - self.clock.now())
        self.ca.now = self.clock.now()

    def look(self) -> list[News]:
        """What one look brings."""
        self.news.clear()
        self.renewal.work()
        return list(self.news)

    @property
    def orders_made(self) -> int:
        return self.ca.paths().count("/order")

    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.cabinet.read(NAME)).serial_number


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.ca.close()


def test_a_certificate_is_got_once_and_kept_for_us_alone(world: World) -> None:
    (news,) = world.look()
    assert not news.is_bad
    assert read_shown(world.cabinet.pem(NAME)).names == (NAME,)
    assert {file.stat().st_mode & 0o077 for file in world.cabinet.folder.rglob("*")} == {0}
    assert list((world.cabinet.folder / "challenges").iterdir()) == []
    assert world.look() == []
    assert world.orders_made == 1


def test_it_is_renewed_when_two_thirds_of_its_life_are_over_and_keeps_its_key(world: World) -> None:
    world.look()
    key, serial = world.cabinet.read(NAME).partition(b"-----BEGIN CERT")[0], world.serial()
    world.at(58 * DAY)
    assert world.look() == []
    world.at(60 * DAY)
    (news,) = world.look()
    assert "two thirds" in news.text
    assert world.serial() != serial
    assert world.cabinet.read(NAME).startswith(key)


def test_the_window_of_the_ca_decides_where_it_has_one(world: World) -> None:
    world.ca.window = (NOW + 10 * DAY, NOW + 12 * DAY)
    world.look()
    world.at(1)
    assert world.look() == []
    world.at(10.9 * DAY)
    assert world.look() == []
    # A CA that has to revoke wants it earlier: it is asked every hour, as it said.
    world.ca.window = (NOW, NOW + 1)
    world.at(10.9 * DAY + 3601)
    first = world.serial()
    (news,) = world.look()
    assert "the CA suggests it" in news.text
    assert world.serial() != first
    (order,) = [asked for path, asked in world.ca.asked if path == "/order"][1:]
    assert "." in order["replaces"]


def test_a_window_that_always_lies_in_the_past_is_followed_once_a_day(world: World) -> None:
    world.ca.window = (NOW - 2, NOW - 1)
    world.look()
    for hour in (1, 12, 23):
        world.at(hour * 3600)
        assert world.look() == []
    world.at(25 * 3600)
    assert len(world.look()) == 1
    assert world.orders_made == 2


@pytest.mark.parametrize(
    "window", [(NOW + 800 * DAY, NOW + 900 * DAY), (NOW + 900 * DAY, NOW + DAY)]
)
def test_no_window_is_a_reason_to_let_a_certificate_run_out(
    world: World, window: tuple[float, float]
) -> None:
    world.ca.window = window
    world.look()
    world.at(1)
    assert world.look() == []
    world.at(82 * DAY)
    assert len(world.look()) == 1


def test_what_fails_is_tried_again_ever_less_often(world: World) -> None:
    world.ca.spoil["/order"] = lambda: problem("serverInternal", 500)
    for hour in range(24 * 3):
        for minute in range(0, 60, 2):
            world.at(hour * 3600 + minute * 60)
            world.renewal.work()
    in_first_hour = [news for news in world.news if "minutes" in news.text][:5]
    assert all(news.is_bad for news in in_first_hour)
    # 2, 10, 30 minutes, 1, 2, 4, 8 hours, and then once a day.
    assert world.orders_made == 10
    assert world.cabinet.state(NAME).failures == 10
    del world.ca.spoil["/order"]
    world.cabinet.want(NAME)
    (news,) = world.look()
    assert not news.is_bad
    assert world.cabinet.state(NAME).failures == 0


def test_a_ca_that_wants_to_be_left_alone_is(world: World) -> None:
    world.ca.spoil["/order"] = lambda: problem("rateLimited", 429, Retry_After="36000")
    world.look()
    world.at(35_000)
    assert world.look() == []
    world.at(36_001)
    assert len(world.look()) == 1


def test_only_one_renews_at_a_time(world: World) -> None:
    world.cabinet.open()
    with Lock(world.cabinet.lock):
        assert world.look() == []
    assert world.orders_made == 0
    assert len(world.look()) == 1


async def test_a_look_that_hangs_is_given_up_and_the_next_one_works(world: World) -> None:
    """Whatever it hangs on; and when it moves again, it does nothing any more."""
    hangs, ended = threading.Event(), threading.Event()
    settings = world.renewal.settings
    looks = 0

    def hang_once() -> AcmeSettings:
        nonlocal looks
        looks += 1
        if looks == 1:
            hangs.wait(10)
            ended.set()
        return settings()

    world.renewal.settings = hang_once
    world.renewal.patience = 0.05
    await world.renewal._round()
    assert [news.text for news in world.news] == ["gave up a look that took 0 s"]
    world.news.clear()
    world.renewal.patience = 10
    with Lock(world.cabinet.lock):
        hangs.set()
        assert await asyncio.to_thread(ended.wait, 10)
        assert Lock(world.cabinet.lock).try_take() is False, "the lock is not its own any more"
    await world.renewal._round()
    assert len(world.news) == 1
    assert world.orders_made == 1


def test_what_keeps_one_from_being_renewed_keeps_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = "ill.a.test"
    world.orders = ((ill,), (NAME,))
    read = Cabinet.state

    def state(self: Cabinet, name: str) -> State:
        if name == ill:
            raise IssueError("cannot read")
        return read(self, name)

    monkeypatch.setattr(Cabinet, "state", state)
    with pytest.raises(IssueError, match="cannot read"):
        world.look()
    assert read_shown(world.cabinet.pem(NAME)).names == (NAME,)


def test_a_clock_that_was_wrong_keeps_no_certificate_from_being_renewed(world: World) -> None:
    world.look()
    serial, far = world.serial(), NOW + 3650 * DAY
    state = State(issued=far, check_at=far, next_attempt=far, window=(NOW, NOW + DAY))
    world.cabinet.put_state(NAME, state)
    world.at(60 * DAY)
    world.look()
    assert world.serial() != serial


def test_a_clock_that_was_wrong_keeps_no_key_from_changing(world: World) -> None:
    world.look()
    old = world.digest()
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    world.pin(old, rolling.digest)
    far = NOW + 3650 * DAY
    rolling = structs.replace(rolling, seen=far, absent=far)
    world.cabinet.put_state(NAME, structs.replace(world.cabinet.state(NAME), rolling=rolling))
    world.look()
    world.at(600)
    world.look()
    assert world.digest() == rolling.digest


@pytest.mark.parametrize("is_there", [True, False])
def test_a_key_that_nobody_was_told_of_is_not_used(world: World, is_there: bool) -> None:
    """Broken off between the two files, or one of them is lost."""
    world.look()
    old = world.digest()
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    world.pin(old, rolling.digest)
    world.look()
    if is_there:
        world.cabinet.put_next_key(NAME, make_key(KeyType.P256))
    else:
        world.cabinet.drop_next_key(NAME)
    world.at(700)
    (news,) = world.look()
    assert news.is_bad
    assert world.digest() == old
    another = world.cabinet.state(NAME).rolling
    assert another is not None
    assert another.digest == world.cabinet.next_digest(NAME) != rolling.digest
    world.pin(old, another.digest)
    world.look()
    world.at(1300)
    world.look()
    assert world.digest() == another.digest


def test_other_names_are_another_certificate(world: World) -> None:
    world.look()
    world.orders = ((NAME, "mail.a.test"), ("*.b.test",))
    assert [news.name for news in world.look()] == [NAME, "*.b.test"]
    assert (world.cabinet.folder / "_.b.test.pem").exists()
    assert world.look() == []


LOOP = "https://169.254.169.254/latest"
NONSENSE = {
    "garbage": lambda: Answer(body=b"\xff\x00<html>"),
    "empty": lambda: Answer(body=b""),
    "list": lambda: told([]),
    "null": lambda: told(None),
    "number": lambda: told(1e999),
    "deep": lambda: Answer(body=b"[" * 100_000),
    "other types": lambda: told({"status": 7, "authorizations": 1, "suggestedWindow": []}),
    "long": lambda: Answer(body=b" " * (LONGEST + 1)),
    "redirect": lambda: Answer(302, b"", {"Location": LOOP}),
    "elsewhere": lambda: told(
        {"newNonce": LOOP, "newOrder": LOOP, "authorizations": [LOOP], "finalize": LOOP},
        201,
        Location=LOOP,
    ),
    "plain": lambda: told({"newNonce": "http://127.0.0.1/", "authorizations": ["file:///etc"]}),
    "error": lambda: problem("x" * 10_000, 500),
    "error of no kind": lambda: Answer(
        400, b'{"type": []}', {"Content-Type": "application/problem+json"}
    ),
    "refusal of nothing": lambda: told({"status": "invalid"}),
    "no length": lambda: Answer(200, b"", {"Content-Length": "99", "Connection": "close"}),
    "compressed": lambda: Answer(200, b"\x1f\x8b" + b"\0" * 99, {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("path", ["/authz", "/chain"])
def test_no_nonsense_of_a_ca_harms_what_we_have(world: World, path: str) -> None:
    world.look()
    kept = world.cabinet.read(NAME)
    for n, spoil in enumerate(NONSENSE.values()):
        world.ca.spoil[path] = spoil
        world.at(60 * DAY + n * 90 * DAY)
        (news,) = world.look()
        assert news.is_bad
        assert len(news.text) < 700
        assert (world.cabinet.read(NAME) == kept) is news.is_bad
        kept = world.cabinet.read(NAME)
        assert read_shown(world.cabinet.pem(NAME)).names == (NAME,)
    assert not any(asked.startswith("/latest") for asked in world.ca.paths())


def test_no_nonsense_about_renewal_keeps_from_renewing(world: World) -> None:
    world.ca.window = (NOW, NOW)
    world.look()
    for spoil in NONSENSE.values():
        world.ca.spoil["/ari"] = spoil
        world.at(world.clock.now() - NOW + DAY)
        assert world.look() == []
    world.at(61 * DAY)
    assert len(world.look()) == 1


def test_a_certificate_of_another_key_or_for_other_names_is_not_taken(world: World) -> None:
    other = read_key(make_key(KeyType.P384))
    csr = x509.load_pem_x509_csr(request(other, [NAME]))
    world.ca.spoil["/chain"] = lambda: Answer(200, world.ca.sign(csr, NAME))
    (news,) = world.look()
    assert "another key than ours" in news.text
    del world.ca.spoil["/chain"]
    world.at(DAY)
    world.ca.now -= 365 * DAY
    assert "expired" in world.look()[0].text
    assert world.cabinet.read(NAME) == b""


def test_nonces_that_are_refused_are_asked_for_again_but_not_for_ever(world: World) -> None:
    world.ca.spoil["/account"] = lambda: problem("badNonce")
    (news,) = world.look()
    assert "nonces" in news.text
    assert world.ca.paths().count("/account") == 20


def test_a_key_is_not_used_before_everybody_can_know_it(world: World) -> None:
    world.look()
    old = world.digest()
    world.pin(old)
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    assert world.look() == []
    told = world.desk.find(NAME).state.rolling
    assert told is not None
    assert f"publish beside what is there: _25._tcp.{NAME}. IN TLSA 3 1 1 {rolling.digest}" in (
        told.trouble
    )
    # However long it takes: nothing goes on before the record is seen.
    world.at(20 * DAY)
    assert world.look() == []
    assert world.digest() == old
    world.pin(old, rolling.digest)
    assert world.look() == []
    world.at(20 * DAY + 599)
    assert world.look() == []
    assert world.digest() == old
    world.at(20 * DAY + 600)
    (news,) = world.look()
    assert "its key changes" in news.text
    assert world.digest() == rolling.digest
    assert world.cabinet.next_key(NAME) == b""
    # The old one may go now, and until then that is said.
    world.look()
    told = world.desk.find(NAME).state.rolling
    assert told is not None
    assert f"take out of the DNS: _25._tcp.{NAME}. IN TLSA 3 1 1 {old}" in told.trouble
    world.pin(rolling.digest)
    (news,) = world.look()
    assert "nothing of the old is left" in news.text
    assert world.desk.find(NAME).state.rolling is None


def test_a_record_that_is_taken_out_again_begins_the_time_anew(world: World) -> None:
    world.look()
    old = world.digest()
    world.pin(old)
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    world.pin(old, rolling.digest)
    world.look()
    world.pin(old)
    world.look()
    world.pin(old, rolling.digest)
    world.at(700)
    world.look()
    assert world.digest() == old
    world.at(1300)
    world.look()
    assert world.digest() == rolling.digest


def test_a_change_that_breaks_off_behind_the_new_key_takes_out_the_old_ones_record(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.look()
    old = world.digest()
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    world.pin(old, rolling.digest)
    world.look()
    world.at(700)
    write = Cabinet.put_state

    def full(self: Cabinet, name: str, state: State) -> None:
        if state.rolling is not None and state.rolling.switched:
            raise IssueError("no space left on device")
        write(self, name, state)

    with monkeypatch.context() as patched:
        patched.setattr(Cabinet, "put_state", full)
        with pytest.raises(IssueError):
            world.look()
    assert world.digest() == rolling.digest
    world.look()
    world.look()
    told = world.desk.find(NAME).state.rolling
    assert told is not None
    before = x509.load_der_x509_certificate(told.certificate)
    assert digest_of(before) == old
    assert f"take out of the DNS: _25._tcp.{NAME}. IN TLSA 3 1 1 {old}" in told.trouble
    world.pin(rolling.digest)
    world.look()
    assert world.desk.find(NAME).state.rolling is None


def test_where_no_key_is_pinned_nothing_is_waited_for(world: World) -> None:
    world.look()
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    world.look()
    assert world.digest() == rolling.digest
    world.look()
    assert world.desk.find(NAME).state.rolling is None


@pytest.mark.parametrize("failure", [DnsTimeout("no server answered"), DnsFailure("SERVFAIL")])
def test_no_answer_is_no_news_of_a_key(world: World, failure: DnsError) -> None:
    world.look()
    old = world.digest()
    world.dns_failure = failure
    world.desk.roll(NAME)
    world.at(30 * DAY)
    world.look()
    assert world.digest() == old
    told = world.desk.find(NAME).state.rolling
    assert told is not None
    assert str(failure) in told.trouble


def test_that_no_key_is_pinned_is_believed_after_two_hours_where_nothing_proves_it(
    world: World,
) -> None:
    world.look()
    old = world.digest()
    world.is_signed = False
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    world.look()
    told = world.desk.find(NAME).state.rolling
    assert told is not None
    assert "no DNSSEC proves that there is none" in told.trouble
    world.at(7199)
    world.look()
    assert world.digest() == old
    # It had only not been heard of.
    world.pin(old)
    world.look()
    world.at(8000)
    world.pin(old, rolling.digest)
    world.look()
    assert world.digest() == old
    world.at(8601)
    world.look()
    assert world.digest() == rolling.digest


def test_what_stays_unseen_for_two_hours_is_not_there(world: World) -> None:
    world.look()
    world.is_signed = False
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    world.look()
    world.at(7200)
    world.look()
    assert world.digest() == rolling.digest


def test_a_certificate_is_renewed_while_its_key_waits_to_change(world: World) -> None:
    world.look()
    old, serial = world.digest(), world.serial()
    world.pin(old)
    world.desk.roll(NAME)
    world.at(61 * DAY)
    world.look()
    assert world.serial() != serial
    assert world.digest() == old
    assert world.desk.find(NAME).state.rolling is not None


def test_a_change_that_the_ca_does_not_sign_waits_and_harms_nothing(world: World) -> None:
    world.look()
    old = world.digest()
    rolling = world.desk.roll(NAME).state.rolling
    assert rolling is not None
    world.ca.spoil["/order"] = lambda: problem("rateLimited", 429)
    (news,) = world.look()
    assert news.is_bad
    assert world.digest() == old
    del world.ca.spoil["/order"]
    assert world.look() == []
    world.at(200)
    world.look()
    assert world.digest() == rolling.digest


def test_operators_are_told_of_what_is_not_there_and_what_is_not_ours(world: World) -> None:
    (line,) = world.desk.all()
    assert (line.name, line.origin, line.trouble) == (NAME, Origin.CA, "there is none yet")
    with pytest.raises(IssueError, match=f"there are: {NAME}"):
        world.desk.renew("other.test")
    with pytest.raises(IssueError, match="no certificate for"):
        world.desk.roll(NAME)
    world.look()
    (line,) = world.desk.all()
    assert line.trouble == ""
    assert line.identity is not None
    assert line.identity.digest == world.digest()
    assert NOW + 58 * DAY < line.renew_at < NOW + 60 * DAY
    world.at(91 * DAY)
    assert world.desk.all()[0].trouble == "has expired"
    world.desk.renew(f"{NAME}.")
    assert world.orders_made == 1
    assert len(world.look()) == 1


def payload(world: World, path: str) -> dict[str, object]:
    """The last that the CA was told there."""
    found: dict[str, object] = [told for asked, told in world.ca.asked if asked == path][-1]
    return found


def test_what_is_revoked_is_followed_by_another_of_the_same_key(world: World) -> None:
    world.look()
    before, digest = world.serial(), world.digest()
    world.desk.revoke(NAME, Reason.SUPERSEDED)
    assert payload(world, "/revoke")["reason"] == 4
    world.look()
    assert world.serial() != before
    assert world.digest() == digest


def test_a_key_that_others_know_is_changed_at_once_and_its_records_are_told(world: World) -> None:
    world.look()
    old = world.digest()
    world.pin(old)
    rolling = world.desk.revoke(NAME, Reason.KEY_COMPROMISE).state.rolling
    assert payload(world, "/revoke")["reason"] == 1
    assert rolling is not None
    world.look()
    assert world.digest() == rolling.digest != old
    world.look()
    kept = world.desk.find(NAME).state.rolling
    assert kept is not None
    assert f"publish beside what is there: _25._tcp.{NAME}. IN TLSA 3 1 1 {rolling.digest}" in (
        kept.trouble
    )
    assert f"take out of the DNS: _25._tcp.{NAME}. IN TLSA 3 1 1 {old}" in kept.trouble
    world.pin(rolling.digest)
    world.look()
    assert world.desk.find(NAME).state.rolling is None


def test_a_key_that_others_know_is_changed_also_while_the_dns_is_silent(world: World) -> None:
    world.look()
    old = world.digest()

    def silent(host: str) -> Answered[Tlsa]:
        raise DnsTimeout(f"{host} TLSA: no answer in time")

    world.tlsa = silent  # type: ignore[method-assign]  # the DNS of this test
    world.desk.revoke(NAME, Reason.KEY_COMPROMISE)
    world.look()
    assert world.digest() != old


def test_what_the_ca_does_not_revoke_is_told_and_changes_nothing(world: World) -> None:
    world.look()
    world.ca.spoil["/revoke"] = lambda: problem("unauthorized", 403)
    with pytest.raises(IssueError, match="unauthorized"):
        world.desk.revoke(NAME, Reason.KEY_COMPROMISE)
    assert world.desk.find(NAME).state.rolling is None
    world.ca.spoil["/revoke"] = lambda: problem("alreadyRevoked")
    assert world.desk.revoke(NAME, Reason.KEY_COMPROMISE).state.rolling is not None


def test_an_account_gets_another_key_when_the_ca_has_taken_it(world: World) -> None:
    world.look()
    before = world.cabinet.account_key(world.ca.directory)
    world.ca.spoil["/keychange"] = lambda: problem("malformed")
    with pytest.raises(IssueError, match="malformed"):
        world.desk.change_account_key()
    assert world.cabinet.account_key(world.ca.directory) == before
    del world.ca.spoil["/keychange"]
    world.desk.change_account_key()
    assert world.cabinet.account_key(world.ca.directory) != before
    assert world.cabinet.next_account_key(world.ca.directory) == b""


def test_a_closed_account_is_forgotten(world: World) -> None:
    with pytest.raises(IssueError, match="we have no account"):
        world.desk.close_account()
    world.look()
    world.desk.close_account()
    assert payload(world, "/me") == {"status": "deactivated"}
    assert world.cabinet.account_key(world.ca.directory) == b""
