"""Strangers' text stays text: in header fields, file names, log lines and terminals."""

import base64
import json
import re
from pathlib import Path

import pytest

from merpati.api.errors import Mistaken
from merpati.api.operations import DOMAINS_ADD, USERS_ADD, USERS_REMOVE
from merpati.api.questions import Named, NewUser
from tests.attack.caller import greeted
from tests.attack.conftest import TRUSTED, Fortress
from tests.attack.sink import Sink

pytestmark = pytest.mark.slow

# All that a terminal obeys or that reorders what is read (Unicode TR 36), but for line ends.
ACTIVE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# A title and colours by ESC, the same by C1, a right-to-left override, and a forged log line.
EVIL = '\x1b]0;owned\x07\x1b[31mred\x9b2Jc1\u202eesrever\u2066x\x7f"},{"level":"forged'


def _deliver(server: Fortress, content: bytes, *, to: str = "ann@a.test", utf8: str = "") -> str:
    with greeted(server.mx, TRUSTED) as caller:
        caller.say(f"MAIL FROM:<x@b.test> BODY=8BITMIME{utf8}")
        assert caller.say(f"RCPT TO:<{to}>").startswith("250")
        caller.say("DATA")
        reply = caller.say(content + b"\r\n.")
        assert reply.startswith("250"), reply
    server.wait_drained()
    return reply.rsplit("queued as ", 1)[1]


