"""A whole server whose newsletter has a host's connections: single mail does not wait for it."""

import smtplib
from pathlib import Path

import pytest

from merpati.testing.plain_server import PlainServer
from tests.system.far import Far
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow

NEWS = 60


class Brooding(PlainServer):
    """Says nothing to the end of bulk mail, and takes everything else."""

    async def take(self, content: bytes) -> None:
        if b"Precedence: bulk" in content:
            self.keep(content)
            await self.silence()
        else:
            await super().take(content)


def send(server: Server, subject: str, count: int = 1, top: str = "") -> None:
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as client:
        for _ in range(count):
            text = f"{top}Subject: {subject}\r\n\r\nhello\r\n"
            client.sendmail("bob@b.test", ["zoe@far.test"], text.encode())


def test_a_password_mail_waits_for_no_newsletter_whose_verdicts_do_not_come(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path)
    with Far(Brooding) as far:
        route = f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{far.port}"\ntls = "off"\n'
        server.config.write_text(server.config.read_text() + route)
        with server:
            send(server, "news", NEWS, top="Precedence: bulk\r\n")
            wait_for(lambda: len(far.ledger.received) >= 1)
            send(server, "password")
            wait_for(lambda: any(b"password" in one.content for one in far.ledger.received))
            wait_for(lambda: len(server.ask_json("queue", "list")) == NEWS)
            server.kill()  # An orderly end would wait half a minute for the verdicts.
