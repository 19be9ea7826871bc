"""A smarthost is held to the policy of MTA-STS of its own name (RFC 8461 §3.4)."""

import secrets
from dataclasses import replace

import pytest
from msgspec import structs

from merpati.delivery.backing import Backing, StsMode
from merpati.delivery.conversation import Surroundings
from merpati.delivery.decision import Decided
from merpati.delivery.ending import Ending
from merpati.delivery.lesson import NOTHING_KNOWN, SiteMemory, Waived
from merpati.delivery.link import ConversationSettings
from merpati.delivery.mx import Exchanges, NoHosts
from merpati.delivery.outcome import Result
from merpati.delivery.route import parse_route
from merpati.delivery.security import Decider, Policy, Security, Unlisted
from merpati.delivery.transaction import Host, TlsDemand
from merpati.diagnosis.texts import known_causes
from merpati.journal.events import Event, Opened
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import START, ScriptedDns, ScriptedHost, an_entry
from merpati.wire.stream import Stream
from tests.cases import each

RELAY = "relay.b.test"
HOST = Host(RELAY, "192.0.2.1", 587)
BROKEN_BEFORE = SiteMemory(waived=Waived.TLS)


class Policies:
    """Everybody's is of one mode, and names the hosts of b.test."""

    def __init__(self, mode: StsMode, *, is_listed: bool = True, fails: bool = False) -> None:
        self.mode = mode
        self.is_listed = is_listed
        self.fails = fails
        self.asked: list[tuple[str, bool]] = []

    async def __call__(
        self, domain: str, found: Exchanges, *, is_ours: bool
    ) -> Exchanges | NoHosts:
        self.asked.append((domain, is_ours))
        if self.fails:
            raise StorageError("the directory cannot be read")
        if self.mode is StsMode.NONE:
            return found
        if self.mode is StsMode.ENFORCE and not self.is_listed:
            return NoHosts(Result.DEFERRED, "4.7.5", "allows none", "sts-mx-unlisted")
        unlisted = () if self.is_listed else found.groups[0]
        return replace(found, backing=Backing(sts=self.mode, unlisted=unlisted))


async def decided(
    policies: Policies,
    to: str = f"smtp://{RELAY}:587",
    tls: TlsDemand | None = None,
    memory: SiteMemory = NOTHING_KNOWN,
) -> Security:
    way = parse_route(to, tls=tls).way("site")
    return await Decider(demands=policies).decide(way, HOST, memory)


@each(
    ("to", "tls", "domain"),
    [
        ("smtp://Relay.B.test:587", None, RELAY),
        ("smtp://relay.b.test.", None, RELAY),
        ("smtps://relay.b.test", None, RELAY),
        ("smtp://ann:secret@relay.b.test", None, RELAY),
        ("smtp://relay.b.test", TlsDemand.REQUIRED, RELAY),
        ("smtp://bücher.test", None, "xn--bcher-kva.test"),
        ("smtp://relay.b.test", TlsDemand.OFF, ""),
        ("smtp://192.0.2.1:587", None, ""),
        ("smtp://[2001:db8::1]:587", None, ""),
        ("smtp://localhost:587", None, ""),
        ("lmtp://relay.b.test", None, ""),
        ("lmtp:unix:/run/lmtp", None, ""),
        ("mx:", None, ""),
        ("mailbox:", None, ""),
    ],
)
def test_who_is_asked_for_a_policy_is_the_name_in_the_route(
    to: str, tls: TlsDemand | None, domain: str
) -> None:
    assert parse_route(to, tls=tls).policy_domain == domain


async def test_the_policy_stays_whoever_writes() -> None:
    policies = Policies(StsMode.ENFORCE)
    await decided(policies)
    assert policies.asked == [(RELAY, True)]
    await decided(policies, "smtp://192.0.2.1:587")
    assert len(policies.asked) == 1


