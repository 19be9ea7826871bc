"""Reading mailboxes in a terminal: the text, the parts, the source, and nobody's tricks."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.cli.output import clean
from merpati.cli.reading import UnreadableError, parse, part_lines, text

PLAIN = b"From: Ann <ann@a.test>\nTo: budi@a.test\nSubject: =?utf-8?q?Caf=C3=A9?=\n\nhalo\n"
MIXED = (
    b"From: ann@a.test\nSubject: two\nMIME-Version: 1.0\n"
    b'Content-Type: multipart/mixed; boundary="b"\n\n'
    b"--b\nContent-Type: text/html; charset=utf-8\n\n"
    b"<head><title>no</title></head><p>se<b>la</b>mat</p><script>evil()</script>\n"
    b'--b\nContent-Type: text/csv; name="x.csv"\n'
    b'Content-Disposition: attachment; filename="x.csv"\n'
    b"Content-Transfer-Encoding: base64\n\nYTtiCg==\n--b--\n"
)


class Mailbox:
    """The Maildir of ann@a.test, as deliveries leave it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "merpati.toml").write_text("")
        self._new = folder / "var/mail/a.test/ann/new"
        self._new.mkdir(parents=True)

    def put(self, *messages: bytes) -> None:
        for n, octets in enumerate(messages):
            (self._new / f"01M{n}.host,S={len(octets)}").write_bytes(octets)

    def run(self, *arguments: str) -> Result:
        file = str(self.folder / "merpati.toml")
        return CliRunner().invoke(merpati, ["--config", file, "inbox", *arguments])

    def show(self, *arguments: str) -> str:
        shown = self.run("show", *arguments, "--user", "ann@a.test")
        assert shown.exit_code == 0, shown.output
        return shown.stdout


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path)


def test_a_list_has_numbers_names_and_decoded_subjects(mailbox: Mailbox) -> None:
    mailbox.put(PLAIN, MIXED)
    lines = json.loads(mailbox.run("list", "ann@a.test", "--json").stdout)
    assert [(line["number"], line["name"], line["subject"]) for line in lines] == [
        (1, "01M0", "Café"),
        (2, "01M1", "two"),
    ]


def test_an_empty_mailbox_is_an_empty_list(mailbox: Mailbox) -> None:
    assert json.loads(mailbox.run("list", "ann@a.test", "--json").stdout) == []
    told = mailbox.run("list", "ann@a.test")
    assert (told.stdout, told.stderr) == ("", "The mailbox is empty.\n")


@pytest.mark.slow
def test_who_has_no_mailbox_is_said_and_who_has_no_mail_yet(mailbox: Mailbox) -> None:
    file = str(mailbox.folder / "merpati.toml")
    for words in (("domain", "add", "a.test"), ("user", "add", "budi@a.test", "--no-password")):
        done = CliRunner().invoke(merpati, ["--config", file, *words])
        assert done.exit_code == 0, done.stderr
    known = mailbox.run("list", "Budi@a.test")
    assert (known.exit_code, known.stderr) == (0, "The mailbox is empty.\n")
    for command in (("list", "nobody@a.test"), ("show", "last", "--user", "nobody@b.test")):
        unknown = mailbox.run(*command)
        assert (unknown.exit_code, unknown.stdout) == (1, "")
        assert f"there is no mailbox {command[-1]}: merpati user list" in unknown.stderr


@pytest.mark.slow
def test_a_developers_inbox_has_no_mailboxes_of_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MERPATI_CONFIG", raising=False)
    monkeypatch.setenv("MERPATI_DATA", str(tmp_path))
    told = CliRunner().invoke(merpati, ["inbox", "list", "ann@a.test"])
    assert (told.exit_code, "is one for all: merpati inbox list" in told.stderr) == (1, True)


