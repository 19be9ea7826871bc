"""The disk whose power is cut: what is mounted is what the cut left."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from torture.disk import SIZE, History, mounted
from torture.disk import run as command
from torture.power import POWER


def history(folder: Path, *texts: str) -> History:
    """Of a disk that had an ext4 with each of the texts in turn, flushed."""
    log, writes = b"", []
    for text in texts:
        image, mountpoint = folder / text, folder / f"in {text}"
        image.touch()
        os.truncate(image, SIZE)
        command("mkfs.ext4", "-q", str(image))
        mountpoint.mkdir()
        with mounted(image, mountpoint):
            (mountpoint / "text").write_text(text)
        writes += [(0, len(log), SIZE), (0, 0, 0)]
        log += image.read_bytes()
    return History(log, tuple(writes), tuple(range(1, len(writes), 2)))


@contextmanager
def another_namespace() -> Iterator[None]:
    """Somebody who holds everything that is mounted now."""
    words = ["unshare", "--mount", "sh", "-c", "echo; read word"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.read(1)
        yield
        holder.communicate(b"\n", timeout=60)


@pytest.mark.slow
def test_a_cut_is_mounted_also_while_the_one_before_is_held(tmp_path: Path) -> None:
    if missing := POWER.missing():
        pytest.skip(f"G2 went untested: {missing}")
    disk, chance = history(tmp_path, "first", "second"), random.Random(1)
    mountpoint = tmp_path / "disk"
    mountpoint.mkdir()
    with ExitStack() as holding:
        with mounted(disk.cut(2, tmp_path, chance), mountpoint):
            holding.enter_context(another_namespace())
            assert (mountpoint / "text").read_text() == "first"
        with mounted(disk.cut(4, tmp_path, chance), mountpoint):
            assert (mountpoint / "text").read_text() == "second"
