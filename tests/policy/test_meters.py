"""Leaky counters and the networks that they count by."""

from hypothesis import given
from hypothesis import strategies as st

from merpati.node.table import Table, TableSettings
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


@given(st.lists(st.integers(), max_size=200, unique=True))
def test_no_stream_of_keys_is_remembered_whole(keys: list[int]) -> None:
    meters = Meters(drain=1.0, table=Table(TableSettings(rows=16)))
    for key in keys:
        assert meters.add(key, 0.0) == 1.0
    assert sum(meters.level(key, 0.0) > 0 for key in keys) == min(16, len(keys))


def test_the_least_recently_used_key_is_forgotten_first() -> None:
    meters = Meters(drain=0.0, table=Table(TableSettings(rows=16)))
    for now, key in enumerate([*range(16), 0, "another"]):
        meters.add(key, float(now))
    assert meters.level(0, 99.0) == 2.0
    assert meters.level(1, 99.0) == 0.0


def test_meters_of_one_table_are_told_apart_by_name() -> None:
    table = Table(TableSettings(rows=64))
    one, same, other = (Meters(0.0, table, name) for name in ("a", "a", "b"))
    one.add("k", 0.0)
    assert same.level("k", 0.0) == 1.0
    assert other.level("k", 0.0) == 0.0


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
