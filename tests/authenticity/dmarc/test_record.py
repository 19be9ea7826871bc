"""The record of a domain (RFC 9989 §4.7, §4.8), also as it was written for RFC 7489."""

import pytest

from merpati.authenticity.dmarc.record import (
    MAX_URIS,
    Policy,
    Record,
    Suffix,
    mail_address,
    read_record,
)
from tests.cases import each


def a_record(text: str) -> Record:
    record = read_record(text.encode())
    assert record is not None
    return record


class TestVersion:
    """v must be first, and its value is exact."""

    @each("text", ["v=DMARC1", "v=DMARC1;", "v = DMARC1 ; p=none", " v=DMARC1;p=none", "V=DMARC1"])
    def test_a_record_begins_with_it(self, text: str) -> None:
        assert read_record(text.encode())

    @each(
        "octets",
        [
            b"",
            b"v=spf1 -all",
            b"v=dmarc1; p=none",
            b"v=DMARC2; p=none",
            b"v=DMARC1x; p=none",
            b"v=DMARC1 x; p=none",
            b"p=none; v=DMARC1",
            b"x; v=DMARC1; p=none",
            b"v=DMARC1; p=\xff",
            b"v=DMARC1;" + b"x=1;" * 500,
            b"v=DMARC1;" + b" " * 40_000,
        ],
    )
    def test_all_else_is_no_record(self, octets: bytes) -> None:
        assert read_record(octets) is None


class TestTags:
    """RFC 9989 §4.7."""

    def test_what_is_not_said_has_its_default(self) -> None:
        record = a_record("v=DMARC1; p=reject")
        assert record == Record(text="v=DMARC1; p=reject", policy=Policy.REJECT)
        assert (record.strict_dkim, record.strict_spf, record.testing) == (False, False, False)
        assert (record.psd, record.when) == (Suffix.UNKNOWN, {"0"})

    def test_all_that_can_be_said(self) -> None:
        record = a_record(
            "v=DMARC1; p=Reject; sp=QUARANTINE; np=none; adkim=s; aspf=S; psd=n; t=y; fo=1:d:s;"
            " rua=mailto:a@a.test, https://b.test/x ; ruf=mailto:c@a.test"
        )
        policies = (record.policy, record.subdomains, record.missing)
        assert policies == (Policy.REJECT, Policy.QUARANTINE, Policy.NONE)
        assert record.strict_dkim
        assert record.strict_spf
        assert record.testing
        assert record.psd is Suffix.NO
        assert record.when == {"1", "d", "s"}
        assert record.aggregate == ("mailto:a@a.test", "https://b.test/x")
        assert record.failure == ("mailto:c@a.test",)
        assert record.flaws == ()

    def test_unknown_tags_and_junk_are_ignored(self) -> None:
        record = a_record("v=DMARC1; x=y; junk; =; p=quarantine; rf=afrf; ri=86400; pct=50;;")
        assert record.policy is Policy.QUARANTINE
        assert record.flaws == ()
        assert not record.testing

    def test_values_that_mean_nothing_are_the_default(self) -> None:
        record = a_record("v=DMARC1; p=none; adkim=x; aspf=; psd=maybe; t=1; fo=z; rua=nothing")
        assert not record.strict_dkim
        assert not record.strict_spf
        assert record.psd is Suffix.UNKNOWN
        assert not record.testing
        assert record.when == {"0"}
        assert record.aggregate == ()
        assert set(record.flaws) == {"adkim", "aspf", "psd", "t", "fo", "rua"}

    @pytest.mark.parametrize(("text", "testing"), [("pct=0", True), ("pct=0; t=n", False)])
    def test_pct_0_was_the_test_mode_before(self, text: str, testing: bool) -> None:
        assert a_record(f"v=DMARC1; p=reject; {text}").testing is testing

    def test_sizes_of_reports_are_taken_off(self) -> None:
        record = a_record("v=DMARC1; p=none; rua=mailto:a@a.test!10m,mailto:b@a.test!")
        assert record.aggregate == ("mailto:a@a.test", "mailto:b@a.test")

    @each(
        ("size", "octets"),
        [("!500", 500), ("!10k", 10_240), ("!10M", 10 * 2**20), ("!1g", 2**30), ("!1t", 2**40)],
    )
    def test_who_takes_only_smaller_reports_says_so(self, size: str, octets: int) -> None:
        record = a_record(f"v=DMARC1; p=none; rua=mailto:a@a.test{size},mailto:b@a.test")
        assert record.limits == (("mailto:a@a.test", octets),)

    @pytest.mark.parametrize("size", ["", "!", "!m", "!0m"])
    def test_a_size_without_a_number_says_nothing(self, size: str) -> None:
        assert a_record(f"v=DMARC1; p=none; rua=mailto:a@a.test{size}").limits == ()

    def test_destinations_are_bounded(self) -> None:
        record = a_record("v=DMARC1; p=none; rua=" + ",".join(["mailto:a@a.test"] * 50))
        assert len(record.aggregate) == MAX_URIS


