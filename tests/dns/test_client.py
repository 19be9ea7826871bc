"""What is asked, what is kept, and how strangers' answers end."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.dns.cache import Cache
from merpati.dns.client import CNAME_LIMIT, DnsClient, DnsSettings
from merpati.dns.errors import DnsBogus, DnsError, DnsFailure, DnsNonsense, DnsTimeout
from merpati.dns.resolver import MAX_ANSWER, RECORD_LIMIT, Answer, Found, Mx
from merpati.testing.clock import VirtualClock
from merpati.testing.zone import Fault


async def test_every_kind_of_record_is_read(asking) -> None:
    async with asking() as asker:
        dns = asker.dns
        mx = await dns.mx("A.test")
        assert sorted(mx.records, key=lambda record: record.preference) == [
            Mx(10, "mx1.a.test"),
            Mx(20, "mx2.a.test"),
        ]
        assert set((await dns.ipv4("mx1.a.test")).records) == {"192.0.2.1", "192.0.2.2"}
        assert (await dns.ipv6("mx1.a.test")).records == ("2001:db8::1",)
        assert (await dns.txt("a.test")).records == (b"v=spf1 -all",)
        assert (await dns.ptr("192.0.2.1")).records == ("mx1.a.test",)
        tlsa = await dns.tlsa(25, "mx1.a.test")
        assert tlsa.records == ((3, 1, 1, bytes.fromhex("0011223344556677" * 4)),)


async def test_null_mx_is_a_record_with_an_empty_host(asking) -> None:
    async with asking() as asker:
        assert (await asker.dns.mx("null.test")).records == (Mx(0, ""),)


async def test_no_name_and_no_data_are_told_apart(asking) -> None:
    async with asking() as asker:
        assert (await asker.dns.mx("missing.test")).found is Found.NO_NAME
        assert (await asker.dns.mx("mx1.a.test")).found is Found.NO_DATA


@pytest.mark.parametrize("name", ["a..test", "x" * 64 + ".test", "é.test", "a\\.b.test", "." * 3])
async def test_text_that_no_name_can_be_does_not_exist_and_is_not_asked(asking, name) -> None:
    async with asking() as asker:
        assert await asker.dns.ipv4(name) == Answer(Found.NO_NAME)
        assert await asker.dns.ptr("192.0.2.999") == Answer(Found.NO_NAME)
        assert asker.server.asked == []


async def test_alias_is_followed_in_one_answer_and_across_answers(asking) -> None:
    async with asking() as asker:
        assert len((await asker.dns.ipv4("www.a.test")).records) == 2
        assert len(asker.server.asked) == 1
        asker.server.faults["www.a.test"] = Fault.BARE_ALIAS
        assert (await asker.dns.ipv6("www.a.test")).records == ("2001:db8::1",)
        assert asker.server.asked[1:] == [("www.a.test", "AAAA"), ("mx1.a.test", "AAAA")]


@pytest.mark.parametrize("fault", [None, Fault.BARE_ALIAS])
async def test_aliases_in_a_circle_are_nonsense(asking, fault) -> None:
    async with asking() as asker:
        if fault:
            asker.server.faults["*"] = fault
        with pytest.raises(DnsNonsense):
            await asker.dns.ipv4("loop1.a.test")
        assert len(asker.server.asked) <= CNAME_LIMIT + 1


@pytest.mark.parametrize(("links", "ends_well"), [(CNAME_LIMIT, True), (CNAME_LIMIT + 1, False)])
async def test_chain_of_aliases_has_a_limit(asking, links: int, ends_well: bool) -> None:
    async with asking() as asker:
        for n in range(links):
            asker.server.zone.add(f"c{n}.test", "CNAME", f"c{n + 1}.test")
        asker.server.zone.add(f"c{links}.test", "A", "192.0.2.9")
        expected = contextlib.nullcontext() if ends_well else pytest.raises(DnsNonsense)
        with expected:
            assert (await asker.dns.ipv4("c0.test")).records == ("192.0.2.9",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.SILENT, DnsTimeout),
        (Fault.WRONG_ID, DnsTimeout),
        (Fault.WRONG_QUESTION, DnsTimeout),
        (Fault.GARBAGE, DnsTimeout),
        (Fault.CUT, DnsTimeout),
        (Fault.SERVFAIL, DnsFailure),
        (Fault.REFUSED, DnsFailure),
        (Fault.TRUNCATED_TCP_DEAD, DnsError),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_unusable_answers_are_errors_that_name_the_question(asking, fault, error) -> None:
    # Where nothing usable comes, the wait is short; a busy machine must not make one of the others.
    async with asking(server_seconds=0.05 if error is DnsTimeout else 5.0) as asker:
        asker.server.faults["*"] = fault
        with pytest.raises(error, match=r"a\.test MX: "):
            await asker.dns.mx("a.test")


async def test_truncated_answer_is_fetched_by_tcp(asking) -> None:
    async with asking() as asker:
        asker.server.faults["*"] = Fault.TRUNCATED
        assert len((await asker.dns.mx("a.test")).records) == 2
        assert len(asker.server.asked) == 2


@pytest.mark.slow
async def test_the_largest_answer_with_addresses_is_kept_whole(asking) -> None:
    """SPF lets mail pass from any of them."""
    count = (MAX_ANSWER - 100) // 16
    async with asking() as asker:
        for n in range(count):
            asker.server.zone.add("big.test", "A", f"10.0.{n // 256}.{n % 256}")
        assert len((await asker.dns.ipv4("big.test")).records) == count


@pytest.mark.slow
async def test_huge_answer_is_cut_to_the_limit(asking) -> None:
    async with asking() as asker:
        for n in range(RECORD_LIMIT + 10):
            asker.server.zone.add("big.test", "TXT", f'"{chr(97 + n % 26)}{chr(48 + n // 26)}"')
        assert len((await asker.dns.txt("big.test")).records) == RECORD_LIMIT


@pytest.mark.slow
async def test_an_answer_that_is_too_long_is_not_read(asking) -> None:
    """To parse one of 64 KiB takes as long as to receive a thousand messages."""
    async with asking() as asker:
        for n in range(4000):
            asker.server.zone.add("big.test", "A", f"10.0.{n // 256}.{n % 256}")
        with pytest.raises(DnsNonsense, match="an answer of 64"):
            await asker.dns.ipv4("big.test")
        assert ("big.test", "A") in asker.server.asked


@pytest.mark.slow
async def test_next_server_is_asked_when_one_fails(asking) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with asking() as asker:
            both = (silent.getsockname(), asker.server.address)
            async with asking(servers=both, server_seconds=0.5) as other:
                assert len((await other.dns.mx("a.test")).records) == 2
                assert len(asker.server.asked) == 1


@pytest.mark.slow
async def test_question_ends_at_its_total_time(asking) -> None:
    async with asking(server_seconds=5.0, total_seconds=0.05) as asker:
        asker.server.faults["*"] = Fault.SILENT
        async with asyncio.timeout(4):
            with pytest.raises(DnsTimeout):
                await asker.dns.mx("a.test")


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("authentic", [True, False])
async def test_ad_bit_counts_from_a_trusted_server_only(asking, trusted, authentic) -> None:
    async with asking(trusted=trusted) as asker:
        asker.server.authentic = authentic
        assert (await asker.dns.mx("a.test")).secure is (trusted and authentic)
        assert (await asker.dns.mx("missing.test")).secure is (trusted and authentic)


@pytest.mark.parametrize(
    ("fault", "trusted", "kind"),
    [
        (Fault.BOGUS, True, DnsBogus),
        (Fault.BOGUS, False, DnsFailure),
        (Fault.SERVFAIL, True, DnsFailure),
    ],
)
async def test_an_answer_that_is_not_believed_is_told_from_a_failure(
    asking, fault, trusted, kind
) -> None:
    async with asking(trusted=trusted) as asker:
        asker.server.faults["a.test"] = fault
        with pytest.raises(DnsFailure) as raised:
            await asker.dns.mx("a.test")
        assert type(raised.value) is kind


async def test_the_end_of_an_alias_is_told(asking) -> None:
    async with asking() as asker:
        assert (await asker.dns.ipv4("www.a.test")).alias == "mx1.a.test"
        assert (await asker.dns.ipv4("mx1.a.test")).alias == ""


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("mx1.a.test", 300.0), ("short.a.test", 5.0), ("long.a.test", 86_400.0), ("no.test", 60.0)],
)
async def test_answers_are_kept_for_their_ttl_within_the_caps(asking, name, seconds) -> None:
    async with asking() as asker:
        assert (await asker.dns.ipv4(name)).ttl == seconds
        await asker.clock.advance(seconds - 1.0)
        await asker.dns.ipv4(name)
        assert len(asker.server.asked) == 1
        await asker.clock.advance(1.0)
        await asker.dns.ipv4(name)
        assert len(asker.server.asked) == 2


async def test_failure_is_remembered_for_a_moment(asking) -> None:
    async with asking() as asker:
        asker.server.faults["*"] = Fault.SERVFAIL
        for _ in range(2):
            with pytest.raises(DnsFailure):
                await asker.dns.mx("a.test")
        assert len(asker.server.asked) == 2, "both rounds of one question"
        del asker.server.faults["*"]
        await asker.clock.advance(5.0)
        assert (await asker.dns.mx("a.test")).found is Found.RECORDS


async def test_same_question_is_asked_once_at_a_time(asking) -> None:
    async with asking() as asker:
        async with asyncio.TaskGroup() as group:
            asks = [group.create_task(asker.dns.mx("a.test")) for _ in range(50)]
        assert len({ask.result() for ask in asks}) == 1
        assert asker.server.asked == [("a.test", "MX")]


async def test_cancelled_asker_leaves_the_question_to_the_others(asking) -> None:
    async with asking(server_seconds=5.0) as asker:
        asker.server.faults["*"] = Fault.SILENT
        async with asyncio.TaskGroup() as group:
            first = group.create_task(asker.dns.mx("a.test"))
            second = group.create_task(asker.dns.mx("a.test"))
            await asyncio.sleep(0.02)
            del asker.server.faults["*"]
            first.cancel()
        assert second.result().found is Found.RECORDS


def open_sockets() -> int:
    descriptors = [fd for fd in Path("/proc/self/fd").iterdir() if fd.exists()]
    return sum("socket:" in str(fd.readlink()) for fd in descriptors)


@pytest.mark.slow
async def test_a_question_that_is_cancelled_at_any_moment_leaves_no_socket(asking) -> None:
    async with asking(server_seconds=5.0) as asker:
        asker.server.faults["*"] = Fault.SILENT
        before = open_sockets()
        for turns in range(12):
            ask = asyncio.ensure_future(asker.dns.mx(f"n{turns}.test"))
            for _ in range(turns):
                await asyncio.sleep(0)
            ask.cancel()
            await asyncio.wait([ask])
        await asyncio.sleep(0.05)
        assert open_sockets() == before


async def test_questions_under_way_are_bounded(asking) -> None:
    async with asking(concurrency=2, server_seconds=60.0, total_seconds=60.0) as asker:
        asker.server.faults["*"] = Fault.SILENT
        async with asyncio.TaskGroup() as group:
            asks = [group.create_task(asker.dns.ipv4(f"h{n}.test")) for n in range(10)]
            async with asyncio.timeout(30):
                while len(asker.server.asked) < 2:
                    await asyncio.sleep(0)
            # A third would have been sent with them, and loopback takes no time.
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(asker.server.asked) == 2
            for ask in asks:
                ask.cancel()


def test_cache_drops_the_least_used_beyond_its_size() -> None:
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1, expires=10.0)
    cache.put("b", 2, expires=10.0)
    assert cache.get("a", 0.0) == 1
    cache.put("c", 3, expires=10.0)
    assert (cache.get("a", 0.0), cache.get("b", 0.0), len(cache)) == (1, None, 2)
    assert cache.get("a", 10.0) is None


def test_cache_is_bounded_by_what_weighs_much_as_well() -> None:
    cache: Cache[str, int] = Cache(10)
    for n in range(10):
        cache.put(f"light{n}", n, expires=10.0)
    cache.put("heavy", 1, expires=10.0, weight=8)
    assert (len(cache), cache.get("light7", 0.0), cache.get("light8", 0.0)) == (3, None, 8)
    cache.put("heavy", 2, expires=10.0)
    for n in range(7):
        cache.put(f"new{n}", n, expires=10.0)
    assert (len(cache), cache.get("heavy", 0.0)) == (10, 2)
    cache.put("too heavy", 3, expires=10.0, weight=11)
    assert len(cache) == 0


class Hostile(asyncio.DatagramProtocol):
    """Answers with the right id, and with the right question if it `echoes`, then anything."""

    def __init__(self, octets: bytes, echoes: bool) -> None:
        self.octets = octets
        self.echoes = echoes

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, octets: bytes, peer) -> None:
        # A response to one question with three sections of one record each, then the question.
        end = octets.index(b"\0", 12) + 5
        head = octets[:2] + bytes.fromhex("8180000100010001 0001") + octets[12:end]
        self.transport.sendto((head if self.echoes else octets[:2]) + self.octets, peer)


async def ask_hostile(octets: bytes, echoes: bool) -> Answer[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Hostile(octets, echoes), local_addr=("127.0.0.1", 0)
    )
    here = transport.get_extra_info("sockname")
    settings = DnsSettings(servers=(here,), server_seconds=0.01, total_seconds=0.1)
    try:
        return await DnsClient(VirtualClock(), settings).ipv4("a.test")
    finally:
        transport.close()


@pytest.mark.slow
@given(octets=st.binary(max_size=300), echoes=st.booleans())
def test_any_octets_end_as_an_answer_or_a_dns_error(octets: bytes, echoes: bool) -> None:
    with contextlib.suppress(DnsError):  # Which one it is, the tests above say.
        assert asyncio.run(ask_hostile(octets, echoes)).found in Found
