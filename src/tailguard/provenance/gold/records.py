"""One record of locked gold: where it is, and a short proof that it is part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from tailguard.corpus.files import File
from tailguard.engine import map_shards
from tailguard.provenance.base import LockError, ProofError
from tailguard.provenance.envelope import canonical_json
from tailguard.provenance.gold.base import Lock, LockedFile
from tailguard.provenance.gold.columns import Tally
from tailguard.provenance.gold.files import Source, check_path, find_files
from tailguard.provenance.gold.lockfile import count_of, hash_of
from tailguard.provenance.gold.rows import Leaves, Part, cut
from tailguard.provenance.merkle import (
    inclusion_proof,
    leaf_hash,
    root,
    verify_inclusion,
)

PROOF = "tailguard-record-proof-v1"
"""The name of the form of a proof."""


@dataclass(frozen=True, slots=True)
class _Find:
    record: bytes

    def __call__(self, part: Part) -> tuple[int, int]:
        """Rows of a part, and which of them is the record (-1 for none)."""
        rows, at = 0, -1
        for leaves in part.leaves(Tally()):
            if at < 0:
                same = np.flatnonzero((leaves == np.frombuffer(self.record, np.uint8)).all(1))
                at = rows + int(same[0]) if len(same) else -1
            rows += len(leaves)
        return rows, at


def prove(
    lock: Lock,
    data: Source,
    record: str,
    *,
    engine: str = "local",
    workers: int | None = None,
) -> dict[str, Any]:
    """A proof that the record with RECORD_ID ``record`` is in the gold, for a file or a ledger.

    The proof is a JSON value of some kilobytes: the path of the record's hash to the root of its
    file, and of the file to the root of the data set (RFC 9162, 2.1.3); :func:`check` needs
    nothing else. One pass over the data finds the record, the first one if it is there twice.

    Raises :class:`ProofError` where it is not there, or the id is none; :class:`LockError` where
    the data is not what was locked.
    """
    try:
        wanted = hash_of(record)
    except ValueError:
        got = repr(record)[:80]
        raise ProofError("record", "64 hexadecimal digits", got, "pass a RECORD_ID") from None
    locked = {file.path: file for file in lock.files}
    files = [file for file in find_files(data) if file.name in locked]
    parts = [(file, part) for file in files for part in cut(file)]
    results = map_shards(
        _Find(wanted),
        [part for _, part in parts],
        engine=engine,
        workers=workers,
        label="searching",
        sizes=[part.n_bytes for _, part in parts],
    )
    before: dict[str, int] = {}
    with closing(results):
        for (file, _), (rows, at) in zip(parts, results, strict=True):
            if at >= 0:
                row = before.get(file.name, 0) + at
                return _proof(lock, locked[file.name], file, row, wanted)
            before[file.name] = before.get(file.name, 0) + rows
    raise ProofError("record", "a record of the gold", f"{record[:16]}…", "check its id and values")


def check(proof: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The record hash and the data set's root that a proof ties together (32 bytes each).

    Believe it only if the root is one that you know: of a lock you trust, or in a ledger. Raises
    :class:`ProofError` for anything but a proof that holds.
    """
    try:
        if set(proof) != {"file", "file_index", "file_proof", "files", "form", "proof", "record",
                          "root", "row"} or proof["form"] != PROOF:  # fmt: skip
            raise ValueError("other fields")
        told = proof["file"]
        if set(told) != {"path", "root", "rows"}:
            raise ValueError("a file with other fields")
        check_path(told["path"], "proof")
        record, whole = hash_of(proof["record"]), hash_of(proof["root"])
        size, index = count_of(told["rows"]), count_of(proof["row"])
        path, file_path = (_hashes(proof[name]) for name in ("proof", "file_proof"))
        file = leaf_hash(canonical_json(told))
        place = count_of(proof["file_index"]), count_of(proof["files"])
        holds = verify_inclusion(record, index, size, path, hash_of(told["root"]))
        holds = holds and verify_inclusion(file, *place, file_path, whole)
    except (ValueError, TypeError, KeyError, AttributeError, LockError):
        raise ProofError("proof", "a proof of a record", "something else", "ask again") from None
    if not holds:
        raise ProofError("proof", "hashes that lead to the root", "others", "do not trust it")
    return record, whole


def leaves_of(file: File, first: int, stop: int) -> Leaves:
    """The hashes of rows ``first`` to ``stop`` (or fewer, where the file ends), shape (n, 32)."""
    held: list[Leaves] = []
    at = 0
    for part in cut(file):
        for leaves in part.leaves(Tally()):
            held.append(leaves[max(first - at, 0) : max(stop - at, 0)])
            at += len(leaves)
            if at >= stop:
                return np.concatenate(held)
    return np.concatenate([np.zeros((0, 32), np.uint8), *held])


def _proof(lock: Lock, locked: LockedFile, file: File, row: int, record: bytes) -> dict[str, Any]:
    group = row // lock.group_rows
    first = group * lock.group_rows
    leaves = leaves_of(file, first, first + lock.group_rows)
    if group >= len(locked.groups) or root(leaves) != locked.groups[group]:
        raise LockError(file.path, "the rows that were locked", "others", "verify the gold first")
    path = inclusion_proof(leaves, row - first) + inclusion_proof(locked.groups, group)
    index = lock.files.index(locked)
    file_path = inclusion_proof([one.leaf for one in lock.files], index)
    return {
        "file": {"path": locked.path, "root": locked.root.hex(), "rows": locked.rows},
        "file_index": index,
        "file_proof": [node.hex() for node in file_path],
        "files": len(lock.files),
        "form": PROOF,
        "proof": [node.hex() for node in path],
        "record": record.hex(),
        "root": lock.root.hex(),
        "row": row,
    }


def _hashes(told: Any) -> Sequence[bytes]:
    if not isinstance(told, list):
        raise ValueError("no list")
    return [hash_of(one) for one in islice(told, 256)]
