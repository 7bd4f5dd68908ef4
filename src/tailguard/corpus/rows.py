"""Rows that arrive as Python objects: what is wrong with them, and how they become a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tailguard.corpus.base import BATCH_BYTES
from tailguard.corpus.layout import Layout, conform
from tailguard.corpus.quarantine import Quarantine


def fault(row: object, content: str | None) -> str | None:
    """Why a row cannot be used, or none; ``content`` is the column that must hold text."""
    if not isinstance(row, dict):
        return "not an object"
    value = row.get(content, "") if content is not None else ""
    if value is not None and not isinstance(value, str):
        return f"{content} is {type(value).__name__}, not a string"
    try:
        json.dumps(row, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return "a lone surrogate, not Unicode text"
    return None


def to_batch(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """One batch; in a column of mixed types strings stay and other values become JSON text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.RecordBatch.from_arrays([_column([row.get(n) for row in rows]) for n in names], names)


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        text = [
            v if v is None or isinstance(v, str) else json.dumps(v, default=str) for v in values
        ]
        return pa.array(text, pa.string())


@dataclass(frozen=True, slots=True)
class RowsShard:
    """Rows held in memory that Arrow cannot hold as they are (mixed types)."""

    name: str
    rows: tuple[dict[str, Any], ...]
    layout: Layout

    @property
    def n_bytes(self) -> int:
        content = self.layout.content or ""
        return sum(len(str(row.get(content, ""))) for row in self.rows)

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        good: list[dict[str, Any]] = []
        at: list[int] = []
        size = 0
        for i, row in enumerate(self.rows):
            reason = fault(row, self.layout.content)
            if reason is not None:
                raw = json.dumps(row, default=str).encode()
                quarantine.add(reason, file=self.name, unit="row", at=i, raw=raw)
                continue
            good.append(row)
            at.append(i)
            size += len(str(row.get(self.layout.content or "", "")))
            if size >= BATCH_BYTES:
                yield from self._batch(good, at, quarantine)
                good, at, size = [], [], 0
        if good:
            yield from self._batch(good, at, quarantine)

    def _batch(
        self, rows: list[dict[str, Any]], at: list[int], quarantine: Quarantine
    ) -> Iterator[pa.RecordBatch]:
        where = np.array(at, np.int64)
        return conform(to_batch(rows), self.layout, quarantine, file=self.name, at=where)
