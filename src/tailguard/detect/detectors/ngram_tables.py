"""Two n-gram language models, human and synthetic, over one table of hashed n-grams, compiled.

Both models are interpolated absolute discounting. For a context h, its suffix h' (the context
without its first token), counts c of one class, D the discount, V the types of both classes and N
the tokens of one:

    p(w | h) = max(c(hw) - D, 0) / C(h) + g(h) p(w | h')
    C(h)     = max(c(h), sum over kept hw of c(hw))
    g(h)     = 1 - sum over kept hw of max(c(hw) - D, 0) / C(h);   g(h) = 1 where C(h) = 0
    p(w)     = max(c(w) - D, 0) / N + g / (V + 1)

The last term holds a place for one unknown token. What g hands down is what was not given out, so
the probabilities of the V + 1 tokens sum to one after any context, whichever grams were dropped.
A gram that neither class said has p(w | h) = g(h) p(w | h') in both models. So log p and log g of
the kept grams are all that scoring needs: the layout of ARPA files.

Source: Ney, Essen and Kneser 1994, "On structuring probabilistic dependences in stochastic language
modelling".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from tailguard.measure.base import Floats, Hashes, Ints
from tailguard.measure.store import demand
from tailguard.measure.tokens import extend, mix64

MOST = 1 << 21
"""Grams kept per order: the most frequent of both classes together."""
AT_ONCE = 1 << 22
"""Tokens sorted at once while counting, which bounds the memory."""
_MOST_PROBES = 1 << 10  # honest keys lie closer to their place; keys made to collide never end
_COUNT = np.iinfo(np.uint32).max


@dataclass(frozen=True)
class Grams:
    """The kept n-grams of one order, sorted by hash.

    ``keys`` (k,) are hashes, strictly rising, never 0. ``counts`` (k, 2) say how often the human
    and the synthetic texts say them, one of both at least once. ``context`` and ``suffix`` (k,) are
    the places, among the grams one order below, of all but the last and of all but the first token;
    zeros at order 1.
    """

    keys: Hashes
    counts: NDArray[np.uint32]
    context: NDArray[np.uint32]
    suffix: NDArray[np.uint32]

    def check(self, below: Grams | None) -> None:
        """ValueError unless these can be the grams one order above ``below``."""
        k = len(self.keys)
        demand(k <= MOST, "too many n-grams")
        demand(bool((self.keys[1:] > self.keys[:-1]).all()), "n-grams out of order")
        demand(not k or self.keys[0] > 0, "a bad n-gram")
        demand(bool((self.counts.max(axis=1, initial=0) > 0).all()), "an n-gram that nobody said")
        size = 1 if below is None else len(below.keys)
        for places in (self.context, self.suffix):
            demand(not k or int(places.max()) < size, "an n-gram without its part")


@njit(nogil=True, cache=True)
def _ends(stream: Any, offsets: Any, order: Any, out: Any) -> None:
    """Hash of the ``order`` tokens that end at each token; 0 where the text has fewer."""
    for d in range(len(offsets) - 1):
        for i in range(offsets[d], offsets[d + 1]):
            out[i] = 0
            if i - offsets[d] + 1 >= order:
                key = mix64(stream[i - order + 1])
                for k in range(i - order + 2, i + 1):
                    key = extend(key, stream[k])
                out[i] = max(key, uint64(1))


@njit(nogil=True, cache=True)
def _build(keys: Any, logs: Any, slots: Any, values: Any) -> Any:
    """Enter keys with their logs in an open-addressed table; False when too many collide."""
    mask = uint64(len(slots) - 1)
    for k in range(len(keys)):
        slot = keys[k] & mask
        probes = 0
        while slots[slot] != 0 and slots[slot] != keys[k]:
            slot = (slot + uint64(1)) & mask
            probes += 1
            if probes == _MOST_PROBES:
                return False
        slots[slot] = keys[k]
        for j in range(4):
            values[slot, j] = logs[k, j]
    return True


@njit(nogil=True, cache=True)
def _score(
    stream: Any, offsets: Any, order: Any, slots: Any, values: Any, unknown: Any, out: Any
) -> None:
    """Fill ``out`` (T, 2) with each token's log probability under both models."""
    mask = uint64(len(slots) - 1)
    # The grams of 1, 2, ... tokens that end at a token: keys, and places in the table or -1.
    keys, places = np.zeros(order, np.uint64), np.empty(order, np.int64)
    before, context = np.zeros(order, np.uint64), np.empty(order, np.int64)
    for d in range(len(offsets) - 1):
        for i in range(offsets[d], offsets[d + 1]):
            # A kept gram's context and suffix are kept too: the first miss is the last look-up.
            found, longest = 0, min(order, i - offsets[d] + 1)
            for n in range(longest):
                key = mix64(stream[i]) if n == 0 else extend(before[n - 1], stream[i])
                keys[n] = max(key, uint64(1))
                places[n] = -1
                if n == found and (n == 0 or context[n - 1] >= 0):
                    slot = keys[n] & mask
                    while slots[slot] != 0 and slots[slot] != keys[n]:
                        slot = (slot + uint64(1)) & mask
                    if slots[slot] != 0:
                        places[n] = slot
                        found += 1
            human, synthetic = unknown[0], unknown[1]
            if found:
                human, synthetic = values[places[found - 1], 0], values[places[found - 1], 1]
            for n in range(found, longest):
                if n and context[n - 1] >= 0:
                    human += values[context[n - 1], 2]
                    synthetic += values[context[n - 1], 3]
            out[i, 0], out[i, 1] = human, synthetic
            keys, before = before, keys
            places, context = context, places


