"""Gathered cases fail as loudly as tests of their own."""

import inspect
from pathlib import Path

import pytest

from tests.cases import each


def test_every_case_is_tried_and_those_that_fail_are_named() -> None:
    tried = []

    @each("n, word", [(1, "one"), (2, "two"), pytest.param(3, "three", id="the third")])
    def is_even(n: int, word: str) -> None:
        tried.append(word)
        assert n % 2 == 0

    with pytest.raises(BaseExceptionGroup, match="2 of 3 cases") as raised:
        is_even()  # type: ignore[call-arg]  # as pytest does
    assert tried == ["one", "two", "three"]
    notes = [error.__notes__ for error in raised.value.exceptions]
    assert notes == [["case: (1, 'one')"], ["case: the third"]]


def test_a_single_failure_is_told_as_it_is() -> None:
    @each("n", range(3))
    def raises_below_two(n: int) -> None:
        with pytest.raises(ZeroDivisionError):
            1 / (n // 2)

    with pytest.raises(pytest.fail.Exception) as raised:
        raises_below_two()  # type: ignore[call-arg]  # as pytest does
    assert raised.value.__notes__ == ["case: 2"]


def test_what_would_have_to_be_awaited_is_refused() -> None:
    async def fact(n: int) -> None: ...

    with pytest.raises(AssertionError, match="await"):
        each("n", [1])(fact)  # type: ignore[type-var]


def test_fixtures_and_further_cases_go_with_each(tmp_path) -> None:  # type: ignore[no-untyped-def]
    @each("n", [1, 2])
    @each("word", ["a", "b"])
    def is_new(n: int, word: str, folder: Path) -> None:
        (folder / f"{word}{n}").touch(exist_ok=False)

    assert list(inspect.signature(is_new).parameters) == ["folder"]
    is_new(folder=tmp_path)  # type: ignore[call-arg]  # as pytest does
    assert {one.name for one in tmp_path.iterdir()} == {"a1", "a2", "b1", "b2"}
