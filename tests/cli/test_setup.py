"""`merpati domain setup`: the records are printed, and compared with the DNS."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.testing.conformance.feedback import GOOD, aggregate
from merpati.testing.zone import Fault, zone_in_a_thread
from tests.cli.test_reports import keep, lately

Run = Callable[..., Result]
NOBODY = "127.0.0.1:9"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    file = tmp_path / "merpati.toml"

    def run(*arguments: str, servers: str = NOBODY) -> Result:
        file.write_text(f'hostname = "mx.a.test"\n[dns]\nservers = ["{servers}"]\n')
        return CliRunner().invoke(merpati, ["-c", str(file), *arguments])

    added = run("domain", "add", "a.test")
    assert added.exit_code == 0, added.output
    return run


def setup(run: Run, *arguments: str, zone: str = "x.test A 192.0.2.9") -> Result:
    with zone_in_a_thread(zone) as server:
        return run("domain", "setup", *arguments, servers="{}:{}".format(*server.address))


@pytest.mark.slow
def test_every_record_is_printed_with_its_reason(run: Run) -> None:
    told = setup(run, "a.test")
    assert told.exit_code == 0, told.output
    assert "a.test. 3600 IN MX 10 mx.a.test.\n  Other servers look here" in told.stdout
    assert "merpati dkim add a.test" in told.stdout
    assert "version: STSv1\nmode: testing\nmx: mx.a.test\n" in told.stdout
    assert "Server lain mencari" in setup(run, "a.test", "--lang", "id").stdout
    assert not told.stderr


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_policy_that_would_stop_all_mail_is_warned_of(
    run: Run, tmp_path: Path, check: tuple[str, ...]
) -> None:
    file = tmp_path / "strict.toml"
    with zone_in_a_thread("x.test A 192.0.2.9") as server:
        file.write_text(
            'hostname = "mx.a.test"\n[dns]\nservers = ["{}:{}"]\n'.format(*server.address)
            + '[http]\nlisten = "127.0.0.1:8026"\n[mta_sts]\nmode = "enforce"\n'
        )
        told = CliRunner().invoke(merpati, ["-c", str(file), "domain", "setup", "a.test", *check])
    assert "senders that obey MTA-STS would deliver nothing: there is no certificate" in told.stderr


def test_every_fault_is_told_with_its_cost_and_the_status_is_one(run: Run) -> None:
    spf = 'a.test TXT "v=spf1 ip4:192.0.2.9 -all"'
    told = setup(run, "a.test", "--check", zone=spf)
    assert told.exit_code == 1
    assert "SPF: wrong" in told.stdout
    assert "  ! v=spf1 ip4:192.0.2.9 -all\n  ! This host is not named" in told.stdout
    assert "DMARC: missing" in told.stdout
    assert "  ! Mail goes out without a signature" in told.stdout
    assert told.stdout.endswith("To be put right: MX, SPF, DKIM, DMARC, PTR.\n")
    assert "TLS-RPT (optional): missing" in told.stdout


@pytest.mark.slow
def test_programs_are_given_json(run: Run) -> None:
    told = setup(run, "a.test", "--check", "--json")
    assert told.exit_code == 1
    page = json.loads(told.stdout)
    assert page["policy"]["url"] == "https://mta-sts.a.test/.well-known/mta-sts.txt"
    mx = page["records"][0]
    assert (mx["purpose"], mx["name"], mx["value"]) == ("MX", "a.test", "10 mx.a.test")
    assert (mx["state"], mx["seen"]) == ("missing", [])


BESIDE = """
a.test MX 5 mx.b.test
a.test MX 10 mx.a.test
a.test TXT "v=spf1 mx"
mx.a.test A 192.0.2.1
"""


@pytest.mark.slow
def test_what_stands_beside_a_good_record_is_told_with_its_cost(run: Run) -> None:
    told = setup(run, "a.test", "--check", zone=BESIDE)
    assert told.exit_code == 1
    assert "  ! 5 mx.b.test\n  ! Senders try this host before mx.a.test" in told.stdout
    assert "SPF: warning" in told.stdout
    assert told.stdout.endswith("To be looked at: SPF.\n")
    indonesian = setup(run, "a.test", "--check", "--lang", "id", zone=BESIDE).stdout
    assert "Pengirim mencoba host ini sebelum mx.a.test" in indonesian
    assert "SPF: peringatan" in indonesian
    mx, spf, *_ = json.loads(setup(run, "a.test", "--check", "--json", zone=BESIDE).stdout)[
        "records"
    ]
    assert [(one["harm"], one["detail"]) for one in mx["caveats"]] == [
        ("elsewhere first", "5 mx.b.test")
    ]
    assert (spf["state"], spf["caveats"][0]["harm"]) == ("warning", "open")
    assert spf["cost"] == spf["caveats"][0]["cost"]


POLICY = """
_mta-sts.a.test TXT "v=STSv1; id=1"
mta-sts.a.test A 127.0.0.1
"""


@pytest.mark.slow
def test_what_is_wrong_with_the_policy_is_told_with_its_cost(run: Run) -> None:
    told = setup(run, "a.test", "--check", zone=POLICY).stdout
    assert "MTA-STS policy: wrong\nhttps://mta-sts.a.test/.well-known/mta-sts.txt\n" in told
    assert "  ! mta-sts.a.test leads to 127.0.0.1, which is not on the Internet\n" in told
    assert "Senders find the record but no policy" in told
    assert (
        "bukan kebijakannya" in setup(run, "a.test", "--check", "--lang", "id", zone=POLICY).stdout
    )
    page = json.loads(setup(run, "a.test", "--check", "--json", zone=POLICY).stdout)
    (served,) = page["served"]
    assert (served["document"], served["state"]) == ("MTA-STS policy", "wrong")
    assert [one["flaw"] for one in served["remarks"]] == ["not public"]


@pytest.mark.slow
def test_a_record_of_a_policy_that_nobody_serves_here_is_a_comment(run: Run) -> None:
    zone = setup(run, "a.test", "--zone").stdout
    assert "\n; _mta-sts.a.test. 3600 IN TXT" in zone
    assert "\n; version: STSv1\n; mode: testing\n" in zone
    assert "First serve the policy below" in zone


@pytest.mark.slow
def test_without_a_record_of_mta_sts_no_policy_is_asked_for(run: Run) -> None:
    page = json.loads(setup(run, "a.test", "--check", "--json").stdout)
    assert page["served"] == []


@pytest.mark.slow
def test_a_zone_has_records_and_comments_alone(run: Run) -> None:
    zone = "mx.a.test A 192.0.2.1"
    lines = setup(run, "a.test", "--zone", zone=zone).stdout.splitlines()
    assert all(line.startswith(";") or re.match(r"\S+ 3600 IN ", line) for line in lines)
    assert "; 1.2.0.192.in-addr.arpa. 3600 IN PTR mx.a.test." in lines


@pytest.mark.slow
def test_a_terminal_is_never_given_what_a_stranger_would_do_to_it(run: Run) -> None:
    told = setup(run, "a.test", "--check", zone='a.test TXT "v=spf1 \\027[2J"')
    assert "\x1b" not in told.stdout
    assert "SPF: wrong" in told.stdout


@pytest.mark.slow
def test_keys_that_do_not_sign_yet_say_so(run: Run) -> None:
    assert run("dkim", "add", "a.test", "-a", "ed25519").exit_code == 0
    told = setup(run, "a.test.").stdout  # as zone files have it
    assert "when the DNS has had the records for an hour, merpati dkim rotate a.test" in told
    assert run("dkim", "rotate", "a.test", "--unchecked").exit_code == 0
    assert "merpati dkim rotate" not in setup(run, "a.test").stdout


@pytest.mark.slow
def test_when_nobody_answers_it_is_said(run: Run) -> None:
    assert run("dkim", "add", "a.test", "-a", "ed25519").exit_code == 0
    with zone_in_a_thread("") as server:
        server.faults["*"] = Fault.SERVFAIL
        servers = "{}:{}".format(*server.address)
        told = run("domain", "setup", "a.test", servers=servers)
        assert "the DNS did not answer" in told.stderr
        assert run("domain", "setup", "a.test", "--check", servers=servers).exit_code == 75


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("b.test",), "b.test is not a domain of this server"),
        (("a..test",), "not a domain"),
        (("a.test", "--zone", "--check"), "leave out --check"),
        (("a.test", "--apply", "--dry-run", "--json"), "leave out --json"),
    ],
)
def test_what_cannot_be_says_why(run: Run, arguments: tuple[str, ...], expected: str) -> None:
    told = run("domain", "setup", *arguments)
    assert told.exit_code == 1
    assert expected in told.stderr


class TestAdvice:
    """The next step of the policy of DMARC, by what others report."""

    ZONE = '_dmarc.a.test TXT "v=DMARC1; p=quarantine; rua=mailto:mail-reports@a.test"'

    def told(self, run: Run, *arguments: str, zone: str = ZONE) -> str:
        return setup(run, "a.test", "--check", *arguments, zone=zone).stdout

    @pytest.mark.slow
    def test_without_reports_they_are_waited_for(self, run: Run) -> None:
        assert "  No report about a.test has come yet" in self.told(run)
        assert "Belum ada laporan tentang a.test" in self.told(run, "--lang", "id")

    @pytest.mark.slow
    def test_reports_that_go_elsewhere_are_not_waited_for(self, run: Run) -> None:
        other = self.ZONE.replace("mail-reports@a.test", "x@b.test")
        assert "add to its rua=: mailto:mail-reports@a.test" in self.told(run, zone=other)
        detail = self.ZONE.replace("mail-reports@", "Mail-Reports+dmarc@")
        assert "No report about a.test has come yet" in self.told(run, zone=detail)

    @pytest.mark.slow
    def test_it_follows_from_the_policy_in_the_dns(self, run: Run, tmp_path: Path) -> None:
        many = replace(GOOD, count=500)
        keep(tmp_path, lately(aggregate(many)))
        assert "  500 of 500 messages passed in 20 days" in self.told(run)
        assert "change p=quarantine to p=reject" in self.told(run)
        (line,) = [one for one in json.loads(self.told(run, "--json"))["records"] if one["advice"]]
        assert line["purpose"] == "DMARC"

    @pytest.mark.slow
    def test_without_a_policy_there_is_no_step(self, run: Run) -> None:
        assert "report about" not in self.told(run, zone="x.test A 192.0.2.9")
