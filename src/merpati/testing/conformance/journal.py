"""What every `Journal` does."""

import asyncio
from collections.abc import Awaitable, Callable

from merpati.journal.events import (
    Accepted,
    Attempt,
    Delivered,
    Event,
    Exchange,
    LoginFailed,
    Opened,
    Refused,
)
from merpati.journal.journal import Journal

NOW = 1_800_000_000.0
_DAY = 86_400.0

Check = Callable[[Journal], Awaitable[None]]


def accepted(message: str, sender: str, *to: str, at: float = NOW) -> Accepted:
    """A message that was taken in."""
    return Accepted(at=at, message=message, sender=sender, recipients=to, size=5)


def delivered(message: str, address: str, connection: str) -> Delivered:
    """It arrived over a connection."""
    said = (Exchange("MAIL FROM:<>", "250 ok", 0.1),)
    attempt = Attempt(route="mx", connection=connection, dialogue=said)
    return Delivered(at=NOW, message=message, address=address, reply="250", attempt=attempt)


def opened(connection: str) -> Opened:
    """A connection outward."""
    return Opened(at=NOW, connection=connection, site="b.test", host="mx.b.test", ip="::1")


async def events_come_back_in_order(journal: Journal) -> None:
    events: list[Event] = [opened("c1"), accepted("m1", "a@a.test", "b@b.test"), opened("c2")]
    await journal.append(events)
    told = await journal.follow(0, 10)
    assert [event for _, event in told] == events
    numbers = [number for number, _ in told]
    assert numbers == sorted(set(numbers))
    assert await journal.follow(numbers[0], 1) == [told[1]]
    assert await journal.follow(numbers[-1], 10) == []


async def who_begins_at_the_last_event_is_told_only_what_is_new(journal: Journal) -> None:
    assert await journal.last() == 0
    await journal.append([opened("c1"), opened("c2")])
    cursor = await journal.last()
    assert await journal.follow(cursor, 10) == []
    await journal.append([opened("c3")])
    assert [event for _, event in await journal.follow(cursor, 10)] == [opened("c3")]


async def a_noted_event_arrives_without_waiting_for_it(journal: Journal) -> None:
    journal.note(opened("c1"), opened("c2"))
    await asyncio.sleep(0)  # the loop's next turn sends them; a later commit carries them
    await journal.append([opened("c3")])
    told = [event for _, event in await journal.follow(0, 10)]
    assert told == [opened("c1"), opened("c2"), opened("c3")]


async def a_story_has_the_connections_that_its_attempts_name(journal: Journal) -> None:
    first, other = accepted("m1", "a@a.test", "b@b.test"), accepted("m2", "x@a.test", "b@b.test")
    end = delivered("m1", "b@b.test", "c2")
    await journal.append([first, opened("c1"), opened("c2"), other, end])
    assert await journal.story("m1") == [first, opened("c2"), end]
    assert await journal.story("m3") == []


async def a_message_is_found_by_everyone_it_names(journal: Journal) -> None:
    await journal.append([accepted("m1", "Ann@a.test", "bob@b.test", "cy@c.test")])
    await journal.append([accepted("m2", "bob@b.test", "eve@b.test")])
    assert await journal.search("ann@A.test", 10) == ["m1"]
    assert await journal.search("bob@b.test", 10) == ["m2", "m1"]
    assert await journal.search("@b.test", 10) == ["m2", "m1"]
    assert await journal.search("@b.test", 1) == ["m2"]
    assert await journal.search("@test", 10) == []
    assert await journal.search("nobody@b.test", 10) == []


async def an_alias_that_was_expanded_is_found(journal: Journal) -> None:
    event = Accepted(
        at=NOW,
        message="m1",
        sender="a@a.test",
        recipients=("bob@b.test",),
        size=5,
        aliases=(("sales@b.test", "bob@b.test"),),
    )
    await journal.append([event])
    assert await journal.search("sales@b.test", 10) == ["m1"]


async def a_refusal_is_found_by_its_addresses(journal: Journal) -> None:
    no = Refused(
        at=NOW, address="bob@b.test", stage="rcpt", reply="550", rule="known", sender="a@a.test"
    )
    await journal.append([no, accepted("m1", "a@a.test", "bob@b.test")])
    assert await journal.refused("bob@b.test", 10) == [no]
    assert await journal.refused("@a.test", 10) == [no]
    assert await journal.search("bob@b.test", 10) == ["m1"]


async def a_refused_message_is_found_by_its_recipients_and_its_login(journal: Journal) -> None:
    no = Refused(
        at=NOW,
        stage="message",
        reply="552",
        rule="size",
        login="ann@a.test",
        recipients=("bob@b.test", "Eve@c.test"),
    )
    await journal.append([no])
    assert await journal.refused("bob@b.test", 10) == [no]
    assert await journal.refused("eve@c.test", 10) == [no]
    assert await journal.refused("ann@a.test", 10) == [no]


async def a_failed_login_is_found_by_its_name(journal: Journal) -> None:
    no = LoginFailed(
        at=NOW - 3 * _DAY, login="Ann@a.test", ip="192.0.2.1", mechanism="PLAIN", why="wrong"
    )
    await journal.append([no, accepted("m1", "eve@b.test", "bob@b.test")])
    assert await journal.refused("ann@a.test", 10) == [no]
    await journal.forget(NOW - _DAY, 10)
    assert await journal.refused("ann@a.test", 10) == []


async def the_old_is_forgotten_in_slices(journal: Journal) -> None:
    old = [accepted(f"m{n}", "a@a.test", "b@b.test", at=NOW - 3 * _DAY + n) for n in range(5)]
    young = accepted("m9", "a@a.test", "b@b.test")
    await journal.append([*old, young])
    assert await journal.forget(NOW - _DAY, 3) == 3
    assert await journal.forget(NOW - _DAY, 3) == 2
    assert await journal.forget(NOW - _DAY, 3) == 0
    assert await journal.search("a@a.test", 10) == ["m9"]
    assert [event for _, event in await journal.follow(0, 10)] == [young]


CHECKS: tuple[Check, ...] = (
    events_come_back_in_order,
    who_begins_at_the_last_event_is_told_only_what_is_new,
    a_noted_event_arrives_without_waiting_for_it,
    a_story_has_the_connections_that_its_attempts_name,
    a_message_is_found_by_everyone_it_names,
    an_alias_that_was_expanded_is_found,
    a_refusal_is_found_by_its_addresses,
    a_refused_message_is_found_by_its_recipients_and_its_login,
    a_failed_login_is_found_by_its_name,
    the_old_is_forgotten_in_slices,
)