def _shown(server: Fortress, *arguments: str) -> str:
    done = server.command(*arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.output


MESSAGE = b"Subject: x\n\nx\n"
EVIL_TYPE = "\x1b[31mred\x9b2J\u202e"
HOSTILE = "\r\n".join(
    [
        f"From: {EVIL} <x@b.test>",
        f"Subject: {EVIL}",
        "To: =?utf-8?Q?=1B]0;owned=07?= <ann@a.test>",
        f"X-{'x' * 10}: {EVIL}",
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="b"',
        "",
        "--b",
        "Content-Type: text/plain; charset=utf-8",
        "",
        f"body {EVIL}",
        "--b",
        f"Content-Type: application/x{EVIL_TYPE}; name=file",
        "Content-Disposition: attachment; filename*=utf-8''a%1B%5D0%3Bowned%07%E2%80%AEb",
        "",
        "x",
        "--b--",
    ]
).encode()


def test_no_command_lets_a_message_act_on_the_terminal(fortress: Fortress) -> None:
    name = _deliver(fortress, HOSTILE)
    user = ("--user", "ann@a.test")
    for arguments in (
        ("inbox", "list", "ann@a.test"),
        ("inbox", "list", "ann@a.test", "--json"),
        ("inbox", "show", "last", *user),
        ("inbox", "show", "last", *user, "--headers"),
        ("inbox", "show", "last", *user, "--parts"),
        ("trace", name),
        ("trace", name, "--json"),
        ("trace", "x@b.test"),
        ("inbox", "show", EVIL.replace("\0", ""), *user),
        ("trace", EVIL),
        ("user", "add", EVIL),
        ("queue", "show", EVIL),
    ):
        said = _shown(fortress, *arguments)
        assert not ACTIVE.search(said.replace("\t", "").replace("\n", "")), (arguments, said)


def test_hostile_commands_reach_the_log_escaped_and_one_line_each(fortress: Fortress) -> None:
    near = len(fortress.log.read_bytes())
    hostile = EVIL.encode("utf-8", "surrogatepass")
    lines = [
        b"EHLO " + hostile,
        b"MAIL FROM:<" + hostile + b"@b.test>",
        b"MAIL FROM:<x@b.test>",
        b'RCPT TO:<"' + "\u202e\u2066".encode() + b'"@a.test>',
        b"RCPT TO:<{{0.__class__}}%s%n@a.test>",
        b"\xff\xfe\x00",
        b"NOOP " + b"\x1b[2J" * 100,
    ]
    with greeted(fortress.mx) as caller:
        for line in lines:
            reply = caller.say(line)
            assert not ACTIVE.search(reply.replace("\r\n", "")), reply
        assert caller.say("NOOP").startswith("250")
    _shown(fortress, "status")
    written = fortress.log.read_bytes()[near:].rpartition(b"\n")[0].decode()
    for line in written.splitlines():
        assert not ACTIVE.search(line), line
        json.loads(line)


def test_a_secret_said_to_the_server_is_in_no_file_of_it(fortress: Fortress) -> None:
    secret = "rahasia-sekali-9187"
    with greeted(fortress.submissions, tls=True) as caller:
        caller.login("budi@a.test", secret)
        word = base64.b64encode(f"\0budi@a.test\0{secret}".encode()).decode()
        caller.say(f"auth PLAIN {word} surplus")
        caller.say(f" AUTH PLAIN {word}")
        caller.say("AUTH LOGIN")
        caller.say(base64.b64encode(b"budi@a.test").decode())
        caller.say(base64.b64encode(secret.encode()).decode())
    with greeted(fortress.submission) as caller:
        caller.say(f"AUTH PLAIN {word}")
    _shown(fortress, "status")
    files = [fortress.log, *(p for p in (fortress.folder / "var").rglob("*") if p.is_file())]
    # (Where the log stands is written beside now and then, and renamed.)
    for file in (one for one in files if one.suffix != ".new"):
        octets = file.read_bytes()
        for form in (secret.encode(), word.encode(), base64.b64encode(secret.encode())):
            assert form not in octets, file


NAMES = [
    "../../../../escape",
    "..",
    ".",
    "a/../../b",
    "/etc/passwd",
    "new/evil",
    "-rf",
    "~root",
    "$(touch x)",
    "`touch x`",
    ";touch x",
    "CON",
    "a\\b",
    "x" * 200,
    "%2e%2e%2f",
]


def test_no_name_of_a_user_leads_out_of_the_mailboxes(fortress: Fortress) -> None:
    quoted = ['"' + name.replace("\\", "\\\\") + '"@a.test' for name in NAMES]
    for address in quoted:
        fortress.tell(USERS_ADD, NewUser(address=address, password="some password"))
    # The folder of all mailboxes, and the one of their domain, are made with the first message.
    _deliver(fortress, b"Subject: x\r\n\r\nx")
    outside = _outside(fortress)
    for address in quoted:
        _deliver(fortress, b"Subject: x\r\n\r\nx", to=address)
    assert _outside(fortress) == outside
    mail = fortress.folder / "var/mail/a.test"
    assert all(len(path.relative_to(mail).parts) == 3 for path in mail.rglob("*") if path.is_file())
    for address in quoted[:3]:
        assert "x@b.test" in _shown(
            fortress, "inbox", "show", "last", "--user", address, "--source"
        )
    for address in quoted:
        fortress.tell(USERS_REMOVE, Named(name=address))


def _outside(server: Fortress) -> set[Path]:
    mail = server.folder / "var/mail/a.test"
    found = server.folder.parent.rglob("*")
    # Where the log stands is written now and then, behind everything else.
    return {path for path in found if mail not in path.parents and ".cursor" not in path.suffixes}


@pytest.mark.parametrize("domain", ["..", "../x", "a/b.test", "a..test", "-a.test", "a\x1b", "%2e"])
def test_what_is_no_domain_is_not_added(fortress: Fortress, domain: str) -> None:
    with pytest.raises(Mistaken):
        fortress.tell(DOMAINS_ADD, Named(name=domain))


@pytest.mark.parametrize(
    "recipient",
    [
        "--help",
        "-oQ/tmp",
        "-bd",
        "|touch x",
        "/etc/passwd",
        ":include:/etc/passwd",
        "a@b.test\nBcc: victim@b.test",
        "a@b.test\r\nRCPT TO:<victim@b.test>",
        "a@b.test victim@b.test",
    ],
)
def test_sendmail_takes_no_option_or_command_for_a_recipient(
    fortress: Fortress, sink: Sink, recipient: str
) -> None:
    far = len(sink.taken)
    said = fortress.command("sendmail", "-f", "ann@a.test", "--", recipient, octets=MESSAGE)
    assert isinstance(said.exception, SystemExit | None)
    fortress.wait_drained()
    for taken in sink.taken[far:]:
        assert not any(b"victim" in command for command in taken.commands)
    assert not (Path.cwd() / "x").exists()


FIELDS = [
    ("--subject", "x\nX-Evil: yes"),
    ("--subject", "x\r\nX-Evil: yes"),
    ("--subject", "x\rX-Evil: yes"),
    ("--subject", "x\u2028X-Evil: yes"),
    ("--subject", "x\n\nX-Evil: yes"),
    ("--cc", "c@b.test\nX-Evil: yes"),
    ("--from", "ann@a.test>\nX-Evil: yes"),
    ("--to", '"a\nX-Evil: yes"@b.test'),
    ("--bcc", "c@b.test\r\nX-Evil: yes"),
]


@pytest.mark.parametrize(("option", "value"), FIELDS)
def test_no_option_of_send_begins_a_header_field(
    fortress: Fortress, sink: Sink, option: str, value: str
) -> None:
    far = len(sink.taken)
    given = {"--from": "ann@a.test", "--to": "far@b.test", "--text": "hello"} | {option: value}
    words = [word for pair in given.items() for word in pair]
    said = fortress.command("send", *words)
    assert isinstance(said.exception, SystemExit | None)
    fortress.wait_drained()
    for taken in sink.taken[far:]:
        head = taken.content.partition(b"\r\n\r\n")[0]
        assert not re.search(rb"^X-Evil", head, re.MULTILINE), head
        assert not any(b"X-Evil" in command for command in taken.commands)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-F", 'Ann\nX-Evil: yes" <evil@x.test>, "'),
        ("-F", "Ann\r\nX-Evil: yes"),
        ("-F", "Ann\u2028X-Evil: yes"),
        ("-f", "ann@a.test\nX-Evil: yes"),
        ("-f", "ann@a.test> SIZE=1\r\nX-Evil: yes"),
        ("-V", "id\r\nX-Evil: yes"),
        ("-V", "id X-Evil"),
    ],
)
def test_no_option_of_sendmail_begins_a_line(
    fortress: Fortress, sink: Sink, arguments: tuple[str, ...]
) -> None:
    far = len(sink.taken)
    said = fortress.command("sendmail", *arguments, "far@b.test", octets=MESSAGE)
    assert isinstance(said.exception, SystemExit | None)
    fortress.wait_drained()
    for taken in sink.taken[far:]:
        head = taken.content.partition(b"\r\n\r\n")[0]
        assert not re.search(rb"^X-Evil", head, re.MULTILINE), head
        assert not any(command.startswith(b"X-Evil") for command in taken.commands)
        assert not any(b" X-Evil" in command for command in taken.commands)
