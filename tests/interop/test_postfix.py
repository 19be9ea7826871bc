"""Postfix as the receiver and as the sender."""

from collections.abc import Callable

import pytest

from tests.interop.conftest import Install, submit, wait_for
from tests.interop.peers import Postfix, wait_mails

pytestmark = pytest.mark.interop
StartPostfix = Callable[..., Postfix]

MESSAGE = b"From: ann@a.test\r\nTo: bob@postfix.test\r\nSubject: %s\r\n\r\n%s\r\n"


def route(peer: Postfix, tls: str) -> str:
    return f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{peer.port}"\ntls = "{tls}"\n'


@pytest.mark.parametrize("tls", ["off", "opportunistic"])
def test_postfix_receives_what_was_submitted(
    install: Install, postfix: StartPostfix, tls: str
) -> None:
    peer = postfix()
    server = install(route(peer, tls))
    name = submit(server, ["bob@postfix.test"], MESSAGE % (b"one", b".\r\n..dots\r\nend"))
    (mail,) = wait_mails(peer, "bob", 1)
    assert mail.endswith(b"\n\n.\n..dots\nend\n")
    server.wait_empty()
    story = server.ask_json("trace", name)
    (delivered,) = [event for event in story["events"] if event["kind"] == "delivered"]
    assert bool(delivered["attempt"].get("tls")) == (tls == "opportunistic")
    assert "queued as" in delivered["reply"]


def test_a_required_route_keeps_mail_from_an_unproved_host(
    install: Install, postfix: StartPostfix
) -> None:
    peer = postfix()
    server = install(route(peer, "required"))
    submit(server, ["bob@postfix.test"], MESSAGE % (b"secret", b"x"))
    wait_for(lambda: server.ask_json("queue", "list")[0]["attempts"] >= 1)
    assert peer.mails("bob") == []
    assert b"MAIL FROM" not in peer.log().encode()


def test_an_unknown_recipient_comes_back_as_a_notice(
    install: Install, postfix: StartPostfix
) -> None:
    server = install(route(postfix(), "off"))
    submit(server, ["nobody@postfix.test", "bob@postfix.test"], MESSAGE % (b"two", b"x"))
    wait_for(lambda: len(server.mails("ann")) == 1)
    (notice,) = server.mails("ann")
    assert b"Final-Recipient: rfc822; nobody@postfix.test" in notice
    assert b"Status: 5.1.1" in notice
    assert b"bob@postfix.test" not in notice.split(b"message/delivery-status")[-1].split(b"--")[0]
    server.wait_empty()


def test_utf8_addresses_and_eight_bit_content_arrive(
    install: Install, postfix: StartPostfix
) -> None:
    peer = postfix()
    server = install(route(peer, "off"))
    content = MESSAGE % ("hałło".encode(), "Grüße, selamat pagi ☕".encode())
    submit(server, ["bob@postfix.test"], content, ["BODY=8BITMIME", "SMTPUTF8"])
    (mail,) = wait_mails(peer, "bob", 1)
    assert "Grüße, selamat pagi ☕".encode() in mail


def test_ten_megabytes_pass_whole(install: Install, postfix: StartPostfix) -> None:
    peer = postfix()
    server = install(route(peer, "opportunistic"))
    body = b"\r\n".join(b"%09d " % n + b"x" * 60 for n in range(130_000))
    submit(server, ["bob@postfix.test"], MESSAGE % (b"large", body))
    (mail,) = wait_mails(peer, "bob", 1)
    assert mail.split(b"\n\n", 1)[1] == body.replace(b"\r\n", b"\n") + b"\n"


@pytest.mark.parametrize("tls", ["none", "encrypt"])
def test_postfix_delivers_to_a_mailbox_here(
    install: Install, postfix: StartPostfix, tls: str
) -> None:
    server = install()
    peer = postfix(relay_to=server.mx, smtp_tls=tls)
    peer.send("bob@postfix.test", "budi@a.test", b"Subject: from postfix\n\n.\n..\nhello\n")
    wait_for(lambda: len(server.mails("budi")) == 1)
    (mail,) = server.mails("budi")
    assert mail.startswith(b"Return-Path: <bob@postfix.test>")
    assert mail.replace(b"\r\n", b"\n").endswith(b"\n\n.\n..\nhello\n")


def test_postfix_bounces_what_we_refuse(install: Install, postfix: StartPostfix) -> None:
    server = install()
    peer = postfix(relay_to=server.mx)
    peer.send("bob@postfix.test", "nobody@a.test", b"Subject: x\n\nhello\n")
    (bounce,) = wait_mails(peer, "bob", 1)
    assert b"5.1.1" in bounce
