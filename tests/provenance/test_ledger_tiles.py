"""The tree in tiles: where they lie, what they hold, whatever the batches were."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_cases import KEY, entry, filled

from tailguard.provenance import merkle
from tailguard.provenance.ledger.base import LedgerBroken, LedgerError
from tailguard.provenance.ledger.files import Folder
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.tiles import (
    Tree,
    pack_entries,
    parse_tile_name,
    tile_name,
    tiles_in,
    unpack_entries,
    width_of,
)

ENTRIES = [entry(i) for i in range(700)]
LEAVES = [merkle.leaf_hash(one) for one in ENTRIES]


def test_paths_are_those_that_the_standard_gives_as_examples() -> None:
    assert tile_name(3, 1234067) == "tile/3/x001/x234/067"
    assert tile_name("entries", 0, 1) == "tile/entries/000.p/1"
    # A tree of 70,000: 273 full tiles and one of 112; 1 and one of 17; one of 1.
    widths = {level: [width_of(level, i, 70_000) for i in range(275)] for level in range(4)}
    assert widths[0][:273] == [256] * 273 and widths[0][273:] == [112, 0]
    assert widths[1][:3] == [256, 17, 0] and widths[2][:2] == [1, 0] and widths[3][0] == 0


@given(st.sampled_from([0, 1, 63, "entries"]), st.integers(0, 10**15 - 1), st.integers(1, 256))
def test_every_path_of_a_tile_is_read_back_as_the_tile(
    level: int | str, index: int, width: int
) -> None:
    assert parse_tile_name(tile_name(level, index, width)) == (level, index, width)


@pytest.mark.parametrize(
    "name",
    ["tile/0/1", "tile/0/x000/001", "tile/00/001", "tile/64/001", "tile/0/001.p/0",
     "tile/0/001.p/256", "tile/0/001.p/01", "tile/0/../001", "tile/entries/x001",
     "x/tile/0/001", "tile/0/001\n"],
)  # fmt: skip
def test_a_path_that_is_no_tile_of_the_standard_is_none(name: str) -> None:
    assert parse_tile_name(name) is None


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.data())
def test_a_cut_or_longer_bundle_is_never_read(entries: list[bytes], data: st.DataObject) -> None:
    packed = pack_entries(entries)
    assert unpack_entries(packed, len(entries)) == entries
    end = data.draw(st.integers(0, len(packed) - 1))
    for damaged in (packed[:end], packed + b"\0"):
        with pytest.raises(LedgerBroken, match=f"a bundle of {len(entries)} entries"):
            unpack_entries(damaged, len(entries))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_tiles_depend_on_the_entries_and_not_on_the_batches(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    ledger, n = Ledger.init(folder / "by-batches", KEY), 0
    for batch in batches:
        batch = min(batch, len(ENTRIES) - n)
        ledger.append(ENTRIES[n : n + batch], KEY)
        n += batch
        assert ledger.head()[0].root == merkle.root(LEAVES[:n])
    at_once = Ledger.init(folder / "at-once", KEY)
    at_once.append(ENTRIES[:n], KEY)
    needed = {
        tile_name(level, index, width)
        for level in ("entries", 0, 1)
        for index in range(4)
        if (width := width_of(0 if level == "entries" else int(level), index, n))
    }
    for name in needed:
        first, second = (one.folder.read(name, 1 << 24) for one in (ledger, at_once))
        assert first is not None and first == second, name
    found = {
        name for level in ("entries", 0, 1, 2) for name, _, _ in tiles_in(at_once.folder, level)
    }
    assert found == needed


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 700])
def test_proofs_from_tiles_are_those_of_the_definition(tmp_path: Path, n: int) -> None:
    tree = filled(tmp_path / "log", n).tree()
    for index in {0, n // 2, n - 1}:
        assert tree.inclusion(index) == merkle.inclusion_proof(LEAVES[:n], index)
        assert tree.entry(index) == ENTRIES[index]
    for old in {1, n // 3 + 1, n}:
        assert tree.consistency(old) == merkle.consistency_proof(LEAVES[:n], old)
        assert tree.root(old) == merkle.root(LEAVES[:old])
        # Of a smaller tree, as an older checkpoint or a reference needs it.
        assert tree.inclusion(0, old) == merkle.inclusion_proof(LEAVES[:old], 0)


def test_an_older_reader_goes_on_when_partial_tiles_have_become_full(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 200)
    old = ledger.tree()
    ledger.append(ENTRIES[200:300], KEY)
    assert not (tmp_path / "log/tile/0/000.p").exists()
    assert old.root() == merkle.root(LEAVES[:200])
    assert [data for _, data in old.entries()] == ENTRIES[:200]


def test_tiles_beyond_an_index_are_found_without_the_ones_before(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    indices = [0, 5, 999, 1000, 1001, 12_345, 999_999, 1_000_000, 1_234_067]
    for index in indices:
        folder.write(tile_name(0, index, 7), b"x")
    folder.sync()
    for beyond in (0, 5, 6, 999, 1000, 12_345, 1_000_000, 1_234_068):
        found = sorted(index for _, index, _ in tiles_in(folder, 0, beyond))
        assert found == [index for index in indices if index >= beyond]


def test_a_bundle_with_another_entry_is_told_and_not_returned(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 3)
    path = tmp_path / "log/tile/entries/000.p/3"
    path.write_bytes(pack_entries([ENTRIES[0], ENTRIES[2], ENTRIES[1]]))
    with pytest.raises(LedgerBroken, match="the entries that were signed"):
        ledger.entry(0)
    path.unlink()
    with pytest.raises(LedgerBroken, match="nothing there"):
        ledger.entry(0)


def test_entries_and_tile_changed_together_are_told_and_not_returned(tmp_path: Path) -> None:
    """Whoever can write the folder can make entries and tiles fit, but not the signed root."""
    for n in (3, 300, 700):
        ledger, other = filled(tmp_path / f"{n}", n), Ledger.init(tmp_path / f"{n}-other", KEY)
        other.append([entry(9_999), *ENTRIES[1:n]], KEY)
        width = min(n, 256)
        for level in ("entries", 0):
            name = tile_name(level, 0, width)
            (tmp_path / f"{n}" / name).write_bytes((tmp_path / f"{n}-other" / name).read_bytes())
        with pytest.raises(LedgerBroken, match="the entries that were signed"):
            list(ledger.entries())
        if n > 256:
            assert ledger.entry(256).data == ENTRIES[256]


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "huge", "link to a folder"])
def test_only_small_regular_files_inside_the_ledger_are_read(tmp_path: Path, kind: str) -> None:
    ledger = filled(tmp_path / "log", 3)
    outside = tmp_path / "outside"
    tile = tmp_path / "log/tile/0/000.p/3"
    tile.rename(outside)
    if kind == "link":
        tile.symlink_to(outside)
    elif kind == "folder":
        tile.mkdir()
    elif kind == "pipe":
        os.mkfifo(tile)  # reading one would wait for ever
    elif kind == "huge":
        with tile.open("wb") as file:
            file.truncate(1 << 40)
    else:
        tile.parent.rmdir()
        (tmp_path / "elsewhere").mkdir()
        outside.rename(tmp_path / "elsewhere/3")
        tile.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerError) as caught:
        Tree(ledger.folder if kind != "link to a folder" else Folder(tmp_path / "log"), 3).root()
    assert str(caught.value).count("\n") == 0


def test_writing_never_follows_a_link_out_of_the_ledger(tmp_path: Path) -> None:
    filled(tmp_path / "log", 3)
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "log/tile").rename(tmp_path / "kept")
    (tmp_path / "log/tile").symlink_to(victim)
    with pytest.raises(LedgerError):
        Ledger.open(tmp_path / "log").append([ENTRIES[3]], KEY)
    with pytest.raises(LedgerError, match="a folder"):
        Folder(tmp_path / "log").write("tile/0/001", b"x")
    (tmp_path / "log/tile").unlink()
    (tmp_path / "kept").rename(tmp_path / "log/tile")
    ways: dict[str, Callable[[], object]] = {
        "lock": lambda: Ledger.open(tmp_path / "log").append([ENTRIES[3]], KEY),
        "tile/0/000.p/4": lambda: Folder(tmp_path / "log").write("tile/0/000.p/4", b"x"),
    }
    for name, write in ways.items():
        (tmp_path / "log" / name).unlink(missing_ok=True)
        (tmp_path / "log" / name).symlink_to(victim / "file")
        with pytest.raises(LedgerError, match="got a link"):
            write()
        (tmp_path / "log" / name).unlink()
    assert not list(victim.iterdir())
