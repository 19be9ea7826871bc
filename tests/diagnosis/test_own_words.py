"""What our own words about a failed connection mean."""

from merpati.diagnosis.own_words import cause_of, translated
from merpati.diagnosis.texts import known_causes
from merpati.wire import errors
from tests.cases import each


@each(
    ("reason", "cause"),
    [
        ("the connection was refused", "connection-refused"),
        ("the other end did not answer in time", "timed-out"),
        ("the certificate was not accepted: self-signed certificate", "certificate-self-signed"),
        ("the certificate was not accepted: certificate has expired", "certificate-expired"),
        (
            "the certificate was not accepted: Hostname mismatch, certificate is not valid for 'a'",
            "certificate-wrong-name",
        ),
        (
            "the certificate was not accepted: unable to get local issuer certificate",
            "certificate-invalid",
        ),
        ("by an operator", "site-suspended"),
        ("535 5.7.8 no", "auth-failed"),
        ("554 5.7.1 blocked by zen.spamhaus.org", "ip-listed"),
        ("words of an operator", ""),
    ],
)
def test_a_reason_names_its_cause(reason: str, cause: str) -> None:
    assert cause_of(reason) == cause
    assert cause in known_causes() | {""}


def test_a_host_that_an_operator_named_is_theirs_to_mend() -> None:
    assert cause_of("the connection was refused", on_a_route=True) == "route-unreachable"
    assert cause_of("TLS is not offered", on_a_route=True) == "tls-unavailable"


@each(
    "error",
    [
        errors.from_os_error(ConnectionRefusedError()),
        errors.from_os_error(TimeoutError()),
        errors.from_os_error(ConnectionError()),
        errors.TlsError("TLS failed: wrong version number"),
        *map(errors.WireError, (*errors._LOST.values(), *errors._UNREACHABLE.values())),
    ],
)
def test_every_word_of_the_wire_is_known_in_indonesian(error: errors.WireError) -> None:
    assert cause_of(error.cause) in known_causes()
    assert translated(error.cause, "id") != error.cause
    assert translated(error.cause, "en") == error.cause


@each("text", errors._LOCAL.values())
def test_what_is_short_here_is_told_in_indonesian(text: str) -> None:
    assert cause_of(text) == ""
    assert translated(text, "id") != text


@each(
    ("said", "cause", "told"),
    [
        ("no answer within 30 s", "timed-out", "tidak ada jawaban dalam 30 detik"),
        ("the domain a.test does not exist", "no-such-domain", "domain a.test tidak ada"),
        (
            "the DNS gave no answer for a.test: the servers of {0} are silent",
            "dns-failing",
            "DNS tidak menjawab untuk a.test: the servers of {0} are silent",
        ),
        ("https://a.test/x answers 404", "", "https://a.test/x menjawab 404"),
        ("ann@a.test has no mailbox here any more", "", "ann@a.test tidak lagi punya kotak"),
        ("it does not say version: STSv1", "", "tidak memuat version: STSv1"),
    ],
)
def test_what_a_reason_is_about_stands_in_its_translation(said: str, cause: str, told: str) -> None:
    assert cause_of(said) == cause
    assert translated(said, "id").startswith(told)
    assert translated(said, "en") == said


def test_words_of_strangers_stay_as_they_are() -> None:
    assert translated("550 5.1.1 No such user", "id") == "550 5.1.1 No such user"
