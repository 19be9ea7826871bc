"""Both queues keep the promises."""

import pytest

from merpati.testing.conformance.bench import Bench, Check
from merpati.testing.conformance.queue import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_queue(check: Check, bench: Bench) -> None:
    await check(bench)
