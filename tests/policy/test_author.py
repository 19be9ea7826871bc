"""Who writes with a login writes as itself, however From is spelt."""

import time

from merpati.mail.headers import Headers
from merpati.policy.rule import Moment
from merpati.policy.rules.author import Author
from merpati.policy.verdict import Verdict
from merpati.testing.facts import some_facts
from merpati.testing.residents import Residents
from tests.cases import each


def judge(author: str) -> Verdict | None:
    residents = Residents()
    for resident in ("ann@a.test", "budi@a.test"):
        residents.move_in(resident)
    facts = some_facts(sender="ann@a.test", login="ann@a.test")
    facts.headers = Headers.scan(f"From: {author}\r\n\r\n".encode())
    return Author(residents).judge(Moment.MESSAGE, facts)


@each(
    "author",
    (
        "budi@a.test",
        "budi @ a.test",
        "Budi <budi @a.test>",
        "Budi <budi(c)@a.test>",
        "budi@(c)a.test",
        "Budi <budi @ a.test>, ann@a.test",
        "budi(x)@a.test, ann@a.test",
        '"budi"@a.test x',
        '"budi" @ a.test',
        "budi@a.test:;",
        "budi@a.test: ann@a.test;",
        "budi@a.test.",
        "Budi <budi@a.test.>, ann@a.test",
        "=?utf-8?q?Budi?= <=?utf-8?q?budi=40a.test?=>",
        "bu\\di@a.test",
        "x" * 300 + " budi @ a.test, ann@a.test",
    ),
)
def test_no_spelling_lets_a_login_write_as_another(author: str) -> None:
    verdict = judge(author)
    assert verdict is not None
    assert (verdict.reply.code, str(verdict.reply.status)) == (550, "5.7.1")


@each(
    "author",
    (
        "ann@a.test",
        "Ann <ann@A.TEST>",
        "Müller, Ann <ann@a.test>",
        '"budi@a.test" <ann@a.test>',
        "Friends: ann@a.test;",
        "ann@a.test (budi@a.test asked me to)",
        "somebody@elsewhere.test",
    ),
)
def test_who_writes_as_itself_is_let_through(author: str) -> None:
    assert judge(author) is None


def test_no_from_takes_long() -> None:
    """The loop waits for it: a line has no end in BINARYMIME."""
    for author in ("x> " + "a" * 100_000, "a@b.test, " * 10_000, "a." * 50_000 + " @ a.test"):
        began = time.process_time()
        assert judge(author) is not None
        assert time.process_time() - began < 1.0
