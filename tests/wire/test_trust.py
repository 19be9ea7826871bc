"""Authorities are read once as long as they stay the same, and again when they change."""

import os
from pathlib import Path

from merpati.testing.clock import VirtualClock
from merpati.wire.certificates import make_self_signed
from merpati.wire.https import HttpsClient, HttpsSettings
from merpati.wire.trust import trusting
from merpati.wire.web import Web, WebSettings


def test_all_clients_of_a_process_share_what_was_read_of_the_system() -> None:
    async def nowhere(host: str) -> list[str]:
        return []

    clients = [
        Web(WebSettings())._tls,
        Web(WebSettings(seconds=1.0))._tls,
        HttpsClient(HttpsSettings(), nowhere)._tls,
    ]
    assert all(one is trusting() for one in clients)


def test_authorities_in_a_file_that_changed_are_read_again(tmp_path: Path) -> None:
    file, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    make_self_signed(file, key, VirtualClock(1_800_000_000.0), ["a.test"])
    first = trusting(file)
    assert trusting(file) is first
    assert first is not trusting()
    os.utime(file, (1, 1))
    second = trusting(file)
    assert second is not first
    assert second.cert_store_stats()["x509"] == first.cert_store_stats()["x509"] == 1
