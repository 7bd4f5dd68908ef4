"""Document scores that do not know which side a document is from.

Each document is compared with all *other* documents of gold and batch together. Nothing here
depends on the label, so if batch is one more draw of gold, labels can be exchanged, and a
permutation of them gives an exact test of whatever is made of the scores. What is damaged in the
batch still shows: its documents then differ from gold's, each seen against the same background.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailguard.measure.base import Hashes, Ints
from tailguard.measure.grams import ngram_hashes

RARE = 2
"""A word is rare for a document when all other documents together have it at most this often."""
WINDOW = 512
"""Least tokens of a unit, and tokens of a document that tell its topic."""
KNOWN_CONTEXT = 20
"""Times other documents must have a word before its likeliest follower means anything."""
CANDIDATES = 4
"""Followers of a word that may become the likeliest when one document is left out."""

COUNTS = (
    "tokens",
    "rare_tokens",  # tokens of words rare elsewhere
    "rare_once",  # words rare elsewhere and said once here
    "surprise",  # -sum log p of words under the other documents, nats
    "unseen_in_gold",
    "unseen_in_batch",
    "known",  # next words after a word that other documents have 20 times
    "likeliest",  # of these, the likeliest one by the other documents
    "pairs",  # word pairs
    "pairs_unseen_in_gold",
    "pairs_unseen_in_batch",
    "grams",  # 4-grams
    "own_grams",  # 4-grams no other document has
)
_AT = {name: i for i, name in enumerate(COUNTS)}
(TOKENS, RARE_TOKENS, RARE_ONCE, SURPRISE, IN_GOLD, IN_BATCH, KNOWN, LIKELIEST, PAIRS, PAIRS_GOLD,
 PAIRS_BATCH, GRAMS, OWN_GRAMS) = range(len(COUNTS))  # fmt: skip


@njit(cache=True, nogil=True)
def _word_counts(ids: Any, offsets: Any, seen: Any, side: Any, totals: Any, out: Any) -> None:
    """Fill the word columns, every document left out of what it is compared with."""
    volume = seen.sum()
    here = np.zeros(len(seen), np.int64)
    for d in range(len(offsets) - 1):
        lo, hi = offsets[d], offsets[d + 1]
        for i in range(lo, hi):
            here[ids[i]] += 1
        row = out[d]
        row[TOKENS] = hi - lo
        scale = np.log(volume - (hi - lo) + len(seen) / 2)
        for i in range(lo, hi):
            word = ids[i]
            c = here[word]
            if c == 0:
                continue
            here[word] = 0
            rest = seen[word] - c
            if rest <= RARE:
                row[RARE_TOKENS] += c
                if c == 1:
                    row[RARE_ONCE] += 1
            row[SURPRISE] += c * (scale - np.log(rest + 0.5))
            if totals[0][word] == (c if side[d] == 0 else 0):
                row[IN_GOLD] += c
            if totals[1][word] == (c if side[d] == 1 else 0):
                row[IN_BATCH] += c


@njit(cache=True, nogil=True)
def _pair_counts(
    words: Any, offsets: Any, ids: Any, at: Any, seen: Any, context: Any, best: Any,
    side: Any, totals: Any, out: Any,
) -> None:  # fmt: skip
    """Fill the columns of word pairs; ``best[w]`` are the commonest pairs that begin with w."""
    here = np.zeros(len(seen), np.int64)
    begun = np.zeros(len(context), np.int64)
    for d in range(len(at) - 1):
        lo, hi = at[d], at[d + 1]
        shift = offsets[d] - lo
        row = out[d]
        row[PAIRS] = hi - lo
        for i in range(lo, hi):
            here[ids[i]] += 1
            begun[words[i + shift]] += 1
        for i in range(lo, hi):
            pair, word = ids[i], words[i + shift]
            own = here[pair]
            if context[word] - begun[word] >= KNOWN_CONTEXT:
                row[KNOWN] += 1
                top = 0
                for candidate in best[word]:
                    if candidate >= 0:
                        top = max(top, seen[candidate] - here[candidate])
                if seen[pair] - own >= top:
                    row[LIKELIEST] += 1
            if totals[0][pair] == (own if side[d] == 0 else 0):
                row[PAIRS_GOLD] += 1
            if totals[1][pair] == (own if side[d] == 1 else 0):
                row[PAIRS_BATCH] += 1
        for i in range(lo, hi):
            here[ids[i]] = 0
            begun[words[i + shift]] = 0


@njit(cache=True, nogil=True)
def _phrase_counts(ids: Any, at: Any, n_types: Any, out: Any) -> None:
    """Fill the columns of 4-grams: all, and those that no other document has."""
    documents = np.zeros(n_types, np.int64)
    last = np.full(n_types, -1, np.int64)
    for d in range(len(at) - 1):
        for i in range(at[d], at[d + 1]):
            if last[ids[i]] != d:
                last[ids[i]] = d
                documents[ids[i]] += 1
    for d in range(len(at) - 1):
        out[d, GRAMS] = at[d + 1] - at[d]
        for i in range(at[d], at[d + 1]):
            out[d, OWN_GRAMS] += documents[ids[i]] == 1


def _numbered(grams: Hashes) -> tuple[NDArray[np.int64], int]:
    types, ids = np.unique(grams, return_inverse=True)
    return ids.astype(np.int64), len(types)


def _totals(ids: Ints, at: Ints, side: NDArray[np.int8], n_types: int) -> Ints:
    """Occurrences in the documents that stand for gold and for batch, shape (2, V)."""
    of_token = np.repeat(side, np.diff(at))
    return np.stack([np.bincount(ids[of_token == s], minlength=n_types) for s in (0, 1)])


def _commonest_followers(first: Ints, seen: Ints, n_words: int) -> Ints:
    """The few commonest pairs that begin with each word, shape (W, CANDIDATES), -1 for none."""
    n = len(seen)
    order = np.lexsort((np.arange(n), -seen, first))
    fresh = np.ones(n, bool)
    fresh[1:] = first[order][1:] != first[order][:-1]
    starts = np.flatnonzero(fresh)
    rank = np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))
    best = np.full((n_words, CANDIDATES), -1, np.int64)
    top = rank < CANDIDATES
    best[first[order][top], rank[top]] = order[top]
    return best


def document_counts(tokens: Hashes, offsets: Ints, side: NDArray[np.int8]) -> NDArray[np.float64]:
    """Counts per document against all other documents, shape (D, len(COUNTS)).

    ``side: (D,)`` is 0 for documents of gold and 1 for documents of batch that stand for their
    side in the columns ``unseen_in_*``, which should be about as many tokens on either side, and
    -1 for the rest. No other column depends on the side.

    >>> words = np.array([1, 2, 1, 3], np.uint64)
    >>> found = document_counts(words, np.array([0, 2, 4]), np.array([0, 1], np.int8))
    >>> column(found, "unseen_in_gold").tolist()
    [2.0, 1.0]
    """
    out = np.zeros((len(offsets) - 1, len(COUNTS)))
    if len(tokens) == 0:
        return out
    words, n_words = _numbered(tokens)
    seen = np.bincount(words, minlength=n_words)
    _word_counts(words, offsets, seen, side, _totals(words, offsets, side, n_words), out)
    grams, at = ngram_hashes(tokens, offsets, 2)
    if len(grams):
        pairs, n = _numbered(grams)
        where = np.arange(len(pairs)) + np.repeat(offsets[:-1] - at[:-1], np.diff(at))
        first = np.zeros(n, np.int64)
        first[pairs] = words[where]
        seen = np.bincount(pairs, minlength=n)
        context = np.bincount(words[where], minlength=n_words)
        best = _commonest_followers(first, seen, n_words)
        totals = _totals(pairs, at, side, n)
        _pair_counts(words, offsets, pairs, at, seen, context, best, side, totals, out)
    grams, at = ngram_hashes(tokens, offsets, 4)
    fours, n = _numbered(grams)
    _phrase_counts(fours, at, n, out)
    return out


def column(counts: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """One column of ``document_counts`` by name, or of sums of its rows.

    >>> column(np.arange(2.0 * len(COUNTS)).reshape(2, -1), "rare_tokens").tolist()
    [1.0, 14.0]
    """
    return counts[..., _AT[name]]
