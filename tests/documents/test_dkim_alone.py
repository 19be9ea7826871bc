"""The example of DKIM as a library does what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = [sys.executable, str(ROOT / "examples/dkim.py")]


def run(*arguments: str) -> list[str]:
    done = subprocess.run(
        [*EXAMPLE, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def test_what_is_signed_passes_and_what_is_altered_fails() -> None:
    why = "  the body was altered; the header is as it was signed"
    assert run()[-4:] == [
        "pass      a.test rsa-sha256 rsa-2048",
        "pass      a.test ed25519-sha256 ed25519",
        f"fail      a.test rsa-sha256 rsa-2048{why}",
        f"fail      a.test ed25519-sha256 ed25519{why}",
    ]


def test_a_file_without_a_signature_has_none(tmp_path: Path) -> None:
    file = tmp_path / "message.eml"
    file.write_text("From: ann@a.test\n\nHi\n")
    assert run(str(file)) == [str(file), "none"]
