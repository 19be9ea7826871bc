"""New inputs without an engine: kept ones and the grammar's words, mixed, cut and repeated."""

import random
from collections.abc import Iterator, Sequence

from tests.fuzz.target import Target

_LONGEST = 4096


def new_inputs(target: Target, corpus: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Without end; the same for the same seed."""
    chance = random.Random(f"{target.name} {seed}")
    while True:
        octets = bytearray(chance.choice(corpus) if corpus else b"")
        for _ in range(1 + chance.getrandbits(3)):
            _mutate(octets, chance, target, corpus)
        yield bytes(octets[:_LONGEST])


def _mutate(
    octets: bytearray, chance: random.Random, target: Target, corpus: Sequence[bytes]
) -> None:
    at = chance.randint(0, len(octets))
    end = min(len(octets), at + chance.randint(0, 8))
    piece = bytes(octets[at:end])
    match chance.randrange(8):
        case 0 | 1 | 2:
            octets[at:at] = chance.choice(target.words or (b"x",))
        case 3:
            octets[at:end] = b""
        case 4:
            octets[at:end] = chance.randbytes(chance.randint(1, 4))
        case 5:
            octets[at:end] = piece * chance.randint(2, 20)
        case 6 if corpus:
            other = chance.choice(corpus)
            start = chance.randint(0, len(other))
            octets[at:end] = other[start : start + chance.randint(1, 100)]
        case _:
            if octets:
                octets[min(at, len(octets) - 1)] = chance.getrandbits(8)


def repetitions(target: Target, longest: int) -> Iterator[bytes]:
    """Each word again and again: what takes more than linear time or memory shows here."""
    for word in target.words:
        yield target.head + word * (min(target.longest, longest) // len(word))


def paired_repetitions(target: Target) -> Iterator[bytes]:
    """The same with two words in turn, for every two: a quarter of an hour for all targets."""
    for one in target.words:
        for other in target.words:
            yield target.head + (one + other) * (target.longest // len(one + other))
