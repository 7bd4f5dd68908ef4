"""Gold to lock, in every format, and locks that nobody honest would sign."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tailguard.provenance import envelope, keys
from tailguard.provenance.envelope import Envelope
from tailguard.provenance.gold import lock, verify
from tailguard.provenance.gold.base import PAYLOAD_TYPE, Verification

KEY, STRANGER = keys.generate("curators"), keys.generate("stranger")
GROUP = 8


def rows(first: int, stop: int) -> list[dict[str, Any]]:
    """Records that differ in every column."""
    return [
        {"text": f"record {i} of the gold", "id": f"r{i}", "kind": "human", "n": i, "score": i / 8}
        for i in range(first, stop)
    ]


def write(path: Path, records: list[dict[str, Any]], **options: Any) -> Path:
    """Records as Parquet or JSON lines, by the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path, **options)
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def make_gold(folder: Path) -> Path:
    """Three files: 100 rows, 5 rows in a sub-folder, 30 lines."""
    write(folder / "a.parquet", rows(0, 100), row_group_size=30)
    write(folder / "sub" / "b.parquet", rows(100, 105))
    write(folder / "c.jsonl", rows(105, 135))
    return folder


def locked(data: Any, **options: Any) -> Envelope:
    """The data, locked by the curators with small groups."""
    options = {"by": "curation team", "key": KEY, "group_rows": GROUP, "engine": "serial"} | options
    return lock(data, **options)


def verified(signed: Any, data: Any, **options: Any) -> Verification:
    """What a verification finds that trusts the curators."""
    return verify(signed, data, **{"trusted": [KEY.public], "engine": "serial"} | options)


def payload(signed: Envelope) -> dict[str, Any]:
    """What a lock says, to be read or changed."""
    told: dict[str, Any] = json.loads(signed.payload)
    return told


def forged(signed: Envelope, change: Callable[[dict[str, Any]], Any]) -> Envelope:
    """The lock after a change, signed again by the curators themselves."""
    told = payload(signed)
    change(told)
    return envelope.sign(told, PAYLOAD_TYPE, KEY)
