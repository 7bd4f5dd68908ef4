"""The statistics detector: how a text's words are distributed, whatever words they are.

Machine text keeps to the middle of the distribution: fewer rare words, evener surprise, other
repetition. All that is learnt of words is how often human training texts use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit

from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Labels, Prepared, Stored, unfitted
from tailguard.detect.detectors.dense import (
    DenseDetector,
    Frequencies,
    cross_frequencies,
    ends_sentence,
    find,
    is_word,
    local_variation,
    ratio,
    variance,
    word_folds,
)
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import MOST, Arrays
from tailguard.measure.tokens import extend

RANKS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)
"""Upper borders of the rank bins, roughly even in the logarithm; then the rest, then unseen."""
COMMON, RARE = 150, 1_000
"""Words up to the one rank are function words, in any language; words beyond the other are rare."""
GAPS = (10, 25, 50)
"""Words within which a word comes again."""
SPANS = (25, 50)
"""Words of the moving windows in which diversity is taken."""
FOLDS = 5

N_BINS = len(RANKS) + 2
# Columns of a text's sums: blocks follow each other, the names say where each begins.
WORDS, BINS = 0, 1
LOG, LOG2, STEP, LAG, STEPS = range(BINS + N_BINS, BINS + N_BINS + 5)
SENT, SENT_SUM, SENT_SQUARE, SENT_STEP, SENT_STEPS = range(STEPS + 1, STEPS + 6)
RUNS = SENT_STEPS + 1  # pairs of gaps, and their local variation: rare words, frequent words
AGAIN = RUNS + 4  # for each gap: other words and how many came again, frequent words likewise
PAIRS = AGAIN + 4 * len(GAPS)  # pairs, pairs seen, their information
DIVERSE = PAIRS + 3  # for each span: windows, types, entropy, squares, said once, said twice
SLOPES = DIVERSE + 6 * len(SPANS)  # whole windows, their Zipf slopes
WIDTH = SLOPES + 2

_BORDERS, _GAPS, _SPANS = np.array(RANKS), np.array(GAPS), np.array(SPANS)
_COUNTS = np.arange(max(SPANS) + 2)
_C_LOG_C = _COUNTS * np.log(np.maximum(_COUNTS, 1))


@njit(inline="always")
def _run(row: Any, at: Any, k: Any, place: Any, gap: Any) -> Any:
    """Compare the gap since the event at ``place`` with the one before; the event and gap at k."""
    if place < 0:
        return k, 0
    if gap:
        row[at] += 1
        row[at + 1] += local_variation(k - place, gap)
    return k, k - place


@njit(nogil=True, cache=True)
def _words(
    hashes: Any, spans: Any, data: Any, end: Any, own: Any, joined: Any, last: Any
) -> Any:  # fmt: skip
    """A text's words, whether each follows another word at once, which end a sentence."""
    n, adjacent = 0, False
    for t in range(len(hashes)):
        i, j = spans[t, 0], spans[t, 1]
        if is_word(data, i, end):
            own[n], joined[n], last[n] = hashes[t], adjacent, False
            adjacent = True
            n += 1
        else:
            adjacent = False
            if n and ends_sentence(data, i, j, end):
                last[n - 1] = True
    return n


@njit(nogil=True, cache=True)
def _surprise(
    own: Any, last: Any, n: Any, keys: Any, ranks: Any, logs: Any, unseen: Any, borders: Any,
    frequent: Any, row: Any,
) -> None:  # fmt: skip
    """Ranks and log-frequencies along a text, and by sentence of four words or more."""
    past, total, m, before = 0.0, 0.0, 0, np.nan
    rare, common, rare_gap, common_gap = -1, -1, 0, 0
    for k in range(n):
        slot = find(keys, own[k])
        log, rank = (logs[slot], ranks[slot]) if slot >= 0 else (unseen, MOST)
        bin_ = 0
        while bin_ < len(borders) and rank > borders[bin_]:
            bin_ += 1
        row[BINS + (bin_ if slot >= 0 else len(borders) + 1)] += 1
        row[LOG] += log
        row[LOG2] += log * log
        if k:
            row[STEP] += abs(log - past)
            row[LAG] += log * past
            row[STEPS] += 1
        past = log
        frequent[k] = rank <= COMMON
        if rank > RARE:
            rare, rare_gap = _run(row, RUNS, k, rare, rare_gap)
        if rank <= COMMON:
            common, common_gap = _run(row, RUNS + 2, k, common, common_gap)
        total += log
        m += 1
        if last[k]:
            if m >= 4:
                mean = total / m
                row[SENT] += 1
                row[SENT_SUM] += mean
                row[SENT_SQUARE] += mean * mean
                if before == before:
                    row[SENT_STEP] += abs(mean - before)
                    row[SENT_STEPS] += 1
                before = mean
            total, m = 0.0, 0


