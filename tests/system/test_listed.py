"""A whole server that a host does not want: its operator says when mail is returned."""

from pathlib import Path

import pytest

from merpati.testing.plain_server import PlainServer
from tests.system.far import Far
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow


class Unwilling(PlainServer):
    """Has this server's address on a list."""

    async def greet(self) -> None:
        self.say("554 5.7.1 127.0.0.1 is on our blocklist")


def test_mail_for_a_host_that_lists_us_is_returned_when_the_operator_says_so(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path)
    server.populate()
    with Far(Unwilling) as far:
        route = (
            f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{far.port}"\ntls = "off"\n'
            '[delivery]\nbounce_listed_after = "0s"\n'
        )
        server.config.write_text(server.config.read_text() + route)
        with server:
            done = server.run("sendmail", "-f", "ann@a.test", "zoe@far.test", text="Subject: x\n\n")
            assert done.returncode == 0, done.stderr
            wait_for(lambda: len(server.mails()) == 1)
            notice = server.mails()[0].read_bytes()

            story = server.ask("trace", "zoe@far.test")
    assert b"127.0.0.1 is on our blocklist" in notice
    assert b"Status: 5.7.1" in notice
    assert "given up, since this site goes on refusing this server" in story
