"""A domain's records in zones that real servers have: a BIND that changes and signs the zone, one
with an old copy, one that does not know it, one that is silent, and an unbound that asks them."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from merpati.cli.main import merpati
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.key import key_of
from merpati.dns.update import Change, RecordSet, Updater, UpdateSettings
from merpati.testing.process import free_port
from tests.interop.conftest import needs
from tests.interop.peers import Named, Secondary, Unbound

pytestmark = pytest.mark.interop

RECORDS = """\
@ TXT "of somebody else"
@ TXT "v=spf1 include:news.a.test -all"
mx A 127.0.0.1
news TXT "v=spf1 ip4:198.51.100.0/24 -all"
"""
DELEGATION = """\
@ SOA lame.bad postmaster 1 7200 900 86400 60
@ NS lame.bad
lame.bad A 127.0.0.3
a NS ns.a
ns.a A 127.0.0.1
bad NS ns.bad
bad NS stranger.bad
ns.bad A 127.0.0.1
stranger.bad A 127.0.0.1
"""
# To reverse names nobody answers here, so what is left to do is said with status 1.
PTR = {"PTR"}


@dataclass(frozen=True, slots=True)
class World:
    """Everybody who takes part."""

    port: int
    key: Path
    file: Path

    def setup(self, domain: str, *options: str) -> tuple[int, dict[str, Any], str]:
        """Status, what is said in JSON, and what is said beside it."""
        done = self.run(domain, "--json", *options)
        return done.exit_code, json.loads(done.stdout or "{}"), done.stderr

    def run(self, domain: str, *options: str, text: str = "") -> Result:
        """The command."""
        line = ["-c", str(self.file), "domain", "setup", domain, *options]
        return CliRunner().invoke(merpati, line, input=text)

    def change(self, domain: str, **sets: object) -> None:
        server = ("127.0.0.1", self.port)
        settings = UpdateSettings(key_of(self.key), server=server)
        resolver = DnsClient(SystemClock(), DnsSettings((server,)))
        asyncio.run(Updater(resolver, settings).apply(Change(domain, **sets)))

    def there(self, name: str, kind: str) -> set[str]:
        """At the primary."""
        resolver = DnsClient(SystemClock(), DnsSettings((("127.0.0.1", self.port),)))
        return set(asyncio.run(resolver.records(name, kind)).records)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    needs("named", "bind9")
    needs("unbound", "unbound")
    with tempfile.TemporaryDirectory(prefix="mp") as name:
        folder, port = Path(name), free_port()
        primary = Named(folder / "primary", port)
        key = primary.key("update")
        grant = "grant update zonesub ANY;"
        primary.add_dynamic("a.test", RECORDS, grant)
        bad = "@ NS old\nold A 127.0.0.2\n@ NS lame\nlame A 127.0.0.3\n@ NS gone\n"
        primary.add_dynamic("bad.test", f"{bad}gone A 127.0.0.4\n@ MX 10 mx.a.test.", grant)
        old = Secondary(folder / "old", port, "127.0.0.2")
        old.add(
            "bad.test",
            "@ SOA ns postmaster 1 7200 900 86400 60\n@ NS ns\n@ MX 10 elsewhere.test.",
        )
        lame = Secondary(folder / "lame", port, "127.0.0.3")
        lame.add("test", DELEGATION)
        resolver = Unbound(folder / "unbound", free_port())
        running: list[Named | Secondary | Unbound] = []
        try:
            for server in (primary, old, lame):
                running.append(server)
                server.start()
            running.append(resolver)
            resolver.start(primary, above="127.0.0.3")
            yield World(port, key, installed(folder, resolver.port, port, key))
        finally:
            for peer in reversed(running):
                peer.stop()


def installed(folder: Path, resolver: int, port: int, key: Path) -> Path:
    file = folder / "merpati.toml"
    file.write_text(
        'hostname = "mx.a.test"\n[[port]]\nrole = "submissions"\nlisten = "127.0.0.1:465"\n'
        '[http]\nlisten = "127.0.0.1:8025"\n[mta_sts]\n[autoconfig]\nimap = "imap.a.test"\n'
        f'[dns]\nservers = ["127.0.0.1:{resolver}"]\nauthority_port = {port}\n'
        f'[[dns.update]]\nzone = "a.test"\nkey = "{key}"\nserver = "127.0.0.1:{port}"\n'
    )
    for command in ("domain add a.test", "domain add bad.test", "dkim add a.test"):
        done = CliRunner().invoke(merpati, ["-c", str(file), *command.split()])
        assert done.exit_code == 0, done.output
    return file


def faults(page: dict[str, Any]) -> set[str]:
    return {one["purpose"] for one in page["records"] if one["state"] not in ("there", "advice")}


def test_what_is_missing_is_written_and_what_is_somebody_elses_stays(world: World) -> None:
    status, page, _ = world.setup("a.test", "--check")
    assert status == 1
    assert {"MX", "SPF", "DKIM", "DMARC", "SRV"} <= faults(page)
    assert page["servers"] == []

    tried = world.run("a.test", "--apply", "--dry-run")
    assert tried.exit_code == 0
    assert '- a.test. IN TXT "v=spf1 include:news.a.test -all"' in tried.stderr
    assert '+ a.test. 3600 IN TXT "v=spf1 mx include:news.a.test -all"' in tried.stderr
    assert "# PTR (1.0.0.127.in-addr.arpa) is left: it lies in no zone" in tried.stderr
    assert world.there("a.test", "MX") == set()

    refused = world.run("a.test", "--apply", text="n\n")
    assert "Nothing was written." in refused.stderr
    assert world.there("a.test", "MX") == set()

    _, page, _ = world.setup("a.test", "--apply", "--yes")
    assert faults(page) <= PTR | {"TLSA"}
    for alias in ("mta-sts.a.test", "autoconfig.a.test"):
        assert world.there(alias, "CNAME") == {"mx.a.test."}
    assert world.there("a.test", "TXT") == {
        '"of somebody else"',
        '"v=spf1 mx include:news.a.test -all"',
    }
    assert world.there("_dmarc.a.test", "TXT")
    _, _, told = world.setup("a.test", "--apply", "--yes")
    assert "Nothing to write." in told


def test_a_key_on_the_command_line_is_enough_and_a_wrong_one_is_told(
    world: World, tmp_path: Path
) -> None:
    world.change("a.test", deleted=(RecordSet("_dmarc.a.test", "TXT"),))
    server = f"127.0.0.1:{world.port}"
    wrong = tmp_path / "wrong.key"
    wrong.touch(0o600)
    wrong.write_text(world.key.read_text().replace('secret "d', 'secret "e'))
    options = ("--apply", "--yes", "--server", server, "--key")
    status, _, told = world.setup("a.test", *options, str(wrong))
    assert status == 1
    assert "BADSIG: the server has another secret for the key" in told
    assert world.there("_dmarc.a.test", "TXT") == set()
    _, _, told = world.setup("a.test", *options, str(world.key))
    assert "+ _dmarc.a.test. 3600 IN TXT" in told
    assert world.there("_dmarc.a.test", "TXT")


def test_mail_that_somebody_led_elsewhere_stays_there(world: World) -> None:
    mx = RecordSet("a.test", "MX", ("5 mx.other.test.",))
    world.change("a.test", replaced=(mx,))
    _, page, told = world.setup("a.test", "--apply", "--yes")
    assert "# MX (a.test) is left: others stand there" in told
    assert world.there("a.test", "MX") == set(mx.values)
    assert "MX" in faults(page)


def test_two_policies_become_one_and_a_stranger_beside_them_stays(world: World) -> None:
    texts = ('"v=DMARC1; p=none"', '"v=DMARC1; p=reject"', '"of a stranger"')
    world.change("a.test", replaced=(RecordSet("_dmarc.a.test", "TXT", texts),))
    world.setup("a.test", "--apply", "--yes")
    left = world.there("_dmarc.a.test", "TXT")
    assert '"of a stranger"' in left
    assert len(left) == 2


def test_what_a_wildcard_says_is_not_taken_for_what_is_there(world: World) -> None:
    world.change(
        "a.test",
        replaced=(RecordSet("_dmarc.a.test", "TXT"),),
        added=(RecordSet("*.a.test", "TXT", ('"v=spf1 -all"',)),),
    )
    assert world.there("_dmarc.a.test", "TXT") == {'"v=spf1 -all"'}
    _, _, told = world.setup("a.test", "--apply", "--yes")
    assert "Written." in told
    (policy,) = world.there("_dmarc.a.test", "TXT")
    assert policy.startswith('"v=DMARC1; p=none')
    world.change("a.test", deleted=(RecordSet("*.a.test", "TXT"),))


def test_a_primary_that_does_not_answer_is_no_missing_key(world: World) -> None:
    options = ("--apply", "--yes", "--server", "127.0.0.4", "--key", str(world.key))
    status, _, told = world.setup("a.test", *options)
    assert status == 75
    assert "the zone and its primary cannot be found" in told


def test_servers_that_are_lame_old_or_silent_are_told_and_the_newest_is_believed(
    world: World,
) -> None:
    status, page, _ = world.setup("bad.test", "--check")
    assert status == 1
    troubles = {(one["server"], one["trouble"]) for one in page["servers"]}
    assert {
        ("old.bad.test (127.0.0.2)", "old"),
        ("old.bad.test (127.0.0.2)", "different"),
        ("lame.bad.test (127.0.0.3)", "lame"),
        ("gone.bad.test (127.0.0.4)", "silent"),
        ("stranger.bad.test", "not named"),
        ("old.bad.test", "not delegated"),
    } <= troubles
    (mx,) = [one for one in page["records"] if one["purpose"] == "MX"]
    assert mx["state"] == "there"
    assert all(one["cost"] for one in page["servers"])


def test_a_zone_without_a_key_is_not_written_to(world: World) -> None:
    status, _, told = world.setup("bad.test", "--apply", "--yes")
    assert status == 1
    assert "there is no key that may change bad.test: name one in [[dns.update]]" in told
