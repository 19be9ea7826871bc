"""What an outcome means for a recipient, its journal and its notices."""

import pytest
from msgspec import structs

from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.settling import Settling, SettlingSettings
from merpati.journal.events import (
    BY_ITSELF,
    Attempt,
    Deferred,
    Delivered,
    Expired,
    Failed,
    Held,
    Unnoticed,
)
from merpati.mail.address import Address
from merpati.mail.envelope import DeliverBy, Notify, Recipient
from merpati.queue.entry import State, Waiting
from merpati.testing.deliveries import DAY, START, an_entry

HOUR = 3600.0
ENTRY = an_entry(1, "ann@a.test")
ATTEMPT = Attempt(route="mx:", host="mx.a.test")
DEFERRED = Outcome(0, Result.DEFERRED, "451 later", "4.3.0", "server-error", ATTEMPT)
FAILED = Outcome(0, Result.FAILED, "550 no", "5.1.1", "unknown-user", ATTEMPT)
DELIVERED = Outcome(0, Result.DELIVERED, "250 ok", "2.0.0", attempt=ATTEMPT)


def settle(outcome, *, entry=ENTRY, after=60.0, notify=None, final=False, **waiting):
    rules = Settling(SettlingSettings(), lambda attempts: 600.0 * attempts)
    recipient = Recipient(Address("ann", "a.test"))
    if notify is not None:
        recipient = structs.replace(recipient, notify=notify)
    row = Waiting(0, recipient, State.IN_HAND, due=START, **waiting)
    return rules.settle(entry, row, outcome, START + after, final)


def by(seconds, must_return):
    wish = DeliverBy(START + seconds, must_return)
    return structs.replace(ENTRY, envelope=structs.replace(ENTRY.envelope, deliver_by=wish))


def kinds(settled):
    return [type(event) for event in settled.events]


def test_what_only_being_sent_on_has_broken_is_told_as_that():
    refused = structs.replace(FAILED, cause="dmarc-failed")
    rules = Settling(SettlingSettings(), lambda attempts: 600.0 * attempts)
    sent_on = Recipient(Address("ann", "a.test"), return_path=Address("srs0=x", "b.test"))
    for recipient, cause in (
        (sent_on, "forward-refused"),
        (Recipient(sent_on.address), "dmarc-failed"),
    ):
        row = Waiting(0, recipient, State.IN_HAND, due=START)
        settled = rules.settle(ENTRY, row, refused, START)
        assert settled.events[0].cause == settled.settlement.notice.cause == cause


def test_delivered_is_final_and_journaled_with_its_delay():
    settled = settle(DELIVERED)
    assert settled.settlement.state is State.DELIVERED
    (event,) = settled.events
    assert (type(event), event.delay, event.reply) == (Delivered, 60.0, "250 ok")
    assert settled.settlement.notice is None


@pytest.mark.parametrize(
    ("final", "lacks_dsn", "action"),
    [
        (True, True, "delivered"),
        (True, False, None),
        (False, True, "relayed"),
        (False, False, None),
    ],
)
def test_success_is_told_by_whoever_is_the_last_to_understand_dsn(final, lacks_dsn, action):
    outcome = structs.replace(DELIVERED, relayed_without_dsn=lacks_dsn)
    notice = settle(outcome, notify=Notify.SUCCESS, final=final).settlement.notice
    assert (notice.action if notice else None) == action


@pytest.mark.parametrize(
    ("notify", "final", "action"),
    [
        (None, False, "relayed"),
        (Notify.FAILURE, False, "relayed"),
        (Notify.NEVER, False, None),
        (None, True, None),
    ],
)
def test_by_with_trace_is_told_of_every_relay(notify, final, action):
    traced = by(3600.0, must_return=False)
    wish = structs.replace(traced.envelope.deliver_by, trace=True)
    traced = structs.replace(traced, envelope=structs.replace(traced.envelope, deliver_by=wish))
    notice = settle(DELIVERED, entry=traced, notify=notify, final=final).settlement.notice
    assert (notice.action if notice else None) == action
    assert settle(DELIVERED, entry=by(3600.0, must_return=False)).settlement.notice is None


@pytest.mark.parametrize(
    ("notify", "final", "action"),
    [
        (None, False, "relayed"),
        (Notify.SUCCESS, False, "relayed"),
        (Notify.NEVER, False, None),
        (None, True, None),
    ],
)
def test_a_relay_that_keeps_no_deadline_is_told_of(notify, final, action):
    timed = by(3600.0, must_return=False)
    outcome = structs.replace(DELIVERED, relayed_without_deadline=True)
    notice = settle(outcome, entry=timed, notify=notify, final=final).settlement.notice
    assert (notice.action if notice else None) == action
    assert settle(outcome, notify=notify, final=final).settlement.notice is None


def test_failed_owes_a_notice_in_the_hosts_words():
    settled = settle(FAILED)
    notice = settled.settlement.notice
    assert (settled.settlement.state, kinds(settled)) == (State.FAILED, [Failed])
    assert (notice.action, notice.status, notice.reply, notice.host) == (
        "failed",
        "5.1.1",
        "550 no",
        "mx.a.test",
    )


def test_never_is_never():
    settled = settle(FAILED, notify=Notify.NEVER)
    assert (settled.settlement.notice, kinds(settled)) == (None, [Failed])


