"""After the end: nobody waits for a thread that is gone, and no thread keeps the process."""

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from merpati.storage.connection import StorageSettings
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.storage.job import Job


def version(connection: apsw.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").get)


async def test_what_is_asked_after_the_end_fails_and_does_not_wait(tmp_path: Path) -> None:
    database = Database(StorageSettings(tmp_path / "0.db"))
    await database.open()
    await database.close()
    for ask in (database.write(version), database.read(version)):
        with pytest.raises(StorageError, match=r"0\.db is closed"):
            await ask


async def test_a_job_after_the_end_is_told_that_nothing_was_stored(tmp_path: Path) -> None:
    database = Database(StorageSettings(tmp_path / "0.db"))
    await database.open()
    await database.close()
    told: list[str] = []
    job: Job[int] = database.job(version)
    job.failed = lambda: told.append("failed")
    with pytest.raises(StorageError):
        await database.submit(job)
    assert told == ["failed"]


async def test_what_was_handed_over_before_the_end_is_done(tmp_path: Path) -> None:
    database = Database(StorageSettings(tmp_path / "0.db"))
    await database.open()
    waiting = database.submit(database.job(version))
    await database.close()
    assert await waiting > 0


@pytest.mark.slow
def test_a_file_that_nobody_closed_does_not_keep_the_process(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from merpati.storage.connection import StorageSettings\n"
        "from merpati.storage.database import Database\n"
        "async def main():\n"
        "    database = Database(StorageSettings(Path(sys.argv[1])))\n"
        "    await database.open()\n"
        "    await database.probe()\n"
        "    await database.read(lambda connection: None)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "0.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
