"""Files that are one record each: texts and images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tailguard.corpus.base import BATCH_BYTES, RECORD_BYTES, SHARD_BYTES, Columns, Corpus, Modality
from tailguard.corpus.files import File, read_all
from tailguard.corpus.layout import conform, find_layout
from tailguard.corpus.quarantine import Quarantine
from tailguard.errors import CorpusError

SHARD_FILES = 1_000


@dataclass(frozen=True, slots=True)
class FilesShard:
    """A run of files, a record each: the id is the file's name within the corpus, the source its
    top folder. ``first`` is the place of the first file in the corpus."""

    files: tuple[File, ...]
    modality: Modality
    columns: Columns
    first: int

    @property
    def name(self) -> str:
        return f"{self.files[0].name}@{self.first}"

    @property
    def n_bytes(self) -> int:
        return sum(file.size for file in self.files)

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        schema = _schema(self.modality)
        layout = find_layout(schema, self.columns, self.name)
        rows: list[tuple[bytes, str, str | None]] = []
        at: list[int] = []
        size = 0

        def batch() -> Iterator[pa.RecordBatch]:
            content, ids, sources = zip(*rows, strict=True)
            kept = pa.array(content, pa.large_binary())
            arrays = [
                kept.view(schema.field(0).type),
                pa.array(ids),
                pa.array(sources, pa.string()),
            ]
            table = pa.RecordBatch.from_arrays(arrays, schema=schema)
            where = np.array(at, np.int64)
            return conform(
                table, layout, quarantine, file=self.name, at=where, raw=lambda i: content[i]
            )

        for i, file in enumerate(self.files):
            content = read_all(file, RECORD_BYTES)
            if len(content) > RECORD_BYTES:
                reason = f"longer than {RECORD_BYTES:,} bytes"
                quarantine.add(
                    reason,
                    file=file.name,
                    unit="byte",
                    at=0,
                    raw=content[:1_000],
                    n_bytes=file.size,
                )
                continue
            folder = file.name.split("/", 1)[0] if "/" in file.name else None
            rows.append((content.removeprefix(b"\xef\xbb\xbf"), file.name, folder))
            at.append(self.first + i)
            size += len(content)
            if size >= BATCH_BYTES:
                yield from batch()
                rows, at, size = [], [], 0
        if rows:
            yield from batch()


def open_texts(files: Sequence[File], columns: Columns) -> Corpus:
    """A record a file, also for a single file: a book is one record."""
    return _open(files, columns, "text")


def open_images(files: Sequence[File], columns: Columns) -> Corpus:
    """A record a file; ``image`` holds the encoded bytes, decoding is left to the reader."""
    return _open(files, columns, "image")


def _open(files: Sequence[File], columns: Columns, modality: Modality) -> Corpus:
    if not any(file.size for file in files):
        raise CorpusError(files[0].path, "content", "empty files only", "check the files")
    find_layout(_schema(modality), columns, files[0].path)
    return Corpus(files[0].path, tuple(_shards(files, columns, modality)), modality)


def _shards(files: Sequence[File], columns: Columns, modality: Modality) -> Iterator[FilesShard]:
    run: list[File] = []
    for i, file in enumerate(files):
        run.append(file)
        full = len(run) >= SHARD_FILES or sum(f.size for f in run) >= SHARD_BYTES
        if full or i == len(files) - 1:
            yield FilesShard(tuple(run), modality, columns, i + 1 - len(run))
            run = []


def _schema(modality: Modality) -> pa.Schema:
    kind = pa.large_string() if modality == "text" else pa.large_binary()
    return pa.schema([(modality, kind), ("id", pa.string()), ("source", pa.string())])
