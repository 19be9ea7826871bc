"""What a refusal means, by replies that large receivers and common servers send.

RFC 3463, 5248 and 7504."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.diagnosis.replies import Meaning, Refusal, Stage, classify
from tests.cases import each

CASES = [
    (Stage.RCPT, 550, "5.1.1", "<x@a.test>: Recipient address rejected", "unknown-user"),
    (Stage.RCPT, 550, "", "No such user here", "unknown-user"),
    (Stage.RCPT, 550, "5.2.1", "account is disabled", "mailbox-disabled"),
    (Stage.RCPT, 452, "4.2.2", "The recipient's inbox is out of storage", "mailbox-full"),
    (Stage.RCPT, 552, "5.2.2", "Mailbox full", "mailbox-full"),
    (Stage.RCPT, 452, "4.5.3", "Too many recipients", "too-many-recipients"),
    (Stage.RCPT, 450, "4.2.1", "receiving mail too quickly", "mailbox-busy"),
    (Stage.RCPT, 451, "4.7.1", "Greylisting in action, come back later", "greylisted"),
    (Stage.RCPT, 554, "5.7.1", "<x@a.test>: Relay access denied", "relay-denied"),
    (Stage.RCPT, 556, "5.1.10", "Domain does not accept mail", "null-mx"),
    (Stage.MAIL, 530, "5.7.0", "Must issue a STARTTLS command first", "tls-needed"),
    (Stage.MAIL, 530, "5.7.0", "Authentication required", "auth-needed"),
    (Stage.MAIL, 552, "5.3.4", "Message size exceeds fixed limit", "message-too-large"),
    (Stage.MAIL, 553, "5.7.1", "Sender address belongs to somebody else", "sender-not-allowed"),
    (Stage.RCPT, 553, "5.7.1", "rejected: not owned by user ann@a.test", "sender-not-allowed"),
    (
        Stage.MAIL,
        550,
        "5.7.60",
        "Client not permitted to send as this sender",
        "sender-not-allowed",
    ),
    (Stage.MAIL, 550, "5.1.8", "Sender domain not found", "sender-refused"),
    (Stage.MAIL, 452, "4.3.1", "Insufficient system storage", "server-full"),
    (Stage.MAIL, 555, "5.5.4", "Unsupported option", "parameters-refused"),
    (Stage.BODY, 550, "5.7.26", "does not pass the DMARC policy", "dmarc-failed"),
    (Stage.BODY, 550, "5.7.25", "The IP address has no PTR record", "no-reverse-dns"),
    (Stage.BODY, 550, "5.7.23", "SPF validation failed", "spf-failed"),
    (Stage.BODY, 550, "5.7.20", "No passing DKIM signature", "dkim-failed"),
    (Stage.BODY, 421, "4.7.28", "unusual rate of unsolicited mail", "rate-limited"),
    (Stage.BODY, 554, "5.7.1", "Message rejected as spam", "spam-content"),
    (Stage.BODY, 550, "5.7.1", "192.0.2.7 is listed at zen.spamhaus.org", "ip-listed"),
    (Stage.BODY, 554, "5.4.6", "Too many hops", "too-many-hops"),
    (Stage.BODY, 554, "5.6.0", "Message is malformed", "content-refused"),
    (Stage.BODY, 554, "5.7.1", "Virus found", "virus"),
    (Stage.BODY, 451, "4.3.0", "Queue file write error", "server-error"),
    (Stage.DATA, 554, "5.5.1", "Error: no valid recipients", "no-valid-recipients"),
    (Stage.HELLO, 502, "5.5.1", "Command not implemented", "protocol-error"),
    (Stage.CONNECT, 554, "", "192.0.2.7 is on our blocklist", "ip-listed"),
    (Stage.CONNECT, 521, "", "This host does not accept mail", "null-mx"),
    (Stage.CONNECT, 421, "4.7.0", "Too many concurrent connections", "too-many-connections"),
    (Stage.CONNECT, 450, "", "busy", "server-busy"),
    (Stage.STARTTLS, 454, "4.7.0", "TLS not available", "tls-failed"),
    (Stage.AUTH, 535, "5.7.8", "Bad credentials", "auth-failed"),
]


@each(("stage", "code", "status", "text", "cause"), CASES)
def test_known_reply_has_its_cause(
    stage: Stage, code: int, status: str, text: str, cause: str
) -> None:
    assert classify(stage, code, status, text).cause == cause


def test_a_451_without_reason_at_rcpt_is_greylisting_on_the_first_try_only() -> None:
    first = classify(Stage.RCPT, 451, "", "try later", first_try=True)
    again = classify(Stage.RCPT, 451, "", "try later")
    assert first.refusal is Refusal.GREYLIST
    assert again.refusal is Refusal.RECIPIENT


def test_a_552_after_accepted_recipients_asks_for_a_split() -> None:
    after = classify(Stage.RCPT, 552, "", "enough", recipients_before=20)
    assert after == Meaning(Refusal.SPLIT, "too-many-recipients", permanent=False)
    assert classify(Stage.RCPT, 552, "", "enough").refusal is Refusal.RECIPIENT


def test_a_full_mailbox_after_accepted_recipients_is_still_that_mailbox_alone() -> None:
    meaning = classify(Stage.RCPT, 452, "4.2.2", "over quota", recipients_before=3)
    assert meaning.refusal is Refusal.RECIPIENT


def test_a_lost_connection_is_no_verdict() -> None:
    assert classify(Stage.BODY, 0, "", "").refusal is Refusal.CONNECTION


def test_a_421_never_ends_a_message() -> None:
    for stage in Stage:
        assert not classify(stage, 421, "5.7.1", "go away, spam").permanent


def test_rate_words_at_rcpt_never_slow_the_site() -> None:
    meaning = classify(Stage.RCPT, 450, "4.7.28", "rate limited")
    assert meaning.refusal is Refusal.RECIPIENT


@given(
    st.sampled_from(Stage),
    st.integers(min_value=400, max_value=599),
    st.text(max_size=12),
    st.text(max_size=200),
)
def test_every_reply_means_something_and_4yz_is_never_permanent(
    stage: Stage, code: int, status: str, text: str
) -> None:
    meaning = classify(stage, code, status, text)
    assert not (meaning.permanent and code < 500)


@pytest.mark.parametrize("text", ["blocked " * 90_000, "too many " * 90_000, "a" * 900_000])
def test_a_very_long_reply_is_cut_before_it_is_searched(text: str) -> None:
    assert classify(Stage.BODY, 451, "", text) == classify(Stage.BODY, 451, "", text[:2000])