@njit(nogil=True, cache=True)
def _sums(logs: Any, offsets: Any, out: Any) -> None:
    for d in range(len(offsets) - 1):
        for i in range(offsets[d], offsets[d + 1]):
            out[d, 0] += logs[i, 0]
            out[d, 1] += logs[i, 1]


@dataclass(frozen=True)
class NgramTables:
    """Both language models: ``grams`` by order, the shortest first; D in [0.01, 1].

    >>> tables = NgramTables.count(np.array([3, 5, 3], np.uint64), np.array([0, 2, 3]),
    ...                            np.array([False, True]), order=2, discount=0.5)
    >>> [len(grams.keys) for grams in tables.grams]
    [2, 1]
    >>> np.exp(tables.logs(np.array([5], np.uint64), np.array([0, 1]))).round(3).tolist()
    [[0.417, 0.167]]
    """

    grams: tuple[Grams, ...]
    discount: float

    @classmethod
    def count(
        cls, stream: Hashes, offsets: Ints, synthetic: NDArray[np.bool_], *,
        order: int, discount: float, most: int = MOST,
    ) -> NgramTables:  # fmt: skip
        """Count the n-grams of texts; text d is ``stream[offsets[d]:offsets[d + 1]]``.

        ``synthetic`` (n,) labels the texts. Counts are exact; kept are the ``most`` most frequent
        grams per order, both classes together, ties by hash, whose context and suffix are kept.
        Memory: some 20 bytes per token, and a fixed part.
        """
        label = np.repeat(synthetic, np.diff(offsets))
        grams: list[Grams] = []
        shorter = np.zeros(0, np.uint64)
        for n in range(1, order + 1):
            ends = np.empty(len(stream), np.uint64)
            _ends(stream, offsets, n, ends)
            keys, counts, first = _most_frequent(ends, label, most)
            context = suffix = np.zeros(len(keys), np.uint32)
            if n > 1:
                below = grams[-1].keys
                context, one = _find(shorter[first - 1], below)
                suffix, two = _find(shorter[first], below)
                kept = one & two
                keys, counts = keys[kept], counts[kept]
                context, suffix = context[kept], suffix[kept]
            grams.append(Grams(keys, counts, context, suffix))
            shorter = ends
        return cls(tuple(grams), discount)

    def check(self) -> None:
        """ValueError unless these are tables that ``count`` can have made, up to their numbers."""
        for n, grams in enumerate(self.grams):
            grams.check(self.grams[n - 1] if n else None)
        demand(len(self._table[0]) > 0, "no table")

    def logs(self, stream: Hashes, offsets: Ints) -> Floats:
        """Log probability of every token under the human and the synthetic model, (T, 2), nats.

        A text's first tokens have the shorter contexts that there are.
        """
        out = np.empty((len(stream), 2))
        slots, values, unknown = self._table
        _score(stream, offsets, len(self.grams), slots, values, unknown, out)
        return out

    def sums(self, stream: Hashes, offsets: Ints) -> Floats:
        """Log probability of every text under both models, shape (n, 2), in nats."""
        out = np.zeros((len(offsets) - 1, 2))
        _sums(self.logs(stream, offsets), offsets, out)
        return out

    @cached_property
    def _table(self) -> tuple[Hashes, NDArray[np.float32], Floats]:
        logs, unknown = self._derive()
        size = 1 << int(1.5 * sum(len(grams.keys) for grams in self.grams) + 2).bit_length()
        # A key and its logs side by side: one place in memory to wait for.
        rows = np.zeros((size, 3), np.uint64)
        slots, values = rows[:, 0], rows.view(np.float32)[:, 2:]
        for grams, own in zip(self.grams, logs, strict=True):
            demand(_build(grams.keys, own, slots, values), "n-grams that collide")
        return slots, values, unknown

    def _derive(self) -> tuple[list[Floats], Floats]:
        """By order (k, 4): log p and log g of both models; and log p of the unknown token."""
        counts = [grams.counts.astype(np.float64) for grams in self.grams]
        total = counts[0].sum(axis=0)
        given = np.maximum(counts[0] - self.discount, 0.0)
        # What is left comes from sums of counts, not as 1 - sum of shares: it must not round to 0.
        left = np.where(total > 0, total - given.sum(axis=0), 1.0)
        total = np.where(total > 0, total, 1.0)  # a class of which no word was kept gives nothing
        least = left / total / (len(counts[0]) + 1)
        p = given / total + least
        out = []
        for (lower, upper), grams in zip(pairwise(counts), self.grams[1:], strict=True):
            given = np.maximum(upper - self.discount, 0.0)
            whole = np.maximum(lower, _by_context(grams, upper, len(lower)))
            spent = _by_context(grams, given, len(lower))
            said = whole > 0
            whole[~said] = 1.0
            handed = np.where(said, (whole - spent) / whole, 1.0)
            out.append(np.log(np.column_stack([p, handed])))
            p = given / whole[grams.context] + handed[grams.context] * p[grams.suffix]
        out.append(np.log(np.column_stack([p, np.ones_like(p)])))
        return out, np.log(least)


