"""Short forms of `make torture`: the same runs, fewer times."""

import sys
from pathlib import Path

import pytest

from torture.__main__ import TORMENTS
from torture.torment import Torment

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
    outcome = await torment.run(batch)
    print(*outcome.verdicts, outcome.figures, outcome.tally, sep="\n", file=sys.stderr)
    assert outcome.holds, (outcome.flaws, [str(one) for one in outcome.verdicts])
    assert outcome.count == batch.count
