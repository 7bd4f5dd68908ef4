"""What documents share: self-BLEU and self-repetition, exact and in linear time.

Everything here rests on one tally per order n. N-grams are split by hash into partitions small
enough for the cache; inside one, documents stay in order, so one streaming pass finds per n-gram
the two largest per-document counts and whose the largest is. "The most any *other* document has"
then costs O(1), and a second pass gives every document its clipped matches. N-grams are told apart
by 64-bit hashes: 20 million distinct ones meet by chance with probability about 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.grams import (
    PARTITION,
    check_order,
    check_tokens,
    in_threads,
    ngram_hashes,
    ranges,
)

Smoothing = Literal["epsilon", "none"]

EPSILON = 0.1
"""Matches credited to an order without any, as NLTK's ``method1``."""

_LAST, _RUN, _BEST, _OWNER, _SECOND = range(5)


class Tally(NamedTuple):
    """N-grams of one order, counted per type and per document.

    Per distinct n-gram (V,), in no particular order: ``types`` (hashes), ``counts`` in the corpus,
    ``documents`` that hold it. Per document (D,): ``clipped``, the sum over its n-grams of
    min(own count, largest count in any other document); ``shared``, the sum over its distinct
    n-grams of the number of other documents that hold it; ``distinct`` n-grams.
    """

    types: Hashes
    counts: Ints
    documents: Ints
    clipped: Ints
    shared: Ints
    distinct: Ints


@njit(cache=True, nogil=True)
def _histogram(grams: Hashes, lo: int, hi: int, shift: np.uint64, sizes: Ints) -> None:
    for i in range(lo, hi):
        sizes[grams[i] >> shift] += 1


@njit(cache=True, nogil=True)
def _scatter(
    grams: Hashes,
    offsets: Ints,
    first: int,
    last: int,
    shift: np.uint64,
    cursor: Ints,
    keys: Hashes,
    docs: NDArray[np.int32],
) -> None:
    for d in range(first, last):
        for i in range(offsets[d], offsets[d + 1]):
            p = grams[i] >> shift
            keys[cursor[p]] = grams[i]
            docs[cursor[p]] = d
            cursor[p] += 1


@njit(cache=True, nogil=True)
def _number(keys: Hashes, table: NDArray[np.int32], ids: NDArray[np.int32]) -> int:
    """Number distinct keys from 0 by first appearance and move them to the front of ``keys``."""
    mask = 1
    while mask < 2 * keys.size:
        mask *= 2
    table[:mask] = -1
    slots, v = np.uint64(mask - 1), 0
    for i in range(keys.size):
        key = keys[i]
        slot = key & slots
        while table[slot] >= 0 and keys[table[slot]] != key:
            slot = (slot + np.uint64(1)) & slots
        if table[slot] < 0:
            table[slot] = v
            keys[v] = key  # v <= i: overwrites only what was read already
            v += 1
        ids[i] = table[slot]
    return v


@njit(cache=True, nogil=True)
def _close(s: NDArray[np.int32]) -> None:
    """Enter a finished document's count among the two largest."""
    if s[_RUN] > s[_BEST]:
        s[_SECOND], s[_BEST], s[_OWNER] = s[_BEST], s[_RUN], s[_LAST]
    elif s[_RUN] > s[_SECOND]:
        s[_SECOND] = s[_RUN]


@njit(cache=True, nogil=True)
def _tally(
    keys: Hashes,
    docs: NDArray[np.int32],
    bounds: Ints,
    first: int,
    last: int,
    counts: Ints,
    documents: Ints,
    n_types: Ints,
    per_document: Ints,
) -> None:
    widest = 1
    for p in range(first, last):
        widest = max(widest, bounds[p + 1] - bounds[p])
    table = np.empty(4 * widest, np.int32)
    ids = np.empty(widest, np.int32)
    states = np.empty((widest, 5), np.int32)
    for p in range(first, last):
        lo, hi = bounds[p], bounds[p + 1]
        types = _number(keys[lo:hi], table, ids)
        n_types[p] = types
        counts[lo : lo + types] = 0
        documents[lo : lo + types] = 0
        states[:types] = 0
        states[:types, _LAST] = -1
        for i in range(lo, hi):
            s = states[ids[i - lo]]
            counts[lo + ids[i - lo]] += 1
            if s[_LAST] != docs[i]:
                _close(s)
                s[_LAST], s[_RUN] = docs[i], 0
                documents[lo + ids[i - lo]] += 1
            s[_RUN] += 1
        for t in range(types):
            _close(states[t])
            states[t, _LAST] = -1
        for i in range(lo, hi):
            s, d = states[ids[i - lo]], docs[i]
            if s[_LAST] != d:
                s[_LAST], s[_RUN] = d, 0
                per_document[1, d] += documents[lo + ids[i - lo]] - 1
                per_document[2, d] += 1
            s[_RUN] += 1
            # The k-th occurrence is matched while another document has at least k.
            if s[_RUN] <= (s[_SECOND] if s[_OWNER] == d else s[_BEST]):
                per_document[0, d] += 1


