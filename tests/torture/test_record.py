"""What is written down of a run, and what its table says."""

from pathlib import Path

import pytest

from torture import record
from torture.kill import KILL
from torture.record import Line, Record
from torture.table import table
from torture.torment import Batch, Outcome

BATCH = Batch(0, 25, 7, Path("unused"))
HOLDS = Outcome(25, ())


def row(lines: list[Line]) -> str:
    return table([(KILL, lines)], {}).splitlines()[-1]


def test_a_line_says_which_code_was_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "version", lambda: "v2")
    for begun in ("v1", "v2"):
        Record(tmp_path).add("kill", BATCH, 1.0, HOLDS, begun)
    lines = Record(tmp_path).lines
    assert [one.version for one in lines] == ["v1 to v2", "v2"]
    assert "| v2 | holds |" in row(lines[1:])
    assert "| MIXED: v1 to v2 in 1 of 2, v2 in 1 of 2 | holds |" in row(lines)
    assert "| MIXED: v1 to v2 in 1 of 1 | holds |" in row(lines[:1])


def test_a_folder_takes_up_no_other_run(tmp_path: Path) -> None:
    assert Record(tmp_path).begin("--seed 1") == ""
    assert Record(tmp_path).begin("--seed 2") == ""  # Nothing was run yet.
    Record(tmp_path).add("kill", BATCH, 1.0, HOLDS, "v1")
    assert Record(tmp_path).begin("--seed 2") == ""
    assert Record(tmp_path).begin("--seed 1") == "--seed 2"


def test_a_line_of_old_does_not_pass_for_one_of_now(tmp_path: Path) -> None:
    line = Record(tmp_path).add("kill", BATCH, 1.0, HOLDS, record.version())
    file = tmp_path / "results.jsonl"
    file.write_text(file.read_text().replace(f',"version":"{line.version}"', ""))
    assert "not written down" in row(Record(tmp_path).lines)


def test_what_is_not_committed_has_a_version_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"describe": "abc-dirty", "diff": "one"}
    monkeypatch.setattr(record, "_git", lambda command, *_: said[command])
    first = record.version()
    said["diff"] = "other"
    assert first.startswith("abc-dirty-")
    assert record.version() != first
    said["describe"] = ""
    assert record.version() == "no git"
