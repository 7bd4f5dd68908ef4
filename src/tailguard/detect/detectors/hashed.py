"""Hashed features of texts, compiled: word 1- and 2-grams and character 3- and 4-grams.

Two blocks of 2**bits buckets stand side by side: words first, then characters. A bucket's value is
(1 + log count) * idf, and each block has unit length, so that a text's length does not weigh.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numba import njit, uint8, uint32, uint64
from numpy.typing import NDArray

from tailguard.detect.base import DetectorError
from tailguard.detect.detectors.base import Prepared
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.tokens import extend, mix64

BITS = 18
LOG = np.concatenate([[0.0], 1.0 + np.log(np.arange(1, 256))])
"""1 + log count; a bucket hit 255 times or more counts as 255."""


@njit(inline="always")
def _hit(bucket: Any, counts: Any, touched: Any, n: Any) -> Any:
    # Without a branch, because no processor guesses whether a gram is new; and with unsigned
    # places, which save Numba a check of each.
    count = counts[bucket]
    touched[n] = bucket
    counts[bucket] = count + uint8(count < 255)
    return n + uint64(count == 0)


@njit(nogil=True, cache=True)
def gather(
    data: Any, begin: Any, end: Any, words: Any, bits: Any, counts: Any, touched: Any
) -> Any:
    """Count one text's grams in ``counts``; how many buckets were touched: words, and in all.

    ``touched`` lists them, words first; it needs room for one more than can be touched. The caller
    sets ``counts`` back to zero.
    """
    shift = uint64(64 - bits)
    n = uint64(0)
    for k in range(uint64(0), uint64(len(words))):
        n = _hit(mix64(words[k]) >> shift, counts, touched, n)
        if k:
            n = _hit(extend(words[k - uint64(1)], words[k]) >> shift, counts, touched, n)
    n_words = n
    block = uint64(1) << uint64(bits)
    # Characters as their bytes packed: a, b, c are the three before the one at hand.
    a, b, c = uint64(0), uint64(0), uint64(0)
    seen = 0
    i, stop = uint64(begin), uint64(end)
    while i < stop:
        d = uint64(data[i])
        i += uint64(1)
        while i < stop and 0x80 <= data[i] < 0xC0:
            d = (d << uint64(8)) | uint64(data[i])
            i += uint64(1)
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
def _sort(touched: Any, n: Any, spare: Any, places: Any, half: Any) -> None:
    """Sort the first ``n`` buckets of 2 * ``half`` bits: two counting passes, linear in n."""
    low = uint32((1 << half) - 1)
    for source, target, shift in ((touched, spare, uint32(0)), (spare, touched, uint32(half))):
        places[:] = 0
        for k in range(n):
            places[((source[k] >> shift) & low) + uint32(1)] += 1
        for k in range(1, len(places)):
            places[k] += places[k - 1]
        for k in range(n):
            digit = (source[k] >> shift) & low
            target[places[digit]] = source[k]
            places[digit] += 1


@njit(nogil=True, cache=True)
def _fill(
    data: Any, offsets: Any, words: Any, at: Any, bits: Any, touched: Any, log: Any,
    indptr: Any, indices: Any, values: Any,
) -> None:  # fmt: skip
    counts = np.zeros(2 << bits, np.uint8)
    half = (bits + 2) // 2
    spare, places = np.empty_like(touched), np.empty((1 << half) + 1, np.uint32)
    for d in range(len(offsets) - 1):
        own = words[at[d] : at[d + 1]]
        _, n = gather(data, offsets[d], offsets[d + 1], own, bits, counts, touched)
        _sort(touched, n, spare, places, half)
        for k in range(n):
            indices[indptr[d] + k] = touched[k]
            values[indptr[d] + k] = log[counts[touched[k]]]
            counts[touched[k]] = 0


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
        for begin, end in ((uint64(0), n_words), (n_words, n)):
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


@njit(nogil=True, cache=True)
def _strongest(
    own: Any, bits: Any, scale: Any, touched: Any, counts: Any, log: Any, idf: Any, weights: Any,
    places: Any, parts: Any,
) -> None:  # fmt: skip
    """The word buckets of ``touched`` that move the score most, by a place in ``own``.

    Place k is the word k, and place len(own) + k the pair that ends with the word k.
    """
    most = len(parts)
    best = np.empty(most, np.uint32)
    n = 0
    for bucket in touched:
        part = log[counts[bucket]] * idf[bucket] * scale * weights[bucket]
        size, k = abs(part), n
        while k > 0 and (
            size > abs(parts[k - 1]) or (size == abs(parts[k - 1]) and bucket < best[k - 1])
        ):
            if k < most:
                best[k], parts[k] = best[k - 1], parts[k - 1]
            k -= 1
        if k < most:
            best[k], parts[k] = bucket, part
            n = min(n + 1, most)
    shift = uint64(64 - bits)
    for place in range(2 * len(own) - 1, -1, -1):
        if place < len(own):
            gram = mix64(own[place])
        elif place > len(own):
            gram = extend(own[place - len(own) - 1], own[place - len(own)])
        else:
            continue
        for k in range(n):
            if best[k] == gram >> shift:
                places[k] = place


@njit(nogil=True, cache=True)
def _explain(
    data: Any, offsets: Any, words: Any, at: Any, bits: Any, touched: Any, log: Any,
    idf: Any, weights: Any, rows: Any, places: Any, parts: Any, letters: Any,
) -> None:  # fmt: skip
    counts = np.zeros(2 << bits, np.uint8)
    for r in range(len(rows)):
        d = rows[r]
        own = words[at[d] : at[d + 1]]
        n_words, n = gather(data, offsets[d], offsets[d + 1], own, bits, counts, touched)
        squares, dot = np.zeros(2), 0.0
        for k in range(n):
            value = log[counts[touched[k]]] * idf[touched[k]]
            squares[int(k >= n_words)] += value * value
            if k >= n_words:
                dot += value * weights[touched[k]]
        if squares[1] > 0:
            letters[r] = dot / np.sqrt(squares[1])
        scale = 1.0 / np.sqrt(squares[0]) if squares[0] > 0 else 0.0
        _strongest(
            own, bits, scale, touched[:n_words], counts, log, idf, weights, places[r], parts[r]
        )
        for k in range(n):
            counts[touched[k]] = 0


def _arguments(texts: Prepared, bits: int) -> tuple[Any, Ints, Hashes, Ints, NDArray[np.uint32]]:
    longest = int(np.max(np.diff(texts.offsets), initial=0))
    # A byte begins at most one token and one character, and each of these ends two grams.
    touched = np.empty(min(4 * longest, 2 << bits) + 1, np.uint32)
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


@njit(nogil=True, cache=True)
def _weigh(indptr: Any, indices: Any, values: Any, idf: Any, block: Any, out: Any) -> None:
    norms = np.empty(2)
    for d in range(len(indptr) - 1):
        norms[:] = 0.0
        for k in range(indptr[d], indptr[d + 1]):
            out[k] = values[k] * idf[indices[k]]
            norms[int(indices[k] >= block)] += out[k] * out[k]
        for side in range(2):
            norms[side] = np.sqrt(norms[side]) if norms[side] > 0 else 1.0
        for k in range(indptr[d], indptr[d + 1]):
            out[k] /= norms[int(indices[k] >= block)]


def weigh(counts: sp.csr_array, idf: Floats) -> sp.csr_array:
    """Counts times idf, each row's two blocks at unit length; an empty block stays empty.

    Shares its places (``indices``, ``indptr``) with ``counts``.
    """
    out = np.empty(counts.nnz)
    _weigh(counts.indptr, counts.indices, counts.data, idf, counts.shape[1] // 2, out)
    return sp.csr_array((out, counts.indices, counts.indptr), counts.shape)


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


def linear_evidence(
    texts: Prepared, bits: int, idf: Floats, weights: Floats, rows: Ints, most: int
) -> list[list[tuple[str, float]]]:
    """What moved the scores of these rows: their ``most`` strongest words and pairs, in nats.

    Of each row pairs of a gram's text and its part weights . features, by falling size; last comes
    ``(characters)``, the sum over all character grams, which cannot be named. Nothing for a text
    without a word. With every gram listed, the parts and the bias sum to :func:`linear_scores`.

    >>> flat = np.ones(2 << 8)
    >>> linear_evidence(Prepared.of(["So so"]), 8, flat, flat, np.array([0]), 1)[0][0][0]
    'So'
    """
    data, offsets, words, at, touched = _arguments(texts, bits)
    most = max(0, min(most, 2 * int(np.max(texts.tokens.lengths[rows], initial=0))))
    places, parts = np.full((len(rows), most), -1), np.zeros((len(rows), most))
    letters = np.zeros(len(rows))
    _explain(data, offsets, words, at, bits, touched, LOG, idf, weights, rows, places, parts,
             letters)  # fmt: skip
    out: list[list[tuple[str, float]]] = []
    for row, own, nats, rest in zip(
        rows.tolist(), places.tolist(), parts.tolist(), letters.tolist(), strict=True
    ):
        begin, n = int(at[row]), int(at[row + 1] - at[row])
        named = [
            (texts.tokens.text(begin + place % n - place // n, begin + place % n + 1), part)
            for place, part in zip(own, nats, strict=True)
            if place >= 0
        ]
        out.append([*named, ("(characters)", rest)] if n else [])
    return out
