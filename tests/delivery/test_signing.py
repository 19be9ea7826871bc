"""What leaves this host is signed by the keys of its author's domain, and nothing else is."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

import dkim
import pytest
from msgspec import structs

from merpati.authenticity.dkim.keypair import KeyKind
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.verifier import verify
from merpati.delivery.outcome import Outcome
from merpati.delivery.outcome import Result as Sent
from merpati.delivery.route import parse_route
from merpati.delivery.signing import Signing, SigningParts, keys_of
from merpati.delivery.transaction import Transaction
from merpati.directory.keys import DkimKey, KeyState
from merpati.journal.events import Deferred, Delivered
from merpati.mail.address import Address
from merpati.mail.envelope import Body
from merpati.mail.headers import Headers
from merpati.mail.sealing import Sealing
from merpati.queue.entry import Entry
from merpati.storage.errors import StorageError
from merpati.testing.answers import Answers
from merpati.testing.deliveries import DAY, START, ScriptedHost, an_entry
from merpati.testing.memory_keys import MemoryKeys
from merpati.testing.residents import Residents
from tests.authenticity.dkim.signed import AT, a_key, pair, zone

SMARTHOST = "smtp://192.0.2.1:25"
BODY = b"\r\nhello\r\n"
CONTENT = b"Received: by us\r\nFrom: Ann <ann@a.test>\r\nSubject: hi\r\n" + BODY
LONG = CONTENT + b"terbang\r\n" * 8_000


class AtOnce(Executor):
    """No threads: what is to be done is done."""

    def submit(self, fn: Callable[..., object], /, *args: object, **_: object) -> Future:  # type: ignore[type-arg]
        done: Future[object] = Future()
        try:
            done.set_result(fn(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class Held(AtOnce):
    """What is to be done is done when it is let go."""

    def __init__(self) -> None:
        self.waiting: list[Future[object]] = []

    def submit(self, fn: Callable[..., object], /, *args: object, **_: object) -> Future:  # type: ignore[type-arg]
        self.waiting.append(Future())
        return self.waiting[-1]


@dataclass
class Signatures:
    """Keys of a.test and what is around them."""

    executor: Executor = field(default_factory=AtOnce)
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    directory: Residents = field(default_factory=Residents)

    def __post_init__(self) -> None:
        self.unsigned: list[tuple[str, str]] = []

    async def begin(self, *kinds: KeyKind, domain: str = "a.test") -> Signing:
        for kind in kinds or (KeyKind.ED25519,):
            key = pair(kind)
            await self.keys.add_key(
                DkimKey(
                    domain,
                    kind.value,
                    kind.value,
                    KeyState.NEXT,
                    0.0,
                    key.record.decode(),
                    key.pem,
                )
            )
        await self.keys.rotate_keys(domain, 1.0)
        return Signing(
            SigningParts(
                self.keys,
                self.directory,
                self.executor,
                lambda message, why: self.unsigned.append((message, why)),
            )
        )


def ours(n: int, *to: str, login: str = "", content: bytes = CONTENT) -> Entry:
    entry = an_entry(n, *(to or (f"bob{n}@b.test",)), size=len(content))
    return structs.replace(entry, is_ours=True, client=structs.replace(entry.client, login=login))


def verdicts(top: bytes, content: bytes = CONTENT, domain: str = "a.test") -> list[Result]:
    answers = Answers(zone(*(a_key(kind, domain) for kind in (KeyKind.RSA_2048, KeyKind.ED25519))))
    return [one.result for one in answers.answer(verify([top, content], START + 1))]


async def sign(signing: Signing, entry: Entry, content: bytes = CONTENT) -> bytes:
    """What is put on top."""
    (signed,) = await signing.sign([Transaction(entry, (), Body((content[:9], content[9:])))])
    return signed.top


async def test_a_message_leaves_with_a_signature_that_verifies(make_world):
    host = ScriptedHost()
    signing = await Signatures().begin(KeyKind.RSA_2048, KeyKind.ED25519)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), signing=signing)
    async with world.running():
        for n in range(20):
            await world.queue.put(ours(n), Body((CONTENT,)))
        await world.clock.advance(5)
    assert len(host.received) == 20
    for one in host.received:
        assert verdicts(one.top) == [Result.PASS, Result.PASS]
    assert len(await world.events(Delivered)) == 20


async def test_what_strangers_sent_is_not_signed(make_world):
    host = ScriptedHost()
    signing = await Signatures().begin()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), signing=signing)
    async with world.running():
        await world.queue.put(structs.replace(ours(1), is_ours=False), Body((CONTENT,)))
        await world.clock.advance(5)
    assert [one.top for one in host.received] == [b""]


@pytest.mark.parametrize("route", ["lmtp://192.0.2.1:24", "mailbox:"])
async def test_what_goes_into_a_mailbox_is_not_signed(make_world, route):
    host = ScriptedHost()
    signing = await Signatures().begin()
    world = make_world(hosts={"192.0.2.1": host}, routes=(route,), signing=signing)
    async with world.running():
        await world.queue.put(ours(1), Body((CONTENT,)))
        await world.clock.advance(5)
    assert [one.top for one in host.received] in ([], [b""])


async def test_the_second_attempt_sends_the_same_octets(make_world):
    tops: list[bytes] = []

    def verdict(transaction: Transaction) -> Iterable[Outcome]:
        tops.append(transaction.top)
        result = Sent.DEFERRED if len(tops) == 1 else Sent.DELIVERED
        return [
            Outcome(one.n, result, "450 4.2.0 later", "4.2.0") for one in transaction.recipients
        ]

    host = ScriptedHost(verdict=verdict)
    signing = await Signatures().begin(KeyKind.RSA_2048)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), signing=signing)
    async with world.running():
        await world.queue.put(ours(1), Body((CONTENT,)))
        await world.clock.advance(400)
    assert len(tops) == 2
    assert tops[0] == tops[1] != b""


async def test_recipients_that_go_later_or_elsewhere_get_the_same_signature(make_world):
    host = ScriptedHost(max_rcpt=2)
    signing = await Signatures().begin()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), signing=signing)
    async with world.running():
        await world.queue.put(ours(1, *(f"u{n}@b.test" for n in range(60))), Body((CONTENT,)))
        await world.clock.advance(5)
    assert len(await world.events(Delivered)) == 60
    assert len(host.received) > 10
    assert {bool(one.top) for one in host.received} == {True}
    assert len({one.top for one in host.received}) == 1


async def test_a_stop_sends_back_what_is_being_signed(make_world):
    host = ScriptedHost()
    signing = await Signatures(executor=Held()).begin()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), signing=signing)
    world.settings = replace(world.settings, grace=1.0)
    async with world.running():
        await world.queue.put(ours(1), Body((LONG,)))
        await world.clock.advance(5)
        assert await world.waiting() == 0
    assert await world.waiting() == 1
    assert host.received == []


async def test_what_waits_for_signatures_bounds_what_is_taken_out(make_world):
    signing = await Signatures(executor=Held()).begin()
    world = make_world(routes=(SMARTHOST,), signing=signing)
    world.settings = replace(world.settings, unsigned=30, grace=1.0, claim=10)
    async with world.running() as dispatcher:
        for n in range(100):
            await world.queue.put(ours(n), Body((LONG,)))
        await world.clock.advance(5)
        assert dispatcher.unsigned == 30


async def test_what_found_no_room_among_the_unsigned_is_taken_out_as_soon_as_there_is(make_world):
    host = ScriptedHost(seconds=1000.0)  # No verdict of its makes the queue look again.
    signing = await Signatures().begin()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), signing=signing)
    world.settings = replace(world.settings, unsigned=3, sweep=100.0, grace=1.0)
    for n in range(30):
        await world.queue.put(ours(n), Body((CONTENT,)))
    async with world.running() as dispatcher:
        await world.clock.advance(5)
        assert dispatcher.octets == sum(ours(n).size for n in range(30))


async def test_only_what_takes_long_is_signed_in_a_thread() -> None:
    held = Held()
    signatures = Signatures(executor=held)
    signing = await signatures.begin()
    assert await sign(signing, ours(1))
    assert await thread_signs(held, sign(signing, ours(2), LONG))
    (key,) = signatures.keys.active("a.test")
    signatures.keys.active = lambda _: [replace(key, kind=KeyKind.RSA_4096.value)]
    assert await thread_signs(held, sign(signing, ours(3)))


async def thread_signs(held: Held, signing: Coroutine[None, None, bytes]) -> bool:
    """Whether it takes what a thread makes."""
    task = asyncio.create_task(signing)
    while not held.waiting:
        await asyncio.sleep(0)
        assert not task.done()
    held.waiting.pop().set_result(b"made in a thread")
    return await task == b"made in a thread"


async def test_the_loop_has_a_turn_before_each_signature() -> None:
    signing = await Signatures().begin()
    some = [Transaction(ours(n), (), Body((CONTENT,))) for n in range(5)]
    task = asyncio.create_task(signing.sign(some))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > len(some)


async def test_without_the_keys_mail_waits(make_world):
    signatures = Signatures()
    signing = await signatures.begin()

    def broken(domain: str) -> None:
        raise StorageError("the disk fails")

    signatures.keys.active = broken
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), signing=signing)
    async with world.running():
        await world.queue.put(ours(1), Body((CONTENT,)))
        await world.clock.advance(5)
    (deferred,) = await world.events(Deferred)
    assert "signing failed here: the disk fails" in deferred.reply
    assert host.received == []


async def test_a_message_is_signed_once_for_all_its_recipients() -> None:
    signing = await Signatures().begin()
    one = Transaction(ours(1), (), Body((CONTENT,)))
    first, second = await signing.sign([one, one.to(())])
    (third,) = await signing.sign([one])
    assert first.top is second.top is third.top
    assert first.top


async def test_a_message_that_is_read_from_the_disk_is_signed_too() -> None:
    content = CONTENT + b"x" * 300_000 + b"\r\n"

    async def pieces():
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    signing = await Signatures().begin()
    (signed,) = await signing.sign([Transaction(ours(1), (), pieces)])
    assert verdicts(signed.top, content) == [Result.PASS]


@pytest.mark.parametrize(
    ("author", "is_signed"),
    [
        (b"ann@a.test", True),
        (b"ann@mail.a.test", True),
        (b"ann@xa.test", False),
        (b"ann@test", False),
        (b"ann@a.test, bob@a.test", False),
        (b"nonsense", False),
    ],
)
async def test_a_key_signs_for_its_domain_and_those_below(author: bytes, is_signed: bool) -> None:
    content = CONTENT.replace(b"ann@a.test", author)
    signing = await Signatures().begin()
    top = await sign(signing, ours(1, content=content), content)
    assert bool(top) is is_signed


@pytest.mark.parametrize(
    ("login", "is_signed"),
    [
        ("ann@a.test", True),
        ("other@a.test", True),
        ("eve@e.test", False),
        ("budi@e.test", True),
        ("eve@b.a.test", False),
        ("nonsense", False),
    ],
)
async def test_a_login_gets_no_signature_of_another_domain(login: str, is_signed: bool) -> None:
    signatures = Signatures()
    signatures.directory.aliases[Address("ann", "a.test")] = (Address("budi", "e.test"),)
    signing = await signatures.begin()
    assert bool(await sign(signing, ours(1, login=login))) is is_signed


async def test_what_cannot_be_signed_leaves_as_it_is_and_is_told_of() -> None:
    content = CONTENT.replace(b"Subject: hi\r\n", b"Subject: hi\r\n" * 20_000)
    signatures = Signatures()
    signing = await signatures.begin()
    entry = ours(1, content=content)
    assert await sign(signing, entry, content) == b""
    assert signatures.unsigned == [(entry.id, "the header section is too long to be signed")]


async def test_a_signature_is_valid_for_longer_than_the_message_is_tried() -> None:
    signing = await Signatures().begin()
    usual, patient = ours(1), ours(2)
    patient = structs.replace(patient, expires=patient.received + 30 * DAY)
    assert f"x={int(START + 14 * DAY)};".encode() in await sign(signing, usual)
    assert f"x={int(START + 32 * DAY)};".encode() in await sign(signing, patient)


async def test_the_keys_of_a_signature_are_told() -> None:
    signing = await Signatures().begin(KeyKind.RSA_2048, KeyKind.ED25519)
    assert keys_of(await sign(signing, ours(1))) == (
        "ed25519._domainkey.a.test",
        "rsa-2048._domainkey.a.test",
    )
    assert keys_of(b"") == ()


async def test_a_domain_without_a_key_costs_no_thread() -> None:
    signing = await Signatures(executor=Held()).begin(domain="b.test")
    async with asyncio.timeout(20):
        assert await sign(signing, ours(1)) == b""


class TestSealing:
    """What strangers sent and an alias sends on, judged by dkimpy."""

    FOUND = "mx.a.test;\r\n\tspf=pass smtp.mailfrom=b.test;\r\n\tdmarc=pass header.from=b.test"
    STRANGE = CONTENT.replace(b"a.test", b"b.test")

    def entry(self, chain: str = "none", content: bytes = STRANGE, at: float = AT) -> Entry:
        # dkimpy reads the clock by itself and believes nothing of the future.
        entry = an_entry(1, "x@c.test", size=len(content), now=at)
        return structs.replace(entry, sealing=Sealing("a.test", self.FOUND, chain))

    async def seal(self, content: bytes = STRANGE, chain: str = "none") -> bytes:
        signing = await Signatures().begin(KeyKind.ED25519, KeyKind.RSA_2048)
        return await sign(signing, self.entry(chain, content), content) + content

    @staticmethod
    def judged(message: bytes) -> tuple[bytes, int]:
        """What dkimpy says of the chain, and its length."""
        found, sets, _ = dkim.arc_verify(
            message, dnsfunc=lambda name, timeout=5: pair(KeyKind.RSA_2048).record
        )
        return found, len(sets)

    async def test_a_seal_tells_what_was_found_and_dkimpy_believes_it(self) -> None:
        message = await self.seal()
        headers = Headers.scan(message)
        assert [field.name for field in headers.fields[:3]] == [
            "ARC-Seal",
            "ARC-Message-Signature",
            "ARC-Authentication-Results",
        ]
        assert f"ARC-Authentication-Results: i=1; {self.FOUND}\r\n".encode() in message
        assert self.judged(message) == (b"pass", 1)
        assert keys_of(message) == ("rsa-2048._domainkey.a.test",)

    async def test_the_next_host_seals_on(self) -> None:
        message = await self.seal(await self.seal(), "pass")
        assert self.judged(message) == (b"pass", 2)

    async def test_a_chain_that_failed_is_sealed_as_that_and_no_more(self) -> None:
        altered = (await self.seal()).replace(b"hello", b"hallo")
        broken = await self.seal(altered, "fail")
        assert b"ARC-Seal: i=2; cv=fail;" in broken
        assert self.judged(broken)[0] != b"pass"
        assert await self.seal(broken, "fail") == broken

    async def test_what_is_unknown_now_or_has_no_key_goes_without_and_that_is_told(self) -> None:
        signatures = Signatures()
        signing = await signatures.begin(domain="other.test")
        assert await sign(signing, self.entry(), self.STRANGE) == b""
        assert signatures.unsigned[0][1] == "no key to seal with for a.test"
        signing = await signatures.begin()
        sealed = self.STRANGE.join([await self.seal(), b""])
        assert await sign(signing, self.entry("temperror"), sealed) == b""
        assert "not known now" in signatures.unsigned[1][1]

    async def test_it_is_the_same_at_each_attempt_and_goes_to_hosts_alone(self, make_world) -> None:
        signing = await Signatures().begin(KeyKind.RSA_2048)
        host = ScriptedHost()
        world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), signing=signing)
        entry = self.entry(at=START)
        async with world.running():
            await world.queue.put(entry, Body((self.STRANGE,)))
            await world.clock.advance(2)
        (sent,) = host.received
        assert sent.top == (await sign(signing, entry, self.STRANGE))
        assert sent.top.startswith(b"ARC-Seal: i=1; cv=none;")
        local = parse_route("lmtp://192.0.2.1:24")
        assert not signing.wants(entry, local)
