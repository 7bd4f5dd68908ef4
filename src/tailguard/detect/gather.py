"""Texts of a corpus for detectors: gathered once each, or sampled slice by slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from tailguard.corpus import Corpus, Quarantine
from tailguard.detect.base import DetectorError, Texts
from tailguard.detect.canonical import Window, canonical, word_counts
from tailguard.engine.progress import progress
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.grams import gram_hash
from tailguard.measure.tokens import Tokens, tokenize

SLICE_SAMPLE = 2_000
"""Documents of a slice that the drift gate looks at, drawn at random from all of it."""
MOST_SLICES = 10_000


@njit(cache=True, nogil=True)
def _contents(hashes: Hashes, offsets: Ints, out: Hashes) -> None:
    for d in range(out.size):
        out[d] = gram_hash(hashes, offsets[d], offsets[d + 1] - offsets[d])


def content_hashes(tokens: Tokens) -> Hashes:
    """A hash of each document's words in order, shape (D,): copies differ in formatting only."""
    out = np.empty(len(tokens), np.uint64)
    _contents(tokens.hashes, tokens.offsets, out)
    return out


@dataclass(frozen=True, slots=True)
class Gathered:
    """Texts of a corpus that can be used, canonical; ``left_out`` counts the others by reason.

    ``words`` (n,) in the window, ``hashes`` (n,) of the content, and under ``columns`` the values
    of the columns that were asked for, None where a record has none.
    """

    texts: pa.Array
    words: Ints
    columns: dict[str, list[str | None]]
    hashes: Hashes
    left_out: dict[str, int]

    def rows(self, kept: NDArray[np.bool_]) -> Gathered:
        """Some of the texts; ``left_out`` is shared."""
        columns = {
            name: [v for v, keep in zip(values, kept.tolist(), strict=True) if keep]
            for name, values in self.columns.items()
        }
        texts = self.texts.filter(pa.array(kept))
        return Gathered(texts, self.words[kept], columns, self.hashes[kept], self.left_out)


def gather_texts(
    corpus: Corpus, window: Window, known: Hashes | None = None, *,
    columns: Sequence[str] = ("source",),
) -> Gathered:  # fmt: skip
    """Read the windows of a corpus's texts, each once; nothing is left out without being counted.

    Left out are texts without words, copies (of one window), and texts among ``known``. Memory
    holds the windows, not the corpus. Raises :class:`DetectorError` where nothing is left.
    """
    seen: set[int] = set()
    forbidden = set() if known is None else set(known.tolist())
    left = {"without words": 0, "copies": 0, "fitted on": 0, "quarantined": 0}
    parts: list[Gathered] = []
    bad = Quarantine()
    for batch in _shown(corpus, bad):
        found = canonical(texts_of(batch, corpus.name), window)
        tokens = tokenize(found)
        content = content_hashes(tokens)
        keep = np.zeros(len(found), bool)
        for i, (value, n) in enumerate(zip(content.tolist(), tokens.lengths.tolist(), strict=True)):
            reason = "without words" if n == 0 else "copies" if value in seen else ""
            reason = reason or ("fitted on" if value in forbidden else "")
            if reason:
                left[reason] += 1
            else:
                seen.add(value)
                keep[i] = True
        values = {name: column_values(batch, name) for name in columns}
        parts.append(Gathered(found, word_counts(found), values, content, left).rows(keep))
    left["quarantined"] = bad.total
    if not any(len(part.texts) for part in parts):
        told = ", ".join(f"{n} {reason}" for reason, n in left.items() if n) or "no records"
        raise DetectorError(corpus.name, "texts with words", told, "check the files")
    return Gathered(
        pa.concat_arrays([part.texts for part in parts]),
        np.concatenate([part.words for part in parts]),
        {name: [v for part in parts for v in part.columns[name]] for name in columns},
        np.concatenate([part.hashes for part in parts]),
        left,
    )


