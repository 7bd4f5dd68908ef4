"""Releases of gold: what was appended is proved, what was removed is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from gold_cases import GROUP, KEY, STRANGER, forged, locked, make_gold, payload, rows, write
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.provenance.base import LockError
from tailguard.provenance.canonical import record_id
from tailguard.provenance.envelope import Envelope
from tailguard.provenance.gold import check_chain, check_link, lockfile, release, releases
from tailguard.provenance.gold.records import leaves_of
from tailguard.provenance.merkle import root


def released(data: Path, previous: Envelope, **options: Any) -> Envelope:
    options = {"by": "curation team", "key": KEY, "engine": "serial"} | options
    return release(data, previous=previous, **options)


def two(tmp_path: Path) -> tuple[Path, Path, Envelope]:
    """A first release, and a copy of its data to change."""
    old = make_gold(tmp_path / "old")
    new = Path(shutil.copytree(old, tmp_path / "new"))
    return old, new, locked(old)


def chain(first: Envelope, second: Envelope, data: Path | None = None) -> tuple[str, bool, int]:
    one, link = check_chain([first, second], trusted=[KEY.public], data=data)
    assert not one.fault
    return link.fault, link.append_only, link.removed


def test_added_files_are_proved_by_consistency_of_the_trees(tmp_path: Path) -> None:
    _, new, first = two(tmp_path)
    write(new / "aa.parquet", rows(200, 210))
    write(new / "0.jsonl", rows(210, 220))
    second = released(new, first)
    told = payload(second)
    assert [f["path"] for f in told["files"]] == [
        "a.parquet", "c.jsonl", "sub/b.parquet", "0.jsonl", "aa.parquet"
    ]  # fmt: skip
    assert told["previous"]["proof"] and "changed" not in told["previous"]
    assert chain(first, second) == ("", True, 0)
    assert chain(first, second, new) == ("", True, 0)
    third = released(new, second)
    assert [link.fault for link in check_chain([first, second, third], trusted=[KEY.public])] == [
        "", "", ""
    ]  # fmt: skip


@pytest.mark.parametrize("more", [1, 4, 5, 8, 60])
def test_rows_appended_to_a_file_are_proved_without_the_old_data(tmp_path: Path, more: int) -> None:
    _, new, first = two(tmp_path)
    write(new / "a.parquet", [*rows(0, 100), *rows(300, 300 + more)])
    second = released(new, first)
    [entry] = payload(second)["previous"]["changed"]
    assert entry["path"] == "a.parquet" and entry["proof"]
    assert chain(first, second) == ("", True, 0)
    lie = forged(second, lambda t: t["previous"]["changed"][0]["proof"].__setitem__(0, "0" * 64))
    assert "does not hold" in chain(first, lie)[0]


def test_removed_records_are_listed_with_their_places(tmp_path: Path) -> None:
    old, new, first = two(tmp_path)
    kept = [row for row in rows(0, 100) if row["n"] not in (3, 4, 99)]
    write(new / "a.parquet", [*kept, *rows(500, 503)])
    (new / "sub" / "b.parquet").unlink()
    with pytest.raises(LockError, match="pass the old data"):
        released(new, first)
    second = released(new, first, old_data=old)
    changed = {entry["path"]: entry["removed"] for entry in payload(second)["previous"]["changed"]}
    assert changed["sub/b.parquet"] is None
    assert changed["a.parquet"] == [[n, record_id(rows(n, n + 1)[0])] for n in (3, 4, 99)]
    assert chain(first, second) == ("", False, 8)
    assert chain(first, second, new) == ("", False, 8)


def test_other_data_than_the_release_does_not_confirm_it(tmp_path: Path) -> None:
    old, new, first = two(tmp_path)
    write(new / "a.parquet", [*rows(1, 100), *rows(500, 510)])
    second = released(new, first, old_data=old)
    assert chain(first, second, new) == ("", False, 1)
    write(new / "a.parquet", [*rows(1, 100), *rows(500, 509), *rows(600, 601)])
    assert "not the file that was locked" in chain(first, second, new)[0]
    (new / "a.parquet").unlink()
    assert "not there" in chain(first, second, new)[0]


def test_a_changed_record_is_one_removed_and_one_appended(tmp_path: Path) -> None:
    old, new, first = two(tmp_path)
    changed = rows(0, 100)
    changed[10]["text"] = "corrected"
    write(new / "a.parquet", [*changed[:10], *changed[11:], changed[10]])
    second = released(new, first, old_data=old)
    assert chain(first, second, new) == ("", False, 1)


def test_an_untold_removal_is_found_with_the_data(tmp_path: Path) -> None:
    """The liar lists one record, and quietly takes another."""
    old, new, first = two(tmp_path)
    write(new / "a.parquet", [row for row in rows(0, 100) if row["n"] not in (3, 50)])
    honest = released(new, first, old_data=old)

    def hide(told: dict[str, Any]) -> None:
        told["previous"]["changed"][0]["removed"].pop()

    lie = forged(honest, hide)
    assert "cannot be" in chain(first, lie)[0]
    write(new / "a.parquet", [*(r for r in rows(0, 100) if r["n"] not in (3, 50)), *rows(700, 702)])
    lie = forged(released(new, first, old_data=old), hide)
    assert chain(first, lie)[0] == ""  # nothing to see without the data
    assert "more than the listed" in chain(first, lie, new)[0]


LIES: dict[str, Any] = {
    "no link": lambda t: t.pop("previous"),
    "another release": lambda t: t["previous"].update(payload="0" * 64),
    "another root": lambda t: t["previous"].update(root="0" * 64),
    "another count": lambda t: t["previous"].update(rows=1),
    "no proof": lambda t: t["previous"].pop("proof"),
    "an empty proof": lambda t: t["previous"].update(proof=[]),
    "a wrong proof": lambda t: t["previous"]["proof"].__setitem__(0, "0" * 64),
    "a proof that is none": lambda t: t["previous"].update(proof=3),
    "both": lambda t: t["previous"].update(changed=[]),
    "more": lambda t: t["previous"].update(more=1),
    "changes told of an unchanged file": lambda t: (
        t["previous"].pop("proof"),
        t["previous"].update(changed=[{"path": "a.parquet", "removed": None}]),
    ),
    "entries that are none": lambda t: (
        t["previous"].pop("proof"), t["previous"].update(changed=["x"])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_link_that_lies_is_told(name: str, tmp_path: Path) -> None:
    _, new, first = two(tmp_path)
    write(new / "z.parquet", rows(200, 210))
    second = released(new, first)
    fault, append_only, _ = chain(first, forged(second, LIES[name]))
    assert fault and "\n" not in fault and not append_only


def test_a_changed_file_that_is_not_told_is_found_without_data(tmp_path: Path) -> None:
    _, new, first = two(tmp_path)
    write(new / "z.parquet", rows(200, 210))
    second = released(new, first)
    write(new / "a.parquet", rows(1, 101))
    third = locked(new)

    def pretend(told: dict[str, Any]) -> None:
        told["previous"] = payload(second)["previous"]

    assert "does not say so" in chain(first, forged(third, pretend))[0]


def test_releases_need_a_signature_that_is_trusted(tmp_path: Path) -> None:
    _, new, first = two(tmp_path)
    write(new / "z.parquet", rows(200, 210))
    foreign = locked(new, key=STRANGER)
    with pytest.raises(LockError, match="key you trust"):
        released(new, foreign)
    second = release(
        new, previous=first, by="x", key=STRANGER, trusted=[KEY.public], engine="serial"
    )
    links = check_chain([first, second], trusted=[KEY.public])
    assert links[0].fault == "" and links[1].fault == "its signature is unknown"
    assert check_link(first, second).fault == ""


def test_old_data_that_is_not_what_was_locked_is_refused(tmp_path: Path) -> None:
    old, new, first = two(tmp_path)
    write(new / "a.parquet", rows(1, 100))
    write(old / "a.parquet", rows(0, 99))
    with pytest.raises(LockError, match="find the old data"):
        released(new, first, old_data=old)


def test_too_many_removals_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, first = two(tmp_path)
    write(new / "a.parquet", rows(50, 100))
    monkeypatch.setattr(releases, "MOST_REMOVED", 49)
    with pytest.raises(LockError, match="more than 49"):
        released(new, first, old_data=old)


@given(
    before=st.integers(1, 40),
    gone=st.sets(st.integers(0, 39), max_size=12),
    more=st.integers(0, 20),
)
@settings(max_examples=25, deadline=None)
def test_any_removal_and_addition_can_be_linked_and_checked(
    before: int, gone: set[int], more: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("release")
    old = write(folder / "old" / "x.jsonl", rows(0, before)).parent
    kept = [row for row in rows(0, before) if row["n"] not in gone] + rows(100, 100 + more)
    new = write(folder / "new" / "x.jsonl", kept).parent
    if not kept:
        return
    first = locked(old)
    second = released(new, first, old_data=old)
    removed = len(gone & set(range(before)))
    assert chain(first, second, new) == ("", removed == 0, removed)


def test_rows_between_two_places_are_read_across_parts(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    file = releases.find_files(gold)[0]
    whole = leaves_of(file, 0, 100)
    lock = lockfile.read(locked(gold))
    for first in (0, 8, 96):
        part = leaves_of(file, first, first + GROUP)
        assert (part == whole[first : first + GROUP]).all()
        assert root(part) == lock.files[0].groups[first // GROUP]
    assert leaves_of(file, 100, 110).shape == (0, 32)
