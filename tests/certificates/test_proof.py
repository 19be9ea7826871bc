"""A program of the operator's that changes the DNS: without a shell, and bounded in time."""

import os
from pathlib import Path

import pytest

from merpati.certificates.errors import ProofError
from merpati.certificates.proof import HookProver, Proof

PROOF = Proof("a.test", "token", "$(text) `of` a CA; rm -rf")


def a_program(folder: Path, text: str) -> tuple[str, ...]:
    file = folder / "hook"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o700)
    return (str(file), "first")


def test_it_is_called_with_name_and_text_as_they_are(tmp_path: Path) -> None:
    said = tmp_path / "said"
    hook = HookProver(a_program(tmp_path, f'printf "%s|" "$@" >> {said}'), 0)
    hook.present(PROOF)
    hook.withdraw(PROOF)
    expected = "|first|{}|_acme-challenge.a.test|$(text) `of` a CA; rm -rf|"
    text = "".join(expected.format(what)[1:] for what in ("present", "cleanup"))
    assert said.read_text() == text


def test_its_last_words_are_told(tmp_path: Path) -> None:
    hook = HookProver(a_program(tmp_path, "yes noise | head -c 10000000; echo no zone; exit 3"), 0)
    with pytest.raises(ProofError, match=r"status 3\..*no zone") as error:
        hook.present(PROOF)
    assert len(str(error.value)) < 500


@pytest.mark.slow
def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = a_program(tmp_path, f"sleep 60 > {pipe} & wait")
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    try:
        with pytest.raises(ProofError, match=r"within 0\.5 s"):
            HookProver(command, 0, seconds=0.5).present(PROOF)
        # The end comes when nobody who could write lives any more.
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_one_that_is_not_there_is_told() -> None:
    with pytest.raises(ProofError, match="No such file"):
        HookProver(("/nowhere/hook",), 0).present(PROOF)
