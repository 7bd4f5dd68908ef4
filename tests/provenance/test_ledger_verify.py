"""Verifying a whole ledger: what it covers, and more than 10,000 changes that it must see."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_cases import KEY, WITNESS, entry, filled, furnished

from tailguard.provenance import merkle
from tailguard.provenance.base import ProvenanceError
from tailguard.provenance.envelope import canonical_json
from tailguard.provenance.ledger.base import LedgerBroken, LedgerError
from tailguard.provenance.ledger.checking import check
from tailguard.provenance.ledger.index import FILE, Index
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.mapfile import KeyMap
from tailguard.provenance.ledger.notes import (
    Checkpoint,
    parse_note,
    sign_checkpoint,
    verify_checkpoint,
)
from tailguard.provenance.ledger.proofs import prove
from tailguard.provenance.ledger.statements import statement
from tailguard.provenance.ledger.tiles import pack_entries
from tailguard.provenance.ledger.verifying import verify
from tailguard.provenance.ledger.witness import cosign, witnessed


def changed(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one change of a kind that disks, wires and people make."""
    at = rng.randrange(len(data)) if data else 0
    end = min(len(data), at + rng.choice([1, 1, 2, 32, 100]))
    kinds: list[Callable[[], bytes]] = [
        lambda: data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
        lambda: data[:at],
        lambda: data[:at] + data[end:],
        lambda: data[:at] + data[at:end] + data[at:],
        lambda: data[:at] + bytes(end - at) + data[end:],
        lambda: data + rng.choice([b"\n", b"\0", b" ", data[:1]]),
    ]
    return rng.choice(kinds)()


def changes(data: bytes, n: int, seed: int) -> Iterator[bytes]:
    """``n`` changed versions, none equal to the original."""
    rng = random.Random(seed)
    while n:
        other = changed(data, rng)
        if other != data:
            n -= 1
            yield other


def test_a_sound_ledger_is_told_with_what_it_holds(tmp_path: Path) -> None:
    ledger, _, _ = furnished(tmp_path)
    ledger.append([entry(5, signer=WITNESS)], KEY)
    found = verify(ledger)
    assert found.ok and found.notes == [] and found.signed == 1
    assert found.kinds == {"verdict": 3, "data-registered": 2, "inventory": 1}
    assert found.checkpoint == ledger.head()[0]


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 512, 513, 1_100])
def test_a_ledger_of_any_size_verifies(tmp_path: Path, n: int) -> None:
    ledger = Ledger.init(tmp_path / "log", KEY)
    for first in range(0, n, 200):
        ledger.append([entry(i) for i in range(first, min(n, first + 200))], KEY)
    assert verify(ledger).problems == [] and verify(ledger).kinds["verdict"] == n


def test_entries_changed_and_tiles_made_to_fit_do_not_fit_the_head(tmp_path: Path) -> None:
    """Whoever rewrites entries, tiles and all, cannot rewrite the signed root."""
    ledger = filled(tmp_path / "log", 300)
    other = Ledger.init(tmp_path / "other", WITNESS)
    other.append([entry(i if i != 7 else 700) for i in range(300)], WITNESS)
    shutil.rmtree(tmp_path / "log/tile")
    shutil.copytree(tmp_path / "other/tile", tmp_path / "log/tile")
    found = verify(ledger)
    assert len(found.problems) == 1 and "the signed root" in found.problems[0]


def test_an_incomplete_inventory_is_found_by_whoever_reads_all(tmp_path: Path) -> None:
    ledger, _, _ = furnished(tmp_path)
    honest = ledger.entry(3).statement
    for field, change in (("map", {"keys": 1}), ("record_maps", {"count": 1})):
        told = {**honest["predicate"], field: {**honest["predicate"][field], **change}}
        subject = [(honest["subject"][0]["name"], honest["subject"][0]["digest"])]
        lie = Ledger.init(tmp_path / f"lie-{field}", KEY)
        lie.append([e.data for e in ledger.entries(0, 3)], KEY)
        lie.append([statement("inventory", subject, told)], KEY)
        assert "a complete inventory" in verify(lie).problems[0]


