"""The small values of merpati.toml."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.config.values import Domain, DomainName, Duration, Size
from tests.cases import each


@each(
    ("written", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90s", 90),
        ("15m", 900),
        ("4h", 14400),
        ("5d", 432000),
        ("1.5h", 5400),
    ],
)
def test_times_are_seconds_or_have_a_unit(written: object, seconds: float) -> None:
    assert Duration.parse(written) == seconds


@each("written", [-1, True, "5", "5 years", "", None, "-5m"])
def test_times_that_are_none_are_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a time like"):
        Duration.parse(written)


@each(
    ("written", "octets"),
    [(1000, 1000), ("64KiB", 65536), ("50MiB", 52428800), ("50M", 52428800), ("2gb", 2147483648)],
)
def test_sizes_are_octets_or_have_a_unit(written: object, octets: int) -> None:
    assert Size.parse(written) == octets


@each("written", [-1, True, "big", "1.5MiB", None])
def test_sizes_that_are_none_are_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a size like"):
        Size.parse(written)


@given(st.integers(0, 10**9))
def test_what_is_shown_is_read_back(number: int) -> None:
    assert Duration.parse(str(Duration(number))) == number
    assert Size.parse(str(Size(number))) == number


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("*", "*"),
        ("A.Test.", "a.test"),
        ("*.a.test", "*.a.test"),
        ("bücher.test", "xn--bcher-kva.test"),
    ],
)
def test_domains_of_routes_are_lower_case_a_labels(written: str, read: str) -> None:
    assert Domain.parse(written) == read


@pytest.mark.parametrize(
    ("written", "read"), [("A.Test.", "a.test"), ("bücher.test", "xn--bcher-kva.test")]
)
def test_one_domain_is_in_a_labels(written: str, read: str) -> None:
    assert DomainName.parse(written) == read


@each("written", ["*", "*.a.test", "", "a..test", "192.0.2.1", "[192.0.2.1]", 5])
def test_what_is_not_one_domain_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a domain like"):
        DomainName.parse(written)


@each(
    ("octets", "said"),
    [
        (0, "0 octets"),
        (1023, "1023 octets"),
        (1024, "1KiB"),
        (1536 * 1024, "1.5MiB"),
        (264212084 * 1024, "252GiB"),
        (264312084 * 1024, "252.1GiB"),
    ],
)
def test_sizes_for_people_are_in_the_largest_unit_with_one_decimal(octets: int, said: str) -> None:
    assert Size(octets).rounded() == said
