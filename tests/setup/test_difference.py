"""What is written into a zone, and what is left there."""

from merpati.dns.update import RecordSet
from merpati.setup.difference import Difference, Left, Reason, difference
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import Kind, Purpose, Record
from merpati.setup.sts import OwnPolicy
from merpati.setup.texts import left_words
from tests.cases import each

A_TEST = Subject("a.test", "mx.a.test", OwnPolicy(("mx.a.test",)))
SPF = Record(Purpose.SPF, Kind.TXT, "a.test", "v=spf1 mx ~all")
MX = Record(Purpose.MX, Kind.MX, "a.test", "10 mx.a.test")
KEY = Record(Purpose.DKIM, Kind.TXT, "s._domainkey.a.test", 'v=DKIM1; p="' + "A" * 300)
TLSA = Record(Purpose.TLSA, Kind.TLSA, "_25._tcp.mx.a.test", f"3 1 1 {'ab' * 32}")
STS = Record(Purpose.STS, Kind.TXT, "_mta-sts.a.test", "v=STSv1; id=1;")
UNSAID = Record(Purpose.DKIM, Kind.TXT, "SELECTOR._domainkey.a.test")


def between(record: Record, state: State, *values: str) -> Difference:
    there = RecordSet(record.name, record.kind.value, values)
    return difference(A_TEST, [Finding(record, state)], {record: there})


def written(record: Record, state: State, *values: str) -> tuple[str, ...]:
    (step,) = between(record, state, *values).steps
    return step.after.values


def left(record: Record, state: State, there: RecordSet | Reason) -> Reason:
    found = difference(A_TEST, [Finding(record, state)], {record: there})
    (one,) = found.left
    assert not found.steps
    return one.reason


def test_what_is_missing_is_added_beside_what_is_there() -> None:
    assert written(SPF, State.MISSING, '"word"') == ('"word"', '"v=spf1 mx ~all"')
    assert written(MX, State.MISSING) == ("10 mx.a.test.",)


def test_only_records_of_the_same_purpose_are_replaced() -> None:
    there = ('"v=spf1 -all"', '"v=spf" "1 a -all"', '"v=spf2.0"', '"v=spf10"')
    assert written(SPF, State.DUPLICATE, *there) == (
        '"v=spf2.0"',
        '"v=spf10"',
        '"v=spf1 mx ~all"',
    )
    assert written(KEY, State.WRONG, '"p=BBBB"', '"of somebody"')[0] == '"of somebody"'


def test_a_long_text_is_written_in_several_strings_and_reads_as_it_was() -> None:
    (value,) = written(KEY, State.MISSING)
    assert value.count('" "') == 1
    assert RecordSet("a.test", "TXT", (value,)).texts == (KEY.value,)


def test_a_tlsa_record_of_another_key_stays() -> None:
    other = f"3 1 1 {'cd' * 32}"
    assert written(TLSA, State.WRONG, other) == (other, TLSA.value)


def test_what_is_there_is_not_written_again() -> None:
    assert between(SPF, State.THERE, '"v=spf1 mx ~all"') == Difference((), ())
    assert between(SPF, State.WARNING, '"v=spf1 mx ~all"') == Difference((), ())
    assert between(SPF, State.WRONG, '"v=spf1 mx ~all"').steps == ()


@each(
    ("record", "state", "there", "reason"),
    [
        (MX, State.WRONG, RecordSet("a.test", "MX", ("10 b.test.",)), Reason.OTHERS),
        (SPF, State.WRONG, RecordSet("a.test", "TXT", ('"v=spf1 mx ~all"',)), Reason.YOURS),
        (SPF, State.TOO_LONG, RecordSet("a.test", "TXT"), Reason.LONG),
        (SPF, State.UNKNOWN, RecordSet("a.test", "TXT"), Reason.UNKNOWN),
        (SPF, State.MISSING, Reason.ALIAS, Reason.ALIAS),
        (SPF, State.MISSING, Reason.FOREIGN, Reason.FOREIGN),
        (STS, State.MISSING, RecordSet("_mta-sts.a.test", "TXT"), Reason.UNSERVED),
        (UNSAID, State.MISSING, Reason.FOREIGN, Reason.UNSAID),
    ],
)
def test_what_people_have_to_decide_is_left(
    record: Record, state: State, there: RecordSet | Reason, reason: Reason
) -> None:
    assert left(record, state, there) is reason


def test_two_records_of_one_set_are_one_step() -> None:
    other = Record(Purpose.TLS_REPORTS, Kind.TXT, "a.test", "another")
    there = RecordSet("a.test", "TXT", ('"word"',))
    findings = [Finding(SPF, State.MISSING), Finding(other, State.MISSING)]
    (step,) = difference(A_TEST, findings, {SPF: there, other: there}).steps
    assert step.before == there
    assert step.come == ('"v=spf1 mx ~all"', '"another"')
    assert step.gone == ()


@each("language", ["en", "id"])
@each("reason", list(Reason))
def test_every_record_that_is_left_says_why(language: str, reason: Reason) -> None:
    told = left_words(Left(SPF, reason), language)
    assert told.startswith("SPF (a.test) ")
    assert "{" not in told
