"""`merpati reports`: what came is listed, shown, summed up, and obeyed by no terminal."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.clock import SystemClock
from merpati.config.places import Places
from merpati.feedback.aggregate import Period, Published
from merpati.feedback.complaint import Complaint
from merpati.feedback.feedback import Room
from merpati.feedback.received import Content, Origin, Proof, Received, Unreadable
from merpati.feedback.tls import Detail
from merpati.system.stores import open_stores
from merpati.testing.conformance.feedback import BAD, GOOD, aggregate, tls

Run = Callable[..., Result]
DAY = 86400
ACTIVE = "\x1b[31m\x07\u202e{0}\r\nInjected: yes\x9b2J"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n')

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(merpati, ["-c", str(file), *arguments])

    assert run("domain", "add", "a.test").exit_code == 0
    return run


def keep(folder: Path, *contents: Content, proof: Proof = Proof.PASSED) -> None:
    """As the server does; M0, M1 …"""
    # Forged ones came earlier.
    now = time.time() - 60 * (1 + (proof is Proof.FAILED))

    async def fill() -> None:
        async with open_stores(Places(folder / "var"), SystemClock()) as stores:
            for n, content in enumerate(contents):
                id_ = f"{'F' if proof is Proof.FAILED else 'M'}{n}"
                origin = Origin(id_, now + n, "google.com", proof, "mx.a.test; dmarc=pass")
                assert await stores.feedback.keep(Received(origin, content), Room())

    asyncio.run(fill())


def lately(content: Content, days: int = 20) -> Content:
    """A report that ends now."""
    end = int(time.time())
    return replace(content, period=Period(end - days * DAY, end))  # type: ignore[type-var]  # an aggregate one


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


EXPIRED = Detail(
    result_type="certificate-expired", failed_session_count=3, receiving_mx_hostname="mx.a.test"
)


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> Run:
    many = replace(GOOD, count=990)
    keep(
        *(tmp_path, lately(aggregate(many, BAD)), tls(EXPIRED)),
        *(Complaint("abuse", domains=("a.test",)), Unreadable("no XML", b"Subject: hi\r\n\r\nx")),
    )
    keep(tmp_path, lately(aggregate(BAD, id_="9")), proof=Proof.FAILED)
    return run


@pytest.mark.slow
def test_reports_are_listed(filled: Run) -> None:
    lines = [line.split("\t") for line in ok(filled("reports", "list")).splitlines()]
    assert [(line[0], line[2], line[3], line[5]) for line in lines] == [
        ("M3", "unreadable", "-", "passed"),
        ("M2", "complaint", "a.test", "passed"),
        ("M1", "tls", "a.test", "passed"),
        ("M0", "dmarc", "a.test", "passed"),
        ("F0", "dmarc", "a.test", "failed"),
    ]
    assert ok(filled("reports", "list", "--kind", "tls")).startswith("M1\t")
    assert ok(filled("reports", "list", "c.test")) == ""
    assert ok(filled("reports", "list", "--since", "5s")) == ""


@pytest.mark.slow
def test_a_summary_says_what_passed_and_what_to_do(filled: Run) -> None:
    told = ok(filled("reports", "summary"))
    assert "a.test: 994 messages in 1 reports of google.com; 990 (99.6 %) passed DMARC" in told
    assert "p=none" in told
    assert "1 more reports are not counted: nothing proves who sent them" in told
    assert "192.0.2.1\t990\t990\t990\t0\t0\tin order" in told
    assert "192.0.2.9\t4\t0\t0\t0\t0\tsends as list.test" in told
    assert "  192.0.2.9: If list.test sends for you, let it sign with DKIM" in told
    assert "Next: 990 of 994 messages passed in 20 days" in told
    assert "change p=none to p=quarantine" in told
    assert "1 messages were complained of, or failed" in told
    assert "1 mails to the address of reports could not be read" in told


@pytest.mark.slow
def test_a_summary_says_why_tls_failed(filled: Run) -> None:
    told = ok(filled("reports", "summary", "a.test", "--since", "99999d"))
    assert "a.test: TLS (sts): 7 sessions succeeded, 3 failed" in told
    assert "3 x certificate-expired at mx.a.test: the certificate had expired. Renew" in told


@pytest.mark.slow
def test_a_summary_in_indonesian(filled: Run) -> None:
    told = ok(filled("reports", "summary", "--lang", "id", "--since", "99999d"))
    assert "994 pesan dalam 1 laporan dari google.com" in told
    assert "Langkah berikutnya: 990 dari 994 pesan lulus" in told
    assert "sertifikatnya sudah kedaluwarsa" in told
    assert "1 pesan dikeluhkan" in told
    assert "1 surat ke alamat laporan tidak dapat dibaca" in told


@pytest.mark.slow
def test_programs_are_given_json(filled: Run) -> None:
    (one,) = json.loads(ok(filled("reports", "summary", "--json", "--since", "99999d")))
    assert (one["domain"], one["policy"], one["dmarc"]["messages"]) == ("a.test", "none", 994)
    assert one["tls"][0]["faults"][0]["result"] == "certificate-expired"
    assert len(json.loads(ok(filled("reports", "list", "--json")))) == 5
    shown = json.loads(ok(filled("reports", "show", "M0", "--json")))
    assert shown["dmarc"]["rows"][0]["count"] == 990
    assert shown["origin"]["proof"] == "passed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id_", "words"),
    [
        ("M0", ["DMARC of a.test, told by B <dmarc@b.test>", "p=none", "192.0.2.9\t4\tnone\tfail"]),
        ("M0", ["is proven to be of google.com", "Found of it: mx.a.test; dmarc=pass"]),
        ("M1", ["TLS, told by B", "3 x certificate-expired mx.a.test"]),
        ("M2", ["Kind: abuse", "Domains: a.test"]),
        ("M3", ["Cannot be read: no XML", "  Subject: hi"]),
        ("F0", ["NOT proven to be of google.com", "counts nowhere"]),
    ],
)
def test_each_is_shown(filled: Run, id_: str, words: Sequence[str]) -> None:
    told = ok(filled("reports", "show", id_))
    assert all(word in told for word in words), told


@pytest.mark.slow
def test_the_mail_that_cannot_be_read_is_given_as_it_came(filled: Run) -> None:
    assert ok(filled("reports", "show", "M3", "--original")) == "Subject: hi\n\nx"
    refused = filled("reports", "show", "M0", "--original")
    assert (refused.exit_code, "its mail was not kept" in refused.stderr) == (1, True)


def test_what_is_not_there_is_told(run: Run) -> None:
    refused = run("reports", "show", "M9")
    assert (refused.exit_code, refused.stderr) == (1, "merpati: there is no report M9\n")
    assert "No report has come" in ok(run("reports", "summary"))
    assert "No report about a.test has come yet" in ok(run("reports", "summary", "a.test"))


@pytest.mark.slow
def test_no_terminal_obeys_what_a_report_says(run: Run, tmp_path: Path) -> None:
    reporter = replace(aggregate().reporter, organization=ACTIVE, email=ACTIVE, report_id=ACTIVE)
    hostile = replace(
        aggregate(
            replace(BAD, author=ACTIVE, signatures=(replace(BAD.signatures[1], domain=ACTIVE),))
        ),
        reporter=replace(reporter, errors=(ACTIVE,)),
        published=Published("a.test", ACTIVE),
    )
    detail = Detail(
        result_type=ACTIVE,
        failed_session_count=1,
        receiving_mx_hostname=ACTIVE,
        failure_reason_code=ACTIVE,
    )
    keep(
        *(tmp_path, lately(hostile), tls(detail)),
        Complaint(ACTIVE, sender=ACTIVE, original=ACTIVE.encode()),
        Unreadable(ACTIVE, ACTIVE.encode()),
    )
    told = [run("reports", "list"), run("reports", "summary", "--since", "99999d")]
    told += [run("reports", "show", f"M{n}") for n in range(4)]
    told += [run("reports", "summary", "--json"), run("reports", "show", "M0", "--json")]
    for one in told:
        text = ok(one)
        assert not set(text) & set("\x1b\x07\x9b\u202e\r"), text
        assert "\nInjected" not in text


@pytest.mark.slow
def test_reports_to_others_are_sent_by_a_server_alone(run: Run) -> None:
    result = run("reports", "send")
    assert result.exit_code == 1
    assert "no server runs" in result.output


@pytest.mark.parametrize("day", ["2026-13-01", "yesterday"])
def test_a_day_that_no_calendar_has_is_refused(run: Run, day: str) -> None:
    assert run("reports", "send", "--day", day).exit_code == 2