ADDED = [
    (StsMode.ENFORCE, None, Policy.STS_ENFORCE, TlsDemand.REQUIRED, True),
    (StsMode.TESTING, None, Policy.STS_TESTING, TlsDemand.OPPORTUNISTIC, True),
    (StsMode.NONE, None, Policy.OPPORTUNISTIC, TlsDemand.OPPORTUNISTIC, False),
    # What the route says stays, whatever the policy says.
    (StsMode.ENFORCE, TlsDemand.REQUIRED, Policy.REQUIRED, TlsDemand.REQUIRED, True),
    (StsMode.TESTING, TlsDemand.REQUIRED, Policy.REQUIRED, TlsDemand.REQUIRED, True),
    (StsMode.NONE, TlsDemand.REQUIRED, Policy.REQUIRED, TlsDemand.REQUIRED, True),
    (StsMode.ENFORCE, TlsDemand.OFF, Policy.NONE, TlsDemand.OFF, False),
]


async def test_a_policy_adds_to_what_the_route_demands() -> None:
    for mode, tls, policy, demand, verifies in ADDED:
        security = await decided(Policies(mode), tls=tls)
        assert (security.policy, security.demand) == (policy, demand)
        assert (security.verifies, security.name) == (verifies, RELAY)


async def test_nothing_that_broke_before_gives_up_what_a_policy_demands() -> None:
    security = await decided(Policies(StsMode.ENFORCE), memory=BROKEN_BEFORE)
    assert (security.demand, security.may_fall_back) == (TlsDemand.REQUIRED, False)


async def test_tls_from_the_first_octet_is_checked_where_a_policy_demands_it() -> None:
    security = await decided(Policies(StsMode.ENFORCE), f"smtps://{RELAY}")
    assert (security.implicit, security.verifies) == (True, True)


@pytest.mark.parametrize("tls", [None, TlsDemand.REQUIRED])
async def test_a_name_that_its_own_policy_lacks_gets_nothing(tls: TlsDemand | None) -> None:
    with pytest.raises(Unlisted, match=f"policy of {RELAY} does not name"):
        await decided(Policies(StsMode.ENFORCE, is_listed=False), tls=tls)


async def test_in_testing_it_gets_mail_and_the_failure_is_known() -> None:
    security = await decided(Policies(StsMode.TESTING, is_listed=False))
    assert security.failure is not None
    assert (security.may_fall_back, security.verifies) == (True, False)


async def ended(policies: Policies) -> tuple[Ending, str, list[Event]]:
    """How a conversation ends that is not begun, with its cause, and what the journal has."""

    async def nowhere(host: Host, seconds: float) -> Stream:
        raise AssertionError("it was connected to")

    told: list[Event] = []
    around = Surroundings(
        settings=ConversationSettings("us.test"),
        dial=nowhere,
        clock=VirtualClock(START),
        entropy=secrets.token_bytes,
        note=told.append,
        learn=lambda _: None,
    )
    way = parse_route(f"smtp://{RELAY}:587").way("site")
    decider = Decider(demands=policies)
    end = await Decided(way, HOST, lambda: decider, around, NOTHING_KNOWN).open()
    assert end is not None
    return end.ending, end.cause(on_a_route=True), told


async def test_who_is_left_alone_is_told_of_in_the_journal() -> None:
    ending, cause, told = await ended(Policies(StsMode.ENFORCE, is_listed=False))
    assert (ending, cause) == (Ending.TLS_FAILED, "sts-host-unlisted")
    assert cause in known_causes()
    (opened,) = told
    assert isinstance(opened, Opened)
    assert (opened.policy, opened.tls_failure) == ("sts-enforce", "validation-failure")


async def test_a_store_that_cannot_be_read_is_not_held_against_the_host() -> None:
    ending, _, told = await ended(Policies(StsMode.ENFORCE, fails=True))
    assert (ending, told) == (Ending.OURS, [])


async def test_mail_that_waives_tls_goes_beside_the_connections_that_heed_it(make_world) -> None:
    world = make_world(
        hosts={"192.0.2.1": ScriptedHost()},
        dns=ScriptedDns(v4={RELAY: ("192.0.2.1",)}),
        routes=(f"smtp://{RELAY}:587",),
    )
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.put(structs.replace(an_entry(2, "ann@a.test"), waives_tls=True))
        await world.clock.advance(2)
    assert {way.site: way.policy_domain for way in world.talker.ways} == {
        f"smtp://{RELAY}:587": RELAY,
        f"smtp://{RELAY}:587?sts=waived": "",
    }
