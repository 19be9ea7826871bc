"""A signed message is verified in a memory that its size has no part in, and to its last octet."""

from pathlib import Path

import pytest

from benchmarks.large import passages

MIB = 1024 * 1024


@pytest.mark.slow
def test_a_large_message_is_verified_in_constant_memory(tmp_path: Path) -> None:
    small, large, spoiled = passages(tmp_path, 64)
    assert (small.dkim, large.dkim, spoiled.dkim) == ("dkim=pass", "dkim=pass", "dkim=fail")
    assert spoiled.memory - small.memory < 32 * MIB
