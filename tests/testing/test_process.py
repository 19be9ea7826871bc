"""A server in a process of its own does not outlive who started it."""

from pathlib import Path

import pytest

from merpati.testing.process import MerpatiProcess

pytestmark = pytest.mark.slow


class Impatient(MerpatiProcess):
    """Never sees that it is up."""

    def wait_up(self) -> None:
        raise AssertionError(f"not up: {self.pid}")


def test_one_that_does_not_come_up_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not up: ") as error:
        Impatient(tmp_path, 'hostname = "mx.a.test"\n', []).start()
    pid = str(error.value).rpartition(" ")[2]
    assert not Path("/proc", pid).exists()
