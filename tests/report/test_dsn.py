"""Delivery status notifications, read back by a parser that we did not write.

RFC 3462, 3464, 6522 and 6533."""

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from msgspec import structs

from merpati.diagnosis.texts import explain
from merpati.mail.envelope import BodyType, DeliverBy, Return
from merpati.queue.entry import Owed
from merpati.report.dsn import NoticeSettings, build

SETTINGS = NoticeSettings("mx.a.test")
Builder = Callable[..., Owed]


def read(owed: list[Owed], original: bytes) -> list[EmailMessage]:
    octets = build(owed, original, SETTINGS, 1_700_000_200.0).content.octets()
    assert b"\n" not in octets.replace(b"\r\n", b"")
    whole = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(whole, EmailMessage)
    return [whole, *whole.iter_parts()]  # type: ignore[list-item]


def status_blocks(part: EmailMessage) -> list[EmailMessage]:
    return part.get_payload()  # type: ignore[return-value]


def test_failure_is_told_to_people_in_both_languages(owed: Builder, original: bytes) -> None:
    whole, text, _, _ = read([owed()], original)
    told = text.get_content()
    assert "The address does not exist at the recipient's server." in told
    assert "Alamat ini tidak ada di server penerima." in told
    assert "550 5.1.1 User unknown" in told
    assert "Laporan é" in told
    assert whole["Auto-Submitted"] == "auto-replied"
    assert whole["To"] == "ann@a.test"


def test_failure_is_told_to_programs_as_rfc_3464_says(owed: Builder, original: bytes) -> None:
    whole, _, status, _ = read([owed()], original)
    assert whole.get_content_type() == "multipart/report"
    assert whole.get_param("report-type") == "delivery-status"
    about_message, about_bob = status_blocks(status)
    assert about_message["Original-Envelope-Id"] == "QQ314159"
    assert about_message["Reporting-MTA"] == "dns; mx.a.test"
    assert about_bob["Final-Recipient"] == "rfc822; bob@b.test"
    assert about_bob["Original-Recipient"] == "rfc822; robert@b.test"
    assert about_bob["Action"] == "failed"
    assert about_bob["Status"] == "5.1.1"
    assert about_bob["Remote-MTA"] == "dns; mx.b.test"
    assert about_bob["Diagnostic-Code"] == "smtp; 550 5.1.1 User unknown"


def test_a_delay_tells_how_long_we_go_on(owed: Builder, original: bytes) -> None:
    late = owed("delayed", reply="450 4.2.0 Busy", status="4.2.0", until=1_700_432_000.0)
    _, text, status, _ = read([late], original)
    about_bob = status_blocks(status)[1]
    assert about_bob["Action"] == "delayed"
    assert about_bob["Status"] == "4.2.0"
    assert about_bob["Will-Retry-Until"] == "Sun, 19 Nov 2023 22:13:20 +0000"
    assert "We try until: Sun, 19 Nov 2023" in text.get_content()
    _, _, status, _ = read([owed(until=1_700_432_000.0)], original)
    assert "Will-Retry-Until" not in status_blocks(status)[1]


def test_a_cause_is_told_exactly_whatever_the_words_are(owed: Builder, original: bytes) -> None:
    failed = owed(reply="554 5.0.0 Go away", status="5.7.1", cause="spf-failed")
    told = read([failed], original)[1].get_content()
    assert explain("spf-failed").summary in told
    assert explain("spf-failed", "id").summary in told


@pytest.mark.parametrize(("status", "over"), [("4.4.7", "expired"), ("5.4.7", "deliver-by-missed")])
def test_what_ran_out_of_time_tells_what_the_last_attempt_met(
    owed: Builder, original: bytes, status: str, over: str
) -> None:
    late = owed(status=status, reply="452 4.2.2 full", cause="mailbox-full")
    told = read([late], original)[1].get_content()
    assert explain(over).summary in told
    assert f"What the last attempt met: {explain('mailbox-full').summary}" in told
    untried = read([owed(status=status, reply="", host="", cause="")], original)[1].get_content()
    assert explain(over).summary in untried
    assert "last attempt met" not in untried


