"""Pet phrases: phrases that stand in many documents of one side and few of the other."""

from __future__ import annotations

import math
import string

import numpy as np
from numpy.typing import NDArray

from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.grams import ngram_hashes
from tailguard.measure.tokens import tokenize

PHRASE_TOKENS = 8
"""Words in a phrase: long enough that chance and idiom hardly make one common."""
LEAST_WORDS = 4
"""Of these, so many must be words and not marks."""
LEAST_SHARE = 0.01
LEAST_UNITS = 5
"""A phrase is looked at when this share of the units, and at least this many, hold it."""
MOST_PHRASES = 2048
"""Phrases looked at; of more, those of smallest hash, which favours none."""

Rates = NDArray[np.float32]


def phrase_rates(tokens: Hashes, offsets: Ints, starts: Ints, window: int) -> Rates:
    """How often each unit has each common phrase: windows that hold it per window, (U, K).

    ``starts`` are the first documents of the units. Counting windows of ``window`` tokens makes
    the rate independent of a document's length. Labels play no part in the choice of phrases.
    """
    units = len(starts)
    grams, at = ngram_hashes(tokens, offsets, PHRASE_TOKENS)
    per_document = np.maximum(-(-np.diff(offsets) // window), 1)
    length = np.add.reduceat(np.diff(offsets), starts) / window
    document = np.repeat(np.arange(len(offsets) - 1), np.diff(at))
    wordy = np.flatnonzero(_has_words(tokens, offsets, at))
    if len(wordy) == 0:
        return np.zeros((units, 0), np.float32)
    unit = np.searchsorted(starts, document, side="right") - 1
    place = (np.arange(len(grams)) - at[document]) // window + (
        np.cumsum(per_document) - per_document
    )[document]
    grams, unit, place = grams[wordy], unit[wordy], place[wordy]
    types, ids = np.unique(grams, return_inverse=True)
    once = np.unique(ids * np.int64(per_document.sum()) + place, return_index=True)[1]
    ids, unit = ids[once], unit[once]
    pairs = np.unique(ids * np.int64(units) + unit, return_counts=True)
    phrase, holder = np.divmod(pairs[0], units)
    held_by = np.bincount(phrase, minlength=len(types))
    # Types are in order of their hashes, so the first are as good as any.
    kept = np.flatnonzero(held_by >= max(LEAST_UNITS, LEAST_SHARE * units))[:MOST_PHRASES]
    column = np.full(len(types), -1)
    column[kept] = np.arange(len(kept))
    inside = column[phrase] >= 0
    rates = np.zeros((units, len(kept)), np.float32)
    rates[holder[inside], column[phrase[inside]]] = (
        pairs[1][inside] / np.maximum(length[holder[inside]], 1)
    ).astype(np.float32)
    return rates


def _has_words(tokens: Hashes, offsets: Ints, at: Ints) -> NDArray[np.bool_]:
    """Whether each 8-gram has four words at least: the rulings of tables are no phrases."""
    marks = tokenize([" ".join(string.punctuation)]).hashes
    running = np.concatenate([[0], np.cumsum(np.isin(tokens, marks))])
    start = np.arange(at[-1]) + np.repeat(offsets[:-1] - at[:-1], np.diff(at))
    marked = running[start + PHRASE_TOKENS] - running[start]
    return np.asarray(PHRASE_TOKENS - marked >= LEAST_WORDS)


def largest_excess(rates: Rates, members: NDArray[np.bool_]) -> tuple[Floats, Ints]:
    """Largest standardised excess of any phrase in batch, and which phrase, per division.

    max_k (mean rate in batch - mean rate in gold) / (sd_k sqrt(1/n + 1/m)), sd over all units.
    """
    spread = rates.std(axis=0)
    standard = ((rates - rates.mean(axis=0)) / np.maximum(spread, 1e-9)).astype(np.float32)
    n = int(members[0].sum())
    m = members.shape[1] - n
    largest, which = np.empty(len(members)), np.empty(len(members), np.int64)
    weights = np.where(members, 1.0 / n, -1.0 / m).astype(np.float32)
    for start in range(0, len(members), 256):
        excess = weights[start : start + 256] @ standard
        which[start : start + 256] = excess.argmax(axis=1)
        largest[start : start + 256] = excess.max(axis=1)
    return largest / math.sqrt(1 / n + 1 / m), which


def pet_phrase_effect(
    rates: Rates, batch: NDArray[np.bool_], phrase: int, reach: float
) -> tuple[float, float, float, float]:
    """Retention of units without the phrase, its interval, and the error of log retention.

    The interval reaches ``reach`` standard errors either way: the phrase was picked as the worst
    of many, so it takes the quantile of the worst and not of one. Shares are Agresti & Coull's.
    """
    shares, variance = [], 0.0
    for side in (batch, ~batch):
        n = int(side.sum())
        p = (float((rates[side, phrase] > 0).sum()) + 2) / (n + 4)
        shares.append(1 - p)
        variance += p / ((n + 4) * (1 - p))
    log, se = math.log(shares[0] / shares[1]), math.sqrt(variance)
    return math.exp(log), math.exp(log - reach * se), math.exp(log + reach * se), se
