"""JSON lines, plain or compressed: cut at byte offsets, parsed by Arrow a block at a time.

A line belongs to the shard in which its first byte lies, so any cutting reads every line once.
Only a block that Arrow refuses is looked at line by line, and only its bad lines are quarantined.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pj
from numpy.typing import NDArray

from tailguard.corpus.base import BATCH_BYTES, RECORD_BYTES, SHARD_BYTES, Columns, Corpus, Shard
from tailguard.corpus.files import File
from tailguard.corpus.layout import Layout, conform, open_tables
from tailguard.corpus.quarantine import RAW_BYTES, Quarantine
from tailguard.corpus.rows import fault, to_batch
from tailguard.corpus.undecodable import is_utf8
from tailguard.errors import CorpusError

PEEK_BYTES = 256 << 10
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines and their offset in the content; ``cut`` is the length of a line too long."""

    offset: int
    data: bytes
    cut: int = 0


@dataclass(frozen=True, slots=True)
class JsonlShard:
    """The lines that begin in bytes ``start`` to ``stop`` of a file (all of a compressed one)."""

    file: File
    layout: Layout
    start: int = 0
    stop: int | None = None
    longest: int = RECORD_BYTES

    @property
    def name(self) -> str:
        return f"{self.file.name}@{self.start}"

    @property
    def n_bytes(self) -> int:
        return (self.file.size if self.stop is None else self.stop) - self.start

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        text = self.layout.given["text"] if self.layout.modality == "text" else None
        schema = pa.schema([] if text is None else [(text, pa.string())])
        read = blocks(self.file, self.start, self.stop, size=BATCH_BYTES, longest=self.longest)
        for block in read:
            parsed = _Parsed(self.file, text, self.longest, block, schema, quarantine)
            batch, at = parsed.read()
            schema = parsed.schema
            if batch is None:
                continue
            yield from conform(
                batch,
                self.layout,
                quarantine,
                file=self.file.name,
                at=at + block.offset,
                unit="byte",
                raw=lambda i, at=at, data=block.data: _line(data, at[i]),  # type: ignore[misc]
            )


@dataclass(slots=True)
class _Parsed:
    """One block on its way to a batch; ``schema`` grows by what the block taught."""

    file: File
    text: str | None
    longest: int
    block: Block
    schema: pa.Schema
    quarantine: Quarantine

    def read(self) -> tuple[pa.RecordBatch | None, NDArray[np.int64]]:
        """The batch, and the offset of each of its rows within the block."""
        from tailguard.corpus.lines import DEEPEST, scan

        data = self.block.data
        if self.block.cut:
            self._bad(f"longer than {self.longest:,} bytes", 0, self.block.cut)
            return None, np.empty(0, np.int64)
        starts, depths = scan(np.frombuffer(data, np.uint8))
        sound = not len(depths) or (depths.min() >= 0 and depths.max() <= DEEPEST)
        longest = np.diff(starts, append=len(data)).max(initial=0)
        if sound and longest <= self.longest:
            batch = self._arrow(data, len(starts))
            if batch is not None:
                return batch, starts
        return self._salvage(starts, depths > DEEPEST)

    def _salvage(
        self, starts: NDArray[np.int64], deep: NDArray[np.bool_]
    ) -> tuple[pa.RecordBatch | None, NDArray[np.int64]]:
        """The good lines of a block that has bad ones."""
        rows: list[dict[str, Any]] = []
        good: list[int] = []
        for start, too_deep in zip(starts.tolist(), deep.tolist(), strict=True):
            row = self._row(start, too_deep)
            if row is not None:
                rows.append(row)
                good.append(start)
        at = np.array(good, np.int64)
        if not rows:
            return None, at
        batch = self._arrow(b"\n".join(_line(self.block.data, i) for i in good), len(rows))
        return (to_batch(rows) if batch is None else batch), at

    def _arrow(self, data: bytes, n: int) -> pa.RecordBatch | None:
        """What Arrow makes of the lines, unless it refuses or counts differently."""
        if not is_utf8(data):  # Arrow's JSON reader does not look
            return None
        try:
            table = self._read_json(data)
            wider = self._as_strings(table.schema)
            if wider != self.schema:
                self.schema = wider
                table = self._read_json(data)
        except (pa.ArrowException, UnicodeError):
            return None
        if table.num_rows != n or not n or len(set(table.schema.names)) != table.num_columns:
            return None
        return table.combine_chunks().to_batches()[0]

    def _read_json(self, data: bytes) -> pa.Table:
        return pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pj.ParseOptions(explicit_schema=self.schema),
        )

    def _as_strings(self, found: pa.Schema) -> pa.Schema:
        """The expected schema, with columns that Arrow took for dates kept as they are written."""
        wider = self.schema
        for field in found:
            kind = _undated(field.type)
            if kind != field.type:
                place = wider.get_field_index(field.name)
                new = pa.field(field.name, kind)
                wider = wider.append(new) if place < 0 else wider.set(place, new)
        return wider

    def _row(self, start: int, deep: bool) -> dict[str, Any] | None:
        """One line as an object, or none once it is quarantined."""
        line = _line(self.block.data, start)
        try:
            if len(line) > self.longest:
                reason: str | None = f"longer than {self.longest:,} bytes"
            elif deep:
                reason = "nested too deeply"
            else:
                row = json.loads(line.decode())
                reason = fault(row, self.text)
        except UnicodeDecodeError:
            reason = "invalid UTF-8"
        except RecursionError:
            reason = "nested too deeply"
        except ValueError:
            reason = "not JSON"
        if reason is None:
            return row
        self._bad(reason, start, len(line))
        return None

    def _bad(self, reason: str, start: int, n_bytes: int) -> None:
        raw = _line(self.block.data, start)
        self.quarantine.add(
            reason,
            file=self.file.name,
            unit="byte",
            at=self.block.offset + start,
            raw=raw[:RAW_BYTES],
            n_bytes=n_bytes,
        )


