"""SMTP smuggling (CVE-2023-51764 and its sisters), through every door and out again.

One submitted message is at most one message behind us, with its content unchanged, and what leaves
us has no line end but CRLF.
"""

import subprocess
import sys
from collections.abc import Callable

import pytest

from merpati.api.operations import SUBMIT
from merpati.api.questions import Submission
from merpati.testing.process import MerpatiProcess
from tests.attack.caller import Caller, greeted
from tests.attack.conftest import TRUSTED, Fortress
from tests.attack.sink import Sink

pytestmark = pytest.mark.slow

# What one implementation or another took for the end of the content.
FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r.\n",
    b"\n.\r",
    b"\n\n.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\0\n.\n",
    b"\r\n.\r\r\n",
    b"\r\n.\n\r\n",
]
EVIL = (
    b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<budi@a.test>\r\nRCPT TO:<victim@b.test>\r\n"
    b"DATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"
)


def _open_mx(server: Fortress) -> Caller:
    return greeted(server.mx, TRUSTED)


def _open_submission(server: Fortress) -> Caller:
    caller = greeted(server.submission)
    caller.starttls()
    caller.say("EHLO attacker.test")
    assert caller.login().startswith("235")
    return caller


def _open_submissions(server: Fortress) -> Caller:
    caller = greeted(server.submissions, tls=True)
    assert caller.login().startswith("235")
    return caller


def _open_lmtp(server: Fortress) -> Caller:
    caller = Caller(server.lmtp)
    caller.reply()
    assert caller.say("LHLO attacker.test").startswith("250")
    return caller


DOORS = {
    "mx": _open_mx,
    "submission": _open_submission,
    "submissions": _open_submissions,
    "lmtp": _open_lmtp,
}


def _begin(caller: Caller, *to: str) -> None:
    assert caller.say("MAIL FROM:<ann@a.test>").startswith("250")
    for recipient in to:
        assert caller.say(f"RCPT TO:<{recipient}>").startswith("250")


def _by_data(caller: Caller, content: bytes, *to: str) -> str:
    _begin(caller, *to)
    assert caller.say("DATA").startswith("354")
    caller.send(content + b"\r\n.\r\n")
    return caller.reply()


def _by_bdat(caller: Caller, content: bytes, *to: str) -> str:
    _begin(caller, *to)
    caller.send(b"BDAT %d LAST\r\n" % len(content) + content)
    return caller.reply()


@pytest.mark.parametrize("way", [_by_data, _by_bdat], ids=["data", "bdat"])
@pytest.mark.parametrize("door", DOORS)
def test_no_false_end_of_data_ends_the_content(
    fortress: Fortress, sink: Sink, door: str, way: Callable[..., str]
) -> None:
    before, far = len(fortress.mails("budi")) + len(fortress.mails()), len(sink.taken)
    for end in FALSE_ENDS:
        with DOORS[door](fortress) as caller:
            reply = way(caller, b"Subject: outer\r\n\r\nouter" + end + EVIL, "ann@a.test")
            assert reply.startswith("5"), (end, reply)
            # The one content had the one answer: nothing in it was taken for commands.
            assert caller.say("NOOP").startswith("250"), end
    fortress.wait_drained()
    assert len(fortress.mails("budi")) + len(fortress.mails()) == before
    assert len(sink.taken) == far


@pytest.mark.parametrize("door", DOORS)
def test_a_dot_within_a_chunk_arrives_as_it_was_sent(
    fortress: Fortress, sink: Sink, door: str
) -> None:
    far, near = len(sink.taken), set(fortress.files())
    to = ["ann@a.test"] if door == "lmtp" else ["ann@a.test", "far@b.test"]
    content = b"Subject: outer\r\n\r\n.\r\nouter\r\n.\r\n" + EVIL + b".\r\n..\r\n.\r\n"
    with DOORS[door](fortress) as caller:
        assert _by_bdat(caller, content, *to).startswith("250")
    fortress.wait_drained()
    (new,) = set(fortress.files()) - near
    assert new.read_bytes().endswith(content.replace(b"\r\n", b"\n"))
    assert len(sink.taken) - far == len(to) - 1
    for taken in sink.taken[far:]:
        body = b"\r\n".join(line.removeprefix(b".") for line in taken.content.split(b"\r\n"))
        assert body.endswith(content)
        assert body.count(b"Subject: outer") == 1


def test_a_dot_as_the_first_line_is_the_end_of_an_empty_content(fortress: Fortress) -> None:
    with _open_mx(fortress) as caller:
        _begin(caller, "ann@a.test")
        caller.say("DATA")
        assert caller.say(".").startswith("250")
        assert caller.say("NOOP").startswith("250")


def test_a_false_end_split_over_segments_is_none(fortress: Fortress) -> None:
    with _open_mx(fortress) as caller:
        _begin(caller, "ann@a.test")
        caller.say("DATA")
        for octet in b"x\n.\r\nMAIL FROM:<evil@x.test>":
            caller.send(bytes([octet]))
        caller.send(b"\r\n.")
        caller.send(b"\r\n")
        assert caller.reply().startswith("5")
        assert caller.say("NOOP").startswith("250")


