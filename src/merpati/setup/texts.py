"""Why a record or a document is wanted, and what a fault costs, in the languages that we speak:
`texts.toml`, `served.toml`."""

import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import TypeAlias

from merpati.setup.caveat import Harm
from merpati.setup.difference import Left
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import Record
from merpati.setup.served import NOT_ASKED, Remark, Visit
from merpati.setup.servers import ZoneFinding
from merpati.setup.sts import policy_url

_KEYS = {
    State.MISSING: "missing",
    State.WRONG: "wrong",
    State.DUPLICATE: "duplicate",
    State.TOO_LONG: "long",
}


def why(record: Record, subject: Subject, language: str) -> str:
    """One sentence; where something has to be done before it is worth anything, another one."""
    words = _texts()[record.purpose.value][language]
    said = [words["why"] if subject.serves_policy else words.get("unserved", words["why"])]
    if not record.value:
        said.append(words["unsaid"])
    elif not subject.signs and "idle" in words:
        said.append(words["idle"])
    return _filled(" ".join(said), subject)


def cost(finding: Finding, subject: Subject, language: str) -> str:
    """What the state of a record costs, each caveat too; empty where it costs nothing."""
    harms = dict.fromkeys(one.harm for one in finding.caveats)
    told = (caveat_words(finding, one, subject, language) for one in harms)
    return " ".join(filter(None, (own_cost(finding, subject, language), *told)))


def own_cost(finding: Finding, subject: Subject, language: str) -> str:
    """The same without the caveats."""
    state = finding.alone or finding.state
    if state is State.TOO_LARGE:
        return _texts()["answer"][language]["large"]
    key = _KEYS.get(state)
    if key is None:
        return ""
    words = _texts()[finding.record.purpose.value][language]
    is_unsaid = state is State.MISSING and not finding.record.value
    return _filled(words.get("none", words[key]) if is_unsaid else words[key], subject)


def caveat_words(finding: Finding, harm: Harm, subject: Subject, language: str) -> str:
    """What a caveat of a record costs, and what to do about it."""
    words = _texts()["harm"][language]
    # Of mail programs something else than of mail.
    special = f"{finding.record.purpose.value} {harm.value}"
    return _filled(words.get(special) or words[harm.value], subject)


def state_words(state: State, language: str) -> str:
    """How something is, in a word."""
    return _texts()["state"][language][state.value]


def optional(language: str) -> str:
    """Of a record that mail can do without."""
    return _texts()["state"][language]["optional"]


def sum_words(
    wrong: Sequence[str], warned: Sequence[str], unknown: Sequence[str], language: str
) -> Iterator[str]:
    """What all of it comes to: the names of what is wrong, what to look at, what nobody knows."""
    words = _texts()["sum"][language]
    if wrong:
        yield words["wrong"].format(what=", ".join(wrong))
    if warned:
        yield words["warned"].format(what=", ".join(warned))
    if unknown:
        yield words["unknown"].format(what=", ".join(unknown))
    if not wrong and not warned and not unknown:
        yield words["good"]


def writing(key: str, language: str) -> str:
    """What is said before and after something is written: nothing, ask, refused, done."""
    return _texts()["writing"][language][key]


def trouble(finding: ZoneFinding, language: str) -> str:
    """What is wrong with a server of a zone, and what it costs."""
    return _texts()["server"][language][finding.trouble.value].format(zone=finding.zone)


def trouble_name(finding: ZoneFinding, language: str) -> str:
    """The same in a word."""
    return _texts()["trouble"][language][finding.trouble.value]


def left_words(left: Left, language: str) -> str:
    """Which record is not written, and why."""
    record = f"{left.record.purpose.value} ({left.record.name})"
    why_not = _texts()["left"][language][left.reason.value]
    return _texts()["writing"][language]["left"].format(record=record, reason=why_not)


def visit_name(visit: Visit, language: str) -> str:
    """What a document is called."""
    return _served()[visit.page.value][language]["name"]


def visit_why(visit: Visit, subject: Subject, language: str) -> str:
    """Why people ask for a document."""
    return _filled(_served()[visit.page.value][language]["why"], subject)


def remark_words(remark: Remark, visit: Visit, subject: Subject, language: str) -> str:
    """What a flaw of a document costs, and what to do about it."""
    own, shared = _served()[visit.page.value][language], _served()["any"][language]
    text = own.get(remark.flaw.value)
    if text is None:
        text = shared[remark.flaw.value]
        text += "" if remark.flaw in NOT_ASKED else f" {own['cost']}"
    return _filled(text, subject, visit.host)


def _filled(text: str, subject: Subject, host: str = "") -> str:
    return text.format(
        domain=subject.domain, hostname=subject.hostname, url=policy_url(subject.domain), host=host
    )


_Texts: TypeAlias = dict[str, dict[str, dict[str, str]]]


@cache
def _texts() -> _Texts:
    return tomllib.loads(files("merpati.setup").joinpath("texts.toml").read_text("utf-8"))


@cache
def _served() -> _Texts:
    return tomllib.loads(files("merpati.setup").joinpath("served.toml").read_text("utf-8"))
