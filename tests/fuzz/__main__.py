"""`python -m tests.fuzz [NAME...] --seconds N`: new inputs for the parsers of outside bytes.

With atheris (Python 3.12 and later) coverage guides them; without it they are mixed from the kept
inputs and the words of each grammar. Ends with 1 and a way to replay when something was found.
"""

import argparse
import importlib.util
import secrets
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.corpora import keep, kept
from tests.fuzz.mutation import new_inputs
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import Target, check_memory, check_time
from tests.fuzz.targets.faces import close

FOUND = Path(__file__).with_name("found")
_MEASURED = 200
"""One input in so many has its memory measured, which takes several times as long."""
_MOST_KEPT = 40
_LONGEST_KEPT = 400


def mix(target: Target, seconds: float, seed: int) -> tuple[int, bytes | None]:
    """Inputs tried, and the one that is a finding."""
    corpus, end = kept(target.name), time.monotonic() + seconds
    for number, octets in enumerate(new_inputs(target, corpus, seed)):
        if time.monotonic() >= end:
            return number, None
        try:
            check_time(target, octets)
            if number % _MEASURED == 0:
                check_memory(target, octets)
        except Exception:  # the fuzzer's purpose: whatever comes out is a finding
            traceback.print_exc()
            return number, octets
    raise AssertionError("new inputs never end")


def guide(target: Target, seconds: float, grow: bool) -> tuple[int, bytes | None]:
    """The same under atheris, in a process of its own; `grow` keeps what found new ways."""
    with tempfile.TemporaryDirectory(prefix="merpati-fuzz-") as folder:
        known, new, words = Path(folder, "known"), Path(folder, "new"), Path(folder, "words")
        new.mkdir()
        _unpack(known, kept(target.name))
        words.write_text("".join(f'"{_escaped(one)}"\n' for one in target.words if len(one) < 64))
        options = [
            *(f"-max_total_time={max(1, round(seconds))}", "-timeout=10", "-max_len=4096"),
            *(f"-dict={words}", f"-artifact_prefix={folder}/found-", "-print_final_stats=1"),
        ]
        done = _guided(target, [*options, str(new), str(known)])
        found = sorted(Path(folder).glob("found-*"))
        if done.returncode or found:
            sys.stderr.write(f"{done.stderr[-6000:]}\nended with {done.returncode}\n")
        executed = _executed(done.stderr)
        if not found and (done.returncode or not executed):
            raise RuntimeError(f"{target.name}: the guided run broke off and left no input")
        if grow and not found:
            _grow(target, folder, new, known)
        return executed, found[0].read_bytes() if found else None


def _guided(target: Target, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    area = target.run.__module__
    command = [sys.executable, "-m", "tests.fuzz.guided", area, target.name, *options]
    return subprocess.run(command, text=True, errors="replace", capture_output=True, check=False)


def _unpack(folder: Path, inputs: Sequence[bytes]) -> None:
    folder.mkdir()
    for number, octets in enumerate(inputs):
        Path(folder, f"{number:04}").write_bytes(octets)


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


def _executed(text: str) -> int:
    lines = [line for line in text.splitlines() if "number_of_executed_units" in line]
    return int(lines[-1].split()[-1]) if lines else 0


def _grow(target: Target, folder: str, new: Path, known: Path) -> None:
    """Keep the smallest inputs that together go every way that is known."""
    merged = Path(folder, "merged")
    merged.mkdir()
    _guided(target, ["-merge=1", "-max_len=4096", str(merged), str(known), str(new)])
    inputs = sorted((file.read_bytes() for file in merged.iterdir()), key=len)
    room = max(0, _MOST_KEPT - len(kept(target.name)))
    small = [octets for octets in inputs if len(octets) <= _LONGEST_KEPT]
    # Evenly over the lengths: the shortest ones alone would be the dullest.
    step = max(1, len(small) // max(1, room))
    added = keep(target.name, small[::step][:room])
    print(f"{target.name}: {len(inputs)} ways, {added} inputs added")


def replay(target: Target, file: Path) -> None:
    """Run one input and let its trace through."""
    octets = file.read_bytes()
    check_time(target, octets)
    check_memory(target, octets)
    print(f"{target.name}: nothing wrong with {octets[:60]!r}")


def main() -> int:
    """Divide the time among the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=None, help="of the mixed inputs")
    parser.add_argument("--mixed", action="store_true", help="do not use atheris")
    parser.add_argument("--grow", action="store_true", help="keep inputs that found new ways")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input and no other")
    options = parser.parse_args()
    targets = [TARGETS[name] for name in options.names or TARGETS]
    if options.replay:
        replay(targets[0], options.replay)
        return 0
    guided = not options.mixed and importlib.util.find_spec("atheris") is not None
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print("coverage guided (atheris)" if guided else f"mixed inputs, --seed {seed}")
    share, findings = options.seconds / len(targets), 0
    try:
        for target in targets:
            tried, found = (
                guide(target, share, options.grow) if guided else mix(target, share, seed)
            )
            sound = found is None
            print(f"{target.name}: {tried} inputs, {'sound' if sound else 'a finding'}", flush=True)
            if found is not None:
                findings += 1
                _say_how(target, found)
    finally:
        close()
    return 1 if findings else 0


def _say_how(target: Target, octets: bytes) -> None:
    FOUND.mkdir(exist_ok=True)
    file = FOUND / target.name
    file.write_bytes(octets)
    print(f"  {octets[:400]!r}\n  replay: python -m tests.fuzz {target.name} --replay {file}")


if __name__ == "__main__":
    sys.exit(main())
