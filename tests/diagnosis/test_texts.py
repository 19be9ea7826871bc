"""Every cause that the code can name has texts in every language, and they say something."""

import ast
from pathlib import Path

import pytest

import merpati
from merpati.diagnosis.cause import Fault
from merpati.diagnosis.replies import Stage, causes
from merpati.diagnosis.texts import LANGUAGES, explain, explain_reply, known_causes
from tests.cases import each

SOURCE = Path(merpati.__file__).parent


def named_in_code() -> set[str]:
    """Constants given to a parameter or field called `cause` anywhere in the source."""
    return {
        node.value.value
        for path in SOURCE.rglob("*.py")
        if "cause=" in (source := path.read_text("utf-8"))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.keyword)
        and node.arg == "cause"
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and node.value.value
    }


@pytest.mark.slow
def test_every_cause_that_the_code_names_has_texts() -> None:
    assert causes() | named_in_code() <= known_causes()


@each("cause", sorted(known_causes()))
def test_cause_is_told_in_every_language_in_words_of_its_own(cause: str) -> None:
    told = [explain(cause, language) for language in LANGUAGES]
    assert len({diagnosis.summary for diagnosis in told}) == len(LANGUAGES)
    assert len({diagnosis.fault for diagnosis in told}) == 1
    for diagnosis in told:
        assert diagnosis.cause == cause
        assert diagnosis.summary.endswith(".")
        assert diagnosis.advice.endswith(".")


def test_no_two_causes_are_told_in_the_same_words() -> None:
    assert len({explain(cause).summary for cause in known_causes()}) == len(known_causes())


def test_an_unknown_language_is_answered_in_english() -> None:
    assert explain("unknown-user", "tlh") == explain("unknown-user", "en")


def test_an_unknown_cause_is_trouble_at_the_other_server() -> None:
    assert explain("from-the-future").fault is Fault.THEIR_SERVER


def test_a_reply_is_explained_in_plain_words() -> None:
    told = explain_reply(Stage.RCPT, 550, "5.1.1", "User unknown", "id")
    assert told.summary == "Alamat ini tidak ada di server penerima."
