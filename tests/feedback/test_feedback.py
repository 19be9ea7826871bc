"""Both stores of reports keep the promises."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from merpati.feedback.feedback import Feedback
from merpati.feedback.filing import MAX_FAULTS, filed
from merpati.feedback.store import FeedbackStore
from merpati.feedback.tls import DateRange, Detail
from merpati.feedback.verifying import verify_feedback
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.storage.finding import Damage
from merpati.storage.inspection import inspected
from merpati.testing.conformance.feedback import (
    CHECKS,
    ROOM,
    Check,
    aggregate,
    received,
    tls,
)
from merpati.testing.memory_feedback import MemoryFeedback


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(StorageSettings(tmp_path / "feedback.db", Kind.FEEDBACK))
    await database.open()
    yield database
    await database.close()


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, database: Database) -> Feedback:
    return MemoryFeedback() if request.param == "memory" else FeedbackStore(database)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_store_of_reports(check: Check, engine: Feedback) -> None:
    await check(engine)


@pytest.mark.slow
def test_faults_of_one_report_are_bounded_and_all_counted() -> None:
    details = [Detail(result_type=f"r{n}", failed_session_count=1) for n in range(MAX_FAULTS + 50)]
    file = filed(received(tls(*details)))
    assert len(file.faults) == MAX_FAULTS + 1
    assert file.faults[-1] == (0, "other", "", "", 50)


def test_a_time_without_a_zone_is_utc() -> None:
    # fromisoformat, since a linter forbids to make one without a zone in any other way.
    day = DateRange(
        start_datetime=datetime.fromisoformat("1970-01-02T00:00:00"),
        end_datetime=datetime.fromisoformat("1970-01-03T00:00:00"),
    )
    report = tls()
    file = filed(received(type(report)(**{**_fields(report), "date_range": day})))
    assert (file.begin, file.end) == (86400.0, 172800.0)


def _fields(report: object) -> dict[str, object]:
    return {name: getattr(report, name) for name in type(report).__struct_fields__}  # type: ignore[attr-defined]  # of a Struct


async def test_damage_is_found(database: Database) -> None:
    store = FeedbackStore(database)
    await store.keep(received(aggregate()), ROOM)
    await store.keep(received(aggregate(id_="2"), "M2"), ROOM)
    await database.write(lambda c: c.execute("UPDATE report SET told = x'00' WHERE id = 'M1'"))
    await database.write(lambda c: c.execute("UPDATE source SET report = 9 WHERE report = 2"))
    counted: dict[str, int] = {}
    with inspected(database.settings.path, Kind.FEEDBACK) as connection:
        findings = list(verify_feedback(connection, counted.__setitem__))
    assert [(one.damage, one.message) for one in findings] == [
        (Damage.REPORT, "M1"),
        (Damage.REPORT, ""),
    ]
    assert counted == {"reports": 2}
