"""A coordinated sample of documents that keeps their token hashes.

Each document gets a key from its rarest-hashing word 4-gram: with u the smallest 4-gram hash
scaled to [0, 1) and m the number of 4-grams, -m log(1 - u) is exponentially distributed whatever
the length. The documents with the k smallest keys form the sample. Near-copies mostly share that
4-gram and so enter together, in gold and batch alike, which lets a small sample see duplicates.
Everything that needs whole documents (features, MinHash, self-BLEU) is computed from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, uint64

from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.tokens import extend, mix64

KEEP_TOKENS = 4096


@njit(cache=True, nogil=True)
def _fingerprint(hashes: Any, offsets: Any, grams: Any, at: Any, content: Any, keys: Any) -> None:
    for document in range(len(offsets) - 1):
        whole = mix64(uint64(offsets[document + 1] - offsets[document]))
        for i in range(offsets[document], offsets[document + 1]):
            whole = extend(whole, hashes[i])
        content[document] = whole
        smallest = uint64(0xFFFFFFFFFFFFFFFF)
        for i in range(at[document], at[document + 1]):
            smallest = min(smallest, grams[i])
        found = at[document + 1] - at[document]
        if found == 0:
            smallest, found = mix64(whole), 1
        keys[document] = -found * np.log1p(-(float(smallest >> uint64(11)) / 2.0**53))


def fingerprint(hashes: Hashes, offsets: Ints, grams: Hashes, at: Ints) -> tuple[Hashes, Floats]:
    """Content hash (order matters) and sampling key of every document, each of shape (D,)."""
    content, keys = np.empty(len(offsets) - 1, np.uint64), np.empty(len(offsets) - 1)
    _fingerprint(hashes, offsets, grams, at, content, keys)
    return content, keys


def gather(values: Any, offsets: Ints, rows: Ints, limit: int | None = None) -> tuple[Any, Ints]:
    """The ragged rows ``rows`` of (values, offsets), each cut to ``limit`` items."""
    lengths = np.diff(offsets)[rows]
    if limit is not None:
        lengths = np.minimum(lengths, limit)
    out = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    where = np.arange(out[-1]) + np.repeat(offsets[rows] - out[:-1], lengths)
    return values[where], out


@dataclass(frozen=True, slots=True)
class DocumentSample:
    """The k distinct documents of smallest key, with their first 4,096 token hashes.

    ``content: (K,)`` identifies a document, ``copies: (K,)`` counts its exact repetitions,
    ``lengths: (K,)`` its tokens before cutting. Empty documents are not sampled.
    """

    k: int
    keys: Floats
    content: Hashes
    copies: Ints
    lengths: Ints
    tokens: Hashes
    offsets: Ints

    def __len__(self) -> int:
        return len(self.content)

    @classmethod
    def empty(cls, k: int) -> DocumentSample:
        """The sample of nothing: the neutral element of ``merge``."""
        none = np.zeros(0, np.int64)
        return cls(
            k,
            np.zeros(0),
            none.astype(np.uint64),
            none,
            none,
            none.astype(np.uint64),
            np.zeros(1, np.int64),
        )

    @classmethod
    def of(
        cls, k: int, hashes: Hashes, offsets: Ints, content: Hashes, keys: Floats, below: float
    ) -> DocumentSample:
        """The sample of a batch of documents, looking only at keys up to ``below``."""
        lengths = np.diff(offsets)
        rows = np.flatnonzero((keys <= below) & (lengths > 0))
        tokens, cut = gather(hashes, offsets, rows, KEEP_TOKENS)
        once = np.ones(len(rows), np.int64)
        return cls(k, keys[rows], content[rows], once, lengths[rows], tokens, cut)._reduced()

    @property
    def limit(self) -> float:
        """Keys above this cannot enter any more."""
        return float(self.keys[-1]) if len(self) >= self.k else float("inf")

    def _reduced(self) -> DocumentSample:
        order = np.lexsort((self.content, self.keys))
        content = self.content[order]
        fresh = np.ones(len(order), bool)
        fresh[1:] = content[1:] != content[:-1]
        starts = np.flatnonzero(fresh)
        copies = np.add.reduceat(self.copies[order], starts) if len(starts) else self.copies
        starts, copies = starts[: self.k], copies[: self.k]
        rows = order[starts]
        tokens, offsets = gather(self.tokens, self.offsets, rows)
        return DocumentSample(
            self.k, self.keys[rows], self.content[rows], copies, self.lengths[rows], tokens, offsets
        )

    def merge(self, other: DocumentSample) -> DocumentSample:
        """The sample of both corpora together: associative, commutative, exact."""
        return DocumentSample(
            min(self.k, other.k),
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.content, other.content]),
            np.concatenate([self.copies, other.copies]),
            np.concatenate([self.lengths, other.lengths]),
            np.concatenate([self.tokens, other.tokens]),
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
        )._reduced()
