"""Token ids: what schemes mark and detection reads, whatever model wrote the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit, uint64
from numpy.typing import NDArray

from tailguard.detect.watermark.base import WatermarkError
from tailguard.detect.watermark.prf import Words
from tailguard.measure.base import Ints
from tailguard.measure.tokens import buffers, mix64


@njit(cache=True, nogil=True)
def _hash(data: Any, offsets: Any, out: Any) -> None:
    for row in range(len(out)):
        h = uint64(0xCBF29CE484222325)
        for i in range(offsets[row], offsets[row + 1]):
            h = (h ^ uint64(data[i])) * uint64(0x100000001B3)
        out[row] = mix64(h)


def word_ids(words: Sequence[str]) -> Words:
    """The id of each token that is known by its text: FNV-1a of its UTF-8 bytes, mixed (64 bits).

    The same text has the same id on every machine, so a detector needs no vocabulary.

    >>> a, b, c = word_ids([" to", " be", " to"])
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    if not len(words):
        return np.zeros(0, np.uint64)
    data, offsets = buffers(pa.array(words, pa.large_string()))
    out = np.empty(len(words), np.uint64)
    _hash(data, offsets, out)
    return out


def flatten(documents: Iterable[NDArray[np.integer[Any]] | Sequence[int]]) -> tuple[Words, Ints]:
    """Documents of token ids end to end, and where each starts (shape (D + 1,)).

    Raises :class:`WatermarkError` for ids that are not integers of one dimension, or negative.

    >>> flatten([[5, 7], [], [9]])[1].tolist()
    [0, 2, 2, 3]
    """
    parts = []
    for number, document in enumerate(documents):
        ids = np.asarray(document)
        if ids.size == 0:
            ids = np.zeros(0, np.uint64)
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or (ids.dtype.kind == "i" and ids.min() < 0):
            raise WatermarkError(
                f"document {number}", "a list of token ids ≥ 0", "something else", "tokenize it"
            )
        parts.append(ids.astype(np.uint64))
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return (np.concatenate(parts) if parts else np.zeros(0, np.uint64)), offsets