class TestVoidPolicies:
    """RFC 9989 §4.10.1: what a record with a policy that cannot be read means."""

    @pytest.mark.parametrize(
        "text",
        ["rua=mailto:a@a.test", "p=x; rua=mailto:a@a.test", "p=reject; sp=x; rua=mailto:a@a.test"],
    )
    def test_with_a_destination_for_reports_it_asks_for_nothing_else(self, text: str) -> None:
        record = a_record(f"v=DMARC1; {text}")
        assert record.applies
        assert record.policy_for(below=False, exists=True) == ("p", Policy.NONE)
        assert record.policy_for(below=True, exists=False) == ("p", Policy.NONE)

    @each("text", ["", "p=x", "p=reject; np=x", "sp=reject", "p=; rua=x"])
    def test_without_one_it_does_not_apply(self, text: str) -> None:
        assert not a_record(f"v=DMARC1; {text}").applies


class TestPolicyFor:
    """RFC 9989 §4.10.1: p, sp and np."""

    @each(
        ("text", "below", "exists", "decides"),
        [
            ("p=reject; sp=quarantine; np=none", False, True, ("p", Policy.REJECT)),
            ("p=reject; sp=quarantine; np=none", True, True, ("sp", Policy.QUARANTINE)),
            ("p=reject; sp=quarantine; np=none", True, False, ("np", Policy.NONE)),
            ("p=none; np=reject", True, True, ("p", Policy.NONE)),
            ("p=none; np=reject", True, False, ("np", Policy.REJECT)),
            ("p=none; sp=reject", True, False, ("sp", Policy.REJECT)),
            ("p=quarantine", True, False, ("p", Policy.QUARANTINE)),
        ],
    )
    def test_the_tag_that_decides(
        self, text: str, below: bool, exists: bool, decides: tuple[str, Policy]
    ) -> None:
        assert a_record(f"v=DMARC1; {text}").policy_for(below=below, exists=exists) == decides


class TestDestinations:
    """RFC 6068, as far as a report needs it."""

    @pytest.mark.parametrize(
        ("uri", "address"),
        [
            ("mailto:a@a.test", "a@a.test"),
            ("MAILTO:a@A.test?subject=x&bcc=b@b.test", "a@a.test"),
            ("mailto:a%2Bb@a.test", "a+b@a.test"),
            ("mailto:a@xn--bcher-kva.test", "a@xn--bcher-kva.test"),
        ],
    )
    def test_mail_goes_to(self, uri: str, address: str) -> None:
        assert str(mail_address(uri)) == address

    @each(
        "uri",
        [
            "https://a.test",
            "mailto:",
            "mailto:postmaster",
            "mailto:a@[192.0.2.1]",
            "mailto:a@a.test,b@b.test",
            "mailto:a%0d%0aRCPT@a.test",
            "mailto:%ff@a.test",
        ],
    )
    def test_mail_goes_nowhere(self, uri: str) -> None:
        assert mail_address(uri) is None