@njit(nogil=True, cache=True)
def _number(own: Any, n: Any, keys: Any, numbers: Any, ids: Any, slots: Any) -> Any:
    """Number a text's words by first appearance; how many. ``keys`` is left all zeros."""
    mask = len(keys) - 1
    types = 0
    for k in range(n):
        at = np.int64(own[k] & np.uint64(mask))
        while keys[at] != 0 and keys[at] != own[k]:
            at = (at + 1) & mask
        if keys[at] == 0:
            keys[at] = own[k]
            numbers[at] = types
            types += 1
        ids[k] = numbers[at]
        slots[k] = at
    for k in range(n):
        keys[slots[k]] = 0
    return types


@njit(nogil=True, cache=True)
def _again(ids: Any, n: Any, frequent: Any, gaps: Any, seen: Any, row: Any) -> None:
    """How often a word came within the last words; a place counts that has so many before it."""
    for k in range(n):
        seen[ids[k]] = -1
    for k in range(n):
        before = seen[ids[k]]
        for g in range(len(gaps)):
            if k >= gaps[g]:
                at = AGAIN + 4 * g + (2 if frequent[k] else 0)
                row[at] += 1
                row[at + 1] += before >= 0 and k - before <= gaps[g]
        seen[ids[k]] = k


@njit(nogil=True, cache=True)
def _pairs(own: Any, joined: Any, n: Any, keys: Any, values: Any, row: Any) -> None:
    for k in range(1, n):
        if joined[k]:
            row[PAIRS] += 1
            slot = find(keys, extend(own[k - 1], own[k]))
            if slot >= 0:
                row[PAIRS + 1] += 1
                row[PAIRS + 2] += values[slot]


@njit(nogil=True, cache=True)
def _diversity(
    ids: Any, n: Any, types: Any, span: Any, c_log_c: Any, counts: Any, at: Any, row: Any
) -> None:  # fmt: skip
    """Sums over every window of ``span`` words, each from the one before in constant time."""
    counts[:types] = 0
    seen, once, twice, squares, logs = 0, 0, 0, 0, 0.0
    for k in range(n):
        c = counts[ids[k]]
        counts[ids[k]] = c + 1
        logs += c_log_c[c + 1] - c_log_c[c]
        squares += 2 * c + 1
        seen += c == 0
        once += (c == 0) - (c == 1)
        twice += (c == 1) - (c == 2)
        if k >= span:
            c = counts[ids[k - span]]
            counts[ids[k - span]] = c - 1
            logs += c_log_c[c - 1] - c_log_c[c]
            squares -= 2 * c - 1
            seen -= c == 1
            once += (c == 2) - (c == 1)
            twice += (c == 3) - (c == 2)
        if k >= span - 1:
            row[at] += 1
            row[at + 1] += seen
            row[at + 2] += np.log(span) - logs / span
            row[at + 3] += squares
            row[at + 4] += once
            row[at + 5] += twice


