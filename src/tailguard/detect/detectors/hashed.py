"""Hashed features of texts, compiled: word 1- and 2-grams and character 3- and 4-grams.

Two blocks of 2**bits buckets stand side by side: words first, then characters. A bucket's value is
(1 + log count) * idf, and each block has unit length, so that a text's length does not weigh.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numba import njit, uint64

from tailguard.detect.base import DetectorError
from tailguard.detect.detectors.base import Prepared
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.tokens import extend, mix64

BITS = 18
LOG = np.concatenate([[0.0], 1.0 + np.log(np.arange(1, 256))])
"""1 + log count; a bucket hit 255 times or more counts as 255."""


@njit(inline="always")
def _hit(bucket: Any, counts: Any, touched: Any, n: Any) -> Any:
    if counts[bucket] == 0:
        touched[n] = bucket
        n += 1
    if counts[bucket] < 255:
        counts[bucket] += 1
    return n


@njit(nogil=True, cache=True)
def gather(
    data: Any, begin: Any, end: Any, words: Any, bits: Any, counts: Any, touched: Any
) -> Any:
    """Count one text's grams in ``counts``; how many buckets were touched: words, and in all.

    ``touched`` lists them, words first. The caller sets ``counts`` back to zero.
    """
    shift = uint64(64 - bits)
    n = 0
    for k in range(len(words)):
        n = _hit(mix64(words[k]) >> shift, counts, touched, n)
        if k:
            n = _hit(extend(words[k - 1], words[k]) >> shift, counts, touched, n)
    n_words = n
    block = uint64(1) << uint64(bits)
    # Characters as their bytes packed: a, b, c are the three before the one at hand.
    a, b, c = uint64(0), uint64(0), uint64(0)
    seen = 0
    i = begin
    while i < end:
        d = uint64(data[i])
        i += 1
        while i < end and 0x80 <= data[i] < 0xC0:
            d = (d << uint64(8)) | uint64(data[i])
            i += 1
        seen += 1
        if seen >= 3:
            three = (b * uint64(0x9E3779B97F4A7C15) + c) * uint64(0xC2B2AE3D27D4EB4F) + d
            n = _hit(block + (mix64(three) >> shift), counts, touched, n)
            if seen >= 4:
                four = three + (a + uint64(1)) * uint64(0xD6E8FEB86659FD93)
                n = _hit(block + (mix64(four) >> shift), counts, touched, n)
        a, b, c = b, c, d
    return n_words, n


@njit(nogil=True, cache=True)
def _widths(data: Any, offsets: Any, words: Any, at: Any, bits: Any, touched: Any) -> Any:
    counts = np.zeros(2 << bits, np.uint8)
    indptr = np.zeros(len(offsets), np.int64)
    for d in range(len(offsets) - 1):
        own = words[at[d] : at[d + 1]]
        _, n = gather(data, offsets[d], offsets[d + 1], own, bits, counts, touched)
        for k in range(n):
            counts[touched[k]] = 0
        indptr[d + 1] = indptr[d] + n
    return indptr


@njit(nogil=True, cache=True)
def _fill(
    data: Any, offsets: Any, words: Any, at: Any, bits: Any, touched: Any, log: Any,
    indptr: Any, indices: Any, values: Any,
) -> None:  # fmt: skip
    counts = np.zeros(2 << bits, np.uint8)
    for d in range(len(offsets) - 1):
        own = words[at[d] : at[d + 1]]
        _, n = gather(data, offsets[d], offsets[d + 1], own, bits, counts, touched)
        found = np.sort(touched[:n])
        for k in range(n):
            indices[indptr[d] + k] = found[k]
            values[indptr[d] + k] = log[counts[found[k]]]
            counts[found[k]] = 0


@njit(nogil=True, cache=True)
def _score(
    data: Any, offsets: Any, words: Any, at: Any, bits: Any, touched: Any, log: Any,
    table: Any, bias: Any, out: Any,
) -> None:  # fmt: skip
    counts = np.zeros(2 << bits, np.uint8)
    for d in range(len(offsets) - 1):
        own = words[at[d] : at[d + 1]]
        n_words, n = gather(data, offsets[d], offsets[d + 1], own, bits, counts, touched)
        total = bias
        for begin, end in ((0, n_words), (n_words, n)):
            dot, square = 0.0, 0.0
            for k in range(begin, end):
                bucket = touched[k]
                value = log[counts[bucket]]
                counts[bucket] = 0
                dot += value * table[bucket, 0]
                square += value * value * table[bucket, 1]
            if square > 0:
                total += dot / np.sqrt(square)
        out[d] = total if n_words else np.nan


def _arguments(texts: Prepared, bits: int) -> tuple[Any, Ints, Hashes, Ints, Ints]:
    longest = int(np.max(np.diff(texts.offsets), initial=0))
    # A byte begins at most one token and one character, and each of these ends two grams.
    touched = np.empty(min(4 * longest, 2 << bits) + 1, np.int64)
    return texts.data, texts.offsets, texts.tokens.hashes, texts.tokens.offsets, touched


def counts_matrix(texts: Prepared, bits: int = BITS) -> sp.csr_array:
    """Damped counts 1 + log count of hashed grams, sparse (n, 2 * 2**bits), indices sorted.

    Deterministic; equal on every machine.

    >>> found = counts_matrix(Prepared.of(["a b a", ""]), bits=10)
    >>> found.shape, int(found[[0]].nnz), int(found[[1]].nnz)
    ((2, 2048), 9, 0)
    """
    if not 4 <= bits <= 24:
        raise DetectorError("bits", "4 to 24", str(bits), "use 18")
    if not len(texts):
        return sp.csr_array((0, 2 << bits))
    data, offsets, words, at, touched = _arguments(texts, bits)
    indptr = _widths(data, offsets, words, at, bits, touched)
    small = indptr[-1] < 2**31  # 64-bit indices only where 32 bits are too few
    indices = np.empty(indptr[-1], np.int32 if small else np.int64)
    values = np.empty(indptr[-1])
    _fill(data, offsets, words, at, bits, touched, LOG, indptr, indices, values)
    shape = (len(offsets) - 1, 2 << bits)
    return sp.csr_array((values, indices, indptr.astype(indices.dtype)), shape)


def weigh(counts: sp.csr_array, idf: Floats) -> sp.csr_array:
    """Counts times idf, each row's two blocks at unit length; an empty block stays empty."""
    out = counts.copy()
    out.data = out.data * idf[out.indices]
    rows = np.repeat(np.arange(out.shape[0]), np.diff(out.indptr))
    block = 2 * rows + (out.indices >= out.shape[1] // 2)
    norms = np.sqrt(np.bincount(block, out.data**2, minlength=2 * out.shape[0]))
    out.data /= norms[block]
    return out


def linear_scores(texts: Prepared, bits: int, idf: Floats, weights: Floats, bias: float) -> Floats:
    """bias + weights . features of every text, shape (n,), without making the matrix.

    nan for a text without a word. Equal to ``weigh(counts_matrix(texts), idf) @ weights + bias`` up
    to rounding.
    """
    out = np.empty(len(texts))
    if len(out):
        data, offsets, words, at, touched = _arguments(texts, bits)
        # Side by side, because a bucket is a place in memory that is rarely in a cache.
        table = np.column_stack([idf * weights, idf * idf])
        _score(data, offsets, words, at, bits, touched, LOG, table, bias, out)
    return out