def test_a_delay_is_never_told_as_an_end(owed: Builder, original: bytes) -> None:
    late = owed("delayed", status="4.4.7", reply="", host="", cause="site-down")
    told = read([late], original)[1].get_content()
    assert explain("site-down").summary in told
    assert explain("expired").summary not in told


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_a_success_has_a_status_of_class_2_and_blames_nobody(
    owed: Builder, original: bytes, action: str
) -> None:
    _, text, status, _ = read([owed(action, status="", reply="250 2.0.0 OK")], original)
    about_bob = status_blocks(status)[1]
    assert (about_bob["Action"], about_bob["Status"]) == (action, "2.0.0")
    assert "Who can mend it" not in text.get_content()


def test_where_no_host_spoke_none_is_named(owed: Builder, original: bytes) -> None:
    _, text, status, _ = read([owed(reply="", host="", status="5.1.10")], original)
    about_bob = status_blocks(status)[1]
    assert about_bob["Status"] == "5.1.10"
    assert "Remote-MTA" not in about_bob
    assert "Diagnostic-Code" not in about_bob
    assert "words of" not in text.get_content()


def test_our_own_words_are_said_in_each_language_and_a_hosts_stay_as_they_are(
    owed: Builder, original: bytes
) -> None:
    ours = owed(reply="the domain b.test does not exist", host="", cause="no-such-domain")
    _, text, *_ = read([ours], original)
    english, indonesian = text.get_content().split("-" * 60)
    assert "The words of this server: the domain b.test does not exist" in english
    assert "server ini: domain b.test tidak ada" in indonesian
    theirs = owed(reply="550 no answer within 5 s", host="mx.b.test")
    _, text, *_ = read([theirs], original)
    assert text.get_content().count("550 no answer within 5 s") == 2


def test_what_was_not_said_is_not_told(owed: Builder) -> None:
    silent = owed(known_as=None, envelope_id=None)
    whole, text, status, _ = read([silent], b"\r\nNo header at all.\r\n")
    about_message, about_bob = status_blocks(status)
    assert "Original-Envelope-Id" not in about_message
    assert "Original-Recipient" not in about_bob
    assert "In-Reply-To" not in whole
    assert "References" not in whole
    assert "Subject:" not in text.get_content()


def test_a_notice_stands_in_the_thread_of_its_message(owed: Builder, original: bytes) -> None:
    whole, *_ = read([owed()], original)
    assert whole["In-Reply-To"] == whole["References"] == "<1@a.test>"


def test_an_address_behind_an_alias_is_told_beside_the_one_that_was_written_to(
    owed: Builder, original: bytes
) -> None:
    _, _, status, _ = read([structs.replace(owed(), final_address="carol@c.test")], original)
    about_bob = status_blocks(status)[1]
    assert about_bob["Original-Recipient"] == "rfc822; robert@b.test"
    assert about_bob["Final-Recipient"] == "rfc822; carol@c.test"


def test_the_notice_has_the_null_sender(owed: Builder, original: bytes) -> None:
    report = build([owed()], original, SETTINGS, 0.0)
    assert report.envelope.sender is None
    assert [str(to.address) for to in report.envelope.recipients] == ["ann@a.test"]


def test_a_small_failed_message_is_given_back_whole(owed: Builder, original: bytes) -> None:
    *_, returned = read([owed()], original)
    assert returned.get_content_type() == "message/rfc822"
    assert "Isi pesan." in returned.as_string()


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_other_notices_give_back_headers_only(owed: Builder, original: bytes, action: str) -> None:
    *_, returned = read([owed(action, status="", ret=Return.FULL)], original)
    assert returned.get_content_type() == "text/rfc822-headers"
    assert "Isi pesan." not in returned.as_string()


def test_ret_hdrs_gives_back_headers_only(owed: Builder, original: bytes) -> None:
    *_, returned = read([owed(ret=Return.HEADERS)], original)
    assert returned.get_content_type() == "text/rfc822-headers"


@pytest.mark.parametrize("body", [BodyType.BINARY, BodyType.SEVEN_BIT])
def test_what_only_a_binary_message_may_hold_is_not_given_back(
    owed: Builder, body: BodyType
) -> None:
    octets = b"Subject: a\0b\r\nX: bare\rreturn\r\n\r\n\0"
    content = build([owed(body=body)], octets, SETTINGS, 0.0).content.octets()
    assert b"\0" not in content
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"Subject: ab\r\n" in content


