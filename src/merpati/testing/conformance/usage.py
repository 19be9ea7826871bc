"""What every `Usage` does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from merpati.directory.directory import Registrar
from merpati.directory.usage import DAY, Sent, Usage, Used, hash_of
from merpati.mail.address import Address

ANN, BOB = Address("ann", "a.test"), Address("bob", "a.test")
TODAY = 20_000
NOON = (TODAY + 0.5) * DAY


@dataclass(frozen=True, slots=True)
class Bench:
    """An engine on trial, and the directory whose users it counts."""

    usage: Usage
    registrar: Registrar


Check = Callable[[Bench], Awaitable[None]]


def sent(*known: int, at: float = NOON, account: Address = ANN) -> Sent:
    """A message to these recipients elsewhere."""
    return Sent(account, at, max(1, len(known)), known)


async def _settled(bench: Bench) -> None:
    await bench.registrar.add_domain("a.test")
    await bench.registrar.add_user(ANN, None)
    await bench.registrar.add_user(BOB, None)


async def what_was_sent_is_counted_by_account_and_day(bench: Bench) -> None:
    await _settled(bench)
    assert bench.usage.used(ANN, TODAY) == Used()
    await bench.usage.add(0, 5, [sent(1, 2), sent(2, 3), sent(4, at=NOON - DAY)])
    assert bench.usage.used(ANN, TODAY) == Used(2, 4, 3)
    assert bench.usage.used(Address("ANN", "a.test"), TODAY - 1) == Used(1, 1, 1)
    assert bench.usage.used(BOB, TODAY) == Used()


async def a_recipient_is_new_once_for_each_account_whatever_the_shard(bench: Bench) -> None:
    await _settled(bench)
    await bench.usage.add(0, 1, [sent(7)])
    await bench.usage.add(1, 1, [sent(7), sent(7, account=BOB)])
    assert bench.usage.used(ANN, TODAY) == Used(2, 2, 1)
    assert bench.usage.used(BOB, TODAY) == Used(1, 1, 1)
    assert bench.usage.knows(ANN, 7)
    assert not bench.usage.knows(ANN, 8)


async def each_shard_has_a_cursor(bench: Bench) -> None:
    await _settled(bench)
    assert await bench.usage.cursor(0) is None
    await bench.usage.add(0, 5, [])
    await bench.usage.add(1, 7, [sent()])
    await bench.usage.add(0, 9, [])
    assert (await bench.usage.cursor(0), await bench.usage.cursor(1)) == (9, 7)


async def resumed_an_account_begins_anew_and_keeps_whom_it_knows(bench: Bench) -> None:
    await _settled(bench)
    await bench.usage.add(0, 1, [sent(1, 2)])
    await bench.registrar.resume(ANN, NOON + 60)
    assert bench.usage.used(ANN, TODAY) == Used()
    await bench.usage.add(0, 2, [sent(3, at=NOON + 59), sent(1, 3, 4, at=NOON + 61)])
    assert bench.usage.used(ANN, TODAY) == Used(1, 3, 1)


async def nobody_is_counted_who_is_no_user(bench: Bench) -> None:
    await _settled(bench)
    await bench.usage.add(0, 1, [sent(1)])
    await bench.registrar.remove_user(ANN)
    await bench.usage.add(0, 2, [sent(1)])
    await bench.registrar.add_user(ANN, None)
    assert bench.usage.used(ANN, TODAY) == Used()
    assert not bench.usage.knows(ANN, 1)


async def what_is_too_old_is_forgotten_and_what_is_used_is_not(bench: Bench) -> None:
    await _settled(bench)
    year_ago = NOON - 366 * DAY
    await bench.usage.add(0, 1, [sent(1, 2, at=year_ago), sent(2, at=NOON)])
    assert await bench.usage.forget(TODAY, 1) == 1
    assert await bench.usage.forget(TODAY, 10) == 1
    assert await bench.usage.forget(TODAY, 10) == 0
    assert not bench.usage.knows(ANN, 1)
    assert bench.usage.knows(ANN, 2)
    assert bench.usage.used(ANN, TODAY) == Used(1, 1, 0)


async def a_hash_tells_nothing_without_the_secret(_: Bench) -> None:
    zoe = Address("Zoe", "far.test")
    hashed = hash_of(ANN, zoe, b"secret")
    assert hashed == hash_of(Address("ANN", "a.test"), Address("zoe", "far.test"), b"secret")
    assert len({hashed, hash_of(BOB, zoe, b"secret"), hash_of(ANN, zoe, b"another")}) == 3
    assert 0 <= hashed < 1 << 63


CHECKS: tuple[Check, ...] = (
    what_was_sent_is_counted_by_account_and_day,
    a_recipient_is_new_once_for_each_account_whatever_the_shard,
    each_shard_has_a_cursor,
    resumed_an_account_begins_anew_and_keeps_whom_it_knows,
    nobody_is_counted_who_is_no_user,
    what_is_too_old_is_forgotten_and_what_is_used_is_not,
    a_hash_tells_nothing_without_the_secret,
)
