"""Whose turn it is among what goes to one site."""

from merpati.queue.flow import Flow, bulk_share
from merpati.queue.turns import Turns
from tests.cases import each

NEWS = Flow("news", is_bulk=True)


def order(turns: Turns[str]) -> list[str]:
    return [turns.pop() for _ in range(len(turns))]


def filled(**flows: Flow) -> Turns[str]:
    """Ten of each."""
    turns: Turns[str] = Turns()
    for name, flow in flows.items():
        for n in range(10):
            turns.add(f"{name}{n}", flow)
    return turns


def test_one_flow_is_taken_in_its_order() -> None:
    assert order(filled(a=Flow("a"))) == [f"a{n}" for n in range(10)]


def test_tenants_take_turns() -> None:
    assert order(filled(a=Flow("a"), b=Flow("b")))[:4] == ["a0", "b0", "a1", "b1"]


def test_one_of_five_turns_is_bulk_mails() -> None:
    taken = order(filled(news=NEWS, a=Flow("a")))
    assert taken[:5] == ["a0", "a1", "a2", "a3", "news0"]
    assert sorted(taken) == sorted(f"{name}{n}" for name in ("news", "a") for n in range(10))


def test_the_last_that_came_may_be_taken_instead() -> None:
    turns = filled(a=Flow("a"), b=Flow("b"))
    taken = [turns.pop(last=True), turns.pop(), turns.pop(), turns.pop(last=True)]
    assert taken == ["a9", "b0", "a0", "b9"]
    assert len(turns) == 16


def test_what_is_shed_is_the_first_of_the_longest_line() -> None:
    turns = filled(a=Flow("a"), b=Flow("b"))
    turns.pop()
    assert [turns.shed() for _ in range(2)] == ["b0", "a1"]
    turns.add("news0", NEWS)
    turns.add("x", NEWS, is_urgent=True)
    assert (turns.shed(), turns.bulk, len(turns)) == ("news0", 0, 18)
    assert [turns.shed() for _ in range(18)][-1] == "x"


def test_what_is_urgent_comes_first_in_its_order() -> None:
    turns = filled(a=Flow("a"))
    turns.add("x", NEWS, is_urgent=True)
    turns.add("y", NEWS, is_urgent=True)
    turns.put_back("z", Flow("a"))
    assert order(turns)[:4] == ["z", "x", "y", "a0"]


def test_what_is_looked_at_is_what_is_taken() -> None:
    turns = filled(news=NEWS, a=Flow("a"), b=Flow("b"))
    while turns:
        first = turns.first()
        assert turns.pop() == first


def test_bulk_mail_that_is_put_back_stands_before_bulk_mail_alone() -> None:
    turns = filled(news=NEWS, other=Flow("other", is_bulk=True), a=Flow("a"))
    turns.put_back("rest", NEWS)
    taken = order(turns)
    assert taken[:5] == ["a0", "a1", "a2", "a3", "rest"]
    assert len(taken) == 31


def test_bulk_mail_can_be_spared() -> None:
    turns = filled(news=NEWS, a=Flow("a"))
    assert (turns.single, turns.bulk) == (10, 10)
    taken = []
    while turns.single:
        first = turns.first(spares_bulk=True)
        taken.append(turns.pop(spares_bulk=True))
        assert taken[-1] == first
    assert taken == [f"a{n}" for n in range(10)]
    turns.remove(lambda one: one == "news3")
    assert (turns.single, turns.bulk, len(turns)) == (0, 9, 9)


def test_what_is_removed_has_no_turn() -> None:
    turns = filled(news=NEWS, a=Flow("a"), b=Flow("b"))
    turns.add("b-urgent", Flow("b"), is_urgent=True)
    assert len(turns.remove(lambda one: one.startswith("b"))) == 11
    assert len(turns) == 20
    assert (
        set(turns)
        == set(order(turns))
        == {f"{name}{n}" for name in ("news", "a") for n in range(10)}
    )
    assert not turns


@each("room", [1, 2, 4, 5, 20, 33])
def test_bulk_mail_has_a_fifth_of_any_room_in_the_long_run(room: int) -> None:
    assert sum(bulk_share(room, turn) for turn in range(5)) == room
