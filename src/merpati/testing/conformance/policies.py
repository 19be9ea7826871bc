"""What every keeper of MTA-STS policies promises."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from merpati.delivery.sts.policies import PolicyKeeper
from merpati.directory.policies import KeptPolicy, PolicyRoom

Check = Callable[[PolicyKeeper], Awaitable[None]]
NEVER = float("inf")
ROOM = PolicyRoom(domains=3, unused=50.0)


def a_policy(domain: str = "a.test", due: float = 100.0, expires: float = 1000.0) -> KeptPolicy:
    """Fetched some time ago."""
    return KeptPolicy(domain, "1", b"text of " + domain.encode(), expires, due)


def used(domain: str, at: float, *, is_ours: bool = False) -> KeptPolicy:
    """The same, with the last mail that went there."""
    return replace(a_policy(domain), used=at, is_ours=is_ours)


async def left(keeper: PolicyKeeper, *domains: str) -> str:
    """Which of them are kept, by their first letters."""
    return "".join([domain[0] for domain in domains if await keeper.kept(domain)])


async def what_is_kept_is_found_in_the_place_of_the_last(keeper: PolicyKeeper) -> None:
    await keeper.keep(a_policy(), ROOM)
    await keeper.keep(replace(a_policy(), ident="2", text=b"other"), ROOM)
    found = await keeper.kept("a.test")
    assert found == replace(a_policy(), ident="2", text=b"other")
    assert await keeper.kept("b.test") is None


async def what_is_due_for_longest_is_claimed_first_and_by_one_alone(keeper: PolicyKeeper) -> None:
    for domain, due in (("b.test", 20.0), ("c.test", 101.0), ("a.test", 10.0)):
        await keeper.keep(a_policy(domain, due), ROOM)
    claimed = [await keeper.claim(100.0, 400.0) for _ in range(3)]
    assert [one.domain if one else None for one in claimed] == ["a.test", "b.test", None]
    assert claimed[0] == replace(a_policy(), due=400.0)


async def a_claim_that_nobody_ends_ends_by_itself(keeper: PolicyKeeper) -> None:
    await keeper.keep(a_policy(), ROOM)
    await keeper.claim(100.0, 400.0)
    assert await keeper.claim(399.0, 700.0) is None
    assert await keeper.claim(400.0, 700.0) == replace(a_policy(), due=700.0)


async def what_was_put_off_is_due_then_and_its_failures_are_counted(keeper: PolicyKeeper) -> None:
    await keeper.keep(a_policy(), ROOM)
    claimed = await keeper.claim(100.0, 400.0)
    assert claimed is not None
    await keeper.put_off(claimed, 200.0)
    assert await keeper.claim(199.0, 500.0) is None
    assert await keeper.claim(200.0, 500.0) == replace(a_policy(), due=500.0, failures=1)


async def what_was_fetched_meanwhile_is_not_put_off(keeper: PolicyKeeper) -> None:
    await keeper.keep(a_policy(), ROOM)
    claimed = await keeper.claim(100.0, 400.0)
    assert claimed is not None
    newer = replace(a_policy(), ident="2", due=600.0)
    await keeper.keep(newer, ROOM)
    await keeper.put_off(claimed, 200.0)
    assert await keeper.kept("a.test") == newer


async def what_has_expired_before_it_could_be_fetched_is_claimed_and_not_forgotten(
    keeper: PolicyKeeper,
) -> None:
    await keeper.keep(a_policy(), ROOM)
    await keeper.forget(5000.0)
    claimed = await keeper.claim(5000.0, 5300.0)
    assert claimed is not None
    await keeper.put_off(claimed, 5300.0)
    assert await keeper.claim(6000.0, 6300.0) is None
    await keeper.forget(6000.0)
    assert await keeper.kept("a.test") is None


async def what_holds_is_not_forgotten(keeper: PolicyKeeper) -> None:
    await keeper.keep(a_policy(due=2000.0), ROOM)
    await keeper.forget(999.0)
    assert await keeper.kept("a.test") is not None
    await keeper.forget(1001.0)
    assert await keeper.kept("a.test") is None


async def a_policy_that_is_renewed_keeps_what_is_known_of_its_use(keeper: PolicyKeeper) -> None:
    await keeper.keep(used("a.test", 60.0, is_ours=True), ROOM)
    await keeper.keep(replace(a_policy(), ident="2"), ROOM)
    assert await keeper.kept("a.test") == replace(used("a.test", 60.0, is_ours=True), ident="2")


async def mail_that_goes_there_is_noted_and_may_make_it_due_sooner(keeper: PolicyKeeper) -> None:
    await keeper.keep(used("a.test", 1.0), ROOM)
    await keeper.use("a.test", 60.0, NEVER, is_ours=True)
    assert await keeper.kept("a.test") == used("a.test", 60.0, is_ours=True)
    await keeper.use("a.test", 70.0, 80.0, is_ours=False)
    assert await keeper.kept("a.test") == replace(used("a.test", 70.0, is_ours=True), due=80.0)
    assert await keeper.claim(80.0, 400.0) is not None
    await keeper.use("b.test", 70.0, NEVER, is_ours=True)
    assert await keeper.kept("b.test") is None


async def what_rests_holds_on_and_is_claimed_only_when_it_is_used_again(
    keeper: PolicyKeeper,
) -> None:
    await keeper.keep(a_policy(), ROOM)
    claimed = await keeper.claim(100.0, 400.0)
    assert claimed is not None
    await keeper.rest(claimed)
    assert await keeper.claim(999.0, 1300.0) is None
    await keeper.forget(999.0)
    await keeper.use("a.test", 999.0, 999.0, is_ours=False)
    again = await keeper.claim(999.0, 1300.0)
    assert again == replace(a_policy(due=1300.0), used=999.0)


async def what_was_used_meanwhile_is_not_laid_to_rest(keeper: PolicyKeeper) -> None:
    await keeper.keep(a_policy(), ROOM)
    claimed = await keeper.claim(100.0, 400.0)
    assert claimed is not None
    await keeper.use("a.test", 200.0, 200.0, is_ours=False)
    await keeper.rest(claimed)
    assert await keeper.claim(200.0, 500.0) is not None


async def what_rests_is_forgotten_when_it_has_expired(keeper: PolicyKeeper) -> None:
    await keeper.keep(a_policy(), ROOM)
    claimed = await keeper.claim(2000.0, 2300.0)
    assert claimed is not None
    await keeper.rest(claimed)
    await keeper.forget(2000.0)
    assert await keeper.kept("a.test") is None


async def a_strangers_domain_makes_room_by_the_strangers_one_used_longest_ago(
    keeper: PolicyKeeper,
) -> None:
    for one in (used("a.test", 9.0, is_ours=True), used("b.test", 60.0), used("c.test", 20.0)):
        assert await keeper.keep(one, ROOM)
    assert await keeper.keep(used("d.test", 70.0), ROOM)
    assert await left(keeper, "a.test", "b.test", "c.test", "d.test") == "abd"
    # One that has its place needs no other.
    assert await keeper.keep(used("b.test", 71.0), ROOM)
    assert await left(keeper, "a.test", "b.test", "d.test") == "abd"


async def strangers_push_out_nothing_of_ours(keeper: PolicyKeeper) -> None:
    for name in ("a.test", "b.test", "c.test"):
        assert await keeper.keep(used(name, 1.0, is_ours=True), ROOM)
    assert not await keeper.keep(used("d.test", 70.0), ROOM)
    assert await left(keeper, "a.test", "b.test", "c.test", "d.test") == "abc"


async def one_of_ours_makes_room_by_strangers_and_then_by_what_was_not_used_for_long(
    keeper: PolicyKeeper,
) -> None:
    ours = (used("a.test", 30.0, is_ours=True), used("b.test", 60.0, is_ours=True))
    for one in (*ours, used("c.test", 60.0)):
        assert await keeper.keep(one, ROOM)
    assert await keeper.keep(used("d.test", 70.0, is_ours=True), ROOM)
    assert await left(keeper, "a.test", "b.test", "c.test", "d.test") == "abd"
    assert await keeper.keep(used("e.test", 70.0, is_ours=True), ROOM)
    assert await left(keeper, "a.test", "b.test", "d.test", "e.test") == "bde"
    assert not await keeper.keep(used("f.test", 70.0, is_ours=True), ROOM)
    assert await left(keeper, "b.test", "d.test", "e.test", "f.test") == "bde"


CHECKS: tuple[Check, ...] = (
    what_is_kept_is_found_in_the_place_of_the_last,
    what_is_due_for_longest_is_claimed_first_and_by_one_alone,
    a_claim_that_nobody_ends_ends_by_itself,
    what_was_put_off_is_due_then_and_its_failures_are_counted,
    what_was_fetched_meanwhile_is_not_put_off,
    what_has_expired_before_it_could_be_fetched_is_claimed_and_not_forgotten,
    what_holds_is_not_forgotten,
    a_policy_that_is_renewed_keeps_what_is_known_of_its_use,
    mail_that_goes_there_is_noted_and_may_make_it_due_sooner,
    what_rests_holds_on_and_is_claimed_only_when_it_is_used_again,
    what_was_used_meanwhile_is_not_laid_to_rest,
    what_rests_is_forgotten_when_it_has_expired,
    a_strangers_domain_makes_room_by_the_strangers_one_used_longest_ago,
    strangers_push_out_nothing_of_ours,
    one_of_ours_makes_room_by_strangers_and_then_by_what_was_not_used_for_long,
)
