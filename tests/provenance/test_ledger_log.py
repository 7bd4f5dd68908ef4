"""A log: made, opened, appended to by several at once, on a full disk, with a clock gone wrong."""

from __future__ import annotations

import os
import resource
import signal
import threading
from pathlib import Path

import pytest
from ledger_cases import KEY, OTHER, WITNESS, entry, filled

from tailguard.provenance import merkle
from tailguard.provenance.ledger import files, log, statements
from tailguard.provenance.ledger.base import LONGEST_ENTRY_BYTES, LedgerBroken, LedgerError
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.statements import statement
from tailguard.provenance.ledger.verifying import verify


def test_entries_are_read_back_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    ledger = Ledger.init(tmp_path / "log", KEY)
    assert ledger.append([], KEY) == range(0) and ledger.size == 0
    assert ledger.append([entry(0), entry(1)], KEY) == range(2)
    assert ledger.append([entry(1)], KEY) == range(2, 3)  # the same again is an entry of its own
    opened = Ledger.open(tmp_path / "log", KEY.public)
    assert [(e.sequence, e.data) for e in opened.entries()] == [
        (0, entry(0)), (1, entry(1)), (2, entry(1))
    ]  # fmt: skip
    assert [e.sequence for e in opened.entries(1, 2)] == [1]
    assert opened.entry(2).statement["predicate"]["number"] == 1
    for number in (-1, 3):
        with pytest.raises(LedgerError, match="an entry below 3"):
            opened.entry(number)


def test_the_folders_made_for_a_ledger_are_durable_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(log, "sync_folder", lambda path: synced.append(path))
    Ledger.init(tmp_path / "a/b/log", KEY)
    assert synced == [tmp_path / "a/b", tmp_path / "a", tmp_path]


def test_a_ledger_is_made_only_where_there_is_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "log", 2)
    with pytest.raises(LedgerError, match="got a ledger"):
        Ledger.init(tmp_path / "log", KEY)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/data.txt").touch()
    with pytest.raises(LedgerError, match="other files"):
        Ledger.init(tmp_path / "full", KEY)
    (tmp_path / "file").touch()
    for name in ("file", "zero\0byte"):
        with pytest.raises(LedgerError, match="a new folder"):
            Ledger.init(tmp_path / name, KEY)
    assert Ledger.open(tmp_path / "log").size == 2


def test_a_ledger_whose_making_was_interrupted_can_be_made_again(tmp_path: Path) -> None:
    Ledger.init(tmp_path / "log", KEY)
    (tmp_path / "log/ledger.json").unlink()  # written last
    (tmp_path / "log/.checkpoint.0000.tmp").touch()
    with pytest.raises(LedgerError, match="none there"):
        Ledger.open(tmp_path / "log")
    ledger = Ledger.init(tmp_path / "log", OTHER)
    assert ledger.append([entry(0)], OTHER) == range(1)


def test_another_key_neither_opens_nor_writes(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 2)
    with pytest.raises(LedgerBroken, match="the ledger of"):
        Ledger.open(tmp_path / "log", OTHER.public)
    for key in (OTHER, WITNESS):
        with pytest.raises(LedgerError, match="expected the key of example"):
            ledger.append([entry(2)], key)
    assert ledger.size == 2


@pytest.mark.parametrize("name", ["ledger.json", "checkpoint"])
@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xff", b"x\n\ny\n", b'{"format":1,"key":[]}'])
def test_a_ledger_with_nonsense_for_a_head_is_broken_in_one_line(
    tmp_path: Path, name: str, data: bytes
) -> None:
    filled(tmp_path / "log", 2)
    (tmp_path / "log" / name).write_bytes(data)
    with pytest.raises(LedgerBroken) as caught:
        Ledger.open(tmp_path / "log")
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_a_checkpoint_of_another_size_is_seen_before_anything_is_added(tmp_path: Path) -> None:
    """An older head put back, and tiles of a newer one: no entry may be built on that."""
    ledger = filled(tmp_path / "log", 3)
    head = (tmp_path / "log/checkpoint").read_bytes()
    other = Ledger.init(tmp_path / "other", KEY)
    other.append([entry(7), entry(8), entry(9)], KEY)
    (tmp_path / "log/checkpoint").write_bytes((tmp_path / "other/checkpoint").read_bytes())
    with pytest.raises(LedgerBroken, match="tiles that fit the checkpoint"):
        Ledger.open(tmp_path / "log").append([entry(4)], KEY)
    (tmp_path / "log/checkpoint").write_bytes(head)
    assert ledger.append([entry(4)], KEY) == range(3, 4)


def test_one_bad_entry_keeps_the_whole_batch_out(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 2)
    with pytest.raises(LedgerError, match="new entry 1: expected JSON"):
        ledger.append([entry(2), b"{", entry(3)], KEY)
    assert ledger.size == 2 and verify(ledger).problems == []