def test_a_reference_with_a_wrong_signature_is_found(tmp_path: Path) -> None:
    ledger = Ledger.init(tmp_path / "log", KEY)
    note = sign_checkpoint(Checkpoint(WITNESS.public.name, 0, merkle.EMPTY_ROOT), WITNESS)
    for key in (WITNESS.public, KEY.public):
        predicate = {"key": key.vkey, "checkpoint": note.to_bytes().decode(), "size": 0}
        subject = [("other", {"sha256": "00" * 32})]
        ledger.append([statement("log-reference", subject, predicate)], KEY)
    problems = verify(ledger).problems
    assert len(problems) == 1 and problems[0].startswith("entry 1: ")


def test_a_malformed_entry_in_a_log_is_one_line_and_the_rest_is_read(tmp_path: Path) -> None:
    """A log signed by its owner, but with what this program would not have entered."""
    ledger = filled(tmp_path / "log", 3)
    data = [entry(0), b"nonsense\n", entry(2)]
    leaves = [merkle.leaf_hash(one) for one in data]
    (tmp_path / "log/tile/entries/000.p/3").write_bytes(pack_entries(data))
    (tmp_path / "log/tile/0/000.p/3").write_bytes(b"".join(leaves))
    head = sign_checkpoint(Checkpoint(KEY.public.name, 3, merkle.root(leaves)), KEY)
    (tmp_path / "log/checkpoint").write_bytes(head.to_bytes())
    found = verify(ledger)
    assert found.kinds["verdict"] == 2 and len(found.problems) == 1
    assert found.problems[0].startswith("entry 1: expected JSON") and "\n" not in found.problems[0]
    with pytest.raises(LedgerError, match="entry 1: expected JSON"):
        list(ledger.entries())


def test_a_log_that_was_put_back_is_seen_with_an_older_checkpoint(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 5)
    shutil.copytree(tmp_path / "log", tmp_path / "backup")
    ledger.append([entry(5)], KEY)
    newest = (tmp_path / "log/checkpoint").read_bytes()
    assert verify(ledger, older=(tmp_path / "backup/checkpoint").read_bytes()).ok
    back = verify(Ledger.open(tmp_path / "backup"), older=newest)
    assert "a log that grew from 6 entries" in back.problems[0]
    assert "a signed note" in verify(ledger, older=b"nonsense").problems[0]
    forked = Ledger.open(tmp_path / "backup")
    forked.append([entry(60), entry(61)], KEY)
    assert "a log that grew" in verify(forked, older=newest).problems[0]


def test_a_missing_map_is_a_note_and_a_wrong_one_a_problem(tmp_path: Path) -> None:
    ledger, _, _ = furnished(tmp_path)
    maps = sorted((tmp_path / "ledger/maps").iterdir())
    needed = {e.statement["predicate"]["record_map"]["root"] for e in ledger.entries(1, 3)}
    one = next(path for path in maps if path.stem in needed)
    other = next(path for path in maps if path != one)
    shutil.copy(other, one)
    assert "the map of its name" in verify(ledger).problems[0]
    one.unlink()
    assert verify(ledger).problems == [] and "1 of 2 maps" in verify(ledger).notes[0]


def seen(ledger: Ledger, path: Path) -> bool:
    """Whether a damaged ledger is found out, by opening it or by verifying all of it."""
    try:
        return bool(verify(Ledger.open(path, KEY.public)).problems)
    except LedgerBroken:
        return True


