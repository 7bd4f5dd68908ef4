"""Parquet: shards are groups of row groups, each read as a stream of pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tailguard.corpus.base import BATCH_BYTES, SHARD_BYTES, Columns, Corpus, Shard
from tailguard.corpus.files import File
from tailguard.corpus.layout import Layout, conform, open_tables
from tailguard.corpus.quarantine import Quarantine


@dataclass(frozen=True, slots=True)
class ParquetShard:
    """Consecutive row groups of a file; ``rows_at_a_time`` keeps a batch near 8 MB."""

    file: File
    layout: Layout
    groups: tuple[int, ...]
    first_row: int
    rows_at_a_time: int
    n_bytes: int

    @property
    def name(self) -> str:
        return f"{self.file.name}@{self.first_row}"

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        at = self.first_row
        with self.file.open() as stored, pq.ParquetFile(stored, buffer_size=1 << 20) as table:
            for batch in table.iter_batches(
                self.rows_at_a_time, row_groups=list(self.groups), use_threads=False
            ):
                where = np.arange(at, at + batch.num_rows)
                at += batch.num_rows
                yield from conform(batch, self.layout, quarantine, file=self.file.name, at=where)


def open_parquet(files: Sequence[File], columns: Columns) -> Corpus:
    """Shards of about 64 MB of row groups."""
    return open_tables(files, columns, _schema, cut_file)


def cut_file(file: File, layout: Layout, shard_bytes: int = SHARD_BYTES) -> Iterator[Shard]:
    """The shards of one file, for any shard size."""
    with file.open() as stored:
        footer = pq.read_metadata(stored)
        first_row = row = size = rows = 0
        groups: list[int] = []
        for i in range(footer.num_row_groups):
            group = footer.row_group(i)
            groups.append(i)
            size += group.total_byte_size
            rows += group.num_rows
            row += group.num_rows
            if size >= shard_bytes or i == footer.num_row_groups - 1:
                per_batch = min(max(BATCH_BYTES * rows // max(size, 1), 1), 1 << 16)
                yield ParquetShard(file, layout, tuple(groups), first_row, per_batch, size)
                first_row, size, rows, groups = row, 0, 0, []


def _schema(file: File) -> pa.Schema | None:
    with file.open() as stored:
        footer = pq.ParquetFile(stored)
        return footer.schema_arrow if footer.metadata.num_rows else None
