"""The line between the supervisor and a worker, in life and in death."""

from merpati.supervisor import bus


def test_what_is_said_is_heard_in_order() -> None:
    one, other = bus.lines()
    one.say(bus.Ready("mx 127.0.0.1:25"))
    one.say(bus.RestartAll())
    assert other.hear() == [bus.Ready("mx 127.0.0.1:25"), bus.RestartAll()]
    assert other.hear() == []
    one.close()
    other.close()


def test_the_end_is_heard_behind_the_last_words() -> None:
    one, other = bus.lines()
    one.say(bus.StopAll())
    one.close()
    assert other.hear() == [bus.StopAll()]
    assert other.hear() is None
    other.close()


def test_a_death_with_words_unread_is_an_end_too() -> None:
    one, other = bus.lines()
    other.say(bus.Ready("mx 127.0.0.1:25"))
    one.close()
    assert other.hear() is None
    other.say(bus.Stop())
    other.close()