def open_jsonl(files: Sequence[File], columns: Columns) -> Corpus:
    """Shards of about 64 MB of each plain file; a compressed file is one shard."""
    return open_tables(files, columns, _peek, cut_file)


def cut_file(file: File, layout: Layout, shard_bytes: int = SHARD_BYTES) -> Iterator[Shard]:
    """The shards of one file, for any shard size."""
    if file.compression or not file.size:
        yield JsonlShard(file, layout)
        return
    for start in range(0, file.size, shard_bytes):
        yield JsonlShard(file, layout, start, min(start + shard_bytes, file.size))


def blocks(
    file: File, start: int = 0, stop: int | None = None, *, size: int, longest: int
) -> Iterator[Block]:
    """Whole lines that begin in [start, stop), about ``size`` bytes at a time.

    Of a line longer than ``longest`` only the head is ever held.
    """
    with file.stream() as stream:
        offset = _first_line(stream, start, stop, size) if start else 0
        held = b""
        while offset is not None and (stop is None or offset < stop):
            ahead = size if stop is None else stop - offset - len(held)
            chunk = stream.read(min(size, max(ahead, PEEK_BYTES)))
            data = held + chunk
            if not offset and data.startswith(BOM):
                data = b"   " + data[3:]
            final = -1 if stop is None else data.find(b"\n", max(stop - 1 - offset, 0))
            end = final if final >= 0 else data.rfind(b"\n") if chunk else len(data) - 1
            end += 1
            if end:
                yield Block(offset, data[:end])
            if final >= 0 or not chunk:
                return
            offset, held = offset + end, data[end:]
            if len(held) > longest:
                head, length, held = held[:RAW_BYTES], len(held), b""
                while chunk := stream.read(size):
                    length += (end := chunk.find(b"\n")) if b"\n" in chunk else len(chunk)
                    if b"\n" in chunk:
                        held = chunk[end + 1 :]
                        break
                yield Block(offset, head, length)
                offset += length + 1


def _first_line(stream: Any, start: int, stop: int | None, size: int) -> int | None:
    """The offset of the first line that begins at or after ``start``, if any does before stop."""
    offset = start - 1
    stream.seek(offset)
    while (stop is None or offset < stop) and (chunk := stream.read(min(size, PEEK_BYTES))):
        end = chunk.find(b"\n")
        if end >= 0:
            offset += end + 1
            stream.seek(offset)
            return offset
        offset += len(chunk)
    return None


def _peek(file: File) -> pa.Schema | None:
    """The columns of the first lines that can be read."""
    quarantine = Quarantine()
    for block in blocks(file, size=PEEK_BYTES, longest=RECORD_BYTES):
        batch, at = _Parsed(file, None, RECORD_BYTES, block, pa.schema([]), quarantine).read()
        if batch is not None and len(at):
            return batch.schema
    if quarantine.total:
        raise CorpusError(
            file.path, "JSON objects, one a line", str(quarantine), "check the format"
        )
    return None


def _line(data: bytes, start: int) -> bytes:
    end = data.find(b"\n", start)
    return data[start:] if end < 0 else data[start:end]


def _undated(kind: pa.DataType) -> pa.DataType:
    """The type with every date in it replaced by a string."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _undated(f.type)) for f in kind.fields])
    if pa.types.is_list(kind):
        return pa.list_(_undated(kind.value_type))
    return kind
