"""What reports mean: who sends in order, and when a policy may become stricter."""

from dataclasses import replace
from itertools import product

import pytest

from merpati.feedback.sums import Alignment, Fault, Source
from merpati.feedback.tls import ResultType
from merpati.setup.reported import (
    Standing,
    Step,
    advise,
    fault_words,
    source_words,
    standing,
    step_words,
)
from tests.cases import each

DAY = 86400.0
GOOD = Source("a.test", "192.0.2.1", 1000, 1000, 1000, 1000, 0, 0, 0, "", "", 2, 30 * DAY)
BAD = replace(GOOD, ip="192.0.2.9", messages=50, by_dkim=0, by_spf=0, passed=0)
SOURCES = {
    Standing.GOOD: GOOD,
    Standing.MIXED: replace(GOOD, passed=900),
    Standing.FORWARDED: replace(BAD, forwarded=50, signer="list.test"),
    Standing.SERVICE: replace(BAD, signer="service.test"),
    Standing.UNKNOWN: BAD,
}


def alignment(messages: int = 1000, doubtful: int = 0, days: float = 20) -> Alignment:
    dates = (10 * DAY, (10 + days) * DAY)
    reporters = ("google.com",)
    return Alignment("a.test", messages, messages - doubtful, doubtful, 9, reporters, 0, *dates, ())


@each("found", Standing)
def test_how_a_source_stands(found: Standing) -> None:
    assert standing(SOURCES[found]) is found


def test_who_passes_for_another_in_the_envelope_alone_is_a_service_too() -> None:
    assert standing(replace(BAD, envelope="bounce.test")) is Standing.SERVICE


class TestAdvice:
    """RFC 9989 §8: none, then quarantine, then reject, by what reports say."""

    @pytest.mark.parametrize(
        ("policy", "step"),
        [
            ("none", Step.QUARANTINE),
            ("", Step.QUARANTINE),
            ("quarantine", Step.REJECT),
            ("reject", Step.DONE),
        ],
    )
    def test_what_is_in_order_goes_on(self, policy: str, step: Step) -> None:
        assert advise(alignment(), policy) is step

    @pytest.mark.parametrize("policy", ["none", "quarantine", "reject"])
    def test_what_may_be_ours_is_repaired_first(self, policy: str) -> None:
        assert advise(alignment(doubtful=11), policy) is Step.REPAIR

    def test_one_in_a_hundred_may_fail(self) -> None:
        assert advise(alignment(doubtful=10), "none") is Step.QUARANTINE

    def test_little_is_waited_with(self) -> None:
        assert advise(alignment(messages=99), "none") is Step.WAIT
        assert advise(alignment(days=13), "none") is Step.WAIT
        assert advise(alignment(days=13), "reject") is Step.DONE

    def test_without_reports_there_is_no_step(self) -> None:
        assert advise(replace(alignment(), reports=0), "none") is Step.NO_REPORTS
        none = replace(alignment(), reports=0)
        assert advise(none, "none", is_ordered=False) is Step.ELSEWHERE
        assert advise(alignment(), "none", is_ordered=False) is Step.QUARANTINE


@pytest.mark.parametrize("language", ["en", "id"])
class TestWords:
    @each("found", Standing)
    def test_of_every_source(self, found: Standing, language: str) -> None:
        what, do = source_words(SOURCES[found], language)
        assert what
        assert bool(do) is (found is not Standing.GOOD)
        assert "{" not in what + do

    @each("step", Step)
    def test_of_every_step(self, step: Step, language: str) -> None:
        assert "{" not in step_words(step, alignment(), language)

    @each("result", [*(one.value for one in ResultType), "what nobody knows"])
    def test_of_every_fault(self, result: str, language: str) -> None:
        assert all(fault_words(Fault(result, 1, "mx.a.test", "", 1, 0.0), language))


def test_a_strangers_words_are_not_taken_for_places_to_fill() -> None:
    hostile = replace(BAD, signer="{ip.__class__}{0}{other}")
    assert source_words(hostile, "en")[0] == "sends as {ip.__class__}{0}{other}"


def test_languages_say_different_things() -> None:
    for found, step in product(Standing, Step):
        assert source_words(SOURCES[found], "en") != source_words(SOURCES[found], "id")
        assert step_words(step, alignment(), "en") != step_words(step, alignment(), "id")
