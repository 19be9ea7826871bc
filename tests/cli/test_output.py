"""Tables for people: nothing that another command is given is cut."""

import io
import sys

import pytest

from merpati.cli.output import say_table, word

ID = "01JD3Q5W8ZK6T2N4R7V9X1Y3A5"


class Terminal(io.StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, width: int, *cells: str) -> str:
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdout", terminal)
    say_table([str(n) for n in range(len(cells))], [cells], "empty")
    return terminal.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_an_id_stays_whole_on_one_line(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    others = ("a-long-name@department.b.test", "waiting", "2026-11-23 14:11:11", "450 later " * 9)
    assert ID in shown(monkeypatch, width, ID, *others)


def test_what_does_not_fit_is_folded_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    told = shown(monkeypatch, 60, ID, "x" * 200)
    assert (told.count("x"), "…" in told) == (200, False)
    assert "".join(shown(monkeypatch, 20, ID).split())[1:] == ID


def test_a_name_in_a_command_is_one_word_of_a_shell() -> None:
    assert word("smtp://127.0.0.1:25?tls=off&lookahead=no") == (
        "'smtp://127.0.0.1:25?tls=off&lookahead=no'"
    )
    assert word("b.test") == "b.test"
    assert word("a\x1b[2J") == "'a\\x1b[2J'"
