"""Corpora that are already in memory: lists of strings, and tables of any library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tailguard.corpus.base import SHARD_BYTES, Columns, Corpus
from tailguard.corpus.layout import Layout, by_size, conform, find_layout
from tailguard.corpus.quarantine import Quarantine
from tailguard.corpus.rows import RowsShard
from tailguard.errors import CorpusError

TABLE_NEXT = "pass a path, a list of strings, or a pandas, Polars, Arrow or HF table"


@dataclass(frozen=True, slots=True)
class TableShard:
    """Consecutive rows of a table; pickled as Arrow IPC, which holds no more than these rows."""

    corpus: str
    table: pa.Table
    layout: Layout
    first_row: int

    @property
    def name(self) -> str:
        return f"{self.corpus}@{self.first_row}"

    @property
    def n_bytes(self) -> int:
        return int(self.table.nbytes)

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        at = self.first_row
        for whole in self.table.to_batches(max_chunksize=1 << 16):
            for batch in by_size(whole):
                where = np.arange(at, at + batch.num_rows)
                at += batch.num_rows
                yield from conform(batch, self.layout, quarantine, file=self.corpus, at=where)

    def __reduce__(self) -> tuple[Any, ...]:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        stored = sink.getvalue().to_pybytes()
        return _unpickled, (self.corpus, stored, self.layout, self.first_row)


def _unpickled(corpus: str, stored: bytes, layout: Layout, first_row: int) -> TableShard:
    return TableShard(corpus, pa.ipc.open_stream(stored).read_all(), layout, first_row)


def open_strings(texts: Sequence[Any], columns: Columns, name: str = "strings") -> Corpus:
    """A corpus out of a list; items that are not text go to the quarantine."""
    try:
        return open_table(pa.table({"text": pa.array(texts, pa.large_string())}), columns, name)
    except (pa.ArrowException, TypeError, ValueError):
        return _rows([{"text": text} for text in texts], columns, name)


def open_table(source: Any, columns: Columns, name: str = "table") -> Corpus:
    """A corpus out of a pandas, Polars, Arrow or HF table."""
    try:
        table = _arrow(source)
    except (pa.ArrowException, TypeError, ValueError) as error:
        if not hasattr(source, "to_dict"):
            raise CorpusError(name, "a table", str(error)[:200], TABLE_NEXT) from error
        return _rows(source.to_dict("records"), columns, name)
    if not table.num_rows:
        raise CorpusError(name, "at least one record", "none", "check where it comes from")
    layout = find_layout(table.schema, columns, name)
    per_shard = max(1, table.num_rows * SHARD_BYTES // max(table.nbytes, SHARD_BYTES))
    starts = range(0, table.num_rows, per_shard)
    shards = tuple(TableShard(name, table.slice(i, per_shard), layout, i) for i in starts)
    return Corpus(name, shards, layout.modality)


def _arrow(source: Any) -> pa.Table:
    library = type(source).__module__.partition(".")[0]
    if library == "datasets":
        if not hasattr(source, "with_format") or isinstance(source, dict):
            got = type(source).__name__
            raise CorpusError(
                "dataset", "one split in memory", got, "pick a split, or save_to_disk"
            )
        return source.with_format("arrow")[:]
    if library == "numpy":
        return _rows_of_numbers(source)
    if library == "pandas":
        return pa.Table.from_pandas(source, preserve_index=False).replace_schema_metadata(None)
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source])
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    raise CorpusError(type(source).__name__, "a corpus", "an object of another kind", TABLE_NEXT)


def _rows_of_numbers(array: Any) -> pa.Table:
    """A matrix (n, d) as one vector column."""
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "fiub":
        got = f"shape {array.shape} of {array.dtype}"
        raise CorpusError("array", "numbers of shape (n, d)", got, "pass a row per record")
    flat = pa.array(np.ascontiguousarray(array, np.float64).ravel())
    return pa.table({"vector": pa.FixedSizeListArray.from_arrays(flat, array.shape[1])})


def _rows(rows: list[dict[str, Any]], columns: Columns, name: str) -> Corpus:
    """Rows of mixed types: the layout follows from the names, taking the content to be text."""
    names = list(dict.fromkeys(str(key) for row in rows for key in row))
    layout = find_layout(pa.schema([(n, pa.string()) for n in names]), columns, name)
    return Corpus(name, (RowsShard(name, tuple(rows), layout),), layout.modality)
