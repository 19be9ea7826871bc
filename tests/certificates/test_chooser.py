"""Which certificate a client is shown (RFC 6066)."""

import ssl
from pathlib import Path

from merpati.certificates.chooser import Chooser
from merpati.certificates.pair import Pair
from merpati.certificates.source import Source
from merpati.wire.certificates import Shown
from merpati.wire.tls import Identity
from tests.cases import each

NOW = 1_800_000_000.0


def a_pair(*names: str, ends: float = NOW + 1) -> Pair:
    source = Source(Path(names[0]), Path(names[0]))
    return Pair(source, Shown(NOW - 1, ends, names), Identity(ssl.PROTOCOL_TLS_SERVER))


FIRST = a_pair("mx.a.test", "mail.a.test")
WILD = a_pair("*.b.test")
EXACT = a_pair("mx.b.test")


@each(
    ("asked", "shown"),
    [
        ("mail.a.test", FIRST),
        ("MX.A.Test", FIRST),
        ("mx.a.test.", FIRST),
        ("other.b.test", WILD),
        ("mx.b.test", EXACT),
        # RFC 9525 §6.3: one whole label.
        ("a.other.b.test", FIRST),
        ("b.test", FIRST),
        ("", FIRST),
        (".", FIRST),
        ("*.b.test", WILD),
        ("xn--bcher-kva.b.test", WILD),
        ("x" * 10_000, FIRST),
    ],
)
def test_the_name_itself_goes_before_a_wildcard_and_the_first_is_for_the_rest(
    asked: str, shown: Pair
) -> None:
    assert Chooser([FIRST, WILD, EXACT], NOW).pair(asked) is shown


def test_of_two_for_a_name_the_first_is_shown_unless_it_has_expired() -> None:
    good, expired = a_pair("mx.a.test"), a_pair("mx.a.test", ends=NOW - 1)
    other = a_pair("mx.a.test")
    assert Chooser([good, other], NOW).pair("mx.a.test") is good
    assert Chooser([expired, good], NOW).pair("mx.a.test") is good
    assert Chooser([expired], NOW).pair("mx.a.test") is expired
