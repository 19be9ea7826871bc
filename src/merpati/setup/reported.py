"""What the reports of others mean for a domain: which senders are in order, and whether its policy
of DMARC may become stricter (RFC 9989 §8). Pure, from the sums; the words are in `reported.toml`.

Reports cannot say whose a host is. What nobody vouches for is forged, as a rule, and no reason to
wait; what passes for somebody else's domain is often a service that sends for us, and is one.
"""

import tomllib
from enum import Enum
from functools import cache
from importlib.resources import files

from merpati.feedback.sums import Alignment, Fault, Source

DAYS = 14.0
"""Of reports before a step: monthly bills apart, who sends does so within two weeks."""
MESSAGES = 100
"""Fewer say little."""
MAX_OURS = 0.01
"""Of the messages may fail that could be ours, and a step is taken all the same."""
_DAY = 86400.0


class Standing(Enum):
    """How a source's mail stands with DMARC."""

    GOOD = "good"
    MIXED = "mixed"
    """Some messages passed: hence a sender of ours, and not in order."""
    FORWARDED = "forwarded"
    """What failed was passed on by somebody: ours may be behind it."""
    SERVICE = "service"
    """It failed, and passes for another domain: a service that sends for us, or for itself."""
    UNKNOWN = "unknown"
    """Nothing proves it: forged, or a host that was forgotten."""


class Step(Enum):
    """What to do next with the policy."""

    NO_REPORTS = "no-reports"
    ELSEWHERE = "elsewhere"
    """There are none, and none are ordered to where we read them."""
    WAIT = "wait"
    REPAIR = "repair"
    """Mail that may be ours fails: a stricter policy would lose it, or one loses it already."""
    QUARANTINE = "quarantine"
    REJECT = "reject"
    DONE = "done"


def standing(source: Source) -> Standing:
    """Of all messages of one source."""
    if not source.failed:
        return Standing.GOOD
    if source.passed:
        return Standing.MIXED
    if source.forwarded == source.failed:
        return Standing.FORWARDED
    return Standing.SERVICE if source.signer or source.envelope else Standing.UNKNOWN


def advise(alignment: Alignment, policy: str, *, is_ordered: bool = True) -> Step:
    """The next step from a policy: none, quarantine or reject; empty where there is none.

    `is_ordered`: reports are ordered to an address that is read here, as far as we know.
    """
    if not alignment.reports:
        return Step.NO_REPORTS if is_ordered else Step.ELSEWHERE
    if alignment.doubtful > MAX_OURS * alignment.messages:
        return Step.REPAIR
    if policy == "reject":
        return Step.DONE
    if alignment.messages < MESSAGES or alignment.last - alignment.first < DAYS * _DAY:
        return Step.WAIT
    return Step.REJECT if policy == "quarantine" else Step.QUARANTINE


def source_words(source: Source, language: str) -> tuple[str, str]:
    """What a source is, and what to do about it; a stranger's words in it are not yet made safe."""
    found = standing(source)
    words = _texts()["source"][found.value][language]
    other = source.signer or source.envelope
    return words["is"].format(other=other), words["do"].format(other=other, ip=source.ip)


def step_words(step: Step, alignment: Alignment, language: str, *, here: str = "") -> str:
    """What to do next with the policy. `here`: the URI for reports to us."""
    return _texts()["step"][step.value][language]["do"].format(
        domain=alignment.domain,
        doubtful=alignment.doubtful,
        messages=alignment.messages,
        passed=alignment.passed,
        here=here,
        days=max(1, round((alignment.last - alignment.first) / _DAY)),
    )


def fault_words(fault: Fault, language: str) -> tuple[str, str]:
    """What failed, and what to do about it; of a result that the standard does not know, that."""
    texts = _texts()["fault"]
    words = (texts.get(fault.result) or texts["other"])[language]
    return words["is"], words["do"]


@cache
def _texts() -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    return tomllib.loads(files("merpati.setup").joinpath("reported.toml").read_text("utf-8"))
