"""Where reports may go (RFC 9990 §4)."""

import pytest

from merpati.authenticity.dmarc.destination import Destinations, find_destinations
from merpati.authenticity.dmarc.record import read_record
from merpati.authenticity.dmarc.walk import Published
from merpati.dns.errors import DnsTimeout
from merpati.testing.answers import Answers

RECORD = b"v=DMARC1; p=none; rua=mailto:reports@red.example.net"
ASKED = "TXT blue.example.com._report._dmarc.red.example.net"


def found(records: dict[str, object], *uris: str, failures: bool = False) -> Destinations:
    record = read_record(RECORD)
    assert record
    published = Published("blue.example.com", record)
    zone = Answers({"TXT _dmarc.example.com": [b"v=DMARC1; p=none"], **records})  # type: ignore[dict-item] # as they come
    return zone.answer(find_destinations(published, uris or record.aggregate, failures=failures))


@pytest.mark.parametrize("uri", ["mailto:a@blue.example.com", "mailto:a@m.example.com"])
def test_the_organization_itself_needs_not_be_asked(uri: str) -> None:
    assert [str(each) for each in found({}, uri).permitted] == [uri.removeprefix("mailto:")]


def test_who_agrees_gets_them() -> None:
    destinations = found({ASKED: [b"junk", b"v=DMARC1"]})
    assert [str(each) for each in destinations.permitted] == ["reports@red.example.net"]


@pytest.mark.parametrize("said", [[], [b"v=spf1"], [b"v=DMARC2"], DnsTimeout("none")])
def test_who_does_not_agree_gets_none(said: object) -> None:
    destinations = found({ASKED: said})
    assert destinations.permitted == ()
    assert len(destinations.refused) == 1


def test_it_may_name_another_address_of_its_own() -> None:
    destinations = found({ASKED: [b"v=DMARC1; rua=mailto:other@red.example.net"]})
    assert [str(each) for each in destinations.permitted] == ["other@red.example.net"]
    kept = found({ASKED: [b"v=DMARC1; rua=mailto:other@red.example.net"]}, failures=True)
    assert [str(each) for each in kept.permitted] == ["reports@red.example.net"]


@pytest.mark.parametrize("uri", [b"mailto:a@victim.test", b"mailto:a@m.red.example.net", b"x:y"])
def test_it_may_name_nobody_else(uri: bytes) -> None:
    destinations = found({ASKED: [b"v=DMARC1; rua=" + uri]})
    assert destinations.permitted == ()


def test_only_mail_is_sent_and_each_once() -> None:
    destinations = found({}, "https://example.com/x", *["mailto:a@example.com"] * 3)
    assert len(destinations.permitted) == 1
    assert destinations.refused == (("https://example.com/x", "no address for mail"),)


def test_a_name_that_cannot_be_is_not_asked_for() -> None:
    host = ".".join(["x" * 55] * 4) + ".test"
    assert found({}, f"mailto:a@{host}").permitted == ()