def test_every_change_to_entries_tiles_and_head_is_seen(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 250)
    ledger.append([entry(i) for i in range(250, 258)], KEY)
    ledger.append([entry(258)], KEY)
    files = [p for p in (tmp_path / "log").rglob("*") if p.is_file() and p.name != "lock"]
    assert len(files) == 9  # older partial tiles are among them
    for number, path in enumerate(files):
        good = path.read_bytes()
        for bad in changes(good, 30, seed=number):
            path.write_bytes(bad)
            assert seen(ledger, tmp_path / "log"), (path, len(bad), len(good))
        path.write_bytes(good)
    assert not seen(ledger, tmp_path / "log")


def test_every_change_to_a_checkpoint_is_seen() -> None:
    head = Checkpoint(KEY.public.name, 1_234, merkle.leaf_hash(b"x"))
    good = cosign(sign_checkpoint(head, KEY), WITNESS, at=1_700_000_000).to_bytes()

    def read(data: bytes) -> Checkpoint:
        note = parse_note(data)
        witnessed(note, [WITNESS.public])
        return verify_checkpoint(note, KEY.public)

    assert read(good) == head
    for bad in changes(good, 3_500, seed=1):
        try:
            assert read(bad) == head
        except ProvenanceError:
            continue
        assert strangers(good.decode(), bad.decode())


def strangers(good: str, bad: str) -> bool:
    """Whether a note has more signature lines and is the same otherwise: those of unknown signers
    are ignored, as the standard demands."""
    return set(good.split("\n")) < set(bad.split("\n")) and (
        good.rpartition("\n\n")[0] == bad.rpartition("\n\n")[0]
    )


def test_every_change_to_a_map_is_seen(tmp_path: Path) -> None:
    furnished(tmp_path)
    path = max((tmp_path / "ledger/maps").iterdir(), key=lambda one: one.stat().st_size)
    good = path.read_bytes()
    for bad in changes(good, 400, seed=2):
        path.write_bytes(bad)
        try:
            with KeyMap(path) as stored:
                stored.check()
                assert stored.root.hex() != path.stem, "a changed map passed"
        except LedgerBroken:
            pass


def contents(ledger: Ledger) -> Any:
    with Index(ledger) as index:
        index.check()
        return [[e.sequence for e in index.find(f"name:batch-{i}")] for i in range(0, 40, 13)]


def test_a_change_to_the_index_is_seen_or_changes_nothing(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "log", 40)
    truth, path = contents(ledger), tmp_path / "log" / FILE
    good, outcomes = path.read_bytes(), set()
    for bad in changes(good, 200, seed=3):
        path.write_bytes(bad)
        try:
            # Bytes between the rows are free: they may be anything.
            assert contents(ledger) == truth
            outcomes.add("repaired or harmless")
        except LedgerBroken:
            outcomes.add("seen")
            path.unlink()
    assert outcomes == {"seen", "repaired or harmless"}


def test_every_change_to_a_proof_is_seen(tmp_path: Path) -> None:
    ledger, records, absent = furnished(tmp_path)
    older = tmp_path / "older"
    shutil.copy(tmp_path / "ledger/checkpoint", older)
    ledger.append([entry(9)], KEY)
    proofs = [
        prove(ledger, records[3]), prove(ledger, entry=0), prove(ledger, since=older),
        prove(ledger, absent, absent=True), prove(ledger, absent, absent=True, entry=1),
        prove(ledger, about="nothing", absent=True),
    ]  # fmt: skip
    for number, proof in enumerate(proofs):
        good = canonical_json(proof)
        claim = check(good, KEY.public).claim
        for bad in changes(good, 950, seed=number):
            try:
                found = check(bad, KEY.public)
            except ProvenanceError:
                continue
            if found.claim == claim:
                told, other = json.loads(good), json.loads(bad)
                differing = {field for field in told if told[field] != other[field]}
                assert differing <= {"checkpoint", "older"}
                assert all(strangers(told[field], other[field]) for field in differing)
                continue
            # Another name or record that is absent too: another claim, and a true one.
            assert found.kind.startswith("no-")
            words = found.claim.split()
            asked = words[words.index("record") + 1] if "record" in words else ""
            assert asked not in records