@pytest.mark.parametrize("name", ["1", "01M0", "last"])
def test_a_message_is_shown_by_number_name_or_last(mailbox: Mailbox, name: str) -> None:
    mailbox.put(PLAIN)
    assert mailbox.show(name).endswith("Subject: Café\n\nhalo\n\n")


@pytest.mark.parametrize("name", ["0", "3", "nope", "01M"])
def test_a_message_that_is_not_there_or_not_the_only_one_is_said(
    mailbox: Mailbox, name: str
) -> None:
    mailbox.put(PLAIN, MIXED)
    result = mailbox.run("show", name, "--user", "ann@a.test")
    assert result.exit_code == 1
    assert "from 1 to 2" in result.stderr


def test_html_is_shown_without_its_tags_and_scripts(mailbox: Mailbox) -> None:
    mailbox.put(MIXED)
    shown = mailbox.show("last")
    assert "selamat" in shown
    assert "evil" not in shown
    assert "[x.csv, text/csv, 4 octets]" in shown


def test_parts_source_and_headers_are_views_of_their_own(mailbox: Mailbox) -> None:
    mailbox.put(MIXED)
    parts = [line.split("\t") for line in mailbox.show("1", "--parts").splitlines()]
    assert [part[:3] for part in parts] == [
        ["1", "multipart/mixed", ""],
        ["1.1", "text/html", ""],
        ["1.2", "text/csv", "x.csv"],
    ]
    assert mailbox.show("1", "--source").encode() == MIXED
    assert "MIME-Version: 1.0" in mailbox.show("1", "--headers")


def test_a_program_gets_header_parts_and_text_at_once(mailbox: Mailbox) -> None:
    mailbox.put(MIXED)
    told = json.loads(mailbox.show("1", "--json"))
    assert {"name": "MIME-Version", "value": "1.0"} in told["headers"]
    assert [(one["place"], one["filename"]) for one in told["parts"]] == [
        ("1", ""),
        ("1.1", ""),
        ("1.2", "x.csv"),
    ]
    assert told["text"] == mailbox.show("1").partition("\n\n")[2].partition("\n[")[0]


def test_a_message_is_saved_once(mailbox: Mailbox, tmp_path: Path) -> None:
    mailbox.put(PLAIN)
    target = str(tmp_path / "saved.eml")
    assert mailbox.run("save", "1", target, "--user", "ann@a.test").exit_code == 0
    assert Path(target).read_bytes() == PLAIN
    assert mailbox.run("save", "1", target, "--user", "ann@a.test").exit_code == 1


def test_a_mailbox_must_be_named_where_there_is_no_common_one(
    mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever runs this may well have a developer's inbox.
    monkeypatch.setenv("MERPATI_DATA", str(tmp_path / "nowhere"))
    result = mailbox.run("list")
    assert (result.exit_code, "--user" in result.stderr) == (1, True)


def test_what_strangers_wrote_cannot_act_on_the_terminal(mailbox: Mailbox) -> None:
    mailbox.put(b"Subject: \x1b]0;owned\x07\n\nred \x1b[31m\xe2\x80\xae text\n")
    shown = (
        mailbox.show("1")
        + mailbox.show("1", "--headers")
        + mailbox.run("list", "ann@a.test").stdout
    )
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_controls_are_shown_as_escapes_and_lines_kept_where_wanted() -> None:
    assert clean("a\x1b[31m\r\nb") == "a\\x1b[31m\\x0d\\x0ab"
    assert clean("a\nb\u202e", keep="\n") == "a\nb\\u202e"


def test_an_unknown_charset_is_read_as_utf_8() -> None:
    assert text(parse(b"Content-Type: text/plain; charset=nonsense\n\ncaf\xc3\xa9\n")) == "café\n"


@pytest.mark.slow
def test_parts_nested_too_deep_are_told_or_cut_and_never_a_crash() -> None:
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(1100)
    )
    try:
        lines = part_lines(parse(nested))
    except UnreadableError:
        return
    assert len(lines) <= 1000