def tally(grams: Hashes, offsets: Ints) -> Tally:
    """Count n-grams per type and per document, in time and memory linear in their number.

    The answer does not depend on the number of threads. Raises InputError.

    >>> words = np.array([1, 1, 2, 1, 3], np.uint64)  # documents "a a b" and "a c"
    >>> found = tally(words, np.array([0, 3, 5]))
    >>> found.clipped.tolist(), found.shared.tolist(), found.distinct.tolist()
    ([1, 1], [1, 1], [2, 2])
    """
    check_tokens(grams, offsets)
    bits = min(max((grams.size // PARTITION).bit_length(), 1), 12)
    shift = np.uint64(64 - bits)
    parts = ranges(offsets)
    sizes = np.zeros((len(parts), 1 << bits), np.int64)
    jobs = [(grams, offsets[a], offsets[b], shift, sizes[k]) for k, (a, b) in enumerate(parts)]
    in_threads(_histogram, jobs)
    bounds = np.zeros((1 << bits) + 1, np.int64)
    np.cumsum(sizes.sum(axis=0), out=bounds[1:])
    # Every range writes to its own stretch of a partition: a document's n-grams stay together.
    cursors = bounds[:-1] + np.cumsum(sizes, axis=0) - sizes
    keys, docs = np.empty(grams.size, np.uint64), np.empty(grams.size, np.int32)
    scatter = [
        (grams, offsets, a, b, shift, cursors[k], keys, docs) for k, (a, b) in enumerate(parts)
    ]
    in_threads(_scatter, scatter)
    counts, documents = np.empty(grams.size, np.int64), np.empty(grams.size, np.int64)
    n_types = np.zeros(1 << bits, np.int64)
    parts = ranges(bounds)
    per_document = np.zeros((len(parts), 3, offsets.size - 1), np.int64)
    count = [
        (keys, docs, bounds, a, b, counts, documents, n_types, per_document[k])
        for k, (a, b) in enumerate(parts)
    ]
    in_threads(_tally, count)
    used = [slice(lo, lo + v) for lo, v in zip(bounds[:-1], n_types, strict=True)]
    by_type = [
        np.concatenate([array[part] for part in used]) for array in (keys, counts, documents)
    ]
    return Tally(*by_type, *per_document.sum(axis=0))


def document_frequency(grams: Hashes, offsets: Ints) -> tuple[Hashes, Ints]:
    """Distinct n-grams (V,), ascending, and the number of documents holding each, in [1, D].

    >>> document_frequency(np.array([5, 5, 9, 5], np.uint64), np.array([0, 3, 4]))[1].tolist()
    [2, 1]
    """
    found = tally(grams, offsets)
    order = np.argsort(found.types)
    return found.types[order], found.documents[order]


def _closest_other_length(lengths: Ints) -> Ints:
    """The length of another document nearest to each one's own; the shorter of two as near."""
    order = np.argsort(lengths, kind="stable")
    ranked = lengths[order].astype(np.float64)
    before = np.concatenate(([-np.inf], ranked[:-1]))
    after = np.concatenate((ranked[1:], [np.inf]))
    closest = np.empty(lengths.size, np.int64)
    closest[order] = np.where(ranked - before <= after - ranked, before, after)
    return closest


def self_bleu_per_document(
    hashes: Hashes,
    offsets: Ints,
    *,
    max_n: int = 4,
    weights: Sequence[float] | None = None,
    smoothing: Smoothing = "epsilon",
) -> Floats:
    """Sentence-BLEU of each document against all others, (D,) in [0, 1]; see :func:`self_bleu`.

    >>> same = np.array([1, 2, 3, 4, 1, 2, 3, 4], np.uint64)
    >>> self_bleu_per_document(same, np.array([0, 4, 8])).tolist()
    [1.0, 1.0]
    """
    check_tokens(hashes, offsets)
    check_order(max_n)
    shares = np.full(max_n, 1 / max_n) if weights is None else np.asarray(weights, np.float64)
    if shares.shape != (max_n,) or shares.min() < 0 or not np.isclose(shares.sum(), 1):
        got = str(shares.tolist())
        raise InputError("weights", f"{max_n} shares that sum to 1", got, "pass one per order")
    if smoothing not in ("epsilon", "none"):
        raise InputError("smoothing", "'epsilon' or 'none'", repr(smoothing), "pass one of them")
    lengths = np.diff(offsets)
    scores = np.full(lengths.size, np.nan)
    defined, present = lengths >= max_n, lengths > 0
    if present.sum() < 2 or not defined.any():
        return scores
    clipped = np.stack(
        [tally(*ngram_hashes(hashes, offsets, n)).clipped[defined] for n in range(1, max_n + 1)]
    )
    own = lengths[defined]
    closest = _closest_other_length(lengths[present])[defined[present]]
    totals = own - np.arange(max_n)[:, None]
    matches = np.where((clipped == 0) & (smoothing == "epsilon"), EPSILON, clipped)
    weighed = shares > 0
    with np.errstate(divide="ignore"):  # log 0 = -inf makes an unsmoothed BLEU of 0
        log_precision = shares[weighed] @ np.log(matches[weighed] / totals[weighed])
    bleu = np.exp(log_precision + np.minimum(0.0, 1 - closest / own))
    scores[defined] = np.where(clipped[0] == 0, 0.0, bleu)
    return scores


def self_bleu(
    hashes: Hashes,
    offsets: Ints,
    *,
    max_n: int = 4,
    weights: Sequence[float] | None = None,
    smoothing: Smoothing = "epsilon",
) -> float:
    """How much each document is made of the others': mean sentence-BLEU against all others.

    BLEU(d) = min(1, exp(1 - r/c)) prod_n p_n^w_n with c the length of d, r the nearest length of
    another document (the shorter of two), p_n = sum_g min(count_d(g), max_{e != d} count_e(g)) /
    (c - n + 1), uniform w_n unless ``weights`` are given. ``smoothing="epsilon"`` counts an order
    without a match as 0.1 matches (Chen & Cherry 2014, method 1), ``"none"`` leaves BLEU 0 then;
    a document that shares no word scores 0 in both. In [0, 1], higher = less diverse. Exact, in
    time linear in the corpus.

    Documents shorter than ``max_n`` tokens have no BLEU and are left out of the mean, but are
    references; empty ones are neither. nan when none is left or fewer than two are not empty.
    Raises InputError. Source: Zhu et al. 2018 (Texygen); Papineni et al. 2002.

    >>> words = np.array([1, 2, 3, 4, 5, 6], np.uint64)  # two documents without a common word
    >>> self_bleu(words, np.array([0, 3, 6]), max_n=2)
    0.0
    """
    scores = self_bleu_per_document(
        hashes, offsets, max_n=max_n, weights=weights, smoothing=smoothing
    )
    return _mean_defined(scores)


def self_repetition_per_document(hashes: Hashes, offsets: Ints, n: int = 4) -> Floats:
    """Each document's :func:`self_repetition`, (D,) in nats; nan below n tokens.

    >>> self_repetition_per_document(np.array([1, 2, 1], np.uint64), np.array([0, 2, 3]), 1)
    array([0.69314718, 0.69314718])
    """
    grams, at = ngram_hashes(hashes, offsets, n)
    scores = np.full(at.size - 1, np.nan)
    defined = np.diff(at) > 0
    if defined.sum() > 1:
        scores[defined] = np.log1p(tally(grams, at).shared[defined])
    return scores


def self_repetition(hashes: Hashes, offsets: Ints, n: int = 4) -> float:
    """How often a document's n-grams come back in others: mean of log(1 + sum_g (df(g) - 1)).

    The sum is over the distinct n-grams g of a document, df(g) the number of documents holding g.
    In nats, >= 0, higher = more repetition; grows with the number of documents, so compare at
    equal size. Documents shorter than n are left out; nan when fewer than two remain. Exact, in
    linear time. Raises InputError. Source: Salkar et al. 2022. (The package ``diversity`` enters
    documents shorter than n as 0.)

    >>> self_repetition(np.array([1, 2, 3, 4], np.uint64), np.array([0, 2, 4]), n=1)
    0.0
    """
    return _mean_defined(self_repetition_per_document(hashes, offsets, n))


def _mean_defined(scores: Floats) -> float:
    defined = scores[~np.isnan(scores)]
    return float(defined.mean()) if defined.size else float("nan")
