"""Mail that goes round and notices that answer notices: each comes to an end by itself."""

from collections.abc import Callable, Iterator

import pytest

from merpati.api.errors import ApiError
from merpati.api.operations import ALIASES_ADD, SUBMIT
from merpati.api.questions import NewAlias, Submission
from merpati.errors import MerpatiError
from tests.attack.caller import Caller, greeted
from tests.attack.conftest import TRUSTED, Fortress, wait_for
from tests.attack.sink import Sink

pytestmark = pytest.mark.slow
Build = Callable[..., Fortress]


@pytest.fixture
def refusing() -> Iterator[Sink]:
    """A host that refuses every recipient."""
    recording = Sink(refuse=b"550 5.1.1 nobody\r\n")
    yield recording
    recording.close()


def _send(
    caller: Caller, sender: str, to: str, content: bytes = b"Subject: x\r\n\r\nx", more: str = ""
) -> str:
    reply = caller.say(f"MAIL FROM:<{sender}>{more}")
    assert reply.startswith("250"), reply
    if not (reply := caller.say(f"RCPT TO:<{to}>")).startswith("250"):
        return reply
    caller.say("DATA")
    return caller.say(content + b"\r\n.")


def test_two_servers_that_route_to_one_another_stop_after_fifty_hops(build: Build) -> None:
    first, second = build(), build()
    for server, other in ((first, second), (second, first)):
        text = server.config.read_text().replace('trusted = ["', 'trusted = ["127.0.0.1/32", "')
        server.config.write_text(text.replace("smtp://127.0.0.1:9", f"smtp://127.0.0.1:{other.mx}"))
        server.start()
    with greeted(first.mx, TRUSTED) as caller:
        assert _send(caller, "ann@a.test", "x@loop.test").startswith("250")
    wait_for(lambda: first.mails(), 120, "no notice of the loop came back")
    for server in (first, second):
        server.wait_drained()
    accepted = sum(server.output().count('"kind":"accepted"') for server in (first, second))
    notices = len(first.mails()) + len(second.mails())
    assert notices == 1
    assert accepted <= 60
    assert b"5.4.6" in (first.mails() + second.mails())[0]


def test_aliases_that_lead_in_a_circle_lose_and_multiply_nothing(fortress: Fortress) -> None:
    """Whether the directory refuses the circle or RCPT does, nobody gets a thousand copies."""
    near = len(fortress.files())
    circle = {"one": ["two@a.test"], "two": ["one@a.test", "ann@a.test"], "self": ["self@a.test"]}
    for alias, targets in circle.items():
        try:
            fortress.tell(ALIASES_ADD, NewAlias(alias=f"{alias}@a.test", targets=tuple(targets)))
        except (ApiError, MerpatiError):
            continue
    for alias in circle:
        with greeted(fortress.mx) as caller:
            _send(caller, "", f"{alias}@a.test")
            assert caller.say("NOOP").startswith("250")
    fortress.wait_drained()
    assert len(fortress.files()) - near <= 2


def test_a_message_that_was_in_the_mailbox_before_does_not_come_again(
    fortress: Fortress, sink: Sink
) -> None:
    near, far = len(fortress.files()), len(sink.taken)
    content = b"Delivered-To: ann@a.test\r\nSubject: again\r\n\r\nx"
    with greeted(fortress.mx) as caller:
        assert _send(caller, "x@b.test", "ann@a.test", content).startswith(("250", "554"))
    fortress.wait_drained()
    assert len(fortress.files()) == near
    assert len(sink.taken) - far <= 1


def test_a_failed_notice_is_not_answered_with_a_notice(build: Build, refusing: Sink) -> None:
    server = build(refusing.port)
    server.start()
    with greeted(server.mx, TRUSTED) as caller:
        assert _send(caller, "x@b.test", "y@c.test").startswith("250")
    wait_for(lambda: server.output().count('"kind":"failed"') == 2)
    server.wait_drained()
    senders = [
        command
        for octets in refusing.wire
        for command in octets.split(b"\r\n")
        if b"FROM:" in command
    ]
    assert sum(command.startswith(b"MAIL FROM:<x@b.test>") for command in senders) == 1
    assert sum(command.startswith(b"MAIL FROM:<>") for command in senders) == 1
    assert len(senders) == 2


@pytest.mark.parametrize(
    ("sender", "field"),
    [("", b""), ("x@b.test", b"Auto-Submitted: auto-replied\r\n")],
    ids=["null-sender", "auto-submitted"],
)
def test_what_nobody_waits_for_is_not_returned(
    build: Build, refusing: Sink, sender: str, field: bytes
) -> None:
    server = build(refusing.port)
    server.start()
    with greeted(server.mx, TRUSTED) as caller:
        assert _send(caller, sender, "y@c.test", field + b"Subject: x\r\n\r\nx").startswith("250")
    wait_for(lambda: '"kind":"failed"' in server.output())
    server.wait_drained()
    assert server.output().count('"kind":"accepted"') == 1


def test_what_is_refused_in_the_session_is_never_returned(fortress: Fortress, sink: Sink) -> None:
    """Backscatter: the sender is invented, and its owner must hear nothing."""
    far = len(sink.taken)
    with greeted(fortress.mx) as caller:
        assert _send(caller, "victim@b.test", "nobody@a.test").startswith("550")
    with greeted(fortress.mx) as caller:
        bare = b"Subject: x\r\n\r\nx\ny"
        assert _send(caller, "victim@b.test", "ann@a.test", bare).startswith("5")
    with greeted(fortress.mx) as caller:
        loop = b"Received: by x; y\r\n" * 60 + b"Subject: x\r\n\r\nx"
        assert _send(caller, "victim@b.test", "ann@a.test", loop).startswith("554")
    fortress.wait_drained()
    assert len(sink.taken) == far


def test_a_notice_quotes_little_of_a_large_message(build: Build, refusing: Sink) -> None:
    server = build(refusing.port)
    server.start()
    large = b"Subject: x\r\n\r\n" + (b"y" * 998 + b"\r\n") * 3000
    with greeted(server.mx, TRUSTED) as caller:
        assert _send(caller, "ann@a.test", "y@c.test", large).startswith("250")
    wait_for(lambda: server.mails())
    assert len(server.mails()[0]) < 1_500_000


def test_the_control_socket_cannot_start_a_loop_of_notices(fortress: Fortress, sink: Sink) -> None:
    near = len(fortress.files())
    question = Submission(
        sender="ann@a.test",
        recipients=("nobody@a.test",),
        content=b"Subject: x\r\n\r\nx\r\n",
    )
    assert fortress.tell(SUBMIT, question).code == 550
    fortress.wait_drained()
    assert len(fortress.files()) == near
