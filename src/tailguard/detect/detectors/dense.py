"""What detectors of a few named features share: a robust scale, and a regularised logistic model.

A feature is a rate or an average whose expectation does not move with a text's length. It is nan
where a text is too short for it; then it says nothing (a standardised zero).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit

from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import (
    Labels,
    Prepared,
    Stored,
    TextDetector,
    logistic,
    unfitted,
)
from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.store import MOST, Arrays, demand
from tailguard.measure.tokens import extend, tokenize

CLIP = 4.0
"""Standardised features end here, so that one strange rate does not decide alone."""
MOST_WORDS, MOST_PAIRS = 1 << 17, 1 << 18
"""Words and pairs of words of which frequencies are kept."""


@njit(inline="always")
def is_word(data: Any, i: Any, end: Any) -> Any:
    """Whether the token that begins at byte ``i`` is a word or number, and not a mark.

    Words begin with an ASCII letter, digit or ``_``, or with a character of more than one byte that
    stands outside the blocks of Latin-1 signs, general and wide punctuation, symbols and emoji.
    """
    byte = data[i]
    if byte < 128:
        low = byte | 32
        return 97 <= low <= 122 or 48 <= byte <= 57 or byte == 95
    if byte == 0xE3 and i + 1 < end:
        return data[i + 1] != 0x80
    return byte not in (0xC2, 0xE2, 0xEF) and byte < 0xF0


@njit(inline="always")
def ends_sentence(data: Any, i: Any, stop: Any, end: Any) -> Any:
    """Whether the token of bytes ``i`` to ``stop`` ends a sentence of a text that ends at ``end``.

    It is a run of ``.``, ``!`` or ``?`` (or a full stop of Han or kana), a letter or digit does not
    follow at once, and what comes next, but for spaces and closing marks, is no small ASCII letter.
    """
    byte = data[i]
    if byte == 0xE3 and stop - i == 3:
        return data[i + 1] == 0x80 and data[i + 2] == 0x82
    if byte == 0xEF and stop - i == 3:
        return data[i + 1] == 0xBC and data[i + 2] in (0x81, 0x9F)
    if byte not in (33, 46, 63):
        return False
    k = stop
    while k < end and data[k] in (32, 34, 39, 41, 93):
        k += 1
    if k == end:
        return True
    return k > stop and not (97 <= data[k] <= 122)


@njit(inline="always")
def find(keys: Any, hash_: Any) -> Any:
    """The slot of a hash in an open table of 2**b slots, 0 for free; -1 where it is not there."""
    mask = len(keys) - 1
    at = np.int64(hash_ & np.uint64(mask))
    while keys[at] != 0:
        if keys[at] == hash_:
            return at
        at = (at + 1) & mask
    return -1


_MOST_PROBES = 1 << 10
"""Honest hashes lie closer to their place; hashes chosen to collide would never end."""


@njit(nogil=True, cache=True)
def _place(hashes: Any, keys: Any, slots: Any) -> Any:
    """Enter hashes; False when too many collide, as they do only in a file made for it."""
    mask = len(keys) - 1
    for n in range(len(hashes)):
        at = np.int64(hashes[n] & np.uint64(mask))
        probes = 0
        while keys[at] != 0 and keys[at] != hashes[n]:
            at = (at + 1) & mask
            probes += 1
            if probes == _MOST_PROBES:
                return False
        keys[at] = hashes[n]
        slots[n] = at
    return True


def open_table(hashes: Hashes) -> tuple[Hashes, Ints]:
    """An open table of hashes, at most a quarter full, and the slot of each hash.

    ValueError for hashes that were chosen to collide.

    >>> keys, slots = open_table(np.array([5, 9], np.uint64))
    >>> keys[slots].tolist()
    [5, 9]
    """
    keys = np.zeros(1 << max(4, (4 * len(hashes)).bit_length()), np.uint64)
    slots = np.empty(len(hashes), np.int64)
    # A copy: arrays of files cannot be written to.
    demand(_place(np.array(hashes), keys, slots), "hashes that collide")
    return keys, slots


def word_hashes(words: list[str]) -> Hashes:
    """The hashes of single words as the tokenizer makes them.

    >>> bool(word_hashes(["the"])[0] == word_hashes(["The"])[0])
    True
    """
    return tokenize(words).hashes


@njit(inline="always")
def local_variation(one: Any, other: Any) -> Any:
    """What two intervals in a row add to Shinomoto's local variation: 3 ((a - b) / (a + b))**2.

    Its mean over a sequence is 0 for a clock, 1 for chance (Poisson), and more for bursts. Unlike
    Goh and Barabasi's (s - m) / (s + m) it is an average, so that it has no bias in short texts.
    Source: Shinomoto, Shima and Tanji 2003; Goh and Barabasi 2008 for what is meant.
    """
    share = (one - other) / (one + other)
    return 3.0 * share * share


def word_folds(groups: Ints, folds: int) -> Ints:
    """A fold for each text, whole groups together; by text where there are fewer groups than folds.

    >>> word_folds(np.array([7, 7, 9, 9]), 2).tolist(), word_folds(np.array([1, 1, 1]), 2).tolist()
    ([0, 0, 1, 1], [0, 1, 0])
    """
    known, number = np.unique(groups, return_inverse=True)
    return (number if len(known) >= folds else np.arange(len(groups))) % folds


@dataclass(frozen=True, slots=True)
class Frequencies:
    """How often words and pairs of neighbouring words occur in some texts; the commonest are kept.

    ``words`` by rank, commonest first (ties by hash), with ``counts``; ``mass`` = N + (V + 1) / 2
    for N words of V kinds, so that a word's frequency is (count + 1/2) / mass, and an unseen one's
    1/2 / mass (Krichevsky and Trofimov 1981). ``pairs`` with ``information``, in nats:
    log(count N / (count of one * count of the other)). ``tables`` are for kernels.
    """

    words: Hashes
    counts: Ints
    mass: float
    pairs: Hashes
    information: Floats
    tables: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        keys, slots = open_table(self.words)
        ranks, logs = np.zeros(len(keys), np.int64), np.zeros(len(keys))
        ranks[slots] = np.arange(1, len(slots) + 1)
        logs[slots] = np.log((self.counts + 0.5) / self.mass)
        pair_keys, pair_slots = open_table(self.pairs)
        values = np.zeros(len(pair_keys))
        values[pair_slots] = self.information
        unseen = math.log(0.5 / self.mass)
        object.__setattr__(self, "tables", (keys, ranks, logs, unseen, pair_keys, values))

    def arrays(self) -> Arrays:
        """What a file keeps of them, with ``mass``."""
        return {
            "words": self.words, "counts": self.counts, "pairs": self.pairs,
            "information": self.information,
        }  # fmt: skip

    @classmethod
    def restore(cls, mass: Any, stored: Stored) -> Frequencies:
        """The frequencies of a file; ValueError or TypeError for what cannot be any."""
        words, pairs = stored.take("words", "<u8", (None,)), stored.take("pairs", "<u8", (None,))
        counts = stored.take("counts", "<i8", (len(words),))
        information = stored.take("information", "<f8", (len(pairs),))
        demand(len(words) <= MOST_WORDS and len(pairs) <= MOST_PAIRS, "too many words")
        for hashes in (words, pairs):
            demand(bool((hashes > 0).all()) and len(np.unique(hashes)) == len(hashes), "bad words")
        demand(bool((counts[1:] <= counts[:-1]).all()), "counts out of order")
        demand(not len(counts) or bool(counts[-1] > 0 and counts[0] < MOST), "a bad count")
        demand(bool((np.abs(information) < 100).all()), "bad information")
        demand(
            type(mass) is float and float(counts.sum(dtype=np.float64)) < mass < MOST, "a bad mass"
        )
        return cls(words, counts, mass, pairs, information)


@njit(nogil=True, cache=True)
def _word_places(at: Any, spans: Any, data: Any, offsets: Any, hashes: Any, out: Any) -> Any:
    """Hashes of words and of the pair that each ends (0: none), and their texts; how many."""
    n = 0
    for d in range(len(at) - 1):
        joined = False
        for t in range(at[d], at[d + 1]):
            if not is_word(data, spans[t, 0], offsets[d + 1]):
                joined = False
                continue
            out[0][n], out[2][n] = hashes[t], d
            out[1][n] = extend(hashes[t - 1], hashes[t]) if joined else np.uint64(0)
            joined = True
            n += 1
    return n


def cross_frequencies(
    texts: Prepared, chosen: Labels, folds: Ints, n_folds: int
) -> list[Frequencies]:
    """Frequencies in the chosen texts without fold 0, without fold 1, ..., and last in all."""
    tokens = texts.tokens
    size = len(tokens.hashes)
    out = np.empty(size, np.uint64), np.empty(size, np.uint64), np.empty(size, np.int64)
    n = _word_places(tokens.offsets, tokens.spans, texts.data, texts.offsets, tokens.hashes, out)
    kept = np.flatnonzero(chosen[out[2][:n]])
    fold = folds[out[2][kept]]
    words, number = np.unique(out[0][kept], return_inverse=True)
    # A pair's words stand side by side in one text: its first word is the place before its last.
    paired = np.flatnonzero(out[1][kept] > 0)
    pairs, first, pair = np.unique(out[1][kept][paired], return_index=True, return_inverse=True)
    ends = number[paired[first] - 1], number[paired[first]]
    counts = np.bincount(number * n_folds + fold, minlength=len(words) * n_folds)
    counts = counts.reshape(-1, n_folds)
    both = np.bincount(pair * n_folds + fold[paired], minlength=len(pairs) * n_folds)
    both = both.reshape(-1, n_folds)
    whole, wholes = counts.sum(axis=1), both.sum(axis=1)
    parts = [(whole - counts[:, k], wholes - both[:, k]) for k in range(n_folds)]
    return [_frequencies(words, pairs, ends, *part) for part in [*parts, (whole, wholes)]]


def _frequencies(
    words: Hashes, pairs: Hashes, ends: tuple[Ints, Ints], counts: Ints, both: Ints
) -> Frequencies:
    total = int(counts.sum())
    mass = total + (int((counts > 0).sum()) + 1) / 2
    best = np.lexsort((words, -counts))[: min(MOST_WORDS, int((counts > 0).sum()))]
    top = np.lexsort((pairs, -both))[: min(MOST_PAIRS, int((both > 0).sum()))]
    chance = counts[ends[0][top]] * (counts[ends[1][top]] / max(total, 1))
    return Frequencies(words[best], counts[best], mass, pairs[top], np.log(both[top] / chance))


def ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, nan where the whole is not positive; the shapes broadcast.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    with np.errstate(all="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def variance(total: Floats, squares: Floats, n: Floats) -> Floats:
    """The unbiased variance of n values from their sum and sum of squares; nan below two.

    >>> variance(np.array([6.0]), np.array([20.0]), np.array([2.0])).tolist()
    [2.0]
    """
    with np.errstate(all="ignore"):
        return np.maximum(ratio(squares - total * total / n, n - 1), 0.0)


def standard_scale(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column, shape (k,), nan left out.

    The outermost 1% of values at either side are moved to the quantile there, so that a few strange
    texts do not set the scale. The scale is 1 where a column is constant or always nan.

    >>> center, scale = standard_scale(np.array([[1.0, np.nan], [3.0, np.nan]]))
    >>> center.round(2).tolist(), scale.round(2).tolist()
    ([2.0, 0.0], [0.98, 1.0])
    """
    some = np.where(np.isnan(features).all(axis=0), 0.0, features)
    low, high = np.nanquantile(some, [0.01, 0.99], axis=0)
    inner = np.clip(some, low, high)
    scale = np.nanstd(inner, axis=0)
    return np.nanmean(inner, axis=0), np.where(scale > 1e-9, scale, 1.0)