@pytest.mark.parametrize("bare", [b"\n", b"\r"], ids=["lf", "cr"])
def test_a_bare_line_end_in_a_command_ends_the_session(fortress: Fortress, bare: bytes) -> None:
    with _open_mx(fortress) as caller:
        caller.send(b"NOOP" + bare + b"MAIL FROM:<evil@x.test>\r\n")
        answered = caller.rest()
        assert answered.startswith(b"5")
        assert answered.count(b"\n") == 1


def _run(
    server: MerpatiProcess, octets: bytes, *arguments: str, seconds: float = 120
) -> tuple[int, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "merpati.cli.main", "--config", str(server.config), *arguments],
        input=octets,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_sendmail_gives_one_message_whatever_dots_are_in_it(fortress: Fortress, sink: Sink) -> None:
    far, near, budi = len(sink.taken), set(fortress.files()), len(fortress.mails("budi"))
    content = b"Subject: outer\nTo: ann@a.test, far@b.test\n\nouter"
    content += b"".join(end + EVIL for end in FALSE_ENDS if b"\0" not in end)
    status, said = _run(fortress, content, "sendmail", "-i", "-t", "-f", "ann@a.test")
    assert status == 0, said
    fortress.wait_drained()
    (new,) = set(fortress.files()) - near
    assert new.read_bytes().count(b"DATA") == len(FALSE_ENDS) - 3
    assert len(fortress.mails("budi")) == budi
    (taken,) = sink.taken[far:]
    assert b"\n" not in taken.content.replace(b"\r\n", b"")
    assert b"\r" not in taken.content.replace(b"\r\n", b"")
    assert b"RCPT TO:<victim@b.test>" not in taken.commands


def test_the_control_socket_refuses_bare_line_ends(fortress: Fortress) -> None:
    for end in FALSE_ENDS:
        if b"\0" in end:
            continue  # A file may hold a NUL; where it cannot go, it is returned.
        content = b"Subject: x\r\n\r\nouter" + end + EVIL
        question = Submission(sender="ann@a.test", recipients=("far@b.test",), content=content)
        assert fortress.tell(SUBMIT, question).code == 554, end


def test_a_long_line_does_not_end_the_content_of_sendmail_bs(fortress: Fortress) -> None:
    """A line that is read in pieces must not have a line of its own made of a piece."""
    budi = len(fortress.mails("budi"))
    head = b"EHLO x\nMAIL FROM:<ann@a.test>\nRCPT TO:<ann@a.test>\nDATA\nSubject: x\n\n"
    for size in (1 << 16, 1 << 20, (1 << 20) - 1):
        evil = b"MAIL FROM:<evil@x.test>\nRCPT TO:<budi@a.test>\nDATA\nSubject: smuggled\n\nx\n.\n"
        talk = head + b"a" * size + b".\n" + evil + b"QUIT\n"
        _, said = _run(fortress, talk, "sendmail", "-bs")
        assert said.count(b"\n354") <= 1, said
    fortress.wait_drained()
    assert len(fortress.mails("budi")) == budi


def test_binary_content_is_never_sent_where_it_would_be_read_as_lines(
    fortress: Fortress, sink: Sink
) -> None:
    """Dots between bare LF are content to us; to a host behind us they might be the end."""
    wire = len(sink.wire)
    content = b"Subject: x\r\n\r\nouter\n.\n" + EVIL.replace(b"\r\n", b"\n") + b".\n\r.\r\0"
    with _open_mx(fortress) as caller:
        caller.say("MAIL FROM:<> BODY=BINARYMIME")
        caller.say("RCPT TO:<far@b.test>")
        caller.send(b"BDAT %d LAST\r\n" % len(content) + content)
        caller.reply()
    fortress.wait_drained()
    assert b"\n" not in b"".join(sink.wire[wire:]).replace(b"\r\n", b"")


def test_bdat_counts_hold_after_a_refused_transaction(fortress: Fortress) -> None:
    """Octets of a chunk that nobody wants are still no commands."""
    with greeted(fortress.mx) as caller:
        caller.send(b"BDAT %d LAST\r\n" % len(EVIL) + EVIL + b"NOOP\r\n")
        assert caller.reply().startswith("503")
        assert caller.reply().startswith("250")
        assert caller.say("BDAT -1 LAST").startswith("5")


def test_sendmail_bs_carries_chunks_as_they_are(fortress: Fortress) -> None:
    budi, near = len(fortress.mails("budi")), set(fortress.files())
    talk = b"EHLO x\nMAIL FROM:<ann@a.test>\nRCPT TO:<ann@a.test>\n"
    chunk = b"Subject: x\r\n\r\n.\r\n" + EVIL + b".\r\n"
    talk += b"BDAT %d LAST\n" % len(chunk) + chunk + b"QUIT\n"
    _, said = _run(fortress, talk, "sendmail", "-bs")
    assert said.count(b"queued as") == 1
    assert b"\n221" in said
    fortress.wait_drained()
    (new,) = set(fortress.files()) - near
    assert new.read_bytes().endswith(chunk.replace(b"\r\n", b"\n"))
    assert len(fortress.mails("budi")) == budi
