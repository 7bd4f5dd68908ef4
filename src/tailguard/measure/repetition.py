"""Text that repeats itself: n-grams and loops within a document, near-duplicates between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.grams import check_order, check_tokens, gram_hash, ngram_hashes
from tailguard.measure.tokens import mix64

Signatures = NDArray[np.uint32]

LONGEST_PERIOD = 64
"""Tokens: the longest unit whose looping is looked for."""

LEAST_REPEATS = 3
"""A unit said this many times in a row, or more, is a loop."""

_EMPTY = 0xFFFFFFFF  # a bin no shingle fell into; never the value of one


class Repetition(NamedTuple):
    """Repetition within each document; every field is (D,).

    ``seq_rep``: 1 - distinct n-grams / n-grams, in [0, 1), nan below n tokens.
    ``windowed``: share of n-grams that also begin at most ``window`` tokens earlier, in [0, 1), nan
    likewise. ``loop_tokens``: tokens covered by the longest loop, 0 without one.
    ``loop_period``: tokens in its unit, 0 without one.
    """

    seq_rep: Floats
    windowed: Floats
    loop_tokens: Ints
    loop_period: Ints


@njit(cache=True, nogil=True)
def _repeats(grams: Hashes, window: int, table: Ints) -> tuple[int, int]:
    """N-grams seen before in the document, and seen within the window before."""
    mask = 1
    while mask < 2 * grams.size:
        mask *= 2
    table[:mask] = -1
    slots, seen, near = np.uint64(mask - 1), 0, 0
    for i in range(grams.size):
        slot = grams[i] & slots
        while table[slot] >= 0 and grams[table[slot]] != grams[i]:
            slot = (slot + np.uint64(1)) & slots
        if table[slot] >= 0:
            seen += 1
            near += i - table[slot] <= window
        table[slot] = i
    return seen, near


@njit(cache=True, nogil=True)
def _longest_loop(tokens: Hashes) -> tuple[int, int]:
    """Tokens covered by the longest loop and its period; of equal ones, the shortest period.

    A loop of period p is a run of positions that equal the one p before. It holds at least
    (repeats - 1) p of them in a row, so it meets a multiple of that: only those are looked at,
    and grown both ways where they match. All periods together look at a few positions per token.
    """
    best, period = 0, 0
    for p in range(1, min(LONGEST_PERIOD, tokens.size // LEAST_REPEATS) + 1):
        step = (LEAST_REPEATS - 1) * p
        anchor = step
        while anchor < tokens.size:
            if tokens[anchor] != tokens[anchor - p]:
                anchor += step
                continue
            lo, hi = anchor, anchor + 1
            while lo > p and tokens[lo - 1] == tokens[lo - 1 - p]:
                lo -= 1
            while hi < tokens.size and tokens[hi] == tokens[hi - p]:
                hi += 1
            if hi - lo >= step and hi - lo + p > best:
                best, period = hi - lo + p, p
            anchor = (hi // step + 1) * step
    return best, period


@njit(cache=True, nogil=True)
def _repetition(
    hashes: Hashes,
    offsets: Ints,
    grams: Hashes,
    at: Ints,
    window: int,
    repeats: Ints,
    loops: Ints,
) -> None:
    longest = 1
    for d in range(offsets.size - 1):
        longest = max(longest, at[d + 1] - at[d])
    table = np.empty(4 * longest, np.int64)
    for d in range(offsets.size - 1):
        repeats[0, d], repeats[1, d] = _repeats(grams[at[d] : at[d + 1]], window, table)
        loops[0, d], loops[1, d] = _longest_loop(hashes[offsets[d] : offsets[d + 1]])


def repetition(hashes: Hashes, offsets: Ints, n: int = 4, window: int = 128) -> Repetition:
    """Repeated n-grams and the longest loop of each document, in one linear pass.

    seq-rep-n (Welleck et al. 2020) grows with a document's length; the windowed share asks only
    whether an n-gram began at most ``window`` tokens earlier, and so compares documents of
    different length. A loop is a stretch with some period p <= 64 tokens that covers 3 p or more
    (period 1: one word three times in a row). Raises InputError.

    >>> found = repetition(np.array([9, 1, 2, 1, 2, 1, 2, 8], np.uint64), np.array([0, 8]), n=2)
    >>> found.seq_rep.round(3).tolist(), found.loop_tokens.tolist(), found.loop_period.tolist()
    ([0.429], [6], [2])
    """
    if window < 1:
        raise InputError("window", "at least 1 token", str(window), "pass window >= 1")
    grams, at = ngram_hashes(hashes, offsets, n)
    documents = offsets.size - 1
    repeats, loops = np.zeros((2, documents), np.int64), np.zeros((2, documents), np.int64)
    _repetition(hashes, offsets, grams, at, window, repeats, loops)
    totals = np.diff(at)
    undefined = np.full((2, documents), np.nan)
    seq_rep, windowed = np.divide(repeats, totals, out=undefined, where=totals > 0)
    return Repetition(seq_rep, windowed, loops[0], loops[1])


@njit(cache=True, nogil=True)
def _minhash(hashes: Hashes, offsets: Ints, n: int, signatures: Signatures) -> None:
    bins = np.uint64(signatures.shape[1])
    for d in range(offsets.size - 1):
        row, length = signatures[d], offsets[d + 1] - offsets[d]
        if length == 0:
            continue
        for i in range(max(length - n + 1, 1)):
            gram = gram_hash(hashes, offsets[d] + i, min(n, length))
            low = gram & np.uint64(0xFFFFFFFF)
            k = ((gram >> np.uint64(32)) * bins) >> np.uint64(32)
            row[k] = min(row[k], np.uint32(min(low, np.uint64(_EMPTY - 1))))
        filled = row != _EMPTY
        for empty in np.flatnonzero(~filled):
            probe = np.uint64(empty)
            while row[empty] == _EMPTY:
                # Which bins are probed depends on the bin only: the same for every document.
                # Borrowing from borrowers would be unbiased too, with a larger error.
                probe = mix64(probe + np.uint64(0x9E3779B97F4A7C15))
                source = ((probe >> np.uint64(32)) * bins) >> np.uint64(32)
                if filled[source]:
                    row[empty] = row[source]


def minhash(hashes: Hashes, offsets: Ints, n: int = 5, n_hashes: int = 64) -> Signatures:
    """MinHash signatures (D, n_hashes) of the documents' sets of n-grams.

    The share of equal places estimates the Jaccard similarity J of two documents without bias,
    with standard error about sqrt(J (1 - J) / n_hashes). One hash per n-gram is split over the
    bins, and empty bins borrow from others (Shrivastava 2017, optimal densification). A document
    of fewer than n tokens is one n-gram; an empty one gets all 2**32 - 1, like nothing else.
    Raises InputError.

    >>> rows = minhash(np.array([1, 2, 3, 1, 2, 3, 9], np.uint64), np.array([0, 3, 6, 7]), n=2)
    >>> float((rows[0] == rows[1]).mean()), float((rows[0] == rows[2]).mean())
    (1.0, 0.0)
    """
    check_tokens(hashes, offsets)
    check_order(n)
    if n_hashes < 1:
        raise InputError("n_hashes", "at least 1", str(n_hashes), "pass n_hashes >= 1")
    signatures = np.full((offsets.size - 1, n_hashes), _EMPTY, np.uint32)
    _minhash(hashes, offsets, n, signatures)
    return signatures


@njit(cache=True, nogil=True)
def _agreement(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> int:
    equal = 0
    for k in range(a.size):
        equal += a[k] == b[k]
    return equal


@njit(cache=True, nogil=True)
def _first_partners(
    signatures: Signatures, keys: Hashes, order: Ints, needed: int, partner: Ints
) -> None:
    """Lower each document's partner to the first similar document of its bucket."""
    lo = 0
    while lo < order.size:
        hi = lo + 1
        while hi < order.size and keys[order[hi]] == keys[order[lo]]:
            hi += 1
        for a in order[lo:hi]:
            for b in order[lo:hi]:
                if partner[a] >= 0 and b >= partner[a]:
                    break
                if a != b and _agreement(signatures[a], signatures[b]) >= needed:
                    partner[a] = b
                    break
        lo = hi


