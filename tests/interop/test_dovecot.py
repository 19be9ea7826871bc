"""A real Dovecot behind an LMTP route, read back by IMAP."""

import imaplib

import pytest

from tests.interop.conftest import Install, submit, wait_for
from tests.interop.peers import Dovecot, wait_mails

pytestmark = pytest.mark.interop

MESSAGE = b"From: ann@a.test\r\nSubject: lewat LMTP\r\n\r\nselamat pagi\r\n"


@pytest.mark.parametrize("door", ["tcp", "unix"])
def test_dovecot_receives_by_lmtp(install: Install, dovecot: Dovecot, door: str) -> None:
    to = f"lmtp://127.0.0.1:{dovecot.port}" if door == "tcp" else f"lmtp:unix:{dovecot.socket}"
    server = install(f'[[route]]\nmatch = ["*"]\nto = "{to}"\ntls = "off"\n')
    submit(server, ["bob@dovecot.test", "carol@dovecot.test"], MESSAGE)
    wait_mails(dovecot, "bob", 1)
    wait_mails(dovecot, "carol", 1)
    server.wait_empty()
    box = imaplib.IMAP4("127.0.0.1", dovecot.imap)
    box.login("bob", "any")
    assert box.select("INBOX")[1] == [b"1"]
    (_, octets), *_ = box.fetch("1", "(BODY[TEXT])")[1]
    assert octets == b"selamat pagi\r\n"
    box.logout()


def test_partial_acceptance_fails_one_and_delivers_the_other(
    install: Install, dovecot: Dovecot
) -> None:
    to = f"lmtp://127.0.0.1:{dovecot.port}"
    server = install(f'[[route]]\nmatch = ["*"]\nto = "{to}"\ntls = "off"\n')
    submit(server, ["nobody@dovecot.test", "bob@dovecot.test"], MESSAGE)
    wait_mails(dovecot, "bob", 1)
    wait_for(lambda: len(server.mails("ann")) == 1)
    assert b"nobody@dovecot.test" in server.mails("ann")[0]
    server.wait_empty()
