"""Values that nobody can mean are refused; values that are rarely meant are warned of."""

import typing
from pathlib import Path

import msgspec
import pytest

from merpati.config.document import Document
from merpati.config.doubts import doubts
from merpati.config.errors import ConfigError
from merpati.config.read import bare, is_list, read, span, table_of
from merpati.config.settings import Settings
from merpati.config.table import Table
from merpati.config.values import Duration, Size
from tests.cases import each

PORT = '[[port]]\nrole = "mx"\nlisten = "127.0.0.1:25"\n'
HOOK = '[login.http]\nurl = "https://a.test/"\n'


@each(
    ("text", "allowed"),
    [
        ("[limits]\nmessage_size = 10\n", "1000 to 16GiB"),
        ('[limits]\nmessage_size = "1000000GiB"\n', "1000 to 16GiB"),
        (PORT + "message_size = 50\n", "1000 to 16GiB"),
        (PORT + f"connections = {10**30}\n", "a whole number <= 1000000"),
        ("[limits]\nrecipients = 10000000\n", "a whole number <= 100000"),
        ("[limits]\nmessages_per_minute = 99999999999\n", "a whole number <= 1000000000"),
        ("[queue]\nexpire = 5\n", "1m to 366d"),
        ("[queue]\nexpire = inf\n", "1m to 366d"),
        ('[queue]\nretry = ["1m", 0]\n', "1s to 366d"),
        ("[queue]\ndelay_notice = 4\n", "1m to 366d"),
        ("[retention]\njournal = 30\n", "1h to 36500d"),
        ("[reports]\nage = 30\n", "1h to 36500d"),
        ("[reports]\nsize = 100\n", "64KiB to 1024GiB"),
        ('[acme]\nsettle = "2h"\n', "0s to 1h"),
        (HOOK + 'timeout = "5m"\n', "0.1s to 1m"),
        (HOOK + 'cache = "1w"\n', "0s to 1d"),
    ],
)
def test_what_nobody_can_mean_is_refused(text: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text, "f")
    assert allowed in str(refused.value)


def _fields(kind: type[Table]) -> typing.Iterator[tuple[str, object]]:
    for field in msgspec.structs.fields(kind):
        if table := table_of(field.type):
            yield from _fields(table)
        else:
            yield f"{kind.__name__}.{field.name}", field.type


def test_every_number_size_and_time_has_bounds_and_its_default_lies_within() -> None:
    found = set()
    for name, annotation in _fields(Document):
        plain = bare(annotation)
        if (typing.get_args(plain)[0] if is_list(annotation) else plain) in {int, Size, Duration}:
            found.add(name)
            assert span(annotation), name
    assert {"LimitsTable.message_size", "QueueTable.retry", "RouteTable.connections"} <= found


def tell(text: str) -> list[str]:
    document, lines = read(text, "f")
    settings = Settings(document, Path("/"), Path("/merpati.toml"), lines)
    return [f"{path[-1]}: {what}. {hint}" for path, what, hint in doubts(settings)]


@each(
    ("text", "told"),
    [
        ("", ""),
        ("[limits]\nmessage_size = 10000\n", "message_size: 10000 refuses most mail"),
        (PORT + 'message_size = "5KiB"\n', "message_size: 5KiB refuses most mail"),
        ('[limits]\nfree_space = "1000000GiB"\n', "free_space: 1000000GiB are to be kept free"),
        ("[limits]\nconnections = 10\n", "connections: one address may take all 10"),
        ('[queue]\nexpire = "5h"\n', "expire: mail that cannot be delivered is given up after 5h"),
        ('[queue]\nexpire = "60d"\n[retention]\njournal = "60d"\n', "expire: mail that cannot"),
        ('[queue]\nretry = ["6d"]\n', "retry: mail is tried once, since it expires after 5d"),
        ('[queue]\nretry = ["1m"]\n', "retry: a host that is down would be asked every 1m"),
        ('[queue]\ndelay_notice = "1m"\n', "delay_notice: senders would be told of every delay"),
        ('[retention]\njournal = "1d"\n', "journal: a story is forgotten while its message may"),
        ('[reports]\nage = "2h"\n', "age: reports are forgotten after 2h"),
        ('[delivery]\nbounce_listed_after = "6d"\n', "bounce_listed_after: is never reached"),
        ('[mta_sts]\nmode = "enforce"\nmax_age = 4\n', "max_age: protects for 4s after"),
    ],
)
def test_what_is_rarely_meant_is_warned_of(text: str, told: str) -> None:
    found = tell(text)
    assert len(found) == bool(told), found
    assert not told or found[0].startswith(told), found
