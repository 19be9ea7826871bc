"""The secret of an installation is the same after every restart."""

from pathlib import Path

import pytest

from merpati.errors import MerpatiError
from merpati.system.secret import installation_secret


def test_it_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    made = installation_secret(file)
    assert len(made) == 32
    assert file.stat().st_mode & 0o077 == 0
    assert installation_secret(file) == made


def test_one_that_is_cut_short_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"short")
    assert len(installation_secret(file)) == 32


def test_where_it_cannot_be_kept_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "secret"
    with pytest.raises(MerpatiError, match=r"cannot keep .*secret: No such file"):
        installation_secret(file)
