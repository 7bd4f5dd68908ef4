"""Arrow files: IPC streams and files, feather, and HF datasets saved to disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tailguard.corpus.base import Columns, Corpus
from tailguard.corpus.files import File, readable
from tailguard.corpus.layout import Layout, conform, open_tables
from tailguard.corpus.quarantine import Quarantine
from tailguard.errors import CorpusError


@dataclass(frozen=True, slots=True)
class IpcShard:
    """A whole Arrow file."""

    file: File
    layout: Layout

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def n_bytes(self) -> int:
        return self.file.size

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        at = 0
        for batch in _batches(self.file):
            where = np.arange(at, at + batch.num_rows)
            at += batch.num_rows
            yield from conform(batch, self.layout, quarantine, file=self.file.name, at=where)


def open_arrow(files: Sequence[File], columns: Columns) -> Corpus:
    """One shard a file."""
    return open_tables(files, columns, _schema, lambda file, layout: [IpcShard(file, layout)])


def saved_dataset(folder: str) -> list[str] | None:
    """The Arrow files of an HF ``save_to_disk`` folder, all splits in order; none if it is not one.

    Only the listing is read: no loading script, no pickled state.
    """
    splits = _listing(folder, "dataset_dict.json", "splits")
    if splits is not None:
        return [path for name in splits for path in saved_dataset(os.path.join(folder, name)) or []]
    names = _listing(folder, "state.json", "_data_files")
    return None if names is None else [os.path.join(folder, name) for name in names]


def _listing(folder: str, file: str, key: str) -> list[str] | None:
    path = os.path.join(folder, file)
    if not os.path.isfile(path):
        return None
    with readable(path), open(path, encoding="utf-8") as text:
        listing = json.load(text)
    found = listing.get(key) if isinstance(listing, dict) else None
    names: list[str] = []
    for item in found if isinstance(found, list) else []:
        name = item.get("filename") if isinstance(item, dict) else item
        if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", ".."):
            raise CorpusError(path, "plain file names", repr(name)[:80], "do not trust this folder")
        names.append(name)
    return names


def _batches(file: File) -> Iterator[pa.RecordBatch]:
    with file.open() as stored:
        head = stored.read(6)
        stored.seek(0)
        if head == b"ARROW1":
            with pa.ipc.open_file(stored) as reader:
                for i in range(reader.num_record_batches):
                    yield reader.get_batch(i)
        else:
            with pa.ipc.open_stream(stored) as reader:
                yield from reader


def _schema(file: File) -> pa.Schema | None:
    rows = (batch.schema for batch in _batches(file) if batch.num_rows)
    return next(rows, None) if file.size else None
