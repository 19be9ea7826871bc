"""Every dialogue is played whole, octet by octet, and in random pieces."""

from collections.abc import Callable
from functools import partial

import pytest

from merpati.testing.caller import Caller, a_caller
from merpati.testing.dialogue import WAYS

MakeCaller = Callable[..., Caller]

# One random way is enough for a quick run.
_LATER = [pytest.param(way, marks=pytest.mark.slow) for way in WAYS[3:]]


@pytest.fixture(name="way", params=[*WAYS[:3], *_LATER])
def _way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="a_caller")
def _a_caller(way: str) -> MakeCaller:
    return partial(a_caller, way)
