"""Two servers: what leaves the one carries signatures that the other's receiver can verify."""

from pathlib import Path

import pytest

from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.verifier import verify
from merpati.testing.answers import Answers
from merpati.testing.operator import Attended
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow


class Signing(Attended, Server):
    """Has keys."""


def test_mail_of_a_domain_with_keys_arrives_signed(tmp_path: Path) -> None:
    theirs = Server(tmp_path / "theirs")
    theirs.populate()
    ours = Signing(tmp_path / "ours", workers=2)
    route = f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{theirs.mx}"\ntls = "off"\n'
    ours.config.write_text(ours.config.read_text() + route)
    with theirs, ours:
        # With the server running: its workers hear of the keys.
        ours.ask("send", "--from", "bob@b.test", "--to", "ann@a.test", "--text", "before")
        wait_for(lambda: len(theirs.mails()) == 1)
        ours.ask("dkim", "add", "b.test")
        ours.ask("dkim", "rotate", "b.test", "--unchecked")
        for n in range(4):
            ours.ask("send", "--from", "bob@b.test", "--to", "ann@a.test", "--text", f"Halo {n}")
        wait_for(lambda: len(theirs.mails()) == 5)
        wait_for(lambda: ours.ask_json("queue", "list") == [])
        keys = ours.ask_json("dkim", "list")
        told = ours.ask("trace", "bob@b.test")
        contents = [path.read_bytes() for path in theirs.mails()]
    for key in keys:
        assert key["name"] in told
    zone = Answers({f"TXT {key['name']}": [key["record"].encode()] for key in keys})
    results = []
    for content in contents:
        message = b"".join(line + b"\r\n" for line in content.splitlines())
        verdicts = zone.answer(verify([message], 0))
        results.append([verdict.result for verdict in verdicts])
    assert sorted(results, key=len) == [[], *[[Result.PASS, Result.PASS]] * 4]
