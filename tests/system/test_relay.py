"""Two servers: mail for others goes by the route to the next one, and its story is told."""

from pathlib import Path

import pytest

from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow


def test_mail_for_others_goes_by_the_route_to_the_next_server(tmp_path: Path) -> None:
    theirs = Server(tmp_path / "theirs")
    theirs.populate()
    ours = Server(tmp_path / "ours")
    route = f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{theirs.mx}"\ntls = "off"\n'
    ours.config.write_text(ours.config.read_text() + route)
    with theirs, ours:
        message = ours.send("ann@a.test")
        wait_for(lambda: len(theirs.mails()) == 1)
        wait_for(lambda: ours.ask_json("queue", "list") == [])
        story = ours.ask_json("trace", message)["events"]
    kinds = [event["kind"] for event in story]
    assert sorted(kinds) == ["accepted", "delivered", "opened"]
    (delivered,) = [event for event in story if event["kind"] == "delivered"]
    assert "queued as" in delivered["reply"]
    assert delivered["attempt"]["dialogue"][0]["sent"].startswith("MAIL FROM:<bob@b.test>")
