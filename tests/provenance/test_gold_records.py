"""One record of gold, proved without the others."""

from __future__ import annotations

import copy
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from gold_cases import locked, make_gold, rows, write

from tailguard.provenance.base import LockError, ProofError
from tailguard.provenance.canonical import canonical_record, record_id
from tailguard.provenance.gold import check, lockfile, prove
from tailguard.provenance.gold import rows as stored


def proved(tmp_path: Path, record: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    gold = make_gold(tmp_path)
    lock = lockfile.read(locked(gold))
    return lock, prove(lock, gold, record_id(record), engine="serial")


@pytest.mark.parametrize("number", [0, 7, 8, 50, 99, 100, 104, 105, 134])
def test_every_record_of_gold_has_a_proof_that_leads_to_its_root(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "SHARD_BYTES", 700)
    [record] = rows(number, number + 1)
    lock, proof = proved(tmp_path, record)
    assert check(json.loads(json.dumps(proof))) == (bytes.fromhex(record_id(record)), lock.root)
    start = next(first for first in (105, 100, 0) if number >= first)
    assert proof["row"] == number - start


def test_a_proof_can_be_checked_by_hand_with_a_hash_function_alone(tmp_path: Path) -> None:
    """What an auditor's own script would do, from the text of RFC 9162 and of our docs."""
    [record] = rows(42, 43)
    lock, proof = proved(tmp_path, record)

    def climb(found: bytes, index: int, size: int, path: list[str]) -> bytes:
        last = size - 1
        for node in path:
            if index % 2 or index == last:
                found = sha256(b"\x01" + bytes.fromhex(node) + found).digest()
                while index and index % 2 == 0:
                    index, last = index // 2, last // 2
            else:
                found = sha256(b"\x01" + found + bytes.fromhex(node)).digest()
            index, last = index // 2, last // 2
        return found

    leaf = sha256(b"\x00" + canonical_record(record)).digest()
    file = climb(leaf, proof["row"], proof["file"]["rows"], proof["proof"])
    assert file.hex() == proof["file"]["root"]
    told = json.dumps(proof["file"], sort_keys=True, separators=(",", ":")).encode()
    top = sha256(b"\x00" + told).digest()
    whole = climb(top, proof["file_index"], proof["files"], proof["file_proof"])
    assert whole == lock.root


def test_no_part_of_a_proof_can_be_changed(tmp_path: Path) -> None:
    _, proof = proved(tmp_path, rows(42, 43)[0])
    changes: list[Any] = [
        lambda p: p.update(record="0" * 64),
        lambda p: p.update(row=p["row"] + 1),
        lambda p: p.update(row=-1),
        lambda p: p.update(row=10**9),
        lambda p: p.update(files=p["files"] + 9),
        lambda p: p.update(file_index=1),
        lambda p: p.update(root="f" * 64),
        lambda p: p.update(root=p["root"].upper()),
        lambda p: p.update(form="another"),
        lambda p: p.update(more=1),
        lambda p: p.pop("root"),
        lambda p: p.update(file=[]),
        lambda p: p["file"].update(path="../x"),
        lambda p: p["file"].update(path="other.parquet"),
        lambda p: p["file"].update(rows=1),
        lambda p: p["file"].update(rows="100"),
        lambda p: p.update(proof="abc"),
        lambda p: p.update(proof=p["proof"] * 1_000),
        lambda p: p["proof"].reverse(),
    ]
    for name in ("proof", "file_proof"):
        for i in range(len(proof[name])):
            changes.append(lambda p, n=name, i=i: p[n].__setitem__(i, "0" * 64))
            changes.append(lambda p, n=name, i=i: p[n].pop(i))
    for number, change in enumerate(changes):
        broken = copy.deepcopy(proof)
        change(broken)
        with pytest.raises(ProofError) as refused:
            check(broken)
        assert "\n" not in str(refused.value), number
    for broken_type in ([], "text", None, 3):
        with pytest.raises(ProofError):
            check(broken_type)  # type: ignore[arg-type]


def test_records_that_are_not_in_the_gold_have_no_proof(tmp_path: Path) -> None:
    gold = make_gold(tmp_path)
    lock = lockfile.read(locked(gold))
    for record in (record_id({"text": "never written"}), "0" * 63, "g" * 64, "", None):
        with pytest.raises(ProofError):
            prove(lock, gold, record, engine="serial")  # type: ignore[arg-type]
    write(gold / "a.parquet", rows(0, 99))
    with pytest.raises(LockError, match="verify the gold first"):
        prove(lock, gold, record_id(rows(98, 99)[0]), engine="serial")