def test_a_hostile_reply_cannot_add_fields_or_turn_text_round(
    owed: Builder, original: bytes
) -> None:
    evil = owed(reply="550 no\r\nAction: delivered\x00\u202egnp.exe", host="x\r\nStatus: 2.0.0")
    _, text, status, _ = read([evil], original)
    about = status_blocks(status)[1]
    assert about.get_all("Action") == ["failed"]
    assert about.get_all("Status") == ["5.1.1"]
    assert "\u202e" not in text.get_content()


def test_utf8_addresses_get_the_international_forms(owed: Builder, original: bytes) -> None:
    international = owed(to="budi.é@b.test", sender="añn@a.test", smtputf8=True)
    whole, _, status, returned = read([international], original)
    assert whole.get_param("report-type") == "global-delivery-status"
    assert status.get_content_type() == "message/global-delivery-status"
    assert returned.get_content_type() == "message/global"
    report = build([international], original, SETTINGS, 0.0)
    assert report.envelope.smtputf8
    assert "Final-Recipient: utf-8; budi.é@b.test".encode() in report.content.octets()


def test_a_message_that_requires_tls_is_answered_under_tls_and_without_its_content(
    owed: Builder, original: bytes
) -> None:
    secret = owed(require_tls=True, ret=Return.FULL)
    assert build([secret], original, SETTINGS, 0.0).envelope.require_tls
    *_, returned = read([secret], original)
    assert returned.get_content_type() == "text/rfc822-headers"
    assert not build([owed()], original, SETTINGS, 0.0).envelope.require_tls


def test_the_wished_time_is_told_where_one_was_wished(owed: Builder, original: bytes) -> None:
    hurried = owed(deliver_by=DeliverBy(1_700_000_300.0, must_return=True))
    _, _, status, _ = read([hurried], original)
    assert status_blocks(status)[0]["Deliver-By-Date"] == "Tue, 14 Nov 2023 22:18:20 +0000"
    _, _, status, _ = read([owed()], original)
    assert "Deliver-By-Date" not in status_blocks(status)[0]


def test_the_wished_release_is_told_where_one_was_wished(owed: Builder, original: bytes) -> None:
    _, _, status, _ = read([owed(release_at=1_700_000_300.0)], original)
    about_message = status_blocks(status)[0]
    assert about_message["Future-Release-Request"] == "until;2023-11-14T22:18:20Z"
    _, _, status, _ = read([owed()], original)
    assert "Future-Release-Request" not in status_blocks(status)[0]


def test_a_utf8_address_is_escaped_where_only_ascii_may_stand(
    owed: Builder, original: bytes
) -> None:
    known_as = owed()
    recipient = structs.replace(known_as.recipient, original="utf-8;jü+x=y@b.test")
    report = build([structs.replace(known_as, recipient=recipient)], original, SETTINGS, 0.0)
    expected = rb"Original-Recipient: utf-8; j\x{FC}\x{2B}x\x{3D}y@b.test"
    assert expected in report.content.octets()


def test_a_final_utf8_address_is_escaped_too(owed: Builder, original: bytes) -> None:
    report = build([owed(to="budi.é@b.test")], original, SETTINGS, 0.0)
    assert rb"Final-Recipient: utf-8; budi.\x{E9}@b.test" in report.content.octets()


@pytest.mark.parametrize("smtputf8", [False, True])
@pytest.mark.parametrize("said", ["\N{GRINNING FACE}" * 900, "x" * 2000, "\u200b" * 900, "é" * 999])
def test_no_reply_is_too_long_for_a_notice(
    owed: Builder, original: bytes, said: str, smtputf8: bool
) -> None:
    long = owed(reply=f"550 5.7.1 {said}", host=said, smtputf8=smtputf8)
    recipient = structs.replace(long.recipient, original=f"utf-8;{said[:490]}")
    octets = build(
        [structs.replace(long, recipient=recipient)], original, SETTINGS, 0.0
    ).content.octets()
    assert max(map(len, octets.split(b"\r\n"))) <= 998


def test_several_recipients_share_one_notice(owed: Builder, original: bytes) -> None:
    _, text, status, _ = read([owed(), owed(to="eve@b.test", id_=2)], original)
    assert len(status_blocks(status)) == 3
    assert "<eve@b.test>" in text.get_content()
