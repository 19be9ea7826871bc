"""The walk up the DNS (RFC 9989 §4.10) and what it makes an organizational domain."""

import pytest

from merpati.authenticity.dmarc.walk import MAX_QUESTIONS, Walk, Walks, steps
from merpati.dns.errors import DnsFailure
from merpati.testing.answers import Answers
from tests.cases import each


def walked(start: str, **records: str) -> Walk:
    """Names of records have `__` for a dot."""
    zone = Answers(
        {
            f"TXT _dmarc.{name.replace('__', '.')}": [f"v=DMARC1; {text}".encode()]
            for name, text in records.items()
        }
    )
    walk = zone.answer(Walks().walk(start))
    assert len(zone.asked) <= MAX_QUESTIONS
    return walk


class TestSteps:
    def test_an_ordinary_domain_goes_up_by_labels(self) -> None:
        assert steps("a.mail.example.com") == (
            "a.mail.example.com",
            "mail.example.com",
            "example.com",
            "com",
        )
        assert steps("com") == ("com",)

    def test_eight_labels_are_all_asked_for(self) -> None:
        assert steps("1.2.3.4.5.6.7.8")[:2] == ("1.2.3.4.5.6.7.8", "2.3.4.5.6.7.8")
        assert len(steps("1.2.3.4.5.6.7.8")) == MAX_QUESTIONS

    def test_long_ones_are_cut_to_seven_labels(self) -> None:
        """The example of RFC 9989 §4.10."""
        assert steps("a.b.c.d.e.f.g.h.i.j.mail.example.com") == (
            "a.b.c.d.e.f.g.h.i.j.mail.example.com",
            "g.h.i.j.mail.example.com",
            "h.i.j.mail.example.com",
            "i.j.mail.example.com",
            "j.mail.example.com",
            "mail.example.com",
            "example.com",
            "com",
        )


class TestOrganizationalDomain:
    """RFC 9989 §4.10.2, with its examples."""

    def test_the_fewest_labels_win(self) -> None:
        walk = walked("a.mail.example.com", mail__example__com="p=none", example__com="p=none")
        assert walk.organizational == "example.com"

    def test_psd_n_is_the_organization(self) -> None:
        walk = walked(
            "a.mail.example.com", mail__example__com="p=none; psd=n", example__com="p=none"
        )
        assert walk.organizational == "mail.example.com"
        assert [each.domain for each in walk.found] == ["mail.example.com"]

    def test_below_a_public_suffix_is_the_organization(self) -> None:
        assert walked("a.mail.example.com", com="p=none; psd=y").organizational == "example.com"
        walk = walked("a.mail.example.com", mail__example__com="p=none", com="p=none; psd=y")
        assert walk.organizational == "example.com"

    def test_a_public_suffix_is_its_own_organization(self) -> None:
        assert walked("example.com", example__com="p=none; psd=y").organizational == "example.com"

    def test_without_any_record_each_domain_is_for_itself(self) -> None:
        assert walked("a.mail.example.com").organizational == "a.mail.example.com"


class TestPolicy:
    """RFC 9989 §4.10.1: which record applies."""

    @each(
        ("records", "domain"),
        [
            ({"a__b__example__com": "p=none", "example__com": "p=none"}, "a.b.example.com"),
            ({"b__example__com": "p=none", "example__com": "p=none"}, "example.com"),
            ({"b__example__com": "p=none; psd=n", "example__com": "p=none"}, "b.example.com"),
            ({"example__com": "p=none", "com": "p=none; psd=y"}, "example.com"),
            ({"com": "p=none; psd=y"}, "com"),
            ({"b__example__com": "p=none", "com": "p=none; psd=y"}, "com"),
        ],
    )
    def test_it_is_found_at(self, records: dict[str, str], domain: str) -> None:
        published = walked("a.b.example.com", **records).policy
        assert published
        assert published.domain == domain
        assert published.name == f"_dmarc.{domain}"

    def test_none_is_none(self) -> None:
        assert walked("a.b.example.com").policy is None


class TestAsking:
    def test_several_records_are_as_none(self) -> None:
        zone = Answers(
            {
                "TXT _dmarc.a.test": [b"v=DMARC1; p=reject", b"v=DMARC1; p=none"],
                "TXT _dmarc.test": [b"v=spf1", b"v=DMARC1; p=quarantine"],
            }
        )
        walks = Walks()
        walk = zone.answer(walks.walk("a.test"))
        assert [each.domain for each in walk.found] == ["test"]
        assert walks.flaws == ["2 records at _dmarc.a.test, where there must be one"]

    def test_walks_share_their_answers(self) -> None:
        zone = Answers({})
        walks = Walks()
        zone.answer(walks.walk("a.example.com"))
        zone.answer(walks.walk("b.example.com"))
        assert len(zone.asked) == 4

    def test_a_name_that_cannot_be_is_not_asked_for(self) -> None:
        zone = Answers({})
        start = ".".join(["x" * 60] * 4) + ".abcdefgh"
        assert zone.answer(Walks().walk(start)).found == ()
        assert all(len(each.name) <= 253 for each in zone.asked)

    def test_no_answer_is_no_walk(self) -> None:
        zone = Answers({"TXT _dmarc.test": DnsFailure("SERVFAIL")})
        with pytest.raises(DnsFailure):
            zone.answer(Walks().walk("a.test"))
