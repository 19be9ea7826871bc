"""Who may not try a password now."""

from merpati.reception.failures import Failures, FailureSettings
from merpati.testing.clock import VirtualClock

SETTINGS = FailureSettings(
    per_pair=3, per_address=6, per_network=12, per_account=9, longest_delay=16
)


def failures(clock: VirtualClock | None = None) -> Failures:
    return Failures(SETTINGS, clock or VirtualClock())


def fail(limits: Failures, account: str, ip: str, times: int) -> None:
    for _ in range(times):
        limits.failed(account, ip)


def test_a_pair_has_only_so_many_tries() -> None:
    limits = failures()
    fail(limits, "ann", "192.0.2.7", 2)
    assert limits.may_try("ann", "192.0.2.7")
    fail(limits, "ann", "192.0.2.7", 1)
    assert not limits.may_try("ann", "192.0.2.7")
    assert limits.may_try("ann", "198.51.100.1")
    assert limits.may_try("bob", "192.0.2.7")


def test_an_address_has_only_so_many_whatever_the_accounts() -> None:
    limits = failures()
    for n in range(6):
        limits.failed(f"guess{n}", "192.0.2.7")
    assert not limits.may_try("another", "192.0.2.7")
    assert limits.may_try("another", "192.0.2.8")


def test_an_ipv6_host_cannot_hop_within_its_network() -> None:
    limits = failures()
    for n in range(6):
        limits.failed(f"guess{n}", f"2001:db8:1:2::{n}")
    assert not limits.may_try("another", "2001:db8:1:2:ffff::1")
    assert limits.may_try("another", "2001:db8:1:3::1")


def test_a_network_of_many_addresses_is_stopped_as_one() -> None:
    limits = failures()
    for n in range(12):
        limits.failed(f"guess{n}", f"192.0.2.{n}")
    assert not limits.may_try("another", "192.0.2.200")
    assert limits.may_try("another", "198.51.100.1")


def test_an_account_under_attack_from_everywhere_lets_its_owner_in() -> None:
    limits = failures()
    limits.succeeded("ann", "198.51.100.1")
    for n in range(9):
        limits.failed("ann", f"10.0.{n}.1")
    assert not limits.may_try("ann", "10.1.0.1")
    assert limits.may_try("ann", "198.51.100.1")


def test_the_owners_own_mistakes_do_not_count_against_the_account() -> None:
    limits = failures()
    limits.succeeded("ann", "198.51.100.1")
    fail(limits, "ann", "198.51.100.1", 20)
    assert not limits.may_try("ann", "198.51.100.1")
    assert limits.may_try("ann", "203.0.113.1")


async def test_time_gives_tries_back() -> None:
    clock = VirtualClock()
    limits = failures(clock)
    fail(limits, "ann", "192.0.2.7", 3)
    await clock.advance(1199)
    assert not limits.may_try("ann", "192.0.2.7")
    await clock.advance(2)
    assert limits.may_try("ann", "192.0.2.7")


def test_the_delay_doubles_up_to_a_bound() -> None:
    limits = failures()
    delays = [limits.failed("ann", "192.0.2.7") for _ in range(6)]
    assert delays == [1, 2, 4, 8, 16, 16]


def test_a_success_begins_anew() -> None:
    limits = failures()
    fail(limits, "ann", "192.0.2.7", 2)
    limits.succeeded("ann", "192.0.2.7")
    assert limits.failed("ann", "192.0.2.7") == 1