@dataclass(slots=True)
class DenseDetector(TextDetector):
    """Log-odds of "synthetic" from a few named features; the subclasses say which.

    Features are standardised, clipped at ``CLIP`` and weighed by a logistic regression at equal
    class weight. ``penalty`` is the inverse strength of the ridge against the *mean* loss
    (scikit-learn's C is penalty / n): what it guards against, that another domain differs, does not
    shrink with more texts. A feature that is nan says nothing. After ``fit``: ``center``, ``scale``
    and ``weights``, shape (k,), and ``bias``.

    The model is linear for a reason: a feature's variance falls as texts grow, so its square, or
    any other curve, would give a text's length away where its mean does not.
    """

    names: ClassVar[tuple[str, ...]]

    window: Window = field(default_factory=Window)
    penalty: float = 3.0
    center: Floats | None = None
    scale: Floats | None = None
    weights: Floats | None = None
    bias: float = 0.0

    @abstractmethod
    def features(self, texts: Prepared) -> Floats:
        """The features of ``names``, shape (n, k); nan where a text is too short for one."""

    def _score(self, texts: Prepared) -> Floats:
        return self._parts(self.features(texts)).sum(axis=1) + self.bias

    def evidence(self, text: str, most: int = 5) -> list[tuple[str, float]]:
        """The features that moved a text's score most, high or low, and how far, in nats.

        Positive speaks for synthetic. All parts and ``bias`` add up to the score.
        """
        found = Prepared.of([text], self.window)
        features = self.features(found)
        parts = self._parts(features)[0]
        if not found.usable[0]:
            return []
        high = np.nan_to_num(features[0] - self.center) > 0
        best = np.argsort(-np.abs(parts), kind="stable")[:most]
        return [
            (f"{self.names[k]}: {'high' if high[k] else 'low'}", float(parts[k]))
            for k in best.tolist()
            if parts[k] != 0
        ]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        if self.center is None or self.scale is None or self.weights is None:
            raise unfitted()
        arrays: Arrays = {"center": self.center, "scale": self.scale, "weights": self.weights}
        # The names are the columns' meaning: a file of other features must not be read as these.
        return {"penalty": self.penalty, "bias": self.bias, "names": list(self.names)}, arrays

    @classmethod
    def restore(cls, window: Window, settings: dict[str, Any], stored: Stored) -> Self:
        demand(settings["names"] == list(cls.names), "other features")
        bias, penalty = float(settings["bias"]), float(settings["penalty"])
        demand(math.isfinite(bias) and math.isfinite(penalty) and penalty > 0, "a bad setting")
        k = len(cls.names)
        scale = stored.take("scale", "<f8", (k,))
        demand(bool((scale > 0).all()), "a scale that is not positive")
        center = stored.take("center", "<f8", (k,))
        weights = stored.take("weights", "<f8", (k,))
        # So that no sum of parts can leave the floats.
        demand(bool((np.abs(weights) < 1e9).all() and abs(bias) < 1e9), "weights out of range")
        return cls(window, penalty, center, scale, weights, bias)

    def _fit_dense(self, features: Floats, synthetic: Labels) -> None:
        self.center, self.scale = standard_scale(features)
        found = self._standard(features)
        self.weights, self.bias = logistic(found, synthetic, self.penalty / len(found))

    def _standard(self, features: Floats) -> Floats:
        if self.center is None or self.scale is None:
            raise unfitted()
        with np.errstate(over="ignore"):  # a hostile scale; the clip ends it
            found = np.clip((features - self.center) / self.scale, -CLIP, CLIP)
        return np.nan_to_num(found, nan=0.0)

    def _parts(self, features: Floats) -> Floats:
        """What each feature adds to the score, shape (n, k)."""
        standard = self._standard(features)
        if self.weights is None:
            raise unfitted()
        return standard * self.weights
