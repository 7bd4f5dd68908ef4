"""Documents of gold and batch side by side, as units of at least 512 tokens with their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailguard.measure.base import Axis, Floats, Hashes, Ints
from tailguard.measure.documents import DocumentSample, gather
from tailguard.measure.features import FeatureMap
from tailguard.measure.phrases import Rates, phrase_rates
from tailguard.measure.repetition import minhash, near_duplicates, repetition
from tailguard.measure.scores import WINDOW, column, document_counts

MOST_COPIES = 64
SIMILAR = 0.8
LOOPED = 0.25
"""A document is degenerate when one loop covers this share of it."""
TOPICS = 24
"""Dimensions of topic that scores are adjusted for, at most one per dozen units."""

SCORES: tuple[tuple[str, Axis, bool], ...] = (
    # name, axis, whether it is a logarithm (else a share in [0, 1])
    ("rare_words", "T", True),
    ("rare_mass", "T", True),
    ("next_word_variety", "S", True),
    ("surprise", "S", True),
    ("own_phrases", "N", False),
    ("no_repeats", "R", False),
    ("not_overly_repeating", "R", False),
    ("no_loops", "R", False),
    ("not_a_copy", "R", False),
)
"""Scores of a unit, all oriented so that lower is damage."""
ADJUSTED = ("rare_words", "rare_mass", "next_word_variety", "surprise")
"""Scores that depend on topic, and are also tested with topic held fixed."""


@dataclass(frozen=True, slots=True)
class Units:
    """Scored units: ``batch: (U,)`` marks the batch's, ``scores: (U, len(SCORES))``.

    ``topics: (U, k)`` are feature vectors of the units' first 512 tokens per document, so that
    they do not depend on length. ``foreign: (U, 2)`` holds, per unit of the batch, the tokens that
    gold does not have and those that as much text of the batch itself does not have. ``novelty`` is
    the share of words (or word pairs, whichever is larger) of the batch that gold lacks, over the
    share of gold's own that the rest of gold lacks. ``phrases: (U, K)`` are rates of common
    8-grams (see ``phrases.phrase_rates``).
    """

    batch: NDArray[np.bool_]
    scores: Floats
    topics: Floats
    foreign: Floats
    novelty: float
    phrases: Rates
    documents: tuple[int, int]


def _with_copies(sample: DocumentSample) -> tuple[Hashes, Ints]:
    rows = np.repeat(np.arange(len(sample)), np.minimum(sample.copies, MOST_COPIES))
    return gather(sample.tokens, sample.offsets, rows)


def _unit_starts(lengths: Ints) -> Ints:
    """First document of every unit; a short rest joins the unit before it."""
    starts, size = [], WINDOW
    for document, length in enumerate(lengths):
        if size >= WINDOW:
            starts.append(document)
            size = 0
        size += int(length)
    if size < WINDOW and len(starts) > 1:
        starts.pop()
    return np.array(starts, np.int64)


def _sides(offsets_by_side: tuple[Ints, Ints]) -> NDArray[np.int8]:
    """0 for gold, 1 for batch, -1 beyond the tokens that both have."""
    size = min(offsets_by_side[0][-1], offsets_by_side[1][-1])
    sides = []
    for number, offsets in enumerate(offsets_by_side):
        side = np.full(len(offsets) - 1, number, np.int8)
        side[offsets[1:] > size + WINDOW] = -1
        if (side < 0).all():
            side[0] = number
        sides.append(side)
    return np.concatenate(sides)


def _copies(tokens: Hashes, offsets: Ints) -> NDArray[np.bool_]:
    """Documents with a near-duplicate among all others."""
    copied = np.zeros(len(offsets) - 1, bool)
    pairs, _ = near_duplicates(minhash(tokens, offsets, n_hashes=128), threshold=SIMILAR)
    copied[pairs[:, 0]] = True
    return copied


def _repetition_counts(tokens: Hashes, offsets: Ints) -> Floats:
    """Per document: one, repeated 4-grams, beyond the 99% quantile, looped, copied; (D, 5)."""
    found = repetition(tokens, offsets)
    lengths = np.diff(offsets)
    repeated = np.nan_to_num(found.windowed)
    return np.stack(
        [
            np.ones(len(lengths)),
            repeated * np.maximum(lengths - 3, 0),
            repeated > np.quantile(repeated, 0.99) + 1e-12,
            (found.loop_tokens >= LOOPED * lengths) & (lengths >= 8),
            _copies(tokens, offsets),
        ],
        axis=1,
    ).astype(np.float64)


def make_units(gold: DocumentSample, batch: DocumentSample) -> Units:
    """Score the sampled documents of gold and batch against each other.

    Documents of fewer than 512 tokens are put together, in the order of the sample, until a unit
    has that many. Without a document on either side there are no units at all.

    >>> from tailguard.measure.profile import profile_texts
    >>> gold, batch = (profile_texts([f"{w} " * 600] * 2).documents for w in ("cat", "dog"))
    >>> make_units(gold, batch).batch.tolist()
    [False, False, True, True]
    """
    if not len(gold) or not len(batch):
        nothing = np.zeros((0, 0))
        scores, foreign = np.zeros((0, len(SCORES))), np.zeros((0, 2))
        none = np.zeros(0, np.bool_)
        phrases = np.zeros((0, 0), np.float32)
        sizes = (len(gold), len(batch))
        return Units(none, scores, nothing, foreign, float("nan"), phrases, sizes)
    parts = [_with_copies(gold), _with_copies(batch)]
    tokens = np.concatenate([parts[0][0], parts[1][0]])
    n_gold, n_batch = len(parts[0][1]) - 1, len(parts[1][1]) - 1
    offsets = np.concatenate([parts[0][1], parts[1][1][1:] + len(parts[0][0])])
    side = _sides((parts[0][1], parts[1][1]))
    counts = document_counts(tokens, offsets, side)
    lengths = np.diff(offsets)
    starts = np.concatenate(
        [_unit_starts(lengths[:n_gold]), n_gold + _unit_starts(lengths[n_gold:])]
    )
    summed = np.add.reduceat(counts, starts)
    more = np.add.reduceat(_repetition_counts(tokens, offsets), starts)
    leading, at = gather(tokens, offsets, np.arange(len(lengths)), WINDOW)
    dimensions = max(0, min(TOPICS, len(starts) // 12))
    topics = FeatureMap.fit(leading, at, dimensions).transform(leading, at)
    topics = (
        np.add.reduceat(topics, starts) / more[:, :1]
        if topics.shape[1]
        else np.zeros((len(starts), 0))
    )
    reference = np.add.reduceat(np.where(side[:, None] == 1, counts, 0.0), starts)
    return Units(
        starts >= n_gold,
        _scores(summed, more),
        topics,
        np.stack([column(reference, n) for n in ("unseen_in_gold", "unseen_in_batch")], axis=1),
        _novelty(counts, side),
        phrase_rates(tokens, offsets, starts, WINDOW),
        (n_gold, n_batch),
    )


def _novelty(counts: Floats, side: NDArray[np.int8]) -> float:
    batch, gold = counts[side == 1].sum(axis=0), counts[side == 0].sum(axis=0)
    found = []
    for part, whole in (("unseen_in_gold", "tokens"), ("pairs_unseen_in_gold", "pairs")):
        ours = column(batch, part) / np.maximum(column(batch, whole), 1)
        theirs = np.maximum(column(gold, part), 0.5) / np.maximum(column(gold, whole), 1)
        found.append(float(ours / theirs))
    return max(found)


def _scores(counts: Floats, more: Floats) -> Floats:
    """The scores of ``SCORES``, in order. Half a count keeps logarithms of nothing finite."""
    tokens = np.maximum(column(counts, "tokens"), 1)
    grams = np.maximum(column(counts, "grams"), 1)
    known, likeliest = column(counts, "known"), column(counts, "likeliest")
    documents, repeats, beyond, looped, copied = more.T
    return np.stack(
        [
            np.log((column(counts, "rare_once") + 0.5) / tokens),
            np.log((column(counts, "rare_tokens") + 0.5) / tokens),
            np.log((known - likeliest + 0.5) / (likeliest + 0.5)),
            np.log(np.maximum(column(counts, "surprise"), 1e-9) / tokens),
            column(counts, "own_grams") / grams,
            1 - repeats / grams,
            1 - beyond / documents,
            1 - looped / documents,
            1 - copied / documents,
        ],
        axis=1,
    )
