"""Which calls fail: read from what strace wrote of a run in which none does."""

from torture.fault import KINDS, Counts, count, count_start, plan
from torture.injection import syncs_repeated

LOG = """\
11 pwrite64(5</d/queue-0.db-wal>, "x", 24, 0) = 24
11 pwrite64(5</d/queue-0.db-wal>, "x", 24, 24 <unfinished ...>
12 write(7<socket:[9]>, "250 OK", 6) = 6
11 <... pwrite64 resumed>) = 24
11 pwrite64(4</d/queue-0.db>, "x", 4096, 0) = 4096
11 pwrite64(4</d/queue-0.db>, "x", 4096, 4096) = 4096
11 pwrite64(4</d/queue-0.db>, "x", 4096, 8192) = 4096
13 write(2</d/server.log>, "words", 5) = 5
13 write(8</d/mail/a.test/box/tmp/1>, "x", 1) = 1
13 write(8</d/mail/a.test/box/tmp/1>, "x", 1) = 1
13 fsync(8</d/mail/a.test/box/tmp/1>) = 0
13 renameat(6</d/mail/a.test/box/tmp>, "1", 7</d/mail/a.test/box/new>, "1,S=2") = 0
13 fsync(7</d/mail/a.test/box/new>) = 0
""".splitlines()


def test_calls_are_counted_by_thread_and_only_where_they_are_meant() -> None:
    counts = count(LOG, is_boxed=True)
    assert counts.every["write"] == [2, 3]  # The first of that thread went into the log.
    assert count(LOG, is_boxed=False).every == {"pwrite64": [1, 2, 3, 4, 5]}


def test_where_a_file_is_turned_to_and_beside_a_rename_is_notable() -> None:
    assert count(LOG, is_boxed=False).notable == {"pwrite64": [2, 3]}
    assert count(LOG, is_boxed=True).notable["fsync"] == [1, 2]


def test_every_n_fails_and_notable_ones_with_every_errno() -> None:
    cases = plan(Counts({"pwrite64": list(range(1, 10))}, {"pwrite64": [7]}))
    once = {(one.nth, one.error) for one in cases if one.calls == "pwrite64" and _is_plain(one)}
    assert {nth for nth, _ in once} == set(range(1, 10))
    both = {nth for nth, error in once if (nth, "EIO") in once and (nth, "ENOSPC") in once}
    assert both == {1, 2, 3, 7}


def test_only_calls_that_a_start_makes_fail_at_a_start() -> None:
    counts = count_start(line for line in LOG if line.startswith("11"))
    found = [one for one in plan(counts) if one.at_start]
    assert {one.calls for one in found} == {"pwrite64"}
    assert {one.nth for one in found} == {1, 2, 3, 5}


def test_each_case_has_a_name_of_its_own() -> None:
    every = {kind.calls: [1, 2, 3, 4] for kind in KINDS}
    names = [one.name for one in plan(Counts(every, {}, every))]
    assert len(names) == len(set(names))


def test_a_sync_after_one_that_failed_is_a_flaw_unless_all_is_written_anew() -> None:
    failed = "9 fdatasync(5</d/q.db>) = -1 EIO (Input/output error) (INJECTED)"
    again = "9 fdatasync(5</d/q.db>) = 0"
    one, two = (f'9 pwrite64(5</d/q.db>, "x"..., 4096, {n}) = 4096' for n in (0, 4096))
    assert syncs_repeated([failed, again])
    assert syncs_repeated([one, two, failed, again])
    assert syncs_repeated([one, two, failed, two, again])
    assert not syncs_repeated([one, two, failed, one, two, again])
    assert not syncs_repeated([one, failed, "9 close(5</d/q.db>) = 0", again])


def test_a_failing_sync_is_seen_when_other_threads_spoke_meanwhile() -> None:
    failed = [
        "9 fdatasync(5</d/q.db> <unfinished ...>",
        '12 pwrite64(7</d/r.db>, "x"..., 4096, 0) = 4096',
        "9 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)",
    ]
    again = ["12 fdatasync(5</d/q.db> <unfinished ...>", "12 <... fdatasync resumed>) = 0"]
    assert syncs_repeated([*failed, *again])
    assert syncs_repeated([*failed, again[0], "9 close(7</d/r.db>) = 0", again[1]])
    # What had begun before is no second try, and what is never known to end says nothing.
    assert not syncs_repeated([again[0], *failed, again[1]])
    assert not syncs_repeated([*failed, again[0]])


def test_what_was_written_before_a_failure_is_not_written_anew() -> None:
    failed = "9 fdatasync(5</d/q.db>) = -1 EIO (Input/output error) (INJECTED)"
    again = "9 fdatasync(5</d/q.db>) = 0"
    begun = '9 pwrite64(5</d/q.db>, "x"..., 4096, 0 <unfinished ...>'
    ended = "9 <... pwrite64 resumed>) = 4096"
    assert not syncs_repeated([begun, ended, failed, begun, ended, again])
    other = begun.replace("9 pwrite64", "8 pwrite64"), ended.replace("9 <", "8 <")
    assert syncs_repeated([begun, ended, other[0], failed, other[1], again])


def _is_plain(case: object) -> bool:
    return not any(getattr(case, name) for name in ("stays", "at_start", "folding"))
