"""What strangers can make the server hold, wait for and compute is bounded."""

import contextlib
import re
import resource
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.caller import Caller, greeted
from tests.attack.conftest import TRUSTED, Fortress, wait_for

pytestmark = pytest.mark.slow
Build = Callable[..., Fortress]
MEGABYTE = 1 << 20
LINE = b"y" * 998 + b"\r\n"

ROOMY = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
trusted = ["127.0.0.2/32"]
[[port]]
role = "submissions"
listen = "127.0.0.1:{submissions}"
[limits]
connections_per_address = 300
message_size = "60 MiB"
[log]
events = false
"""


def _begin(caller: Caller, to: str = "ann@a.test") -> None:
    caller.say("MAIL FROM:<x@b.test>")
    assert caller.say(f"RCPT TO:<{to}>").startswith("250")
    assert caller.say("DATA").startswith("354")


def test_large_messages_in_parallel_cost_little_memory(build: Build) -> None:
    """200 sessions at once, and one message of fifty megabytes."""
    server = build(config=ROOMY)
    server.start()
    server.wait_whole()
    piece = LINE * 1500
    with greeted(server.mx):
        before, highest = server.memory(), 0
    codes: list[str] = []

    def send() -> None:
        with greeted(server.mx) as caller:
            caller.socket.settimeout(120)
            _begin(caller)
            caller.send(piece)
            codes.append(caller.say(".")[:3])

    senders = [threading.Thread(target=send) for _ in range(200)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        highest = max(highest, server.memory())
        time.sleep(0.05)
    assert len(codes) == 200
    assert set(codes) <= {"250", "452"}
    assert highest - before < 150 * MEGABYTE, (highest - before) / MEGABYTE
    with greeted(server.mx) as caller:
        _begin(caller)
        for _ in range(33):
            caller.send(piece)
            highest = max(highest, server.memory())
        assert caller.say(".").startswith("250")
    assert highest - before < 150 * MEGABYTE, (highest - before) / MEGABYTE


def test_an_address_that_drips_large_content_leaves_room_for_others(build: Build) -> None:
    server = build(config=ROOMY)
    server.start()
    dripping = [greeted(server.mx, "127.0.0.7") for _ in range(70)]
    try:
        for caller in dripping:
            _begin(caller)
            caller.send(LINE * 100)
        with greeted(server.mx) as caller:
            _begin(caller)
            caller.send(LINE * 300)
            caller.socket.settimeout(20)
            try:
                answer = caller.say(".")
            except TimeoutError:
                answer = "none in time"
        assert answer.startswith("250")
    finally:
        for caller in dripping:
            caller.close()


def test_a_line_without_end_is_thrown_away_and_the_session_goes_on(fortress: Fortress) -> None:
    before = fortress.memory()
    with greeted(fortress.mx) as caller:
        for _ in range(20):
            caller.send(b"x" * MEGABYTE)
        assert caller.say("").startswith("500")
        assert caller.say("NOOP").startswith("250")
    assert fortress.memory() - before < 30 * MEGABYTE


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"Subject: " + b"x" * 2000 + b"\r\n\r\nx", "5"),
        (b"X: y\r\n" * 30_000 + b"\r\nx", "552"),
        (b"X: y\r\n" + b" folded\r\n" * 30_000 + b"\r\nx", "552"),
        (b"\r\n" + b"x" * 1001, "5"),
        (b":" * 900 + b"\r\n\r\nx", "250"),
        (b"\r\n\r\n\r\n", "250"),
        (b"no header at all", "250"),
    ],
    ids=["long-line", "many-fields", "folded", "long-body-line", "no-name", "empty", "no-header"],
)
def test_a_monstrous_header_has_its_answer(fortress: Fortress, content: bytes, code: str) -> None:
    with greeted(fortress.mx) as caller:
        _begin(caller)
        caller.send(content + b"\r\n.\r\n")
        assert caller.reply().startswith(code)
        assert caller.say("NOOP").startswith("250")


def test_deep_and_endless_mime_is_delivered_as_any_message(fortress: Fortress) -> None:
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(3000)
    )
    messages = b"Content-Type: message/rfc822\r\n\r\n" * 5000
    parts = b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n' + b"--x\r\n\r\n" * 10_000
    for content in (nested, messages, parts):
        with greeted(fortress.mx) as caller:
            _begin(caller)
            caller.send(b"MIME-Version: 1.0\r\nSubject: bomb\r\n" + content + b"\r\n.\r\n")
            assert caller.reply().startswith("250")
        fortress.wait_drained()
        shown = fortress.command("inbox", "show", "last", "--user", "ann@a.test")
        assert shown.exception is None or isinstance(shown.exception, SystemExit)


def test_recipients_above_the_limit_are_put_off_and_the_rest_delivered(fortress: Fortress) -> None:
    with greeted(fortress.mx) as caller:
        caller.say("MAIL FROM:<x@b.test>")
        caller.send(b"RCPT TO:<ann@a.test>\r\n" * 1010)
        codes = [caller.reply()[:3] for _ in range(1010)]
        assert codes == ["250"] * 1000 + ["452"] * 10
        assert caller.say("DATA").startswith("354")
        near = len(fortress.files())
        assert caller.say("Subject: x\r\n\r\nx\r\n.").startswith("250")
    fortress.wait_drained()
    assert len(fortress.files()) == near + 1


def test_guessing_names_ends_the_session(fortress: Fortress) -> None:
    with greeted(fortress.mx) as caller:
        caller.say("MAIL FROM:<x@b.test>")
        replies = [caller.say(f"RCPT TO:<guess{n}@a.test>")[:3] for n in range(21)]
        assert replies == ["550"] * 20 + ["421"]
        assert caller.rest() == b""


def test_vrfy_and_expn_tell_the_same_of_everybody(fortress: Fortress) -> None:
    with greeted(fortress.mx) as caller:
        for verb in ("VRFY", "EXPN"):
            assert len({caller.say(f"{verb} {name}") for name in ("ann@a.test", "nobody")}) == 1


def test_mistakes_and_idle_talk_end_the_session(fortress: Fortress) -> None:
    """By a 421 that says so: a connection that breaks is no end of a session."""
    for line in (b"XYZZY\r\n", b"NOOP\r\n", b"RSET\r\n", b"EHLO x\r\n", b"MAIL FROM:<x\r\n"):
        with greeted(fortress.mx) as caller:
            for _ in range(500):
                caller.send(line)
                answer = caller.reply()
                assert answer, f"{line!r} broke the connection"
                if answer.startswith("421"):
                    break
            else:
                pytest.fail(f"{line!r} went on for ever")
            assert caller.rest() == b""


def test_silent_connections_of_one_address_leave_room_for_others(fortress: Fortress) -> None:
    silent = [Caller(fortress.mx, "127.0.0.9") for _ in range(50)]
    try:
        assert all(caller.reply().startswith("220") for caller in silent)
        with Caller(fortress.mx, "127.0.0.9") as one_more:
            assert one_more.reply().startswith("421")
        with greeted(fortress.mx, "127.0.0.8") as other:
            assert other.say("NOOP").startswith("250")
    finally:
        for caller in silent:
            caller.close()


def test_one_address_gets_no_more_guesses_by_guessing_at_once(fortress: Fortress) -> None:
    """Ten wrong guesses are answered late, later and later; those above the limit not at all."""
    codes: list[str] = []
    with contextlib.ExitStack() as standing:
        guessing = {}
        for _ in range(30):
            caller = greeted(fortress.submissions, "127.0.2.1", tls=True)
            guessing[caller.socket] = standing.enter_context(caller)
        for n, caller in enumerate(guessing.values()):
            caller.begin_login("nobody@a.test", f"guess {n}")
        while codes.count("454") < 20:
            answered, _, _ = select.select(guessing, [], [], 60)
            assert answered, codes
            codes += [guessing.pop(one).reply()[:3] for one in answered]
    with greeted(fortress.submissions, tls=True) as caller:
        assert caller.login("ann@a.test").startswith("235")


def test_an_unknown_account_takes_as_long_as_a_wrong_password(fortress: Fortress) -> None:
    """Both wait a second at least; what is left of the time is compared."""
    taken: dict[str, list[float]] = {"budi@a.test": [], "nobody@a.test": []}
    for n in range(10):
        for account, times in taken.items():
            with greeted(fortress.submissions, f"127.0.{n + 10}.{len(account)}", tls=True) as one:
                begun = time.monotonic()
                assert one.login(account, "wrong").startswith("535")
                times.append(time.monotonic() - begun)
        # What else the machine does makes some of them longer, and none shorter.
        known, unknown = map(min, taken.values())
        if n and abs(known - unknown) < 0.5:
            break
    assert known >= 1
    assert unknown >= 1
    assert abs(known - unknown) < 0.5


def _reset(caller: Caller) -> None:
    caller.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.close()


STEPS = [
    b"",
    b"EHLO x.test\r\n",
    b"MAIL FROM:<x@b.test>\r\n",
    b"RCPT TO:<ann@a.test>\r\n",
    b"DATA\r\n",
    b"Subject: cut\r\n\r\nhalf",
    b"\r\n.\r",
]


@pytest.mark.parametrize("way", ["reset", "close"])
def test_a_client_that_vanishes_at_any_step_leaves_nothing(fortress: Fortress, way: str) -> None:
    near = set(fortress.files())
    for last in range(len(STEPS) + 1):
        caller = Caller(fortress.mx)
        caller.reply()
        for step in STEPS[:last]:
            caller.send(step)
            if step.endswith(b"\n") and not step.startswith(b"Subject"):
                caller.reply()
        if way == "reset":
            _reset(caller)
        else:
            caller.close()
    with greeted(fortress.mx) as caller:
        assert caller.say("NOOP").startswith("250")
    fortress.wait_drained()
    assert set(fortress.files()) == near


def test_a_half_closed_client_has_its_answer(fortress: Fortress) -> None:
    with Caller(fortress.mx) as caller:
        caller.reply()
        caller.say("EHLO x.test")
        _begin(caller)
        caller.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        caller.socket.shutdown(socket.SHUT_WR)
        assert caller.rest().startswith(b"250")


def test_a_client_that_never_reads_does_not_make_us_hold_its_replies(fortress: Fortress) -> None:
    before = fortress.memory()
    with Caller(fortress.mx) as caller, contextlib.suppress(OSError):
        caller.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.send(b"EHLO x.test\r\n")
        caller.socket.settimeout(1)
        for _ in range(200):
            caller.send(b"HELP\r\n" * 2000)
    assert fortress.memory() - before < 30 * MEGABYTE


def test_sigterm_lets_a_transaction_end_and_keeps_what_was_answered(build: Build) -> None:
    server = build(config=ROOMY)
    server.start()
    with greeted(server.mx) as idle, greeted(server.mx) as busy:
        _begin(busy)
        busy.send(b"Subject: last\r\n\r\n")
        assert server._process is not None
        server._process.send_signal(signal.SIGTERM)
        assert idle.rest().startswith(b"421")
        assert busy.say("x\r\n.").startswith("250")
        assert busy.rest().startswith(b"421")
    assert server.stop() == 0
    server.start()
    wait_for(lambda: len(server.files()) == 1)
    assert b"Subject: last" in server.mails()[0]


def test_a_slow_reader_of_a_transaction_does_not_stop_others(fortress: Fortress) -> None:
    """Content that drips, an octet at a time, in a few dozen sessions."""
    dripping = [greeted(fortress.mx, "127.0.0.7") for _ in range(30)]
    try:
        for caller in dripping:
            _begin(caller)
            caller.send(b"S")
        begun = time.monotonic()
        with greeted(fortress.mx) as caller:
            _begin(caller)
            assert caller.say("Subject: x\r\n\r\nx\r\n.").startswith("250")
        assert time.monotonic() - begun < 20
        assert not select.select([one.socket for one in dripping], [], [], 0)[0]
    finally:
        for caller in dripping:
            caller.close()


def test_a_long_hello_makes_no_line_too_long_for_others(fortress: Fortress) -> None:
    near = set(fortress.files())
    with greeted(fortress.mx, TRUSTED) as caller:
        caller.say("EHLO " + "a" * 3000)
        caller.say("EHLO x.test")
        caller.say("MAIL FROM:<" + "a" * 200 + "@b.test>")
        caller.say("RCPT TO:<ann@a.test>")
        caller.say("DATA")
        assert caller.say("Subject: x\r\n\r\nx\r\n.").startswith("250")
    fortress.wait_drained()
    (new,) = set(fortress.files()) - near
    assert max(map(len, new.read_bytes().split(b"\n"))) <= 998
    assert not re.search(rb"a{300}", new.read_bytes())


def test_a_server_out_of_descriptors_serves_again_when_they_come_back(build: Build) -> None:
    server = build(config=ROOMY)
    server.start()
    with greeted(server.mx):
        used = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
    flood = [Caller(server.mx, f"127.0.3.{n % 9 + 1}") for n in range(60)]
    time.sleep(0.5)
    for caller in flood:
        caller.close()
    wait_for(lambda: _takes_mail(server))
    wait_for(lambda: server.files())
    assert len(server.output()) < 20_000


def _takes_mail(server: Fortress) -> bool:
    with Caller(server.mx) as caller:
        if not caller.reply().startswith("220"):
            return False
        caller.say("EHLO x.test")
        _begin(caller)
        return caller.say("Subject: x\r\n\r\nx\r\n.").startswith("250")


def test_idle_clients_make_room_when_slots_run_short(build: Build) -> None:
    # One worker: each worker counts its own share of the slots, and eight are few to share.
    few = ROOMY.replace('role = "mx"\n', 'role = "mx"\nconnections = 8\n')
    few = few.replace('data = "var"\n', 'data = "var"\nworkers = 1\n')
    server = build(config=few)
    server.start()
    with contextlib.ExitStack() as standing:
        idle = [standing.enter_context(greeted(server.mx)) for _ in range(6)]
        busy = standing.enter_context(greeted(server.mx, TRUSTED))
        _begin(busy)
        for _ in range(12):
            busy.send(LINE)
            time.sleep(1)
        assert busy.say(".").startswith("250")
        for caller in idle:
            assert caller.rest().startswith(b"421 4.4.2")
    told = server.ask("status")
    assert "1 x mx: slots are short" in told
    assert "6 x mx: too slow while slots are short" in told
