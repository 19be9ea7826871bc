"""Names of addresses that lead back (RFC 8601 §3)."""

import pytest

from merpati.authenticity.iprev import MAX_NAMES, Result, ReverseName, check
from merpati.dns.errors import DnsTimeout
from merpati.testing.answers import Answers

SILENT = DnsTimeout("none")


def found(ip: str = "192.0.2.7", **records: object) -> ReverseName:
    named = {key.replace("__", ".").replace("_", " ", 1): value for key, value in records.items()}
    zone = Answers({f"PTR {ip}": ["A.test.", "b.test"], **named})  # type: ignore[dict-item]  # as they come
    return zone.answer(check(ip))


def test_a_name_that_leads_back_passes() -> None:
    assert found(A_b__test=["192.0.2.9", "192.0.2.7"]) == ReverseName(Result.PASS, "b.test")
    ipv6 = found("2001:db8::7", AAAA_b__test=["2001:db8::7"])
    assert ipv6 == ReverseName(Result.PASS, "b.test")


def test_names_that_lead_elsewhere_fail() -> None:
    assert found(A_b__test=["192.0.2.9"]).result is Result.FAIL


def test_without_a_name_it_is_permanent() -> None:
    assert Answers({}).answer(check("192.0.2.7")).result is Result.PERMERROR


@pytest.mark.parametrize(
    "records", [{"PTR 192.0.2.7": SILENT}, {"PTR 192.0.2.7": ["a.test"], "A a.test": SILENT}]
)
def test_what_is_not_answered_is_temporary(records: dict[str, list[object] | DnsTimeout]) -> None:
    assert Answers(records).answer(check("192.0.2.7")).result is Result.TEMPERROR


def test_names_are_bounded() -> None:
    zone = Answers({"PTR 192.0.2.7": [f"n{n}.test" for n in range(100)]})
    zone.answer(check("192.0.2.7"))
    assert len(zone.asked) == 1 + MAX_NAMES
