"""What a fuzz target is: a parser of outside bytes with an oracle that says when it is wrong.

A target takes octets and returns, or raises: an AssertionError of its oracle, or whatever the
parser let through that its documentation does not promise. Both are findings.
"""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

SECONDS = 1.0
"""CPU that one input may take."""
FACTOR = 50
"""Octets of memory for each octet of input, above `ROOM`."""
ROOM = 512 * 1024
"""What a parser may take whatever the input: its tables, its objects, an event loop."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser. `run` returns for every input that it handles as promised."""

    name: str
    run: Callable[[bytes], None]
    words: tuple[bytes, ...] = ()
    """What inputs are made of: the grammar's own words, for mutation and repetition."""
    longest: int = 64 * 1024
    """Octets of the inputs that are made by repetition, to find what grows faster than they do."""
    head: bytes = b""
    """Stands before repetitions: choices of the target, or what leads to the interesting state."""
    room: int = ROOM


def check_time(target: Target, octets: bytes) -> None:
    """Run one input; AssertionError when it takes longer than an input may."""
    began = time.process_time()
    target.run(octets)
    taken = time.process_time() - began
    assert taken < SECONDS, f"{target.name}: {taken:.1f} s for {len(octets)} octets"


def check_memory(target: Target, octets: bytes) -> None:
    """Run one input; AssertionError when it takes more memory than an input may."""
    target.run(octets)  # What is imported, compiled or cached at the first use is not counted.
    tracemalloc.start()
    try:
        target.run(octets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    most = target.room + FACTOR * len(octets)
    assert peak <= most, f"{target.name}: {peak} octets of memory for {len(octets)} octets"
