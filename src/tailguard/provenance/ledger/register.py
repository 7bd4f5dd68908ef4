"""Data into the ledger: every record hashed, one root for all, and a map of them for proofs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailguard.corpus.files import File
from tailguard.engine import map_shards
from tailguard.engine.progress import progress
from tailguard.provenance.base import LockError
from tailguard.provenance.canonical import FORM
from tailguard.provenance.envelope import canonical_json
from tailguard.provenance.gold.base import GROUP_ROWS, LockedFile
from tailguard.provenance.gold.columns import Tally
from tailguard.provenance.gold.files import Source, find_files
from tailguard.provenance.gold.hashing import Groups, tree_of
from tailguard.provenance.gold.rows import Part, cut
from tailguard.provenance.keys import SecretKey
from tailguard.provenance.ledger.base import LedgerError
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.mapfile import MapBuilder
from tailguard.provenance.ledger.statements import statement

RECORDS_DIGEST = "tailguardRecords"
"""The name of the root over a data set's records among its digests; the root of a gold lock."""

_LONGEST_LIST_BYTES = 32 << 10


@dataclass(frozen=True, slots=True)
class Registered:
    """What was entered: the entry's number, and of the data the records and roots."""

    sequence: int
    name: str
    records: int
    distinct: int
    root: str
    map_root: str
    n_files: int
    n_bytes: int


def register(
    ledger: Ledger,
    data: Source,
    origin: Mapping[str, Any],
    key: SecretKey,
    *,
    name: str | None = None,
    signer: SecretKey | None = None,
    keep_map: bool = True,
    engine: str = "local",
    workers: int | None = None,
) -> Registered:
    """Enter data with its origin; reads it twice (records, and the bytes of its files).

    The entry holds the root over all records, the one that a gold lock of the same files has, and
    the root of a map of RECORD_IDs, which proofs for single records lead to. The map itself stays
    beside the ledger (40 bytes a record), or not, with ``keep_map=False``: then proofs need the
    data again. ``origin`` has DESIGN's words: kind, generation, generator, ... ``signer`` is who
    makes the claim, where that is not the ledger's owner.

    Raises :class:`~tailguard.provenance.base.LockError` or ``CorpusError`` where a record cannot
    be read, :class:`LedgerError` for an origin that no ledger takes.
    """
    files = find_files(data)
    name = name or (Path(str(data)).name if isinstance(data, str | Path) else files[0].name)
    # Refused now rather than after an hour of hashing.
    ledger.check_key(key)
    statement("data-registered", [(name, {"sha256": "00" * 32})], {"origin": origin})
    before = [_state(file) for file in files]
    with (
        ledger.folder.building() as temporary,
        MapBuilder(ledger.folder.path) as builder,
    ):
        hashed = _hash_records(files, builder, engine=engine, workers=workers)
        records = sum(file.rows for file in hashed)
        if not records:
            raise LedgerError(name, "at least one record", "none", "check the path")
        digests = _file_digests(files)
        for file, state in zip(files, before, strict=True):
            if _state(file) != state:
                raise LockError(file.path, "a file at rest", "one that changes", "try again")
        map_root, distinct = builder.write(temporary)
        if keep_map:
            ledger.folder.adopt(temporary, map_name(map_root))
    root = tree_of(hashed).root().hex()
    predicate = {
        "origin": dict(origin),
        "records": records,
        "record_form": FORM,
        "record_root": root,
        "record_map": {"root": map_root.hex(), "keys": distinct},
        "bytes": sum(file.size for file in files),
        "n_files": len(files),
        **_listed(files, hashed, digests),
    }
    whole = {RECORDS_DIGEST: root} | ({"sha256": digests[0]} if len(files) == 1 else {})
    entry = statement("data-registered", [(name, whole)], predicate, signer=signer)
    (sequence,) = ledger.append([entry], key)
    return Registered(
        sequence, name, records, distinct, root, map_root.hex(), len(files), predicate["bytes"]
    )


def map_name(root: bytes) -> str:
    """Where the map of this root lies in a ledger.

    >>> map_name(bytes(32))[:9]
    'maps/0000'
    """
    return f"maps/{root.hex()}.map"


def build_map(
    data: Source, path: Path, *, engine: str = "local", workers: int | None = None
) -> bytes:
    """Write the map of the records of ``data`` again; its root."""
    with MapBuilder(path.parent) as builder:
        _hash_records(find_files(data), builder, engine=engine, workers=workers)
        return builder.write(path)[0]


def record_ids(data: Source) -> Iterator[tuple[str, int, str]]:
    """File, row and RECORD_ID of every record of ``data``, in order."""
    for file in find_files(data):
        row = 0
        for part in cut(file):
            for leaves in part.leaves(Tally()):
                for leaf in leaves:
                    yield file.name, row, leaf.tobytes().hex()
                    row += 1


def _leaves(part: Part) -> NDArray[np.uint8]:
    found = [np.zeros((0, 32), np.uint8), *part.leaves(Tally())]
    return np.concatenate(found)


def _hash_records(
    files: list[File], builder: MapBuilder, *, engine: str, workers: int | None
) -> list[LockedFile]:
    """Hash all records in one pass, into the map and into the tree of each file."""
    parts = [(number, part) for number, file in enumerate(files) for part in cut(file)]
    groups = [Groups(GROUP_ROWS) for _ in files]
    results = map_shards(
        _leaves,
        [part for _, part in parts],
        engine=engine,
        workers=workers,
        label="hashing",
        sizes=[part.n_bytes for _, part in parts],
    )
    with closing(results):
        for (number, _), leaves in zip(parts, results, strict=True):
            groups[number].add(leaves)
            builder.add(leaves, 1)
    return [tree.file(file.name) for file, tree in zip(files, groups, strict=True)]


def _file_digests(files: list[File]) -> list[str]:
    def digests() -> Iterator[str]:
        total = sum(file.size for file in files)
        with progress("digests of files", total, in_bytes=True) as advance:
            for file in files:
                with open(file.path, "rb") as stored:
                    yield file_digest(stored, "sha256").hexdigest()
                advance(file.size)

    return list(digests())


def _listed(files: list[File], hashed: list[LockedFile], digests: list[str]) -> dict[str, Any]:
    """The files one by one, where an entry has room for that."""
    listed = [
        {"name": f.name, "bytes": f.size, "records": h.rows, "root": h.root.hex(), "sha256": d}
        for f, h, d in zip(files, hashed, digests, strict=True)
    ]
    return {"files": listed} if len(canonical_json(listed)) <= _LONGEST_LIST_BYTES else {}


def _state(file: File) -> tuple[int, int, int]:
    found = os.stat(file.path)
    return found.st_ino, found.st_size, found.st_mtime_ns
