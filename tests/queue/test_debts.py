"""When a sender is told of a delay, and of what nobody is told."""

import math

import pytest
from msgspec import structs

from merpati.mail.envelope import DeliverBy, Notify, Recipient
from merpati.queue.debts import delay_told_at
from merpati.queue.entry import Entry
from merpati.testing.conformance.bench import NOW, an_entry

FOUR_HOURS = 14_400.0


def told_at(entry: Entry, notify: Notify = Notify.FAILURE | Notify.DELAY) -> float:
    recipient = Recipient(entry.envelope.recipients[0].address, notify)
    return delay_told_at(entry, recipient, FOUR_HOURS) - NOW


def by(seconds: float, must_return: bool) -> Entry:
    entry = an_entry(1)
    wish = DeliverBy(NOW + seconds, must_return)
    return structs.replace(entry, envelope=structs.replace(entry.envelope, deliver_by=wish))


def test_a_delay_is_told_after_the_usual_time_to_who_did_not_decline() -> None:
    assert told_at(an_entry(1)) == FOUR_HOURS
    assert told_at(an_entry(1), Notify.FAILURE) == math.inf
    assert told_at(an_entry(1), Notify.NEVER) == math.inf


def test_a_delay_counts_from_the_time_that_a_message_was_to_be_held_until() -> None:
    assert told_at(an_entry(1, release_at=NOW + 86_400)) == 86_400 + FOUR_HOURS


@pytest.mark.parametrize(
    "entry", [an_entry(1, sender=None), structs.replace(an_entry(1), is_notice=True)]
)
def test_no_delay_is_told_where_nobody_reads_it(entry: Entry) -> None:
    assert told_at(entry) == math.inf


def test_a_deadline_that_only_tells_is_told_when_it_passes() -> None:
    assert told_at(by(60, must_return=False), Notify.FAILURE) == 60
    assert told_at(by(60, must_return=False), Notify.NEVER) == math.inf
    assert told_at(by(60, must_return=True)) == FOUR_HOURS
