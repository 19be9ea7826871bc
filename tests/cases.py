"""Tiny cases of one fact, gathered into one test."""

import functools
import inspect
import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

import pytest

Test = TypeVar("Test", bound=Callable[..., None])


def each(names: str | tuple[str, ...], cases: Iterable[object]) -> Callable[[Test], Test]:
    """Like `pytest.mark.parametrize`, but one test that tries every case and says which ones fail.

    A test of its own takes pytest half a millisecond, and most cases a tenth of that. For plain
    functions; their fixtures are made once for all cases.
    """
    words = names.split(",") if isinstance(names, str) else names
    known = list(_cases([word.strip() for word in words], cases))
    assert known, "a fact without a case proves nothing"

    def gather(test: Test) -> Test:
        assert not inspect.iscoroutinefunction(test), "nobody would await it"

        @functools.wraps(test)
        def every_case(*arguments: object, **fixtures: object) -> None:
            failed: list[BaseException] = []
            for name, values in known:
                try:
                    test(*arguments, **fixtures, **values)
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"case: {name}")
                    failed.append(error)
            if len(failed) == 1:
                raise failed[0]
            if failed:
                raise BaseExceptionGroup(f"{len(failed)} of {len(known)} cases", failed)

        whole = inspect.signature(test)
        fixtures = [one for name, one in whole.parameters.items() if name not in known[0][1]]
        every_case.__signature__ = whole.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return cast(Test, every_case)

    return gather


def _cases(names: list[str], cases: Iterable[object]) -> Iterator[tuple[str, dict[str, object]]]:
    for case in cases:
        label = ""
        if isinstance(case, type(pytest.param())):
            assert not case.marks, "a mark belongs to a test"
            label, values = str(case.id or ""), case.values
        else:
            values = (case,) if len(names) == 1 else tuple(cast(Iterable[object], case))
        told = values if len(names) > 1 else values[0]
        yield label or reprlib.repr(told), dict(zip(names, values, strict=True))
