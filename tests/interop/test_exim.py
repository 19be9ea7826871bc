"""Exim as the receiver: chunking, its greylisting manner, its size limit."""

import pytest

from tests.interop.conftest import Install, submit, wait_for
from tests.interop.peers import Exim, wait_mails

pytestmark = pytest.mark.interop

MESSAGE = b"From: ann@a.test\r\nSubject: %s\r\n\r\n%s\r\n"


def route(peer: Exim) -> str:
    return f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{peer.port}"\n'


def test_exim_receives_in_chunks_over_tls(install: Install, exim: Exim) -> None:
    server = install(route(exim))
    for n in range(3):
        submit(server, ["bob@exim.test"], MESSAGE % (b"%d" % n, b".\r\nx"))
    assert all(mail.endswith(b"\n\n.\nx\n") for mail in wait_mails(exim, "bob", 3))
    server.wait_empty()


def test_a_deferred_recipient_does_not_hold_up_the_other(install: Install, exim: Exim) -> None:
    server = install(route(exim))
    submit(server, ["busy@exim.test", "bob@exim.test"], MESSAGE % (b"both", b"x"))
    wait_mails(exim, "bob", 1)
    # Exim has written bob's down before we have heard that it did.
    wait_for(lambda: [one["attempts"] >= 1 for one in server.ask_json("queue", "list")] == [True])
    (left,) = server.ask_json("queue", "list")
    assert left["recipient"] == "busy@exim.test"
    assert "451" in left["reply"]


def test_what_is_larger_than_exim_takes_is_never_sent(install: Install, exim: Exim) -> None:
    server = install(route(exim))
    submit(
        server,
        ["bob@exim.test"],
        MESSAGE % (b"large", b"x" * 70 + b"\r\n" + b"y" * 900 + b"\r\n" * 3),
    )
    large = b"\r\n".join([b"z" * 70] * 40_000)
    submit(server, ["carol@exim.test"], MESSAGE % (b"too large", large))
    wait_mails(exim, "bob", 1)
    wait_for(lambda: len(server.mails("ann")) == 1)
    assert b"5.3.4" in server.mails("ann")[0]
    assert exim.mails("carol") == []
