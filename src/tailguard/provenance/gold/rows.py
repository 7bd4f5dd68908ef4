"""The records of a file as they are stored, read in bounded memory and hashed.

A record's values are those of the stored columns, under their stored names: what Tailguard calls
them (``--text-column``), and how it reads them, must not change a hash. A file of text or an image
is a record with one column, ``text`` or ``image``. In an archive the columns are those that the
reader gives. Nothing is left out: a row that cannot be read is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.json as pj
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tailguard.corpus.base import BATCH_BYTES, RECORD_BYTES, SHARD_BYTES, Columns
from tailguard.corpus.files import File, read_all, readable
from tailguard.corpus.folders import open_images, open_texts
from tailguard.corpus.ipc import open_arrow
from tailguard.corpus.jsonl import blocks, open_jsonl
from tailguard.corpus.open import Opener
from tailguard.corpus.parquet import open_parquet
from tailguard.corpus.quarantine import Quarantine
from tailguard.corpus.tabular import open_csv
from tailguard.corpus.undecodable import is_utf8
from tailguard.corpus.warc import open_warc
from tailguard.provenance.base import LockError, RecordError
from tailguard.provenance.canonical import canonical_record, record_hashes
from tailguard.provenance.gold.columns import Tally
from tailguard.provenance.gold.files import opener_of
from tailguard.provenance.merkle import HASH_BYTES, leaf_hash

Leaves: TypeAlias = NDArray[np.uint8]
"""Record hashes in order, shape (n, 32)."""

_EXACT = 2.0**53
_FIX = "repair it, or write the records that are sound: tailguard corpus convert"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a file that is read on its own: ``span`` are row groups of Parquet, or the bytes
    (start, stop) of JSON lines. ``first_row`` is None where only reading the rest would tell."""

    file: File
    n_bytes: int
    first_row: int | None = 0
    span: tuple[int, ...] = ()

    def leaves(self, tally: Tally) -> Iterator[Leaves]:
        """The record hashes in order; columns are counted in ``tally`` on the way.

        Raises ``CorpusError`` and :class:`LockError` where a record cannot be read.
        """
        opener = opener_of(self.file.path)
        assert opener is not None
        with readable(self.file.path):
            try:
                yield from _READERS[opener](self, tally)
            except RecordError as error:
                raise LockError(
                    self.file.path, error.expected, error.got, error.next_step
                ) from None


def cut(file: File) -> list[Part]:
    """The parts of a file, about 64 MB each where its format can be cut; none if it is empty."""
    opener = opener_of(file.path)
    if not file.size and opener not in (open_texts, open_images):
        return []
    if opener is open_parquet:
        return list(_cut_parquet(file))
    if opener is open_jsonl and not file.compression:
        ends = [*range(SHARD_BYTES, file.size, SHARD_BYTES), file.size]
        starts = [0, *ends[:-1]]
        return [
            Part(file, stop - start, None if start else 0, (start, stop))
            for start, stop in zip(starts, ends, strict=True)
        ]
    return [Part(file, file.size)]


def _cut_parquet(file: File) -> Iterator[Part]:
    with file.open() as stored:
        footer = pq.read_metadata(stored)
        first = row = size = 0
        groups: list[int] = []
        for i in range(footer.num_row_groups):
            group = footer.row_group(i)
            groups.append(i)
            size += group.total_byte_size
            row += group.num_rows
            if size >= SHARD_BYTES or i == footer.num_row_groups - 1:
                yield Part(file, size, first, tuple(groups))
                first, size, groups = row, 0, []


