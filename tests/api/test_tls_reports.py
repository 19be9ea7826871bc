"""Reports about TLS are posted by anybody: what is one is kept, everything else is told why not."""

import asyncio
import gzip
import io
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from merpati.api import tls_reports
from merpati.api.tls_reports import MAX_OCTETS, PATH, add_tls_reports
from merpati.feedback.feedback import Selection
from merpati.feedback.received import Proof
from merpati.report.receiving import Receiver, ReceiverParts
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import START
from merpati.testing.memory_feedback import MemoryFeedback
from tests.report.provided import tls_json

GZIP = {"Content-Type": "application/tlsrpt+gzip"}
JSON = {"Content-Type": "application/tlsrpt+json"}


@dataclass
class Door:
    client: TestClient  # type: ignore[type-arg]
    feedback: MemoryFeedback
    failures: list[Exception] = field(default_factory=list)

    async def post(
        self, octets: bytes | AsyncIterator[bytes], headers: dict[str, str]
    ) -> tuple[int, str]:
        data = io.BytesIO(octets) if isinstance(octets, bytes) else octets
        answer = await self.client.post(PATH, data=data, headers=headers)
        return answer.status, await answer.text()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
async def door(threads: ThreadPoolExecutor) -> AsyncIterator[Door]:
    feedback = MemoryFeedback()
    parts = ReceiverParts(
        feedback=feedback,
        executor=threads,
        is_address=lambda _: False,
        defect=lambda *_: None,
        clock=VirtualClock(START),
        new_id=iter(f"P{n}" for n in range(9)).__next__,
    )
    receiver = Receiver(parts)
    app = web.Application(client_max_size=1024)

    async def take(octets: bytes) -> None:
        if door.failures:
            raise door.failures.pop()
        await receiver.take_posted(octets)

    add_tls_reports(app, take)
    async with TestClient(TestServer(app)) as client:
        door = Door(client, feedback)
        yield door


@pytest.mark.parametrize("behind", [";" * 8000, "(" * 7000, ";a=b" * 1700])
async def test_a_type_with_a_long_tail_costs_nothing(door: Door, behind: str) -> None:
    field = {"Content-Type": f"{JSON['Content-Type']}; {behind}"}
    began = time.process_time()
    assert await door.post(tls_json(), field) == (201, "kept\n")
    assert (await door.post(b"", {"Content-Type": behind}))[0] == 415
    assert time.process_time() - began < 0.3  # 0.5 s at least by the library, or 500.


async def test_reports_are_kept(door: Door) -> None:
    assert await door.post(gzip.compress(tls_json()), GZIP) == (201, "kept\n")
    assert await door.post(tls_json(domain="b.test"), JSON) == (201, "kept\n")
    lines = await door.feedback.reports(Selection())
    assert [(line.domain, line.total) for line in lines] == [("b.test", 91), ("a.test", 91)]
    origin = lines[1].origin
    assert (origin.id, origin.at, origin.proof) == ("P0", START, Proof.UNKNOWN)


async def test_the_same_report_again_is_fine_and_kept_once(door: Door) -> None:
    for _ in range(2):
        assert await door.post(tls_json(), JSON) == (201, "kept\n")
    assert len(await door.feedback.reports(Selection())) == 1


@pytest.mark.parametrize(
    ("octets", "headers", "status", "words"),
    [
        (b"{}", JSON, 400, "no report about TLS"),
        (b"\x1f\x8b x", GZIP, 400, "broken"),
        (gzip.compress(b" " * 30_000_000), GZIP, 400, "octets for each"),
        (b"<feedback/>", JSON, 400, "no report about TLS"),
        (b"", GZIP, 400, "no report about TLS"),
        (b"x" * (MAX_OCTETS + 1), GZIP, 413, "at most"),
        (tls_json(), {"Content-Type": "application/json"}, 415, "application/tlsrpt+gzip or"),
    ],
)
async def test_what_is_none_is_told_why(
    door: Door, octets: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    found, told = await door.post(octets, headers)
    assert (found, words in told) == (status, True), told
    assert await door.feedback.reports(Selection()) == []


async def test_a_store_that_fails_is_told_as_temporary(door: Door) -> None:
    door.failures.append(StorageError("sick"))
    assert (await door.post(tls_json(), JSON))[0] == 503


async def test_who_sends_slowly_is_not_waited_for(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_reports, "SECONDS", 0.0)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert (await door.post(slowly(), JSON))[0] == 408


async def test_few_are_taken_at_once(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_reports, "_AT_ONCE", 0)
    assert (await door.post(tls_json(), JSON))[0] == 503
