"""DKIM records: the key counts, and not by which tags it is published."""

from dataclasses import replace
from functools import cache

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.setup.caveat import Caveat, Harm
from merpati.setup.finding import Finding, State
from merpati.setup.record import Purpose
from merpati.setup.texts import cost
from tests.cases import each
from tests.setup.test_survey import A_TEST, surveyed, with_line

NAME = "one._domainkey.a.test"


@cache
def own() -> str:
    return KeyPair.generate(KeyKind.RSA_2048).record.decode()


def found(text: str) -> Finding:
    """How a text is in place of the record of our own key, whose octets it calls KEY."""
    octets = own().partition("p=")[2]
    value = text.replace("KEY", octets)
    strings = '" "'.join(value[at : at + 255] for at in range(0, len(value), 255))
    zone = with_line(f'{NAME} TXT "{strings}"', NAME)
    findings = surveyed(zone, replace(A_TEST, keys=((NAME, own()),)))
    (one,) = [each for each in findings if each.record.purpose is Purpose.DKIM]
    return one


@each(
    "text",
    [
        "v=DKIM1; k=rsa; p=KEY",
        "v=DKIM1; p=KEY",
        "p=KEY",
        "v=DKIM1; t=s; h=sha256; s=email; n=of this year; p=KEY",
        "v=DKIM1;k=rsa;p=KEY;",
    ],
)
def test_our_key_is_good_whatever_else_is_said(text: str) -> None:
    assert found(text).state is State.THERE


@each(
    "text",
    [
        "v=DKIM1; k=ed25519; p=KEY",
        "v=DKIM1; h=sha1; p=KEY",
        "v=DKIM1; s=tlsrpt; p=KEY",
        "v=DKIM1; k=rsa; p=",
        "k=rsa; v=DKIM1; p=KEY",
    ],
)
def test_what_does_not_verify_our_mail_is_wrong(text: str) -> None:
    assert found(text).state is State.WRONG


def test_a_key_that_is_only_tested_is_a_warning() -> None:
    one = found("v=DKIM1; t=y:s; p=KEY")
    assert (one.state, one.caveats) == (State.WARNING, (Caveat(Harm.TESTING, "t=y"),))
    assert cost(one, A_TEST, "en") != cost(one, A_TEST, "id")
