"""Leaky counters and the networks that they count by."""

from hypothesis import given
from hypothesis import strategies as st

from merpati.policy.meters import Meters
from merpati.policy.prefix import is_this_machine, neighbourhoods


def test_a_level_rises_with_use_and_drains_with_time() -> None:
    meters = Meters(drain=0.5)
    assert meters.add("k", now=0.0) == 1.0
    assert meters.add("k", now=0.0) == 2.0
    assert meters.level("k", now=2.0) == 1.0
    assert meters.level("k", now=100.0) == 0.0


def test_keys_do_not_touch_one_another() -> None:
    meters = Meters(drain=1.0)
    meters.add("k", 0.0)
    assert meters.level("other", 0.0) == 0.0


@given(st.lists(st.integers(), max_size=200))
def test_no_stream_of_keys_makes_the_table_grow(keys: list[int]) -> None:
    meters = Meters(drain=1.0, capacity=5)
    for key in keys:
        meters.add(key, 0.0)
        assert len(meters) <= 5


def test_the_least_recently_used_key_is_forgotten_first() -> None:
    meters = Meters(drain=0.0, capacity=2)
    for key in ("a", "b", "a", "c"):
        meters.add(key, 0.0)
    assert meters.level("a", 0.0) == 2.0
    assert meters.level("b", 0.0) == 0.0


def test_an_ipv6_customer_is_one_stranger() -> None:
    assert neighbourhoods("2001:db8:1:2:3::4") == ("2001:db8:1:2::/64", "2001:db8:1::/48")
    assert neighbourhoods("192.0.2.7") == ("192.0.2.7/32", "192.0.2.0/24")
    assert neighbourhoods("fe80::1%eth0") == ("fe80::/64", "fe80::/48")
    assert neighbourhoods("") == ("", "")


def test_loopback_and_unix_sockets_are_this_machine() -> None:
    assert is_this_machine("127.0.0.9")
    assert is_this_machine("::1")
    assert is_this_machine("")
    assert not is_this_machine("192.0.2.7")
