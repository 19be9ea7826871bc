"""Counts and levels that several processes share."""

import os
from collections.abc import Callable

import pytest

from merpati.node.board import Board
from merpati.node.table import Row, Table, TableSettings
from tests.cases import each


def a_table(rows: int = 64, workers: int = 3) -> Table:
    return Table(TableSettings(rows, workers), b"secret")


def row_of(table: Table, key: str, now: float = 0.0) -> Row:
    row = table.row(key, now)
    assert row is not None
    return row


def in_child(table: Table, worker: int, work: Callable[[], None]) -> None:
    """Run `work` in a process of its own and wait for its end."""
    child = os.fork()
    if not child:
        status = 1
        try:
            table.become(worker)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.slow
def test_what_one_worker_counts_all_see() -> None:
    table = a_table()
    in_child(table, 1, lambda: row_of(table, "site").add())
    in_child(table, 2, lambda: row_of(table, "site").add())
    row = row_of(table, "site")
    assert (row.total, row.mine) == (2, 0)


def test_a_limit_is_for_all_workers_together() -> None:
    table = a_table()

    def work() -> None:
        assert row_of(table, "site").take(2)

    in_child(table, 1, work)
    row = row_of(table, "site")
    assert row.take(2)
    assert not row.take(2)
    row.give_back()
    assert row.take(2)


def test_a_dead_worker_counts_nothing() -> None:
    table = a_table()
    in_child(table, 1, lambda: row_of(table, "site").add())
    row = row_of(table, "site")
    row.add()
    table.forget(1)
    assert row.total == 1


def test_values_are_everybodys_and_begin_at_nothing() -> None:
    table = a_table()
    assert list(row_of(table, "a").values) == [0.0] * 5

    def work() -> None:
        row_of(table, "a").values[2] = 7.5

    in_child(table, 1, work)
    assert row_of(table, "a").values[2] == 7.5


def test_the_longest_unused_row_gives_way() -> None:
    table = a_table(rows=16)
    for n in range(16):
        row_of(table, f"key {n}", now=float(n))
    row_of(table, "key 0", now=100.0)
    row_of(table, "another", now=101.0)
    assert table.find("key 1") is None
    assert table.find("key 0") is not None


def test_a_row_that_is_counted_in_stays() -> None:
    table = a_table(rows=16)
    for n in range(16):
        row_of(table, f"key {n}").add()
    assert table.row("another", 1.0) is None
    row_of(table, "key 3").give_back()
    assert table.row("another", 1.0) is not None
    assert table.find("key 3") is None


def test_nothing_is_given_back_that_was_not_taken() -> None:
    row = row_of(a_table(), "site")
    row.give_back()
    assert row.total == 0


def test_the_sharers_of_a_row_are_counted() -> None:
    table = a_table()
    row = row_of(table, "site")
    assert row.sharers == 1
    in_child(table, 2, lambda: row_of(table, "site").add())
    assert row.sharers == 2


@each("key", ["", "a", "\udcff", "ключ", "x" * 5000])
def test_any_text_is_a_key(key: str) -> None:
    table = a_table()
    row_of(table, key).add()
    assert row_of(table, key).total == 1


def test_the_board_shows_each_worker() -> None:
    board = Board(2)
    board.become(1, 4711)
    board.live(12.5)
    board.serve()
    board.connected(3)
    board.connected(-1)
    assert (board.pid(1), board.alive(1), board.connections(1)) == (4711, 12.5, 2)
    assert (board.pid(0), board.alive(0), board.connections(0)) == (0, 0.0, 0)
    assert (board.serves(0), board.serves(1)) == (False, True)
    board.leave()
    assert (board.serves(1), board.alive(1)) == (False, 12.5), "it lives, and takes no more"
    board.clear(1)
    assert (board.pid(1), board.alive(1), board.connections(1)) == (0, 0.0, 0)