@njit(nogil=True, cache=True)
def _slopes(ids: Any, n: Any, types: Any, span: Any, counts: Any, row: Any) -> None:
    """Zipf's slope, log count on log rank by least squares, in windows end to end."""
    of = np.zeros(span + 1, np.int64)
    counts[:types] = 0
    for begin in range(0, n - span + 1, span):
        of[:] = 0
        for k in range(begin, begin + span):
            c = counts[ids[k]]
            of[c] -= 1
            of[c + 1] += 1
            counts[ids[k]] = c + 1
        rank, x, y, xx, xy = 0, 0.0, 0.0, 0.0, 0.0
        for c in range(span, 0, -1):
            for _ in range(of[c]):
                rank += 1
                a, b = np.log(rank), np.log(c)
                x, y, xx, xy = x + a, y + b, xx + a * a, xy + a * b
        if rank > 1:
            row[SLOPES] += 1
            row[SLOPES + 1] += (rank * xy - x * y) / (rank * xx - x * x)
        for k in range(begin, begin + span):
            counts[ids[k]] = 0


@njit(nogil=True, cache=True)
def _sum(
    hashes: Any, at: Any, spans: Any, data: Any, offsets: Any, longest: Any, tables: Any,
    borders: Any, gaps: Any, windows: Any, c_log_c: Any, out: Any,
) -> None:  # fmt: skip
    keys, ranks, logs, unseen, pair_keys, pair_values = tables
    own, ids, work = (np.empty(longest, np.uint64), np.empty(longest, np.int64),
                      np.empty(longest, np.int64))  # fmt: skip
    joined, last, frequent = (np.empty(longest, np.bool_), np.empty(longest, np.bool_),
                              np.empty(longest, np.bool_))  # fmt: skip
    size = 16
    while size < 2 * longest:
        size *= 2
    local, numbers = np.zeros(size, np.uint64), np.empty(size, np.int64)
    for d in range(len(at) - 1):
        row, a, b = out[d], at[d], at[d + 1]
        n = _words(hashes[a:b], spans[a:b], data, offsets[d + 1], own, joined, last)
        row[WORDS] = n
        _surprise(own, last, n, keys, ranks, logs, unseen, borders, frequent, row)
        types = _number(own, n, local, numbers, ids, work)
        _again(ids, n, frequent, gaps, work, row)
        _pairs(own, joined, n, pair_keys, pair_values, row)
        for s in range(len(windows)):
            _diversity(ids, n, types, windows[s], c_log_c, work, DIVERSE + 6 * s, row)
        _slopes(ids, n, types, windows[-1], work, row)


def _features(sums: Floats) -> dict[str, Floats]:
    """Features by name from the sums of texts, each (n,)."""
    column = sums.T
    n = column[WORDS]
    borders = [f"words of rank {low + 1} to {high}" for low, high in _bins()]
    found = {
        name: ratio(column[BINS + k], n)
        for k, name in enumerate([*borders, f"words of rank over {RANKS[-1]}", "unseen words"])
    }
    mean, spread = ratio(column[LOG], n), variance(column[LOG], column[LOG2], n)
    found["log-frequency"] = mean
    found["spread of log-frequency"] = np.sqrt(spread)
    found["change of log-frequency"] = ratio(ratio(column[STEP], column[STEPS]), np.sqrt(spread))
    found["persistence of log-frequency"] = ratio(
        ratio(column[LAG], column[STEPS]) - mean**2, spread
    )
    found["variance of sentences' log-frequency"] = variance(
        column[SENT_SUM], column[SENT_SQUARE], column[SENT]
    )
    found["change between sentences' log-frequency"] = ratio(column[SENT_STEP], column[SENT_STEPS])
    for name, at in (("rare", RUNS), ("frequent", RUNS + 2)):
        found[f"burstiness of {name} words"] = ratio(column[at + 1], column[at])
    for g, gap in enumerate(GAPS):
        for kind, name in enumerate(("other", "frequent")):
            at = AGAIN + 4 * g + 2 * kind
            found[f"{name} words again within {gap}"] = ratio(column[at + 1], column[at])
    found["word pairs seen"] = ratio(column[PAIRS + 1], column[PAIRS])
    found["information of word pairs"] = ratio(column[PAIRS + 2], column[PAIRS + 1])
    for s, span in enumerate(SPANS):
        many, types, entropy, squares, once, twice = column[DIVERSE + 6 * s : DIVERSE + 6 * s + 6]
        found[f"different words in {span}"] = ratio(types, many * span)
        found[f"entropy of {span} words"] = ratio(entropy, many)
        found[f"Yule's K of {span} words"] = ratio(squares - many * span, many * span**2) * 1e4
        found[f"share said once in {span}"] = ratio(once, types)
        found[f"share said twice in {span}"] = ratio(twice, types)
    found[f"Zipf slope of {SPANS[-1]} words"] = ratio(column[SLOPES + 1], column[SLOPES])
    return found


