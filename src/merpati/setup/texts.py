"""Why a record is wanted, and what a fault costs, in the languages that we speak: `texts.toml`."""

import tomllib
from functools import cache
from importlib.resources import files

from merpati.setup.difference import Left
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import Record
from merpati.setup.servers import ZoneFinding
from merpati.setup.sts import policy_url

_KEYS = {
    State.MISSING: "missing",
    State.WRONG: "wrong",
    State.DUPLICATE: "duplicate",
    State.TOO_LONG: "long",
}


def why(record: Record, subject: Subject, language: str) -> str:
    """One sentence; where the record cannot be written yet, another one says what to do."""
    words = _texts()[record.purpose.value][language]
    said = words["why"] if record.value else f"{words['why']} {words['unsaid']}"
    return _filled(said, subject)


def cost(finding: Finding, subject: Subject, language: str) -> str:
    """What the state of a record costs; empty where it costs nothing."""
    if finding.state is State.TOO_LARGE:
        return _texts()["answer"][language]["large"]
    key = _KEYS.get(finding.state)
    if key is None:
        return ""
    return _filled(_texts()[finding.record.purpose.value][language][key], subject)


def trouble(finding: ZoneFinding, language: str) -> str:
    """What is wrong with a server of a zone, and what it costs."""
    return _texts()["server"][language][finding.trouble.value].format(zone=finding.zone)


def reason(left: Left, language: str) -> str:
    """Why a record is not written, as the end of a sentence."""
    return _texts()["left"][language][left.reason.value]


def _filled(text: str, subject: Subject) -> str:
    return text.format(
        domain=subject.domain, hostname=subject.hostname, url=policy_url(subject.domain)
    )


@cache
def _texts() -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads(files("merpati.setup").joinpath("texts.toml").read_text("utf-8"))
