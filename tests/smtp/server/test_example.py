"""The example program is a server that a real client can talk to."""

import importlib.util
import smtplib
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "smtp_server.py"


@pytest.fixture(name="example", scope="module")
def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("smtp_server_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="served")
def _served(example: ModuleType) -> Iterator[tuple[smtplib.SMTP, list[bytes]]]:
    """A client that is connected to one session of the example, and what was delivered there."""
    delivered: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def session() -> None:
            peer, _ = listener.accept()
            with peer:
                example.serve(peer, delivered.append)

        server = threading.Thread(target=session)
        server.start()
        with smtplib.SMTP(*listener.getsockname(), timeout=60) as client:
            yield client, delivered
        server.join(10)
        assert not server.is_alive()


def test_smtplib_sends_a_message(served: tuple[smtplib.SMTP, list[bytes]]) -> None:
    client, delivered = served
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@a.test", "bob@b.test", "Halo"
    message.set_content("Satu\n.\n..dua\n")
    assert client.send_message(message) == {}
    assert delivered[0].endswith(b"Satu\r\n.\r\n..dua\r\n")
    assert client.esmtp_features["size"] == "1048576"


@pytest.mark.slow
def test_smtplib_sends_two_and_a_flawed_one_between(
    served: tuple[smtplib.SMTP, list[bytes]],
) -> None:
    client, delivered = served
    client.sendmail("ann@a.test", ["bob@b.test"], "one\r\n")
    with pytest.raises(smtplib.SMTPDataError, match="554"):
        client.sendmail("ann@a.test", ["bob@b.test"], "x" * 2000 + "\r\n")
    with pytest.raises(smtplib.SMTPSenderRefused, match="552"):
        client.sendmail("ann@a.test", ["bob@b.test"], "x\r\n" * 400_000)
    client.sendmail("ann@a.test", ["bob@b.test"], "two\r\n")
    assert delivered == [b"one\r\n", b"two\r\n"]


def test_smtplib_is_told_what_is_wrong(served: tuple[smtplib.SMTP, list[bytes]]) -> None:
    client, _ = served
    assert client.docmd("MAIL", "FROM:<ann@a.test>")[0] == 503
    client.ehlo()
    assert client.docmd("MAIL", "FROM:ann")[0] == 501