@pytest.mark.parametrize(
    "entry", [an_entry(1, "ann@a.test", sender=""), structs.replace(ENTRY, is_notice=True)]
)
def test_no_notice_to_the_null_sender_or_about_a_notice(entry):
    settled = settle(FAILED, entry=entry)
    assert (settled.settlement.notice, kinds(settled)) == (None, [Failed, Unnoticed])
    assert settle(DEFERRED, entry=entry, after=5 * HOUR).settlement.notice is None


@pytest.mark.parametrize("after", [60.0, 6 * DAY])
def test_damaged_is_held_for_an_operator_as_if_it_was_never_tried(after):
    damaged = Outcome(0, Result.DAMAGED, "its checksum does not match", "4.3.0", "damaged-here")
    settled = settle(damaged, after=after)
    settlement = settled.settlement
    assert (settlement.state, settlement.attempted, settlement.notice) == (State.HELD, False, None)
    assert (settlement.reply, settlement.cause) == ("its checksum does not match", "damaged-here")
    (held,) = settled.events
    assert (type(held), held.by, held.why) == (Held, BY_ITSELF, "its checksum does not match")


def test_deferred_waits_as_the_schedule_says():
    settled = settle(DEFERRED, attempts=2)
    assert settled.settlement.due == START + 60 + 1800
    (event,) = settled.events
    assert (type(event), event.attempts, event.cause) == (Deferred, 3, "server-error")


def test_a_host_that_names_a_time_is_believed():
    assert settle(structs.replace(DEFERRED, retry_after=300.0)).settlement.due == START + 360


def test_a_delay_is_told_once_after_four_hours():
    early = settle(DEFERRED, after=3 * HOUR)
    late = settle(DEFERRED, after=4 * HOUR)
    again = settle(DEFERRED, after=9 * HOUR, delay_told=True)
    assert early.settlement.notice is None
    assert (late.settlement.notice.action, late.settlement.delay_told) == ("delayed", True)
    assert again.settlement.notice is None


def test_an_attempt_comes_when_the_delay_is_to_be_told():
    assert settle(DEFERRED, after=3 * HOUR, attempts=99).settlement.due == START + 4 * HOUR
    quiet = settle(DEFERRED, after=3 * HOUR, attempts=9, notify=Notify.FAILURE)
    assert quiet.settlement.due == START + 3 * HOUR + 6000


def test_what_waits_untouched_for_hours_is_told_of_too():
    settled = settle(Outcome(0, Result.UNTOUCHED), after=4 * HOUR)
    assert (settled.settlement.notice.action, settled.settlement.attempted) == ("delayed", False)


def test_untouched_changes_nothing():
    settlement = settle(Outcome(0, Result.UNTOUCHED), attempts=3, reply="451 old").settlement
    assert (settlement.state, settlement.due, settlement.attempted) == (State.WAITING, START, False)
    assert (settlement.reply, settlement.delay_told) == ("451 old", None)


def test_in_doubt_waits_a_quarter_of_an_hour_and_is_journaled():
    settled = settle(Outcome(0, Result.UNKNOWN, retry_after=1.0))
    assert settled.settlement.due == START + 60 + 900
    assert settled.events[0].in_doubt


def test_the_last_attempt_is_a_minute_before_the_end_and_then_all_is_over():
    late = settle(DEFERRED, after=5 * DAY - 600, delay_told=True, attempts=9)
    assert late.settlement.due == START + 5 * DAY - 60
    assert settle(DEFERRED, after=5 * DAY - 30, delay_told=True).settlement.due == START + 5 * DAY
    over = settle(DEFERRED, after=5 * DAY)
    assert (over.settlement.state, kinds(over)) == (State.EXPIRED, [Expired])
    assert (over.settlement.notice.action, over.settlement.notice.status) == ("failed", "4.4.7")
    assert over.settlement.notice.reply == "451 later"


def test_a_deadline_that_must_return_fails_with_5_4_7():
    soon = settle(DEFERRED, entry=by(120, must_return=True))
    missed = settle(DEFERRED, entry=by(60, must_return=True))
    assert soon.settlement.due == START + 120
    assert missed.settlement.state is State.FAILED
    ends = structs.replace(by(60, must_return=True), expires=START + 60)
    assert settle(DEFERRED, entry=ends).settlement.notice.status == "5.4.7"
    assert (missed.settlement.notice.status, missed.events[0].cause) == (
        "5.4.7",
        "deliver-by-missed",
    )


def test_a_deadline_that_only_notifies_tells_and_goes_on():
    soon = settle(DEFERRED, entry=by(120, must_return=False), notify=Notify.FAILURE)
    missed = settle(DEFERRED, entry=by(60, must_return=False), notify=Notify.FAILURE)
    never = settle(DEFERRED, entry=by(60, must_return=False), notify=Notify.NEVER)
    assert soon.settlement.due == START + 120
    assert (missed.settlement.state, missed.settlement.notice.action) == (State.WAITING, "delayed")
    assert never.settlement.notice is None


def test_what_strangers_say_is_cut():
    assert len(settle(structs.replace(FAILED, reply="x" * 5000)).events[0].reply) == 1000


def test_the_cause_is_kept_and_a_notice_names_it_also_when_only_time_decided():
    assert settle(FAILED).settlement.notice.cause == "unknown-user"
    assert settle(DEFERRED).settlement.cause == "server-error"
    over = settle(
        Outcome(0, Result.DEFERRED), after=6 * DAY, cause="mailbox-full", reply="452 full"
    )
    notice = over.settlement.notice
    assert (notice.status, notice.cause, notice.reply) == ("4.4.7", "mailbox-full", "452 full")