def _parquet(part: Part, tally: Tally) -> Iterator[Leaves]:
    with part.file.open() as stored, pq.ParquetFile(stored, buffer_size=1 << 20) as table:
        groups = [table.metadata.row_group(i) for i in part.span]
        rows = sum(group.num_rows for group in groups)
        size = sum(group.total_byte_size for group in groups)
        at_a_time = min(max(BATCH_BYTES * rows // max(size, 1), 1), 1 << 16)
        for batch in table.iter_batches(at_a_time, row_groups=list(part.span), use_threads=False):
            rows -= batch.num_rows
            yield _hashed(batch, tally)
    if rows:  # where the next part begins was taken from the footer
        raise RecordError("record", "as many rows as promised", "others", "write the file again")


def _arrow(part: Part, tally: Tally) -> Iterator[Leaves]:
    with part.file.open() as stored:
        head = stored.read(6)
        stored.seek(0)
        if head == b"ARROW1":
            with pa.ipc.open_file(stored) as reader:
                for i in range(reader.num_record_batches):
                    yield _hashed(reader.get_batch(i), tally)
        else:
            with pa.ipc.open_stream(stored) as reader:
                for batch in reader:
                    yield _hashed(batch, tally)


def _csv(part: Part, tally: Tally) -> Iterator[Leaves]:
    """Cells are text; an empty one is null, unless it is quoted."""
    tabs = ".tsv" in part.file.path.lower()
    parse = csv.ParseOptions(delimiter="\t" if tabs else ",", newlines_in_values=True)
    read = csv.ReadOptions(use_threads=False, block_size=BATCH_BYTES)
    with part.file.stream() as stream, csv.open_csv(stream, read, parse) as reader:
        names = reader.schema.names
    convert = csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    with part.file.stream() as stream, csv.open_csv(stream, read, parse, convert) as reader:
        for batch in reader:
            yield _hashed(batch, tally)


def _jsonl(part: Part, tally: Tally) -> Iterator[Leaves]:
    start, stop = part.span or (0, None)
    for block in blocks(part.file, start, stop, size=BATCH_BYTES, longest=RECORD_BYTES):
        if block.cut:
            raise RecordError(
                "record", f"at most {RECORD_BYTES:,} bytes", f"{block.cut:,}", "split the record"
            )
        yield _lines(block.data, block.offset, tally)


def _lines(data: bytes, offset: int, tally: Tally) -> Leaves:
    """The records of whole lines: through Arrow where that keeps every value as it is written."""
    from tailguard.corpus.lines import DEEPEST, scan

    starts, depths = scan(np.frombuffer(data, np.uint8))
    if len(depths) and (depths.min() < 0 or depths.max() > DEEPEST):
        at = offset + int(starts[np.flatnonzero((depths < 0) | (depths > DEEPEST))[0]])
        raise RecordError(
            "record", "one JSON object a line", f"other text at byte {at:,}", "fix it"
        )
    table = _read_json(data)
    if table is not None and table.num_rows == len(starts):
        tally.add_table(table)
        return record_hashes(table)
    ends = [*starts[1:].tolist(), len(data)]
    rows = [
        _row(data[first:end], offset + first)
        for first, end in zip(starts.tolist(), ends, strict=True)
    ]
    found = [leaf_hash(canonical_record(row)) for row in rows]
    tally.add_rows(rows)
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, HASH_BYTES)


def _read_json(data: bytes) -> pa.Table | None:
    """The lines as Arrow reads them, unless it refuses or would change a value: it takes some
    texts for dates, and integers beside floats for floats."""
    if not is_utf8(data):  # Arrow's reader does not look
        return None
    explicit: pa.Schema | None = None
    for _ in range(2):
        try:
            table = pj.read_json(
                pa.BufferReader(data),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=pj.ParseOptions(explicit_schema=explicit),
            )
            table.validate(full=True)  # of a list of nulls alone it makes a broken array
        except (pa.ArrowException, UnicodeError):
            return None
        plain = pa.schema([field.with_type(_undated(field.type)) for field in table.schema])
        if plain == table.schema:
            exact = all(_exact(chunk) for column in table.columns for chunk in column.chunks)
            return table if exact else None
        explicit = plain
    return None


def _undated(kind: pa.DataType) -> pa.DataType:
    """The type with every date in it replaced by a string."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_undated(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_undated(kind.value_type))
    return pa.string() if pa.types.is_timestamp(kind) else kind


def _exact(column: pa.Array) -> bool:
    """Whether no float is so large that an integer could have been rounded to it."""
    if pa.types.is_struct(column.type):
        return all(_exact(inner) for inner in column.flatten())
    if pa.types.is_list(column.type):
        return _exact(column.values)
    if not pa.types.is_floating(column.type):
        return True
    return not (np.abs(column.to_numpy(zero_copy_only=False)) >= _EXACT).any()


def _row(line: bytes, at: int) -> dict[str, Any]:
    try:
        row = json.loads(line.decode(), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise RecordError(
            "record", "one JSON object a line", f"other text at byte {at:,}", "fix it"
        )
    return row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _whole(name: str) -> Callable[[Part, Tally], Iterator[Leaves]]:
    """The reader of files that are one record each."""

    def read(part: Part, tally: Tally) -> Iterator[Leaves]:
        content: Any = read_all(part.file, RECORD_BYTES)
        if len(content) > RECORD_BYTES:
            raise RecordError(
                "record", f"at most {RECORD_BYTES:,} bytes", "more", "split the record"
            )
        kind = pa.large_string() if name == "text" else pa.large_binary()
        column = pa.array([content], pa.large_binary()).view(kind)
        yield _hashed(pa.record_batch([column], [name]), tally)

    return read


def _archive(part: Part, tally: Tally) -> Iterator[Leaves]:
    kept = Quarantine()
    for shard in open_warc([part.file], Columns()).shards:
        for batch in shard.batches(kept):
            yield _hashed(batch, tally)
    if kept.total:
        raise RecordError("record", "records that can all be read", str(kept), _FIX)


def _hashed(batch: pa.RecordBatch, tally: Tally) -> Leaves:
    found = record_hashes(batch)  # before anything else looks at columns that may be damaged
    tally.add_batch(batch)
    return found


_READERS: dict[Opener, Callable[[Part, Tally], Iterator[Leaves]]] = {
    open_parquet: _parquet,
    open_jsonl: _jsonl,
    open_csv: _csv,
    open_arrow: _arrow,
    open_warc: _archive,
    open_texts: _whole("text"),
    open_images: _whole("image"),
}
