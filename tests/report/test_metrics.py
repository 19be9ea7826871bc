"""Counters, kept from events, in the text format of Prometheus."""

from collections.abc import Mapping

from msgspec import structs

from merpati.journal.events import (
    BY_ITSELF,
    Accepted,
    Attempt,
    Deferred,
    Delivered,
    Event,
    Expired,
    Held,
    LoggedIn,
    Refused,
)
from merpati.report.metrics import MAX_SERIES, Metrics, exposition
from merpati.report.reader import Reader
from merpati.storage.errors import StorageError
from merpati.testing.clock import VirtualClock
from merpati.testing.memory import MemoryJournal


async def page(metrics: Metrics) -> list[str]:
    return exposition(await metrics.series()).decode().splitlines()


async def test_events_are_counted_by_their_label() -> None:
    metrics = Metrics()
    metrics.take(Accepted(at=0.0, sender="", recipients=(), size=100, role="mx"))
    metrics.take(Accepted(at=0.0, sender="", recipients=(), size=50, role="mx"))
    metrics.take(Deferred(at=0.0, reply="", cause="greylisted"))
    metrics.take(Expired(at=0.0))
    metrics.take(Held(at=0.0, by="operator"))
    metrics.take(Held(at=0.0, by=BY_ITSELF))
    lines = await page(metrics)
    assert "merpati_damaged_total 1" in lines
    assert 'merpati_messages_accepted_total{role="mx"} 2' in lines
    assert "merpati_received_octets_total 150" in lines
    assert 'merpati_deferred_total{cause="greylisted"} 1' in lines
    assert 'merpati_failed_total{cause="expired"} 1' in lines


async def test_delays_are_a_cumulative_histogram() -> None:
    metrics = Metrics()
    for delay in (0.05, 0.4, 100_000.0):
        metrics.take(Delivered(at=0.0, reply="", attempt=Attempt(route="mx"), delay=delay))
    lines = await page(metrics)
    assert 'merpati_delivery_delay_seconds_bucket{le="0.1"} 1' in lines
    assert 'merpati_delivery_delay_seconds_bucket{le="0.5"} 2' in lines
    assert 'merpati_delivery_delay_seconds_bucket{le="86400.0"} 2' in lines
    assert 'merpati_delivery_delay_seconds_bucket{le="+Inf"} 3' in lines
    assert "merpati_delivery_delay_seconds_count 3" in lines


async def test_label_values_are_bounded_and_harmless() -> None:
    metrics = Metrics()
    for n in range(MAX_SERIES + 50):
        metrics.take(Refused(at=0.0, stage="rcpt", reply="", rule=f'r{n}"}}\n evil 1'))
    lines = [line for line in await page(metrics) if "merpati_refused_total{" in line]
    assert len(lines) == MAX_SERIES + 1
    assert 'merpati_refused_total{rule="other"} 50' in lines
    assert not any(line.startswith(" evil") for line in await page(metrics))


async def test_a_gauge_that_cannot_be_read_hides_no_other() -> None:
    async def broken() -> Mapping[str, float]:
        raise StorageError("feedback.db is damaged")

    async def sound() -> Mapping[str, float]:
        return {"": 3.0}

    gauges = {("reports_waiting", "Reports.", "kind"): broken, ("open", "Open.", ""): sound}
    lines = await page(Metrics(gauges))
    assert "merpati_open 3" in lines
    assert "# TYPE merpati_reports_waiting gauge" in lines
    assert not [line for line in lines if line.startswith("merpati_reports_waiting")]


async def test_gauges_are_asked_when_the_page_is_read() -> None:
    async def depth() -> Mapping[str, float]:
        return {"waiting": 3, "held": 1}

    metrics = Metrics({("queue_recipients", "Recipients in the queue.", "state"): depth})
    lines = await page(metrics)
    assert 'merpati_queue_recipients{state="waiting"} 3' in lines
    assert "# TYPE merpati_queue_recipients gauge" in lines


class Seen:
    """Keeps when each event was, and how often it was told that no more came."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.pauses = 0

    def take(self, event: Event) -> None:
        self.at.append(event.at)

    async def pause(self) -> None:
        self.pauses += 1


async def test_the_reader_shows_each_event_once_and_in_order() -> None:
    journal = MemoryJournal()
    seen = Seen()
    reader = Reader(journal, [seen], VirtualClock())
    journal.note(Expired(at=1.0), Expired(at=2.0))
    assert await reader.read() == 2
    journal.note(Expired(at=3.0))
    assert await reader.read() == 1
    assert await reader.read() == 0
    assert seen.at == [1.0, 2.0, 3.0]
    assert seen.pauses == 3


async def test_the_reader_goes_on_behind_its_cursor() -> None:
    journal = MemoryJournal()
    journal.note(Expired(at=1.0), Expired(at=2.0))
    seen = Seen()
    reader = Reader(journal, [seen], VirtualClock(), after=1)
    await reader.read()
    assert (seen.at, reader.cursor) == ([2.0], 2)


async def test_workers_are_told_apart_by_a_label():
    metrics = Metrics()
    metrics.take(LoggedIn(at=0.0, login="ann@a.test", ip="192.0.2.1", mechanism="PLAIN"))
    found = await metrics.series()
    both = [structs.replace(one, worker=worker) for worker in "01" for one in found]
    lines = exposition(both).decode().splitlines()
    assert 'merpati_logins_total{result="succeeded",worker="0"} 1' in lines
    assert 'merpati_logins_total{result="succeeded",worker="1"} 1' in lines
    assert 'merpati_received_octets_total{worker="1"} 0' in lines
    assert len([line for line in lines if line.startswith("# TYPE merpati_logins_total")]) == 1
