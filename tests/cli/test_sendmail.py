"""The sendmail that cron, PHP and mail(1) call."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.cli.sendmail import Message
from merpati.mail.address import Address

ANN = Address("ann", "a.test")


class Sendmail:
    """An installation that sendmail is called at."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "merpati.toml"
        self.file.write_text('hostname = "mx.a.test"\n')

    def run(self, *arguments: str, text: str | bytes = "") -> Result:
        return CliRunner().invoke(merpati, ["--config", str(self.file), *arguments], input=text)

    def __call__(self, *arguments: str, text: str | bytes = "Subject: x\n\nhello\n") -> Result:
        return self.run("sendmail", *arguments, text=text)

    def queued(self) -> list[dict[str, object]]:
        listed: list[dict[str, object]] = json.loads(self.run("queue", "list", "--json").stdout)
        return listed

    def recipients(self) -> list[object]:
        return [line["recipient"] for line in self.queued()]

    def source(self) -> str:
        """Header of the only message, as it was queued."""
        shown = self.run("queue", "show", str(self.queued()[0]["id"]), "--json")
        header: str = json.loads(shown.stdout)["header"]
        return header


@pytest.fixture
def sendmail(tmp_path: Path) -> Sendmail:
    return Sendmail(tmp_path)


@pytest.mark.slow
def test_cron_is_understood(sendmail: Sendmail) -> None:
    result = sendmail("-i", "-FCronDaemon", "-oem", "budi@b.test")
    assert (result.exit_code, result.output) == (0, "")
    assert sendmail.recipients() == ["budi@b.test"]
    assert 'From: "CronDaemon" <' in sendmail.source()


@pytest.mark.slow
def test_php_is_understood(sendmail: Sendmail) -> None:
    text = "To: Budi <budi@b.test>, ann@c.test\nBcc: eve@d.test\nSubject: x\n\nhello\n"
    assert sendmail("-t", "-i", text=text).exit_code == 0
    assert sorted(map(str, sendmail.recipients())) == ["ann@c.test", "budi@b.test", "eve@d.test"]
    assert "eve@d.test" not in sendmail.source()


def test_clustered_flags_are_understood(sendmail: Sendmail) -> None:
    assert sendmail("-ti", text="To: budi@b.test\n\nx\n").exit_code == 0


def test_addresses_behind_the_flags_join_those_of_the_header(sendmail: Sendmail) -> None:
    assert sendmail("-t", "--", "ann@a.test", text="To: budi@b.test\n\nx\n").exit_code == 0
    assert sorted(map(str, sendmail.recipients())) == ["ann@a.test", "budi@b.test"]


@pytest.mark.slow
def test_the_sender_is_given_or_null(sendmail: Sendmail) -> None:
    assert sendmail("-f", "ann@a.test", "budi@b.test").exit_code == 0
    assert sendmail("-f<>", "eve@b.test").exit_code == 0
    assert [line["sender"] for line in sendmail.queued()] == ["ann@a.test", ""]


def test_a_bare_name_is_of_this_host(sendmail: Sendmail) -> None:
    assert sendmail("root,budi@b.test").exit_code in {0, 67}
    assert sendmail.recipients() == ["root@mx.a.test", "budi@b.test"]


def test_a_lone_dot_ends_the_message_unless_told_otherwise(sendmail: Sendmail) -> None:
    assert sendmail("budi@b.test", text="Subject: x\n\none\n.\ntwo\n").exit_code == 0
    assert sendmail("-oi", "eve@b.test", text="Subject: x\n\none\n.\ntwo\n").exit_code == 0
    short, whole = (int(str(line["size"])) for line in sendmail.queued())
    assert whole - short >= len(".\r\ntwo\r\n") - 1


@pytest.mark.parametrize(
    ("arguments", "text", "status"),
    [
        ((), "x", 64),
        (("-t",), "Subject: nobody\n\nx\n", 64),
        (("--nonsense", "a@b.test"), "x", 64),
        (("not an address",), "x", 64),
        (("-Nsometimes", "a@b.test"), "x", 64),
        (("-bz",), "x", 64),
        (("-t",), "To: <<>>, broken\n\nx\n", 65),
        (("-t",), b"To: a@b.test\n" + b"X: y\n" * 3000 + b"\nx\n", 65),
        (("-bs",), "EHLO x\n", 75),
    ],
)
def test_mistakes_have_the_status_of_sysexits(
    sendmail: Sendmail, arguments: tuple[str, ...], text: str | bytes, status: int
) -> None:
    result = sendmail(*arguments, text=text)
    assert result.exit_code == status, result.output
    assert sendmail.queued() == []


def test_an_unknown_recipient_here_is_67(sendmail: Sendmail) -> None:
    sendmail.run("domain", "add", "a.test")
    assert sendmail("nobody@a.test").exit_code == 67


def test_a_bad_configuration_is_78(sendmail: Sendmail) -> None:
    sendmail.file.write_text("nonsense = 1")
    assert sendmail("a@b.test").exit_code == 78


def test_the_queue_is_listed_as_mailq_does(sendmail: Sendmail) -> None:
    sendmail("budi@b.test")
    assert "budi@b.test" in sendmail("-bp").stdout


def completed(text: bytes, name: str = "") -> bytes:
    return Message(text).complete(ANN, name)


def test_a_message_gets_a_from_if_it_has_none() -> None:
    assert completed(b"Subject: x\r\n\r\nhi\r\n") == (
        b"From: ann@a.test\r\nSubject: x\r\n\r\nhi\r\n"
    )
    assert completed(b"From: b@b.test\r\n\r\nhi\r\n") == b"From: b@b.test\r\n\r\nhi\r\n"


def test_text_without_a_header_becomes_the_body() -> None:
    assert completed(b"just text\r\n") == b"From: ann@a.test\r\n\r\njust text\r\n"


def test_the_line_on_top_of_an_mbox_is_dropped() -> None:
    text = b"From ann@a.test Mon Nov 23 2026\r\nFrom: b@b.test\r\n\r\nhi\r\n"
    assert completed(text) == b"From: b@b.test\r\n\r\nhi\r\n"


def test_blind_recipients_leave_no_trace() -> None:
    text = b"From: b@b.test\r\nBcc: c@c.test,\r\n d@d.test\r\nTo: e@e.test\r\n\r\nhi\r\n"
    assert completed(text) == b"From: b@b.test\r\nTo: e@e.test\r\n\r\nhi\r\n"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Ann", b'From: "Ann" <ann@a.test>'),
        ('A "x" \\', b'From: "A \\"x\\" \\\\" <ann@a.test>'),
        ("A\r\nBcc: x@y.test", b'From: "ABcc: x@y.test" <ann@a.test>'),
    ],
)
def test_a_full_name_cannot_begin_another_line(name: str, written: bytes) -> None:
    assert completed(b"\r\nhi\r\n", name).startswith(written + b"\r\n")
