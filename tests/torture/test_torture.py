"""Short forms of `make torture`: the same runs, fewer times."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torture.__main__ import TORMENTS
from torture.server import NotBegun
from torture.torment import Batch, Torment

pytestmark = pytest.mark.slow

SEED = 2026


# A batch is a test, so that the long ones run beside one another.
RUNS = {
    f"{name}-{number}": (torment, number)
    for name, torment in TORMENTS.items()
    for number in range(len(torment.batches(torment.short, SEED, Path())))
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("torment", "number"), RUNS.values(), ids=list(RUNS))
async def test_what_was_promised_is_kept(torment: Torment, number: int, tmp_path: Path) -> None:
    if missing := torment.missing():
        pytest.skip(f"{torment.guarantee} went untested: {missing}")
    batch = torment.batches(torment.short, SEED, tmp_path)[number]
    batch.folder.mkdir()
    with unforgiven(batch):
        outcome = await torment.run(batch)
        print(*outcome.verdicts, outcome.figures, outcome.tally, sep="\n", file=sys.stderr)
        assert outcome.holds, (outcome.flaws, [str(one) for one in outcome.verdicts])
        assert outcome.count + len(outcome.missed) == batch.count
        assert outcome.count, outcome.missed


@contextmanager
def unforgiven(batch: Batch) -> Iterator[None]:
    """Whoever runs what failed a second time must not do so with these (`.ci/run`).

    A server that was too slow at its first start has not been tried at all: that alone may be.
    """
    try:
        yield
    except NotBegun:
        raise
    except BaseException as error:
        if where := os.environ.get("MERPATI_BROKEN"):
            with Path(where).open("a") as file:
                print(batch, f"{type(error).__name__}: {error}", file=file)
        raise


def test_all_is_told_but_a_slow_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "broken"
    monkeypatch.setenv("MERPATI_BROKEN", str(told))
    batch = Batch(0, 1, 5, tmp_path)
    with pytest.raises(NotBegun), unforgiven(batch):
        raise NotBegun("port 25 did not open")
    with unforgiven(batch):
        pass
    assert not told.exists()
    with pytest.raises(AssertionError), unforgiven(batch):
        raise AssertionError("17 are queued still")
    with pytest.raises(ExceptionGroup), unforgiven(batch):
        raise ExceptionGroup("of a task", [TimeoutError("never")])
    assert told.read_text().count("seed=5") == 2
    assert "17 are queued still" in told.read_text()
