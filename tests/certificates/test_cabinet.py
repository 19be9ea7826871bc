"""What is kept of certificates from a CA."""

from pathlib import Path

import pytest

from merpati.certificates.cabinet import Cabinet, State
from merpati.certificates.errors import IssueError


@pytest.fixture
def cabinet(tmp_path: Path) -> Cabinet:
    made = Cabinet(tmp_path / "certificates")
    made.open()
    return made


@pytest.mark.parametrize(
    "token", ["", "../lock", "a/b", "..", "a" * 129, "a b", "a\0", "é", "%2e%2e", "a\n"]
)
def test_no_token_leads_anywhere_else(cabinet: Cabinet, token: str) -> None:
    (cabinet.folder / "lock").write_text("secret")
    assert cabinet.answer(token) == ""
    with pytest.raises(IssueError):
        cabinet.put_answer(token, "x")


def test_a_token_is_answered_while_it_is_expected(cabinet: Cabinet) -> None:
    cabinet.put_answer("t0k-_n", "t0k-_n.print")
    assert cabinet.answer("t0k-_n") == "t0k-_n.print"
    cabinet.drop_answer("t0k-_n")
    assert cabinet.answer("t0k-_n") == ""


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'{"failures": "x"}', b"\xff" * 99])
def test_a_spoilt_state_is_as_none(cabinet: Cabinet, octets: bytes) -> None:
    (cabinet.folder / "a.test.json").write_bytes(octets)
    assert cabinet.state("a.test") == State()


def test_a_state_is_read_as_it_was_put(cabinet: Cabinet) -> None:
    state = State(issued=5.0, failures=2, error="no", window=(1.0, 2.0))
    cabinet.put_state("*.a.test", state)
    assert cabinet.state("*.a.test") == state


def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(IssueError, match="cannot make"):
        Cabinet(tmp_path / "file").open()
    with pytest.raises(IssueError, match="cannot write"):
        Cabinet(tmp_path / "no").put("a.test", b"k", b"c")
