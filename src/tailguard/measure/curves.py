"""The numbers behind the figures: rarefaction, rank and frequency, recall by rarity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tailguard.measure.base import Floats
from tailguard.measure.profile import Profile
from tailguard.measure.rarefaction import rarefaction_curve
from tailguard.measure.tails import counts_under
from tailguard.measure.view import View, at_equal_size

BANDS = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32), (33, 10**12))
POINTS = 24
GROUPS = 8
Z95 = 1.96


def rarefaction(view: View, sizes: Any) -> dict[str, list[float]]:
    """Expected distinct words in m tokens with a 95% band from a jackknife over blocks."""
    value = rarefaction_curve(view.spectrum(1), sizes, 0)
    groups = min(GROUPS, len(view.blocks))
    parts = [
        rarefaction_curve(view.without_group(g, groups).spectrum(1), sizes, 0)
        for g in range(groups)
    ]
    spread = np.nan_to_num(np.std(parts, axis=0)) * math.sqrt(max(groups - 1, 0))
    return {
        "m": [int(m) for m in sizes],
        "value": value.tolist(),
        "lo": (value - Z95 * spread).tolist(),
        "hi": (value + Z95 * spread).tolist(),
    }


def rank_frequency(view: View) -> dict[str, list[float]]:
    """Relative frequency of words by rank, thinned to a few dozen points a decade."""
    counts = np.sort(view.counts(1))[::-1]
    counts = counts[counts > 0]
    if len(counts) == 0:
        return {"rank": [], "freq": []}
    rate = view.profile.grams[0].rate
    at = np.unique(np.geomspace(1, len(counts), 120).astype(np.int64))
    frequency = counts[at - 1] / (counts.sum() / rate)
    return {"rank": (at / rate).tolist(), "freq": frequency.tolist()}


def _recall(ours: Any, theirs: Any) -> Floats:
    found = []
    for low, high in BANDS:
        band = (theirs >= low) & (theirs <= high)
        found.append(float((ours[band] > 0).mean()) if band.any() else math.nan)
    return np.array(found)


def tail_recall(batch: View, gold: View) -> dict[str, Any]:
    """Share of gold's words, by their count in one half of gold, that the batch has.

    Expected is what the other half of gold has, at the same number of tokens as the batch, so the
    two bars of a band differ only by what is different about the batch.
    """
    blocks = gold.blocks
    odd = np.zeros(len(gold.chosen), bool)
    odd[blocks[1::2]] = True
    reference, other = gold.part(odd), gold.part(~odd)
    ours, other = at_equal_size(batch, other)
    value = _recall(*counts_under(ours, reference))
    groups = min(GROUPS, len(ours.blocks))
    parts = [
        _recall(*counts_under(ours.without_group(g, groups), reference)) for g in range(groups)
    ]
    spread = np.nan_to_num(np.std(parts, axis=0)) * math.sqrt(max(groups - 1, 0))
    names = [str(a) if a == b else f"{a}+" if b > 10**6 else f"{a}–{b}" for a, b in BANDS]
    return {
        "bands": names,
        "batch": value.tolist(),
        "lo": np.clip(value - Z95 * spread, 0, 1).tolist(),
        "hi": np.clip(value + Z95 * spread, 0, 1).tolist(),
        "expected": _recall(*counts_under(other, reference)).tolist(),
    }


def curves(batch: Profile, gold: Profile) -> dict[str, Any]:
    """All curves of a report; empty where there is too little text."""
    ours, theirs = View.whole(batch), View.whole(gold)
    size = min(ours.spectrum(1).n, theirs.spectrum(1).n)
    if size < 100 or len(ours.blocks) < 2 or len(theirs.blocks) < 4:
        return {}
    sizes = np.unique(np.geomspace(max(size / 200, 10), size, POINTS).astype(np.int64))
    ours, theirs = at_equal_size(ours, theirs)
    return {
        "rarefaction": {"batch": rarefaction(ours, sizes), "gold": rarefaction(theirs, sizes)},
        "rank_frequency": {"batch": rank_frequency(ours), "gold": rank_frequency(theirs)},
        "tail_recall": tail_recall(ours, View.whole(gold)),
    }
