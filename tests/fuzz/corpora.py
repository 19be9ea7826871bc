"""The inputs that are kept: one file a target, one input a line, written as Python writes octets.

Text that a person can read and a diff can show, instead of a thousand small binary files. Behind
two spaces and `#` stands why an input is kept, if it once was a finding.
"""

import ast
from collections.abc import Iterable
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")


def kept(name: str) -> list[bytes]:
    """The inputs of one target; none for a target that is new."""
    file = CORPUS / f"{name}.txt"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return [ast.literal_eval(line) for line in lines if line]


def keep(name: str, inputs: Iterable[bytes]) -> int:
    """Add inputs, keep what stands there with its remarks, sort by length; how many are new."""
    file = CORPUS / f"{name}.txt"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    known = {ast.literal_eval(line) for line in lines if line}
    new = [repr(one) for one in inputs if one not in known]
    CORPUS.mkdir(exist_ok=True)
    file.write_text("".join(f"{one}\n" for one in sorted({*lines, *new}, key=_order)), "utf-8")
    return len(new)


def _order(line: str) -> tuple[int, str]:
    return len(line), line
