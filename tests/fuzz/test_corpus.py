"""Every parser of outside bytes: inputs that are kept, repeated ones, and some that are new."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.corpora import kept
from tests.fuzz.mutation import repetitions
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import Target, check_memory, check_time
from tests.fuzz.targets.faces import close

pytestmark = pytest.mark.slow

targets = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
_MEASURED = 8192


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    close()


@targets
def test_what_was_found_once_stays_sound(target: Target) -> None:
    for octets in kept(target.name):
        check_time(target, octets)


@targets
def test_neither_time_nor_memory_explodes_with_repetition(target: Target) -> None:
    for octets in repetitions(target, target.longest):
        check_time(target, octets)
    for octets in repetitions(target, _MEASURED):
        check_memory(target, octets)


@targets
def test_new_inputs_are_handled_as_promised(target: Target) -> None:
    known = st.sampled_from([b"", *kept(target.name)])
    pieces = st.lists(st.one_of(st.sampled_from(target.words), st.binary(max_size=8)), max_size=12)
    cuts = st.tuples(st.integers(0, 400), st.integers(0, 400))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(known, pieces, cuts)
    def handles(kept_input: bytes, new: list[bytes], cut: tuple[int, int]) -> None:
        target.run(kept_input[: cut[0]] + b"".join(new) + kept_input[cut[1] :])

    handles()
