"""What a change of a key asks the DNS."""

from pathlib import Path

import pytest

from merpati.certificates.cabinet import Cabinet
from merpati.clock import Clock
from merpati.config.settings import load
from merpati.dns.client import DnsSettings
from merpati.dns.resolver import Answer, Found
from merpati.system import renewing
from merpati.system.renewing import acme_settings
from merpati.testing.clock import VirtualClock

CONFIG = """\
hostname = "mx.a.test"
[acme]
terms_agreed = true
names = ["mx.a.test"]
listen = "127.0.0.1:8080"
"""


class Silent:
    """A client of the DNS that finds nothing."""

    async def tlsa(self, port: int, host: str) -> Answer[object]:
        return Answer(Found.NO_DATA)


def test_a_record_is_believed_to_be_kept_by_others_for_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we keep for a day, others keep for as long as it says: a key may not change before."""
    file = tmp_path / "merpati.toml"
    file.write_text(CONFIG)
    made: list[DnsSettings] = []

    def client(clock: Clock, dns: DnsSettings) -> Silent:
        made.append(dns)
        return Silent()

    monkeypatch.setattr(renewing, "DnsClient", client)
    acme = acme_settings(load(file), Cabinet(tmp_path), VirtualClock())
    acme.roller.tlsa("mx.a.test")
    assert [one.max_ttl for one in made] == [7 * 86_400.0]