def _shown(corpus: Corpus, bad: Quarantine) -> Iterator[pa.RecordBatch]:
    with progress("reading", corpus.n_bytes, in_bytes=True) as advance:
        for batch in corpus.batches(bad):
            advance(batch.nbytes)
            yield batch


def texts_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The texts of a batch; :class:`DetectorError` for records of another kind."""
    if batch.schema.get_field_index("text") < 0:
        raise DetectorError(name, "texts", "records of another kind", "pass a corpus of texts")
    return batch.column("text")


def column_values(batch: pa.RecordBatch, name: str) -> list[str | None]:
    """A column of every record of a batch, as text; None where there is none."""
    if batch.schema.get_field_index(name) < 0:
        return [None] * len(batch)
    return [None if v is None else str(v) for v in batch.column(name).to_pylist()]


def source_names(batch: pa.RecordBatch) -> list[str | None]:
    """The source of every record of a batch; None where it names none."""
    return column_values(batch, "source")


class Sample:
    """The texts with the smallest random keys: a uniform sample of a slice, without replacement."""

    def __init__(self) -> None:
        self.keys: Floats = np.zeros(0)
        self.texts: Texts = pa.array([], pa.large_string())

    def enters(self, keys: Floats) -> NDArray[np.bool_]:
        """Which of these keys can enter; the texts of the others need not be looked at."""
        return keys < (self.keys[-1] if len(self.keys) == SLICE_SAMPLE else np.inf)

    def add(self, texts: pa.Array, keys: Floats) -> None:
        """Offer texts with their keys, uniform on [0, 1)."""
        if not len(keys):
            return
        keys = np.concatenate([self.keys, keys])
        kept = np.argsort(keys, kind="stable")[:SLICE_SAMPLE]
        both = pa.concat_arrays([self.texts, texts.cast(pa.large_string())])
        self.keys, self.texts = keys[kept], both.take(pa.array(kept))


def slices_of(names: list[str | None]) -> dict[str | None, list[int]]:
    """The rows of each source, in order of first appearance.

    >>> slices_of(["a", None, "a"])
    {'a': [0, 2], None: [1]}
    """
    out: dict[str | None, list[int]] = {}
    for row, name in enumerate(names):
        out.setdefault(name, []).append(row)
    return out


def sample_records(
    corpus: Corpus, n: int, columns: Sequence[str], window: Window, *, rng: np.random.Generator
) -> tuple[pa.Table, int]:
    """``n`` records drawn evenly from a corpus (all where it has fewer), and how many it has.

    The table has ``text``, canonical and cut to the window, and those of ``columns`` that records
    have, as text. One pass; memory holds twice the sample's windows at most. Bad rows are left out.
    """
    parts: list[pa.Table] = []
    keys, kept, total = [np.zeros(0)], 0, 0
    for batch in corpus.batches(Quarantine()):
        texts = canonical(texts_of(batch, corpus.name), window)
        values = {name: pa.array(column_values(batch, name), pa.string()) for name in columns}
        parts.append(pa.table({"text": texts, **values}))
        keys.append(rng.random(len(batch)))
        total += len(batch)
        kept += len(batch)
        if kept > 2 * n:
            parts, keys = _smallest(parts, keys, n)
            kept = n
    if not total:
        return pa.table({"text": pa.array([], pa.large_string())}), 0
    (table,), _ = _smallest(parts, keys, n)
    used = [name for name in table.column_names if table.column(name).null_count < len(table)]
    return table.select(used), total


def _smallest(
    parts: list[pa.Table], keys: list[Floats], n: int
) -> tuple[list[pa.Table], list[Floats]]:
    """The rows with the n smallest keys, in their own order."""
    every = np.concatenate(keys)
    rows = np.sort(np.argsort(every, kind="stable")[:n])
    return [pa.concat_tables(parts).take(pa.array(rows)).combine_chunks()], [every[rows]]
