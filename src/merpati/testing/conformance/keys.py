"""What every store of keys that sign does."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from merpati.directory.errors import DirectoryError
from merpati.directory.keys import DkimKey, KeyKeeper, Keys, KeyState
from merpati.directory.rotation import KEPT


class Engine(Keys, KeyKeeper, Protocol):
    """Both halves in one."""


Check = Callable[[Engine], Awaitable[None]]


def a_key(selector: str, kind: str = "rsa-2048", domain: str = "a.test") -> DkimKey:
    """A next key that nobody could sign with."""
    return DkimKey(domain, selector, kind, KeyState.NEXT, 100.0, f"p={selector}", b"private")


async def _refuses(change: Awaitable[object]) -> str:
    try:
        await change
    except DirectoryError as error:
        return str(error)
    raise AssertionError("the keys took what they must refuse")


async def _signing(engine: Engine, *selectors: str) -> None:
    """These keys, each taking over from the one before."""
    for n, selector in enumerate(selectors):
        await engine.add_key(a_key(selector))
        await engine.rotate_keys("a.test", 200.0 + n)


def _selectors(keys: Sequence[DkimKey]) -> list[str]:
    return [key.selector for key in keys]


async def a_new_key_does_not_sign(engine: Engine) -> None:
    await engine.add_key(a_key("one"))
    assert engine.active("a.test") == ()
    assert not engine.has_active()
    assert await engine.keys() == [a_key("one")]


async def a_key_signs_when_it_has_taken_over(engine: Engine) -> None:
    assert not engine.has_active()
    assert engine.active("a.test") == ()
    await engine.add_key(a_key("one"))
    active = replace(a_key("one"), state=KeyState.ACTIVE, since=200.0)
    assert await engine.rotate_keys("a.test", 200.0) == [active]
    assert list(engine.active("a.test")) == [active]
    assert engine.has_active()


async def the_key_before_retires_in_the_same_step(engine: Engine) -> None:
    await _signing(engine, "one", "two")
    assert _selectors(engine.active("a.test")) == ["two"]
    one, two = await engine.keys("a.test")
    assert (one.state, one.since) == (KeyState.RETIRED, 201.0)
    assert (two.state, two.since) == (KeyState.ACTIVE, 201.0)


async def each_algorithm_takes_turns_by_itself(engine: Engine) -> None:
    await _signing(engine, "one")
    await engine.add_key(a_key("ed", "ed25519"))
    changed = await engine.rotate_keys("a.test", 300.0)
    assert _selectors(changed) == ["ed"]
    assert _selectors(engine.active("a.test")) == ["ed", "one"]
    await engine.add_key(a_key("three", "rsa-4096"))
    changed = await engine.rotate_keys("a.test", 301.0)
    assert _selectors(changed) == ["one", "three"]
    assert _selectors(engine.active("a.test")) == ["ed", "three"]


async def keys_of_another_domain_are_not_touched(engine: Engine) -> None:
    await _signing(engine, "one")
    await engine.add_key(a_key("one", domain="b.test"))
    assert engine.active("b.test") == ()
    await engine.rotate_keys("b.test", 300.0)
    assert _selectors(engine.active("a.test")) == ["one"]
    assert [key.domain for key in await engine.keys()] == ["a.test", "b.test"]
    assert [key.domain for key in await engine.keys("b.test")] == ["b.test"]


async def a_selector_is_given_once(engine: Engine) -> None:
    await _signing(engine, "one")
    assert "already" in await _refuses(engine.add_key(a_key("one", "ed25519")))


async def a_domain_has_one_next_key_of_an_algorithm(engine: Engine) -> None:
    await engine.add_key(a_key("one"))
    assert "next key of rsa" in await _refuses(engine.add_key(a_key("two", "rsa-4096")))
    await engine.add_key(a_key("ed", "ed25519"))


async def without_a_next_key_nothing_rotates(engine: Engine) -> None:
    assert "no key to take over" in await _refuses(engine.rotate_keys("a.test", 1.0))
    await _signing(engine, "one")
    assert "no key to take over" in await _refuses(engine.rotate_keys("a.test", 300.0))
    assert _selectors(engine.active("a.test")) == ["one"]


async def a_key_goes_when_nobody_needs_it_any_more(engine: Engine) -> None:
    await _signing(engine, "one", "two")
    await engine.add_key(a_key("three"))
    late = 201.0 + KEPT
    assert "now" in await _refuses(engine.remove_key("a.test", "two", late, force=False))
    early = engine.remove_key("a.test", "one", late - 86_400.0, force=False)
    assert "in 1.0 days" in await _refuses(early)
    await engine.remove_key("a.test", "one", late, force=False)
    await engine.remove_key("a.test", "three", 202.0, force=False)
    assert _selectors(await engine.keys("a.test")) == ["two"]


async def any_key_goes_by_force(engine: Engine) -> None:
    await _signing(engine, "one", "two")
    for selector in ("one", "two"):
        await engine.remove_key("a.test", selector, 202.0, force=True)
    assert engine.active("a.test") == ()
    assert not engine.has_active()


async def a_key_that_is_not_there_cannot_go(engine: Engine) -> None:
    removal = engine.remove_key("a.test", "one", 1.0, force=True)
    assert "no key one" in await _refuses(removal)


CHECKS: tuple[Check, ...] = (
    a_new_key_does_not_sign,
    a_key_signs_when_it_has_taken_over,
    the_key_before_retires_in_the_same_step,
    each_algorithm_takes_turns_by_itself,
    keys_of_another_domain_are_not_touched,
    a_selector_is_given_once,
    a_domain_has_one_next_key_of_an_algorithm,
    without_a_next_key_nothing_rotates,
    a_key_goes_when_nobody_needs_it_any_more,
    any_key_goes_by_force,
    a_key_that_is_not_there_cannot_go,
)
