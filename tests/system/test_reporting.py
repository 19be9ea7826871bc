"""The cursor of what was told, in a small file."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from merpati.config.places import Places
from merpati.config.settings import load
from merpati.system.reporting import Reporting
from merpati.system.stores import open_stores
from merpati.testing.clock import VirtualClock


@pytest.mark.slow
async def test_a_disk_that_takes_nothing_stops_no_loop(tmp_path: Path) -> None:
    """Whoever opens a named pipe to write waits until somebody reads: as slow as a disk can be."""
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n')
    settings, clock = load(file), VirtualClock()
    places = Places(settings.data)
    places.data.mkdir()
    slow = places.cursor(0).with_suffix(".new")
    os.mkfifo(slow)
    turned = threading.Event()
    did_turn: list[bool] = []

    def read() -> None:
        did_turn.append(turned.wait(60))
        slow.read_text()

    disk = threading.Thread(target=read)
    async with open_stores(places, clock) as stores:
        reporting = Reporting(0, settings, stores, clock, {})
        await reporting.begin()
        reporting._reader.cursor = 7
        keeping = asyncio.create_task(reporting.keep_place())
        disk.start()
        await clock.advance(10)
        turned.set()
        await asyncio.to_thread(disk.join)
        keeping.cancel()
    assert did_turn == [True]