def _bins() -> list[tuple[int, int]]:
    return list(zip((0, *RANKS[:-1]), RANKS, strict=True))


@dataclass(slots=True)
class TokenStatisticsDetector(DenseDetector):
    """Log-odds of "synthetic" from the distribution of a text's words.

    Features, in ``names``: the histogram of ranks in the frequency table of the human training
    texts and the share of unseen words; mean, spread and movement of log-frequency along the text
    and from sentence to sentence; burstiness of rare and of frequent words
    (:func:`~tailguard.detect.detectors.dense.local_variation`); how often a word comes again within
    10, 25 and 50 words; word pairs; different words, entropy, Yule's K and words said once or twice
    in moving windows of 25 and 50 words, and Zipf's slope in windows of 50. All are rates, or
    averages over windows of one size, so that length does not leak.

    While fitting, each text is looked up in frequencies without its own fold of ``groups``: a human
    text would otherwise know all its own words. After ``fit``: ``frequencies``, and the fields of
    :class:`~tailguard.detect.detectors.dense.DenseDetector`. The score is in nats.

    Source: Gehrmann et al. 2019 (GLTR) for ranks; Shinomoto et al. 2003 for burstiness; Covington
    and McFall 2010 for moving windows.

    >>> rng = np.random.default_rng(0)
    >>> human = [" ".join(f"w{k}" for k in rng.zipf(1.5, 80) % 999) for _ in range(40)]
    >>> synthetic = [" ".join(f"w{k}" for k in rng.zipf(3.0, 80) % 999) for _ in range(40)]
    >>> detector = TokenStatisticsDetector().fit(human[:30], synthetic[:30])
    >>> bool(detector.score(human[30:]).max() < detector.score(synthetic[30:]).min())
    True
    """

    kind: ClassVar[str] = "token-statistics"
    names: ClassVar[tuple[str, ...]] = tuple(_features(np.zeros((1, WIDTH))))

    penalty: float = 30.0
    frequencies: Frequencies | None = None

    def features(self, texts: Prepared) -> Floats:
        """The features of ``names``, shape (n, k); nan where a text is too short for one."""
        if self.frequencies is None:
            raise unfitted()
        return _matrix(texts, self.frequencies)

    def _fit(self, texts: Prepared, synthetic: Labels, groups: Ints) -> None:
        folds = word_folds(groups, FOLDS)
        every = cross_frequencies(texts, ~synthetic, folds, FOLDS)
        found = np.empty((len(texts), len(self.names)))
        for k in range(FOLDS):
            if (folds == k).any():
                found[folds == k] = _matrix(texts.rows(folds == k), every[k])
        self.frequencies = every[FOLDS]
        self._fit_dense(found, synthetic)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        settings, arrays = DenseDetector.state(self)
        if self.frequencies is None:
            raise unfitted()
        return settings | {"mass": self.frequencies.mass}, arrays | self.frequencies.arrays()

    @classmethod
    def restore(cls, window: Window, settings: dict[str, Any], stored: Stored) -> Self:
        made = super(TokenStatisticsDetector, cls).restore(window, settings, stored)
        made.frequencies = Frequencies.restore(settings["mass"], stored)
        return made


def _matrix(texts: Prepared, known: Frequencies) -> Floats:
    sums = np.zeros((len(texts), WIDTH))
    tokens = texts.tokens
    longest = int(tokens.lengths.max(initial=0)) + 1
    _sum(
        tokens.hashes, tokens.offsets, tokens.spans, texts.data, texts.offsets, longest,
        known.tables, _BORDERS, _GAPS, _SPANS, _C_LOG_C, sums,
    )  # fmt: skip
    return np.column_stack(list(_features(sums).values()))