def test_a_secret_that_is_in_a_log_already_keeps_nobody_from_reading_it(tmp_path: Path) -> None:
    ledger = Ledger.init(tmp_path / "log", KEY)
    secret = entry(0).replace(b"batch-0", b"https://a:b" + b"@c")
    with pytest.raises(LedgerError, match="nothing secret"):
        ledger.append([secret], KEY)
    ledger.append([statements.EntryBytes(secret), entry(1)], KEY)  # as another program would
    assert [e.data for e in ledger.entries()] == [secret, entry(1)]


def test_a_clock_that_runs_backwards_changes_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.init(tmp_path / "log", KEY)
    times = [f"20{year:02d}-06-01T00:00:00Z" for year in range(40, 0, -1)]
    for number, at in enumerate(times):
        monkeypatch.setattr(statements, "now", lambda at=at: at)
        subject = [(f"b{number}", {"sha256": "00" * 32})]
        ledger.append([statement("verdict", subject, {"status": "pass"})], KEY)
        os.utime(tmp_path / "log/checkpoint", (10**9 - number, 10**9 - number))
    assert [e.statement["predicate"]["recorded"] for e in ledger.entries()] == times
    assert verify(Ledger.open(tmp_path / "log")).problems == []


@pytest.mark.parametrize("room", [100, 3_000, 9_000])
def test_a_full_disk_is_one_line_and_leaves_the_log_as_it_was(tmp_path: Path, room: int) -> None:
    ledger = filled(tmp_path / "log", 3)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(LedgerError, match="nothing entered was lost"):
            ledger.append([entry(i) for i in range(3, 400)], KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    assert ledger.size == 3 and verify(ledger).problems == []
    assert ledger.append([entry(3)], KEY) == range(3, 4)
    assert verify(ledger).problems == [] and verify(ledger).notes == []


def test_threads_with_ledgers_of_their_own_make_one_sound_log(tmp_path: Path) -> None:
    Ledger.init(tmp_path / "log", KEY)
    taken: dict[int, int] = {}

    def work(worker: int) -> None:
        ledger = Ledger.open(tmp_path / "log")
        for number in range(worker * 100, worker * 100 + 15):
            (sequence,) = ledger.append([entry(number)], KEY)
            taken[sequence] = number

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger = Ledger.open(tmp_path / "log")
    assert ledger.size == len(taken) == 60 and verify(ledger).problems == []
    assert [e.data for e in ledger.entries()] == [entry(taken[i]) for i in range(60)]
    assert ledger.head()[0].root == merkle.root(
        [merkle.leaf_hash(entry(taken[i])) for i in range(60)]
    )


def test_a_lock_that_is_held_is_told_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = filled(tmp_path / "log", 1)
    monkeypatch.setattr(files, "LOCK_PATIENCE_S", 0.05)
    with (
        Ledger.open(tmp_path / "log").folder.lock(),
        pytest.raises(LedgerError, match="to be the only writer"),
    ):
        ledger.append([entry(1)], KEY)
    # A lock file of a process that is no more is no lock.
    assert (tmp_path / "log/lock").exists()
    assert ledger.append([entry(1)], KEY) == range(1, 2)


def test_the_longest_entry_fits_and_a_longer_one_does_not(tmp_path: Path) -> None:
    ledger = Ledger.init(tmp_path / "log", KEY)
    empty = len(statement("verdict", [("a", {"sha256": "00" * 4})], {"status": "pass", "x": ""}))
    fits = {"status": "pass", "x": "y" * (LONGEST_ENTRY_BYTES - empty)}
    longest = statement("verdict", [("a", {"sha256": "00" * 4})], fits)
    assert len(longest) == LONGEST_ENTRY_BYTES
    ledger.append([longest] * 3, KEY)
    assert ledger.entry(2).data == longest
    with pytest.raises(LedgerError, match="at most 65,535 bytes"):
        ledger.append([longest[:-1] + b" }"], KEY)


def test_tiles_are_on_the_disk_before_the_checkpoint_speaks_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file and folder is synced before the head is renamed, and the head's folder after."""
    ledger = filled(tmp_path / "log", 200)
    root = str(tmp_path / "log")
    seen: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        seen.append(("sync", os.path.relpath(os.readlink(f"/proc/self/fd/{handle}"), root)))
        fsync(handle)

    def noted_replace(source: str, target: str) -> None:
        seen.append(("rename", os.path.relpath(target, root)))
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", noted_fsync)
    monkeypatch.setattr(files.os, "replace", noted_replace)
    ledger.append([entry(i) for i in range(200, 600)], KEY)
    commit = seen.index(("rename", "checkpoint"))
    before = {name for what, name in seen[:commit] if what == "sync"}
    written = {"tile/entries/000", "tile/entries/001", "tile/entries/002.p/88", "tile/0/000",
               "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"}  # fmt: skip
    folders = {"tile", "tile/0", "tile/1", "tile/entries", "tile/entries/002.p", "tile/1/000.p"}
    assert written | folders <= before
    assert any(name.startswith(".checkpoint") for name in before)
    assert ("sync", ".") in seen[commit:]
