"""`merpati_inbox` as the tests of an application use it."""

import smtplib
import ssl
import subprocess
import sys
import threading
import time
from email.message import EmailMessage
from pathlib import Path

import pytest

from merpati.testing.inbox import Inbox
from merpati.testing.inbox_process import InboxProcess

pytestmark = pytest.mark.slow


def an_order(subject: str = "Pesanan Anda ☕") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Toko <shop@a.test>", "Ann <ann@b.test>"
    message["Subject"] = subject
    message.set_content("Terima kasih — sampai jumpa.\n")
    message.add_alternative("<p>Terima kasih</p>", subtype="html")
    message.add_attachment(b"%PDF-", "application", "pdf", filename="nota.pdf")
    return message


def send(inbox: Inbox, message: EmailMessage, to: list[str] | None = None) -> None:
    with smtplib.SMTP(inbox.host, inbox.port, timeout=60) as client:
        client.send_message(message, to_addrs=to)


def refusal(inbox: Inbox, recipient: str) -> tuple[int, bytes]:
    """What the application is told when it sends to this recipient."""
    with smtplib.SMTP(inbox.host, inbox.port, timeout=60) as client:
        try:
            client.sendmail("shop@a.test", [recipient], b"Subject: x\r\n\r\nx\r\n")
        except smtplib.SMTPRecipientsRefused as error:
            return error.recipients[recipient]
        except smtplib.SMTPResponseException as error:
            return error.smtp_code, error.smtp_error  # type: ignore[return-value]  # octets here
    return 250, b""


def test_what_was_sent_is_there_as_soon_as_the_client_returns(merpati_inbox: Inbox) -> None:
    for n in range(5):
        send(merpati_inbox, an_order(f"no {n}"))
    assert [one.subject for one in merpati_inbox.messages()] == [f"no {n}" for n in range(5)]


def test_a_message_is_given_back_as_a_person_reads_it(merpati_inbox: Inbox) -> None:
    send(merpati_inbox, an_order())
    (message,) = merpati_inbox.messages()
    assert message.subject == "Pesanan Anda ☕"
    assert message.headers.text("From") == "Toko <shop@a.test>"
    assert message.text == "Terima kasih — sampai jumpa.\n"
    assert message.html == "<p>Terima kasih</p>\n"
    (bill,) = message.attachments
    assert (bill.filename, bill.media_type, bill.content) == (
        "nota.pdf",
        "application/pdf",
        b"%PDF-",
    )


def test_the_envelope_tells_of_blind_copies_too(merpati_inbox: Inbox) -> None:
    send(merpati_inbox, an_order(), to=["ann@b.test", "budi@c.test", "cafe@d.test"])
    (message,) = merpati_inbox.messages()
    assert message.sender == "shop@a.test"
    assert message.recipients == ("ann@b.test", "budi@c.test", "cafe@d.test")
    assert b"X-Envelope" not in message.source


def test_the_null_sender_is_empty(merpati_inbox: Inbox) -> None:
    with smtplib.SMTP(merpati_inbox.host, merpati_inbox.port, timeout=60) as client:
        client.sendmail("", ["ann@b.test"], b"X-Envelope-To: mine\r\nSubject: x\r\n\r\nx\r\n")
    (message,) = merpati_inbox.messages()
    assert (message.sender, message.recipients) == ("", ("ann@b.test",))
    assert message.headers.get("X-Envelope-To") == "mine"


def test_the_id_is_the_one_of_the_reply(merpati_inbox: Inbox) -> None:
    with smtplib.SMTP(merpati_inbox.host, merpati_inbox.port, timeout=60) as client:
        client.ehlo()
        client.mail("shop@a.test")
        client.rcpt("ann@b.test")
        _, reply = client.data(b"Subject: x\r\n\r\nx\r\n")
    assert reply.decode().endswith(f"queued as {merpati_inbox.messages()[0].id}")


def test_any_login_is_good_and_the_certificate_can_be_trusted(merpati_inbox: Inbox) -> None:
    trusting = ssl.create_default_context(cafile=str(merpati_inbox.certificate))
    with smtplib.SMTP(merpati_inbox.host, merpati_inbox.port, timeout=60) as client:
        client.login("anybody", "any password")
        client.quit()
    with smtplib.SMTP(merpati_inbox.host, merpati_inbox.port, timeout=60) as client:
        client.starttls(context=trusting)
        client.login("anybody@else.test", "x")
        client.send_message(an_order())
    assert len(merpati_inbox.messages()) == 1


@pytest.mark.parametrize(
    ("recipient", "code", "text"),
    [
        ("tempfail@b.test", 451, b"4.7.1"),
        ("reject-552@b.test", 552, b"5.2.2"),
        ("reject-550+order-7@b.test", 550, b"5.1.1"),
        ("tempfail-data@b.test", 451, b"4.7.1"),
        ("reject-data-554@b.test", 554, b"5.0.0"),
        ("drop@b.test", 421, b"4.0.0"),
    ],
)
def test_magic_recipients_are_refused_as_they_ask(
    merpati_inbox: Inbox, recipient: str, code: int, text: bytes
) -> None:
    told = refusal(merpati_inbox, recipient)
    assert told[0] == code
    assert told[1].startswith(text)
    assert merpati_inbox.messages() == []


def test_slow_answers_later_than_an_impatient_application_waits(merpati_inbox: Inbox) -> None:
    with smtplib.SMTP(merpati_inbox.host, merpati_inbox.port, timeout=60) as client:
        client.ehlo()
        client.mail("shop@a.test")
        assert client.sock
        client.sock.settimeout(0.3)
        with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
            client.rcpt("slow@b.test")


def test_waiting_sees_what_is_sent_in_the_background(merpati_inbox: Inbox) -> None:
    sender = threading.Timer(0.1, send, (merpati_inbox, an_order()))
    sender.start()
    assert len(merpati_inbox.wait(1, seconds=60)) == 1
    sender.join()


def test_waiting_in_vain_says_what_came(merpati_inbox: Inbox) -> None:
    send(merpati_inbox, an_order("the only one"))
    with pytest.raises(AssertionError, match=r"1 of 2 messages came: \['the only one'\]"):
        merpati_inbox.wait(2, seconds=0.05)


def test_cleared_is_empty(merpati_inbox: Inbox) -> None:
    send(merpati_inbox, an_order())
    merpati_inbox.clear()
    assert merpati_inbox.messages() == []


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(RuntimeError, match="did not start"):
        InboxProcess(tmp_path).start()


def test_the_server_ends_with_the_tests_even_when_they_are_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from merpati.testing.inbox_process import InboxProcess\n"
        f"print(InboxProcess(Path({str(tmp_path)!r})).start().port, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -9, done.stderr
    end = time.monotonic() + 90
    while '"stopped"' not in (tmp_path / "server.log").read_text("utf-8"):
        assert time.monotonic() < end, "the server outlived its tests"
        time.sleep(0.02)
