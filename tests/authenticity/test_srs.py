"""Senders rewritten for forwarding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.authenticity.srs import MAX_DAYS, Rewriter, SrsError
from merpati.mail.address import Address
from tests.cases import each

NOW = 1_600_000_000.0
DAY = 86_400
KEY, OLD = b"k" * 16, b"o" * 16
US = Rewriter("us.test", [KEY])
NEXT = Rewriter("next.test", [b"n" * 16])
LAST = Rewriter("last.test", [b"l" * 16])
ANN = Address("Ann.B", "a.test")


def test_a_sender_becomes_ours_and_comes_back() -> None:
    rewritten = US.forward(ANN, NOW)
    assert rewritten.domain == "us.test"
    assert rewritten.local.startswith("SRS0=")
    assert rewritten.local.endswith("=a.test=Ann.B")
    assert US.reverse(rewritten, NOW) == ANN


def test_a_sender_of_ours_stays() -> None:
    assert US.forward(Address("bob", "us.test"), NOW) == Address("bob", "us.test")


def test_who_forwards_in_turn_leads_back_to_the_first() -> None:
    first = US.forward(ANN, NOW)
    second = NEXT.forward(first, NOW)
    third = LAST.forward(second, NOW)
    assert second.local.startswith("SRS1=")
    assert second.local.endswith("=us.test=" + first.local.removeprefix("SRS0"))
    assert len(str(third)) == len(str(second))
    assert NEXT.reverse(second, NOW) == LAST.reverse(third, NOW) == first


def test_a_chain_that_leads_to_no_host_is_a_name_like_any_other() -> None:
    theirs = Address("SRS1=AAAA=b-.test==AAAA=LB=a.test=ann", "c.test")
    assert US.reverse(US.forward(theirs, NOW), NOW) == theirs


def test_the_separators_of_others_are_kept() -> None:
    theirs = Address("SRS0+abcd=XY=a.test=ann", "b.test")
    assert US.reverse(US.forward(theirs, NOW), NOW) == theirs


def test_case_may_be_lost_on_the_way() -> None:
    rewritten = US.forward(ANN, NOW)
    assert US.reverse(Address(rewritten.local.lower(), "us.test"), NOW) == Address(
        "ann.b", "a.test"
    )


def test_an_address_is_good_for_three_weeks() -> None:
    rewritten = US.forward(ANN, NOW)
    assert US.reverse(rewritten, NOW + MAX_DAYS * DAY) == ANN
    assert US.reverse(rewritten, NOW - DAY) == ANN
    with pytest.raises(SrsError, match="too old"):
        US.reverse(rewritten, NOW + (MAX_DAYS + 1) * DAY)


def test_an_old_key_is_known_until_it_is_dropped() -> None:
    rewritten = Rewriter("us.test", [OLD]).forward(ANN, NOW)
    assert Rewriter("us.test", [KEY, OLD]).reverse(rewritten, NOW) == ANN
    with pytest.raises(SrsError, match="hash"):
        US.reverse(rewritten, NOW)


@each(
    "local",
    [
        "ann",
        "SRS0",
        "SRS0=",
        "SRS0=AAAAAA=AA=a.test=ann",
        "SRS0==AA=a.test=ann",
        "SRS1=AAAAAA=b.test==AAAA=AA=a.test=ann",
        "SRS0=ü=AA=a.test=ann",
    ],
)
def test_what_we_did_not_make_is_refused(local: str) -> None:
    with pytest.raises(SrsError):
        US.reverse(Address(local, "us.test"), NOW)


def test_an_altered_recipient_is_refused() -> None:
    rewritten = US.forward(ANN, NOW)
    with pytest.raises(SrsError, match="hash"):
        US.reverse(Address(rewritten.local.replace("Ann", "Eve"), "us.test"), NOW)


def test_a_hash_of_ours_is_of_no_use_elsewhere() -> None:
    with pytest.raises(SrsError, match="not a rewritten"):
        US.reverse(Address(US.forward(ANN, NOW).local, "b.test"), NOW)


def test_what_would_be_too_long_is_refused() -> None:
    with pytest.raises(SrsError, match="254"):
        US.forward(Address("x" * 230, "a.test"), NOW)


@pytest.mark.parametrize("keys", [[], [b"short"]])
def test_a_key_has_sixteen_octets(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16"):
        Rewriter("us.test", keys)


@given(
    st.text(
        st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1, max_size=64
    )
)
def test_every_local_part_comes_back(local: str) -> None:
    sender = Address(local, "a.test")
    assert US.reverse(US.forward(sender, NOW), NOW) == sender