def _partners(signatures: Signatures, threshold: float) -> Ints:
    """The first near-duplicate of each document, or -1."""
    if not 0 < threshold <= 1:
        raise InputError("threshold", "a similarity in (0, 1]", str(threshold), "try 0.8")
    width = signatures.shape[1]
    needed = int(np.ceil(threshold * width - 1e-9))
    rows = width // (width - needed + 1)
    partner = np.full(signatures.shape[0], -1, np.int64)
    present = np.flatnonzero((signatures != _EMPTY).any(axis=1))
    for band in range(width - needed + 1):
        places = signatures[:, band * rows : (band + 1) * rows].astype(np.uint64)
        starts = np.arange(signatures.shape[0] + 1) * rows
        keys, _ = ngram_hashes(places.ravel(), starts, rows)
        order = present[np.argsort(keys[present], kind="stable")]
        _first_partners(signatures, keys, order, needed, partner)
    return partner


def near_duplicates(signatures: Signatures, *, threshold: float = 0.8) -> tuple[Ints, Floats]:
    """Each document that has a near-duplicate, paired with the first one, and their similarity.

    Gives pairs (K, 2) of document numbers, ascending in the first, and the share of equal places
    (K,) in [threshold, 1]; K <= D however large a cluster is. Candidates share one of m + 1 bands
    of places, where m is the number of places that may differ: no pair at or above ``threshold``
    (of signatures) is missed. Time is linear in D beside the comparisons inside buckets, which
    grow when thousands of documents share a template just below the threshold, and when it is
    below about 0.5, where a band is a single place. Raises InputError.
    Source: Broder 1997; Leskovec et al. 2020, ch. 3.

    >>> rows = minhash(np.array([1, 2, 3, 1, 2, 3, 9], np.uint64), np.array([0, 3, 6, 7]), n=2)
    >>> near_duplicates(rows, threshold=0.8)[0].tolist()
    [[0, 1], [1, 0]]
    """
    partner = _partners(signatures, threshold)
    first = np.flatnonzero(partner >= 0)
    pairs = np.stack([first, partner[first]], axis=1)
    similarity = (signatures[pairs[:, 0]] == signatures[pairs[:, 1]]).mean(axis=1)
    return pairs, similarity


def near_duplicate_rate(signatures: Signatures, *, threshold: float = 0.8) -> float:
    """Share of non-empty documents with a near-duplicate in the corpus, in [0, 1].

    Grows with the corpus: compare at equal size. nan with fewer than two non-empty documents.
    Raises InputError.

    >>> rows = minhash(np.array([1, 2, 1, 2, 9, 8], np.uint64), np.array([0, 2, 4, 5, 6]), n=2)
    >>> near_duplicate_rate(rows, threshold=0.8)
    0.5
    """
    partner = _partners(signatures, threshold)
    present = int((signatures != _EMPTY).any(axis=1).sum())
    return float((partner >= 0).sum() / present) if present > 1 else float("nan")
