"""Batches out to one file, which appears complete or not at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import zstandard

from tailguard.corpus.atomic import replacing
from tailguard.corpus.origin import json_text
from tailguard.errors import CorpusError


def write_corpus(batches: Iterable[pa.RecordBatch], path: str | Path) -> int:
    """Write Parquet, JSON lines (.gz, .zst), CSV or TSV by the ending; the number of records.

    Batches may differ in their columns and types: missing values become null, types that do not
    go together become text. CSV and TSV hold nested values as JSON. Raises ``CorpusError`` when
    there is nothing to write, when the format cannot hold a column, or when writing fails; then
    nothing is left behind.

    >>> import pyarrow as pa, tempfile
    >>> batch = pa.record_batch({"text": ["a", "b"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_corpus([batch], f"{folder}/corpus.jsonl")
    2
    """
    ending = next((end for end in WRITERS if str(path).lower().endswith(end)), None)
    if ending is None:
        known = ", ".join(WRITERS)
        raise CorpusError(
            str(path), f"an ending of {known}", Path(path).suffix or "none", "rename it"
        )
    with replacing(path) as temporary:
        try:
            n = WRITERS[ending](batches, temporary)
        except pa.ArrowException as error:
            raise CorpusError(
                str(path), "columns the format can hold", str(error)[:200], "write Parquet instead"
            ) from error
        if not n:
            raise CorpusError(
                str(path), "at least one record", "none", "check what was to be written"
            )
    return n


def _parquet(batches: Iterable[pa.RecordBatch], path: Path) -> int:
    """Streams while the schema stands; rewrites what is there when a batch widens it."""
    part = Path(f"{path}.part")
    schema: pa.Schema | None = None
    writer: pq.ParquetWriter | None = None
    n = 0
    try:
        for batch in batches:
            batch = _storable(batch)
            wider = batch.schema if schema is None else _widest(schema, batch.schema)
            if writer is None or wider != schema:
                if writer is not None:
                    writer.close()
                    path.replace(part)
                writer = pq.ParquetWriter(path, wider, compression="zstd")
                if schema is not None:
                    with pq.ParquetFile(part) as before:
                        for old in before.iter_batches():
                            writer.write_batch(_cast(old, wider))
                schema = wider
            writer.write_batch(_cast(batch, wider))
            n += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)
    return n


def _jsonl(compress: Callable[[Path], Any]) -> Callable[[Iterable[pa.RecordBatch], Path], int]:
    def write(batches: Iterable[pa.RecordBatch], path: Path) -> int:
        n = 0
        with compress(path) as file:
            for batch in batches:
                for row in _finite(batch).to_pylist():
                    line = json.dumps(row, ensure_ascii=False, default=_json)
                    file.write(line.encode() + b"\n")
                n += batch.num_rows
        return n

    return write


def _delimited(delimiter: str) -> Callable[[Iterable[pa.RecordBatch], Path], int]:
    def write(batches: Iterable[pa.RecordBatch], path: Path) -> int:
        # The header needs every column, and the last batch may bring one: collect in Parquet first.
        whole = Path(f"{path}.rows")
        try:
            n = _parquet(batches, whole)
            with pq.ParquetFile(whole) as rows:
                flat = pa.schema([(f.name, _flat(f.type)) for f in rows.schema_arrow])
                options = csv.WriteOptions(delimiter=delimiter)
                with csv.CSVWriter(path, flat, write_options=options) as writer:
                    for batch in rows.iter_batches():
                        writer.write_batch(_cast(batch, flat))
        finally:
            whole.unlink(missing_ok=True)
        return n

    return write


@contextmanager
def _gzip(path: Path) -> Iterator[Any]:
    # No name and no time inside, so that equal content gives equal bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
        yield file


def _widest(a: pa.Schema, b: pa.Schema) -> pa.Schema:
    """All columns of both; types that cannot be united become text."""
    out = a
    for field in b:
        i = out.get_field_index(field.name)
        if i < 0:
            out = out.append(field)
        elif out.field(i).type != field.type:
            try:
                both = [pa.schema([out.field(i)]), pa.schema([field])]
                united = pa.unify_schemas(both, promote_options="permissive").field(0).type
            except (pa.ArrowTypeError, pa.ArrowInvalid):
                united = pa.string()
            out = out.set(i, pa.field(field.name, united))
    return out


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for field in schema:
        i = batch.schema.get_field_index(field.name)
        column = pa.nulls(batch.num_rows, field.type) if i < 0 else batch.column(i)
        nested = pa.types.is_nested(column.type) and pa.types.is_string(field.type)
        columns.append(json_text(column) if nested else column.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _storable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Parquet holds no struct without fields: such columns become JSON."""
    columns = [json_text(c) if _hollow(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _hollow(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return not kind.num_fields or any(_hollow(field.type) for field in kind.fields)
    return pa.types.is_nested(kind) and hasattr(kind, "value_type") and _hollow(kind.value_type)


def _flat(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_nested(kind) else kind


def _finite(batch: pa.RecordBatch) -> pa.RecordBatch:
    """JSON knows no NaN or infinity: null stands for them."""
    columns = [
        pc.if_else(pc.is_finite(c), c, None) if pa.types.is_floating(c.type) else c
        for c in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _json(value: object) -> str:
    if isinstance(value, bytes):
        raise pa.ArrowInvalid("JSON lines hold no bytes")
    return str(value)


WRITERS: dict[str, Callable[[Iterable[pa.RecordBatch], Path], int]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl(lambda path: path.open("wb")),
    ".jsonl.gz": _jsonl(_gzip),
    ".jsonl.zst": _jsonl(lambda path: zstandard.open(path, "wb")),
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
}
