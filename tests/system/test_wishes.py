"""What a sender asks about notices goes on to a host that knows of it, and is told here otherwise.

RFC 3461 §5.2, over a whole server.
"""

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from merpati.testing.plain_server import PlainServer
from tests.system.far import Far
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow


class WithoutDsn(PlainServer):
    """Knows nothing of notices."""

    offers = tuple(one for one in PlainServer.offers if one != "DSN")


@pytest.fixture(params=[PlainServer, WithoutDsn])
def far(request: pytest.FixtureRequest) -> Iterator[Far]:
    with Far(request.param) as far:
        yield far


@pytest.fixture
def server(tmp_path: Path, far: Far) -> Iterator[Server]:
    """Whose other mail goes to the far host, also by the alias sales."""
    server = Server(tmp_path)
    server.populate()
    server.ask("alias", "add", "sales@a.test", "zoe@far.test")
    route = f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{far.port}"\ntls = "off"\n'
    server.config.write_text(server.config.read_text() + route)
    with server:
        yield server


def send(server: Server, *to: tuple[str, str]) -> None:
    """From ann, who is told here; each recipient with its parameters."""
    with smtplib.SMTP("127.0.0.1", server.mx, timeout=60) as client:
        client.ehlo()
        assert client.mail("ann@a.test", ["RET=HDRS", "ENVID=QQ314159"])[0] == 250
        for address, wishes in to:
            assert client.rcpt(address, wishes.split())[0] == 250
        assert client.data(b"Subject: x\r\n\r\nsecret\r\n")[0] == 250
    wait_for(lambda: server.ask_json("queue", "list") == [])


@pytest.mark.parametrize("far", [PlainServer], indirect=True)
def test_every_wish_goes_on_to_a_host_that_knows_of_them(server: Server, far: Far) -> None:
    send(server, ("zoe@far.test", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;z+2Boe@far.test"))
    (mail,) = [one for one in far.ledger.commands if one.startswith("MAIL")]
    (rcpt,) = [one for one in far.ledger.commands if one.startswith("RCPT")]
    assert {"RET=HDRS", "ENVID=QQ314159"} < set(mail.split())
    assert set(rcpt.split()[2:]) == {"NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;z+2Boe@far.test"}


@pytest.mark.parametrize("far", [WithoutDsn], indirect=True)
def test_of_a_host_that_knows_of_none_the_sender_is_told_here(server: Server, far: Far) -> None:
    send(server, ("zoe@far.test", "NOTIFY=SUCCESS ORCPT=rfc822;z+2Boe@far.test"))
    wait_for(lambda: len(server.mails()) == 1)
    notice = server.mails()[0].read_text()
    assert "Original-Envelope-Id: QQ314159\n" in notice
    assert "Original-Recipient: rfc822; z+oe@far.test\n" in notice
    assert "Final-Recipient: rfc822; zoe@far.test\nAction: relayed\n" in notice
    # RET=HDRS.
    assert "secret" not in notice
    said = [one for one in far.ledger.commands if one.startswith(("MAIL", "RCPT"))]
    assert not any(name in one for one in said for name in ("RET", "ENVID", "NOTIFY", "ORCPT"))


@pytest.mark.parametrize("far", [WithoutDsn], indirect=True)
def test_who_wants_to_hear_of_nothing_hears_nothing(server: Server) -> None:
    send(server, ("zoe@far.test", "NOTIFY=NEVER"), ("nobody@far.test", "NOTIFY=NEVER"))
    # Notices are made in the order in which they are owed: only that of the second message came.
    send(server, ("nobody@far.test", "NOTIFY=FAILURE"))
    wait_for(lambda: server.mails() != [])
    (notice,) = server.mails()
    assert "Final-Recipient: rfc822; nobody@far.test\nAction: failed\n" in notice.read_text()


@pytest.mark.parametrize("far", [PlainServer], indirect=True)
def test_who_is_reached_twice_keeps_the_wish_of_either(server: Server, far: Far) -> None:
    send(server, ("zoe@far.test", ""), ("sales@a.test", "NOTIFY=SUCCESS"))
    (rcpt,) = [one for one in far.ledger.commands if one.startswith("RCPT")]
    assert "NOTIFY=SUCCESS,FAILURE,DELAY" in rcpt.split()
