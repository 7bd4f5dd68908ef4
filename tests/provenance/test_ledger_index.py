"""The index: always to be had again, never believed when stale, and never lying."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from ledger_cases import KEY, entry, filled, furnished

from tailguard.provenance.ledger import index as index_module
from tailguard.provenance.ledger.base import LedgerBroken, LedgerError
from tailguard.provenance.ledger.index import FILE, Index, listed
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.verifying import verify


def numbers(ledger: Ledger, name: str) -> list[int]:
    with Index(ledger) as index:
        return [one.sequence for one in index.find(name)]


def test_the_index_finds_what_the_log_has_and_follows_its_growth(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 300)
    assert numbers(ledger, "name:batch-7") == [7]
    ledger.append([entry(7), entry(301)], KEY)
    assert numbers(ledger, "name:batch-7") == [7, 300]
    assert numbers(ledger, "name:batch-301") == [301] and numbers(ledger, "name:none") == []
    with Index(ledger) as index:
        assert not index.rebuilt and index.size == 302
        index.check()
        assert [e.sequence for e in index.of_kind("verdict", newest=2)] == [301, 300]


def test_a_lost_index_is_made_again_from_the_log(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 5)
    assert numbers(ledger, "name:batch-3") == [3]
    (tmp_path / "log" / FILE).unlink()
    assert numbers(ledger, "name:batch-3") == [3]


def test_the_index_of_another_log_is_seen_and_made_again(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 5)
    other = Ledger.init(tmp_path / "other", KEY)
    other.append([entry(i) for i in range(100, 105)], KEY)
    longer = filled(tmp_path / "longer", 9)
    for stranger in (other, longer):
        assert numbers(stranger, "name:x") == []
        shutil.copy(stranger.folder.path / FILE, tmp_path / "log" / FILE)
        with Index(ledger) as index:
            assert index.rebuilt and [e.sequence for e in index.find("name:batch-3")] == [3]
            index.check()


def test_an_index_in_steps_is_the_same_as_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = filled(tmp_path / "log", 50)
    monkeypatch.setattr(index_module, "_AT_ONCE", 7)
    with Index(ledger) as index:
        index.check()
        assert index.size == 50 and not index.rebuilt


@pytest.mark.parametrize("command", [
    "DELETE FROM names WHERE seq = 3", "DELETE FROM entries WHERE seq = 3",
    "UPDATE entries SET kind = 1 WHERE seq = 3", "INSERT INTO names VALUES (5, 3)",
    "UPDATE names SET seq = 4 WHERE seq = 3", "INSERT INTO entries VALUES (-1, 0)",
    "DELETE FROM entries WHERE seq = 8", "UPDATE entries SET kind = 'x' WHERE seq = 3",
])  # fmt: skip
def test_an_index_that_was_changed_is_found_out(tmp_path: Path, command: str) -> None:
    ledger = filled(tmp_path / "log", 9)
    assert numbers(ledger, "name:batch-3") == [3]
    with sqlite3.connect(tmp_path / "log" / FILE) as base:
        base.execute(command)
    with Index(ledger) as index, pytest.raises(LedgerBroken, match="an index that fits the log"):
        index.check()
    found = verify(ledger)
    assert not found.ok and "delete it" in found.problems[0]


@pytest.mark.parametrize("command", [
    "DROP TABLE names", "CREATE TABLE more (x)", "DELETE FROM head", "PRAGMA user_version = 9",
    "UPDATE head SET size = -1", "UPDATE head SET size = 'x'", "UPDATE head SET root = x'00'",
    "CREATE TRIGGER t AFTER INSERT ON names BEGIN DELETE FROM names; END",
])  # fmt: skip
def test_an_index_of_another_form_is_made_again(tmp_path: Path, command: str) -> None:
    ledger = filled(tmp_path / "log", 9)
    assert numbers(ledger, "name:batch-3") == [3]
    with sqlite3.connect(tmp_path / "log" / FILE) as base:
        base.execute(command)
    with Index(ledger) as index:
        assert index.rebuilt and [e.sequence for e in index.find("name:batch-3")] == [3]
        index.check()


@pytest.mark.parametrize("data", [b"", b"nonsense", b"SQLite format 3\0" + bytes(4_000)])
def test_a_file_that_is_no_index_is_made_again(tmp_path: Path, data: bytes) -> None:
    ledger = filled(tmp_path / "log", 9)
    (tmp_path / "log" / FILE).write_bytes(data)
    assert numbers(ledger, "name:batch-3") == [3]


def test_an_index_never_writes_where_a_link_leads(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 3)
    for name in (FILE, f"{FILE}-journal"):
        (tmp_path / "log" / name).symlink_to(tmp_path / "victim")
        assert numbers(ledger, "name:batch-2") == [2]
        assert not (tmp_path / "victim").exists()


def test_a_ledger_that_cannot_be_written_is_indexed_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = filled(tmp_path / "log", 3)
    if os.geteuid() == 0:  # who may write anywhere: a folder where the file should be
        (tmp_path / "log" / FILE).mkdir()
        (tmp_path / "log" / FILE / "in" / "it").mkdir(parents=True)
    else:
        (tmp_path / "log").chmod(0o555)
    assert numbers(ledger, "name:batch-2") == [2]
    assert not (tmp_path / "log" / FILE).is_file()


def test_entries_are_listed_by_kind_and_by_name(tmp_path: Path) -> None:
    ledger, _, _ = furnished(tmp_path)

    def told(**options: object) -> list[int]:
        return [one.sequence for one in listed(ledger, newest=9, **options)]  # type: ignore[arg-type]

    assert told() == [0, 1, 2, 3, 4] and told(kind="data-registered") == [1, 2]
    assert told(about="a.jsonl") == [1] and told(about="a.jsonl", kind="verdict") == []
    assert [e.sequence for e in listed(ledger, newest=2)] == [3, 4]
    assert [e.sequence for e in listed(ledger, newest=1, kind="verdict")] == [4]
    with pytest.raises(LedgerError, match="one of data-registered"):
        told(kind="nonsense")
