"""Lists of mailboxes (RFC 5322 §3.4): whom a message names, and whom it must never be taken to."""

from hypothesis import given
from hypothesis import strategies as st

from merpati.mail.mailboxes import MAX_COMMENT_DEPTH, parse_mailboxes
from tests.cases import each


def addresses(text: str) -> list[str]:
    return [str(address) for address in parse_mailboxes(text).addresses]


CASES = [
    ("ann@a.test", ["ann@a.test"]),
    ("Ann Example <ann@a.test>, bob@b.test", ["ann@a.test", "bob@b.test"]),
    ('"Example, Ann" <ann@a.test>', ["ann@a.test"]),
    (
        "Friends: ann@a.test, Bob <bob@b.test>;, eve@c.test",
        ["ann@a.test", "bob@b.test", "eve@c.test"],
    ),
    ("undisclosed-recipients:;", []),
    ("ann@a.test (Ann (the first)), (nobody) bob@b.test", ["ann@a.test", "bob@b.test"]),
    ('"odd name"@a.test', ['"odd name"@a.test']),
    ("<@relay.test,@other.test:ann@a.test>", ["ann@a.test"]),
    ("ann@[192.0.2.1]", ["ann@[192.0.2.1]"]),
    (",, ann@a.test,,", ["ann@a.test"]),
]


@each(("text", "expected"), CASES)
def test_list_names_these_addresses(text: str, expected: list[str]) -> None:
    mailboxes = parse_mailboxes(text)
    assert [str(address) for address in mailboxes.addresses] == expected
    assert mailboxes.flaws == ()


def test_an_at_sign_inside_quotes_does_not_count() -> None:
    assert addresses('"victim@evil.test x"@internal.test') == ['"victim@evil.test x"@internal.test']
    assert addresses('"a@evil.test" <ann@a.test>') == ["ann@a.test"]


@each(
    "text",
    [
        "ann",
        "ann x@a.test",
        "<ann x@a.test>",
        "Ann <ann@a.test",
        "ann@a.test <bob@b.test> eve@c.test extra <",
        "ann@a.test (never closed",
        "(" * (MAX_COMMENT_DEPTH + 2) + ")" * (MAX_COMMENT_DEPTH + 2) + " ann@a.test",
        '"never closed <ann@a.test>',
        '"never closed, ann@a.test, bob@b.test',
        "ann@a@b.test",
        "<>",
    ],
)
def test_what_is_no_mailbox_is_a_flaw_and_never_another_address(text: str) -> None:
    mailboxes = parse_mailboxes(text)
    assert mailboxes.flaws
    assert mailboxes.addresses == ()


def test_a_name_is_unquoted_and_decoded() -> None:
    first, second = parse_mailboxes(
        r'"Ann \"A\" Example" <a@a.test>, =?utf-8?q?=C3=89va?= <e@a.test>'
    ).found
    assert (first.name, second.name) == ('Ann "A" Example', "Éva")


@given(st.text(alphabet='ab@.,;:<>()[]"\\ \t', max_size=80))
def test_any_text_is_read_without_raising(text: str) -> None:
    for address in parse_mailboxes(text).addresses:
        assert addresses(str(address)) == [str(address)]
