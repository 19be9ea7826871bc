"""The texts of every cause, in every language that we speak. They lie in `causes/*.toml`."""

import tomllib
from functools import cache
from importlib.resources import files

from merpati.diagnosis.cause import Diagnosis, Fault
from merpati.diagnosis.replies import Stage, classify

LANGUAGES = ("en", "id")
DEFAULT_LANGUAGE = "en"

_UNKNOWN = "server-error"


def explain(cause: str, language: str = DEFAULT_LANGUAGE) -> Diagnosis:
    """The diagnosis of a cause; English for a language that we do not speak.

    A key that nobody knows (a journal of a newer version) is told as trouble at the other server.
    """
    texts = _texts()
    key = cause if cause in texts else _UNKNOWN
    return texts[key].get(language) or texts[key][DEFAULT_LANGUAGE]


def explain_reply(
    stage: Stage, code: int, status: str, text: str, language: str = DEFAULT_LANGUAGE
) -> Diagnosis:
    """What a remote refusal means, in plain words."""
    return explain(classify(stage, code, status, text).cause, language)


def known_causes() -> frozenset[str]:
    """Every cause that has texts."""
    return frozenset(_texts())


@cache
def _texts() -> dict[str, dict[str, Diagnosis]]:
    texts: dict[str, dict[str, Diagnosis]] = {}
    for file in sorted(files("merpati.diagnosis").joinpath("causes").iterdir(), key=str):
        if file.name.endswith(".toml"):
            for cause, table in tomllib.loads(file.read_text("utf-8")).items():
                texts[cause] = _diagnoses(cause, table)
    return texts


def _diagnoses(cause: str, table: dict[str, str | dict[str, str]]) -> dict[str, Diagnosis]:
    fault = Fault(table["fault"])
    return {
        language: Diagnosis(cause, fault, words["summary"], words["advice"])
        for language, words in table.items()
        if isinstance(words, dict)
    }
