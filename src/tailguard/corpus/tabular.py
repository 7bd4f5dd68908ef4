"""CSV and TSV: one shard a file, since quotes make cutting unsafe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from tailguard.corpus.base import BATCH_BYTES, Columns, Corpus, Shard
from tailguard.corpus.files import File
from tailguard.corpus.layout import USUAL, Layout, conform, open_tables
from tailguard.corpus.quarantine import Quarantine
from tailguard.corpus.undecodable import Carrying, restore, restored
from tailguard.errors import CorpusError


@dataclass(slots=True)
class _Misfits:
    """Rows with too few or too many cells, as the parser reports them."""

    rows: dict[int, csv.InvalidRow] = field(default_factory=dict)

    def __call__(self, row: csv.InvalidRow) -> str:
        self.rows[row.number - 2] = row  # the header is line 1
        return "skip"


@dataclass(frozen=True, slots=True)
class CsvShard:
    """A whole file. Text tables are read as strings, so that 007 stays 007; an empty cell is null,
    or empty text in the text column."""

    file: File
    layout: Layout
    schema: pa.Schema

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def n_bytes(self) -> int:
        return self.file.size

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        misfits = _Misfits()
        at = 0
        with self.file.stream() as stored:
            stream = Carrying(stored)
            for batch in _reader(stream, self.file, self.schema, misfits):
                batch = restored(batch) if stream.used else batch
                skipped = sorted(i for i in misfits.rows if i >= at)
                span = np.arange(at, at + batch.num_rows + len(skipped))
                where = np.setdiff1d(span, skipped)[: batch.num_rows]
                at = int(where[-1]) + 1 if len(where) else at
                _put_aside(misfits, at, self.file.name, quarantine)
                yield from conform(
                    self._fill(batch), self.layout, quarantine, file=self.file.name, at=where
                )
        _put_aside(misfits, None, self.file.name, quarantine)

    def _fill(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self.layout.modality != "text":
            return batch
        i = batch.schema.get_field_index(self.layout.given["text"])
        return batch.set_column(i, batch.schema.names[i], pc.fill_null(batch.column(i), ""))


def open_csv(files: Sequence[File], columns: Columns) -> Corpus:
    """One shard a file; the header names the columns."""
    named = {n for names in USUAL.values() for n in names} | set(astuple(columns))

    def schema_of(file: File) -> pa.Schema | None:
        return _schema(file, named)

    def shards_of(file: File, layout: Layout) -> Iterator[Shard]:
        schema = schema_of(file)
        assert schema is not None
        numeric = layout.modality == "numeric"
        yield CsvShard(file, layout, schema if numeric else _all_strings(schema))

    return open_tables(files, columns, schema_of, shards_of)


def _schema(file: File, named: set[str | None]) -> pa.Schema | None:
    """Strings, but for numbers under a name that means nothing; none when there are no rows."""
    if not file.size:
        return None
    # The reader is closed, or its reading ahead could go on when the program ends.
    with (
        file.stream() as stream,
        _reader(Carrying(stream), file, None, lambda row: "skip") as reader,
    ):
        if next(iter(reader), None) is None:
            return None
        schema: pa.Schema = reader.schema
    for i, column in enumerate(schema):
        number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        kind = pa.float64() if number and column.name.lower() not in named else pa.string()
        schema = schema.set(i, column.with_type(kind))
    return schema


def _all_strings(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in schema.names])


def _put_aside(misfits: _Misfits, before: int | None, file: str, quarantine: Quarantine) -> None:
    for i in sorted(n for n in misfits.rows if before is None or n < before):
        row = misfits.rows.pop(i)
        reason = "too few cells" if row.actual_columns < row.expected_columns else "too many cells"
        raw = restore(row.text.encode())
        quarantine.add(reason, file=file, unit="row", at=i, raw=raw)


def _reader(stream: Carrying, file: File, schema: pa.Schema | None, misfit: Any) -> Any:
    try:
        return csv.open_csv(
            stream,
            read_options=csv.ReadOptions(use_threads=False, block_size=BATCH_BYTES),
            parse_options=csv.ParseOptions(
                delimiter="\t" if ".tsv" in file.path else ",",
                newlines_in_values=True,
                invalid_row_handler=misfit,
            ),
            convert_options=csv.ConvertOptions(
                check_utf8=False,
                column_types=schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise CorpusError(
            file.path, "a table with a header", str(error), "check quotes and separators"
        ) from error