def _by_context(grams: Grams, values: Floats, k: int) -> Floats:
    """Sums of (grams, 2) values over the grams that continue each of ``k`` contexts, (k, 2)."""
    return np.column_stack(
        [np.bincount(grams.context, values[:, side], minlength=k) for side in (0, 1)]
    )


def _most_frequent(
    ends: Hashes, label: NDArray[np.bool_], most: int
) -> tuple[Hashes, NDArray[np.uint32], Ints]:
    """Keys, rising, of the ``most`` most frequent grams; their counts by class; where each stands.

    Goes band by band of the hashes: all occurrences of a gram fall in one band, so counts are exact
    and what a band adds beyond ``most`` is gone for good.
    """
    bands = len(ends) // AT_ONCE + 1
    keys, counts, first = np.zeros(0, np.uint64), np.zeros((0, 2), np.int64), np.zeros(0, np.int64)
    for band in range(bands):
        rows = np.flatnonzero((ends != 0) & (ends % np.uint64(bands) == np.uint64(band)))
        if not len(rows):
            continue
        rows = rows[np.argsort(ends[rows], kind="stable")]
        found = ends[rows]
        begins = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]]))
        synthetic = np.add.reduceat(label[rows], begins, dtype=np.int64)
        whole = np.diff(begins, append=len(rows))
        keys = np.concatenate([keys, found[begins]])
        counts = np.concatenate([counts, np.column_stack([whole - synthetic, synthetic])])
        first = np.concatenate([first, rows[begins]])
        if len(keys) > most:
            best = np.lexsort((keys, -counts.sum(axis=1)))[:most]
            keys, counts, first = keys[best], counts[best], first[best]
    order = np.argsort(keys)
    return keys[order], np.minimum(counts[order], _COUNT).astype(np.uint32), first[order]


def _find(wanted: Hashes, keys: Hashes) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """Places of ``wanted`` in rising ``keys``, and which of them are there."""
    if not len(keys):
        return np.zeros(len(wanted), np.uint32), np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return places.astype(np.uint32), keys[places] == wanted
