"""Who sent a message and to whom, in the list of the developer's inbox."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from merpati.cli.main import merpati

ENVELOPE = (
    b"X-Envelope-From: <shop@a.test>\nX-Envelope-To: ann@b.test\nX-Envelope-To: budi@c.test\n"
)


@pytest.mark.parametrize(
    ("header", "sender"),
    [
        (b"Subject: x\n", "shop@a.test"),
        (b"From: Toko <orders@a.test>\n", "Toko <orders@a.test>"),
    ],
)
def test_the_list_names_the_sender_and_every_recipient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: bytes, sender: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MERPATI_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("MERPATI_CONFIG", raising=False)
    new = tmp_path / "data/inbox/new"
    new.mkdir(parents=True)
    (new / "1795442041.01M84AYRW0STFKESEJF8BDM2N7N0.localhost,S=9").write_bytes(
        ENVELOPE + header + b"To: hidden@d.test\n\nx\n"
    )
    result = CliRunner().invoke(merpati, ["inbox", "list", "--json"])
    (line,) = json.loads(result.stdout)
    assert (line["sender"], line["to"]) == (sender, "ann@b.test, budi@c.test")
    assert line["name"] == "01M84AYRW0STFKESEJF8BDM2N7"
