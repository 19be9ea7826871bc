"""`merpati dkim`: keys come, take over, retire and go, and the DNS is looked at in time."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merpati.authenticity.dkim.keypair import KeyPair
from merpati.cli.main import merpati
from merpati.testing.zone import zone_in_a_thread

Run = Callable[..., Result]
ONE = ("--algorithm", "ed25519", "--selector", "one")
TWO = ("--algorithm", "ed25519", "--selector", "two")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    file = tmp_path / "merpati.toml"

    def run(*arguments: str, text: str | bytes = "", servers: str = "127.0.0.1:9") -> Result:
        file.write_text(f'hostname = "mx.a.test"\n[dns]\nservers = ["{servers}"]\n')
        return CliRunner().invoke(merpati, ["-c", str(file), "dkim", *arguments], input=text)

    return run


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result) -> str:
    assert result.exit_code == 1, result.output
    return result.stderr


def keys(run: Run) -> list[tuple[str, str, str]]:
    return [
        (key["selector"], key["kind"], key["state"])
        for key in json.loads(ok(run("list", "--json")))
    ]


@contextmanager
def zone(text: str) -> Iterator[str]:
    """A name server for commands, which have loops of their own; where it is."""
    with zone_in_a_thread(text) as server:
        yield "{}:{}".format(*server.address)


@pytest.fixture
def one(run: Run) -> Run:
    """With a key that signs."""
    ok(run("add", "a.test", *ONE))
    ok(run("rotate", "a.test", "--unchecked"))
    return run


@pytest.mark.slow
def test_without_more_words_a_key_of_each_algorithm_is_made(run: Run) -> None:
    told = ok(run("add", "A.test"))
    assert keys(run) == [
        (told.split("-ed25519._domainkey")[0][-6:] + "-ed25519", "ed25519", "next"),
        (told.split("-rsa._domainkey")[0][-6:] + "-rsa", "rsa-2048", "next"),
    ]
    assert "merpati dkim rotate a.test" in told
    assert max(map(len, re.findall('"([^"]*)"', told))) <= 255


@pytest.mark.slow
def test_a_key_signs_when_it_has_taken_over_and_goes_when_that_is_safe(one: Run) -> None:
    ok(one("add", "a.test", *TWO))
    assert keys(one) == [("one", "ed25519", "active"), ("two", "ed25519", "next")]
    told = ok(one("rotate", "a.test", "--unchecked"))
    assert "two._domainkey.a.test signs mail of a.test" in told
    assert "one._domainkey.a.test is retired" in told
    assert keys(one) == [("one", "ed25519", "retired"), ("two", "ed25519", "active")]
    assert "safe to remove in 14.0 days" in refused(one("remove", "a.test", "one"))
    assert "signs mail of a.test now" in refused(one("remove", "a.test", "two"))
    assert "out of the DNS" in ok(one("remove", "a.test", "one", "--force"))
    assert keys(one) == [("two", "ed25519", "active")]


@pytest.mark.slow
def test_a_key_that_nobody_can_find_does_not_take_over(run: Run) -> None:
    ok(run("add", "a.test", *ONE))
    with zone("a.test TXT v=spf1\n") as servers:
        assert "it has nothing there" in refused(run("rotate", "a.test", servers=servers))
    with zone('one._domainkey.a.test TXT "v=DKIM1;p=AAAA"\n') as servers:
        assert "v=DKIM1;p=AAAA" in refused(run("rotate", "a.test", servers=servers))
    assert keys(run) == [("one", "ed25519", "next")]


@pytest.mark.slow
def test_a_key_that_is_published_takes_over(run: Run) -> None:
    ok(run("add", "a.test", *ONE))
    (key,) = json.loads(ok(run("list", "--json")))
    record = key["record"].replace("; ", ";").replace("v=DKIM1", "t=s")
    with zone(f'one._domainkey.a.test TXT "{record}"\n') as servers:
        assert "signs mail" in ok(run("rotate", "a.test", servers=servers))


@pytest.mark.slow
def test_without_a_next_key_nothing_takes_over(one: Run) -> None:
    assert "no key to take over" in refused(one("rotate", "a.test", "--unchecked"))
    assert "has no key: merpati dkim add" in refused(one("rotate", "b.test"))


@pytest.mark.slow
def test_the_records_are_shown_as_a_zone_has_them(one: Run) -> None:
    told = ok(one("show", "a.test"))
    assert "ed25519, active since" in told
    assert 'one._domainkey.a.test. 3600 IN TXT "v=DKIM1' in told
    assert ok(one("show", "a.test", "one")) == told
    assert "a.test has no key x" in refused(one("show", "a.test", "x"))


@pytest.mark.slow
def test_a_key_goes_out_and_comes_in_again(one: Run, tmp_path: Path) -> None:
    pem = ok(one("export", "a.test", "one"))
    ok(one("import", "b.test", "old", "-", text=pem))
    file = tmp_path / "key.pem"
    ok(one("export", "b.test", "OLD", "--to", str(file)))
    assert file.read_text() == pem
    assert file.stat().st_mode & 0o777 == 0o600
    assert "cannot write" in refused(one("export", "a.test", "one", "--to", str(file)))
    assert "has no key x" in refused(one("export", "a.test", "x"))
    a, b = json.loads(ok(one("list", "--json")))
    assert a["record"] == b["record"] == KeyPair.from_pem(pem.encode()).record.decode()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("add", "a.test", "--selector", "x"), "a selector names one key"),
        (("add", "a.test", "--algorithm", "ed25519", "--selector", "a b"), "cannot be a selector"),
        (("add", "localhost"), "two labels"),
        (("add", "a..test"), "not a domain"),
        (("import", "a.test", "x", "-"), "not a private key"),
        (("remove", "a.test", "x"), "a.test has no key x"),
    ],
)
def test_what_cannot_be_says_why(run: Run, arguments: tuple[str, ...], why: str) -> None:
    assert why in refused(run(*arguments, text="nonsense"))


@pytest.mark.slow
def test_two_keys_of_a_month_have_different_selectors(run: Run) -> None:
    ok(run("add", "a.test", "-a", "ed25519"))
    ok(run("rotate", "a.test", "--unchecked"))
    ok(run("add", "a.test", "-a", "ed25519"))
    first, second = (selector for selector, _, _ in keys(run))
    assert second == f"{first}-2"


@pytest.mark.slow
def test_what_was_made_before_a_refusal_is_told(run: Run) -> None:
    ok(run("add", "a.test", "-a", "ed25519"))
    result = run("add", "a.test")
    assert "next key of ed25519 already" in refused(result)
    assert "-rsa._domainkey.a.test." in result.stdout


@pytest.mark.slow
def test_a_key_of_a_domain_that_is_not_ours_is_made_and_doubted(run: Run, tmp_path: Path) -> None:
    doubted = run("add", "a.tst", *ONE)
    assert "one._domainkey.a.tst" in ok(doubted)
    assert "a.tst is none of `merpati domain list`" in doubted.stderr
    file = str(tmp_path / "merpati.toml")
    assert CliRunner().invoke(merpati, ["-c", file, "domain", "add", "a.test"]).exit_code == 0
    for name in ("A.test", "news.a.test"):
        known = run("add", name, *ONE)
        assert ok(known)
        assert known.stderr == ""
