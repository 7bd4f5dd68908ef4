"""Late damage: text that repeats itself, copies, breaks off. Metrics of repetition."""

from __future__ import annotations

import math

import numpy as np

from tailguard.measure.base import Floats, Hashes, Ints, Metric
from tailguard.measure.blocks import REPEAT_BINS
from tailguard.measure.repetition import minhash, near_duplicate_rate
from tailguard.measure.view import View

SIMILAR = 0.8
"""Two documents are near-duplicates when this share of their word 5-grams is common."""


def near_duplicates(candidate: View, _: View | None = None) -> float:
    """Share of the sampled documents with a near-duplicate among them, in [0, 1]."""
    tokens, offsets = candidate.document_tokens
    return near_duplicate_rate(minhash(tokens, offsets, n_hashes=128), threshold=SIMILAR)


def beyond_gold(candidate: View, gold: View | None) -> float:
    """Share of documents whose repeated share is beyond gold's 99% quantile, in [0, 1]."""
    assert gold is not None
    theirs = gold.profile.table.repeats[gold.chosen].sum(axis=0)
    ours = candidate.profile.table.repeats[candidate.chosen].sum(axis=0)
    if theirs.sum() == 0 or ours.sum() == 0:
        return float("nan")
    cut = int(np.searchsorted(np.cumsum(theirs), 0.99 * theirs.sum()))
    return float(ours[min(cut, REPEAT_BINS - 1) + 1 :].sum() / ours.sum())


def _own_counts(tokens: Hashes, offsets: Ints) -> Ints:
    """How often each token's word stands in its own document, (T,)."""
    document = np.repeat(np.arange(len(offsets) - 1, dtype=np.uint64), np.diff(offsets))
    pair = tokens ^ (document * np.uint64(0x9E3779B97F4A7C15))
    _, which, counts = np.unique(pair, return_inverse=True, return_counts=True)
    return np.asarray(counts[which], np.int64)


def document_cross_entropy(candidate: View, gold: View) -> Floats:
    """Nats per token of each sampled document under gold's word frequencies (+ 1/2), (D,).

    Gold's own documents are scored under the rest of gold, as any other document is.
    """
    sample = gold.profile.grams[0]
    counts = gold.counts(1)
    tokens, offsets = candidate.document_tokens
    # Both the tokens and the types of all words, of which the sample holds a share.
    total = (float(counts.sum()) + np.count_nonzero(counts) / 2) / sample.rate
    at = np.minimum(np.searchsorted(sample.types, tokens), max(len(sample.types) - 1, 0))
    seen = np.where(sample.types[at] == tokens, counts[at], 0)
    if candidate is gold:
        seen = np.maximum(seen - _own_counts(tokens, offsets), 0)
    cost = math.log(total) - np.log(seen + 0.5)
    # Words outside the type sample say nothing; they are left out of the mean.
    known = tokens <= sample.tau
    sums = np.add.reduceat(np.append(np.where(known, cost, 0.0), 0.0), offsets[:-1])
    words = np.add.reduceat(np.append(known.astype(float), 0.0), offsets[:-1])
    return np.asarray(sums / np.maximum(words, 1.0))


def cross_entropy_outliers(candidate: View, gold: View | None) -> float:
    """Share of sampled documents outside gold's central 99% of cross-entropy, in [0, 1]."""
    assert gold is not None
    if len(gold.document_tokens[1]) < 21 or len(candidate.document_tokens[1]) < 2:
        return float("nan")
    if gold.counts(1).sum() == 0:
        return float("nan")
    low, high = np.quantile(document_cross_entropy(gold, gold), [0.005, 0.995])
    ours = document_cross_entropy(candidate, gold)
    return float(((ours < low) | (ours > high)).mean())


def _sheet(name, fn, unit, meaning, cite, needs_gold=False, min_n=1) -> Metric:  # type: ignore[no-untyped-def]
    return Metric(
        name, fn, unit, "higher", (0, 1), min_n, "late", "R", meaning, cite, needs_gold
    )  # fmt: skip


METRICS = (
    _sheet(
        "repeated_4grams_128", lambda c, g: c.ratio("repeats", "grams"), "share of 4-grams",
        "4-grams that began at most 128 tokens earlier in the same document.",
        "Welleck et al., ICLR 2020, windowed",
    ),
    _sheet(
        "repeating_beyond_gold", beyond_gold, "share of documents",
        "Documents that repeat themselves more than 99% of gold's do.", "this project", True,
    ),
    _sheet(
        "loop_tokens", lambda c, g: c.ratio("loop_tokens", "tokens"), "share of tokens",
        "Tokens inside the longest loop of their document.", "Holtzman et al., ICLR 2020",
    ),
    _sheet(
        "looped_documents", lambda c, g: c.ratio("looped", "documents"), "share of documents",
        "Documents of which one loop covers a quarter or more.", "Holtzman et al., ICLR 2020",
    ),
    _sheet(
        "near_duplicate_rate", near_duplicates, "share of documents",
        "Sampled documents with a near-duplicate (Jaccard of 5-grams from 0.8) in the sample.",
        "Broder 1997; Lee et al., ACL 2022", min_n=2,
    ),
    _sheet(
        "empty_documents", lambda c, g: c.ratio("empty", "documents"), "share of documents",
        "Documents without a word.", "Rae et al., 2021 (Gopher rules)",
    ),
    _sheet(
        "unfinished_documents", lambda c, g: c.ratio("unfinished", "documents"),
        "share of documents", "Documents that do not end with a closing mark.",
        "Raffel et al., JMLR 2020 (C4 rules)",
    ),
    _sheet(
        "cross_entropy_outliers", cross_entropy_outliers, "share of documents",
        "Documents outside gold's central 99% of cross-entropy.", "Wenzek et al., LREC 2020",
        True, 20,
    ),
)  # fmt: skip
