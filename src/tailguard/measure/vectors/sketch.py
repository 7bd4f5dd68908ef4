"""Summaries of columns of numbers that merge: moments, and a quantile sketch that merges exactly.

The sketch counts values by sign, binary exponent and the five leading bits of the fraction, so a
bucket is a plain shift of the bits of a double, the same on every machine, and merging adds
integers. Any quantile is known to 1/64 of itself, whatever the scale of the column.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numba import njit

from tailguard.measure.base import Floats, Ints

SHIFT = 47
"""Bits of a double below the five leading bits of its fraction."""
HALF = 1 << 16
"""Buckets of one sign, and the bucket of zero within a column's range of keys."""
LARGEST = 1e70
"""Beyond this a fourth power could overflow when summed: counted as infinite."""


@njit(cache=True, nogil=True)
def _tally(bits: Any, present: Any, keys: Any, counts: Any) -> Any:
    """Bucket counts of every column of ``bits: (d, n)``, keys ascending; how many there are."""
    room = np.zeros(2 * HALF, np.int64)
    touched = np.empty(bits.shape[1], np.int64)
    size = 0
    for column in range(bits.shape[0]):
        n = 0
        for i in range(bits.shape[1]):
            if not present[column, i]:
                continue
            key = np.int64((bits[column, i] >> np.uint64(SHIFT)) & np.uint64(HALF - 1))
            key = HALF - key if bits[column, i] >> np.uint64(63) else HALF + key
            if room[key] == 0:
                touched[n] = key
                n += 1
            room[key] += 1
        for key in np.sort(touched[:n]):
            keys[size], counts[size] = column * 2 * HALF + key, room[key]
            room[key] = 0
            size += 1
    return size


@dataclass(frozen=True, slots=True)
class Sketch:
    """Counts of values by bucket: ``keys`` ascending, each a column times 2**17 plus its bucket.

    Source: sketches with relative error, Masson, Rim & Lee 2019 (DDSketch), with powers of two
    divided linearly in place of a logarithm (as in HdrHistogram), so that no rounding enters.
    """

    keys: Ints
    counts: Ints

    @classmethod
    def empty(cls) -> Sketch:
        """No values: the neutral element of ``merge``."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def of(cls, values: Floats) -> Sketch:
        """Count ``values: (n, d)``; nan is left out.

        >>> Sketch.of(np.array([[1.0], [1.001], [-3.0], [0.0]])).counts.tolist()
        [1, 1, 2]
        """
        across = np.ascontiguousarray(values.T)
        keys = np.empty(across.size, np.int64)
        counts = np.empty(across.size, np.int64)
        size = _tally(across.view(np.uint64), ~np.isnan(across), keys, counts)
        return cls(keys[:size].copy(), counts[:size].copy())

    def merge(self, other: Sketch) -> Sketch:
        """Both together: associative, commutative, exact."""
        if not len(self.keys) or not len(other.keys):
            return self if len(self.keys) else other
        keys = np.concatenate([self.keys, other.keys])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        counts = np.concatenate([self.counts, other.counts])[order]
        return Sketch(keys[starts], np.add.reduceat(counts, starts))

    def quantile(self, column: int, q: float) -> float:
        """The value at quantile ``q`` of a column, to 1/64 of itself; nan without values.

        >>> Sketch.of(np.arange(1.0, 102.0)[:, None]).quantile(0, 0.5)
        51.5
        """
        low, high = np.searchsorted(self.keys, [column * 2 * HALF, (column + 1) * 2 * HALF])
        if low == high:
            return float("nan")
        upto = np.cumsum(self.counts[low:high])
        at = int(np.searchsorted(upto, max(q * upto[-1], 1)))
        key = int(self.keys[low + at]) - column * 2 * HALF - HALF
        if key == 0:
            return 0.0
        middle = np.array([abs(key) << SHIFT | 1 << (SHIFT - 1)], np.uint64).view(np.float64)[0]
        return float(middle if key > 0 else -middle)


@dataclass(frozen=True, slots=True)
class Moments:
    """Per column, each ``(d,)``: values seen, their mean, sums of powers 2 to 4 of deviations from
    it, the smallest and largest value, and how many values were missing or infinite.

    Merging follows Chan, Golub & LeVeque 1983 and Pébay 2008: counts, ``low`` and ``high`` are
    exact, the sums hold to about 1e-12 of themselves in whatever order parts are merged.
    """

    n: Ints
    mean: Floats
    m2: Floats
    m3: Floats
    m4: Floats
    low: Floats
    high: Floats
    missing: Ints
    infinite: Ints

    @classmethod
    def empty(cls, d: int) -> Moments:
        """No rows of ``d`` columns: the neutral element of ``merge``."""
        none, zero = np.zeros(d, np.int64), np.zeros(d)
        return cls(
            none, zero, zero, zero, zero, np.full(d, np.inf), np.full(d, -np.inf), none, none
        )

    @classmethod
    def of(cls, values: Floats, infinite: Ints) -> Moments:
        """Of ``values: (n, d)`` in which nan stands for what is missing or infinite."""
        there = ~np.isnan(values)
        n = there.sum(axis=0)
        mean = np.where(there, values, 0.0).sum(axis=0) / np.maximum(n, 1)
        off = np.where(there, values - mean, 0.0)
        mean = mean + off.sum(axis=0) / np.maximum(n, 1)  # a second pass takes off the rounding
        off = np.where(there, values - mean, 0.0)
        square = off * off
        return cls(
            n,
            mean,
            square.sum(axis=0),
            (square * off).sum(axis=0),
            (square * square).sum(axis=0),
            np.where(there, values, np.inf).min(axis=0, initial=np.inf),
            np.where(there, values, -np.inf).max(axis=0, initial=-np.inf),
            len(values) - n - infinite,
            infinite,
        )

    def merge(self, other: Moments) -> Moments:
        """Both together: associative and commutative up to rounding."""
        a, b = self.n.astype(np.float64), other.n.astype(np.float64)
        n = np.maximum(a + b, 1)
        gap = other.mean - self.mean
        part = gap / n
        mean = np.where(
            b == 0, self.mean, np.where(a == 0, other.mean, (a * self.mean + b * other.mean) / n)
        )
        gap, part = np.where((a == 0) | (b == 0), 0.0, (gap, part))
        m2 = self.m2 + other.m2 + gap * part * a * b
        m3 = self.m3 + other.m3 + gap * part**2 * a * b * (a - b)
        m3 = m3 + 3 * part * (a * other.m2 - b * self.m2)
        m4 = self.m4 + other.m4 + gap * part**3 * a * b * (a * a - a * b + b * b)
        m4 = m4 + 6 * part**2 * (a * a * other.m2 + b * b * self.m2)
        m4 = m4 + 4 * part * (a * other.m3 - b * self.m3)
        return Moments(
            self.n + other.n,
            mean,
            m2,
            m3,
            m4,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.missing + other.missing,
            self.infinite + other.infinite,
        )

    def arrays(self) -> dict[str, Any]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def variance(self) -> Floats:
        """Unbiased variance; nan below two values."""
        return _over(self.m2, self.n - 1)

    @property
    def skewness(self) -> Floats:
        """Third standardised moment; nan without variance."""
        return _over(np.sqrt(self.n) * self.m3, self.m2**1.5)

    @property
    def kurtosis(self) -> Floats:
        """Fourth standardised moment, 3 for a Gaussian; nan without variance."""
        return _over(self.n * self.m4, self.m2**2)


def _over(above: Floats, below: Any) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)


@dataclass(frozen=True, slots=True)
class BottomK:
    """The k smallest of hashed rows, each with its count and (``values: (K, d)``) its numbers.

    A row is in the sample exactly when its key is at most ``limit``: so two samples cut to the
    smaller limit hold the same part of all possible rows (Cohen & Kaplan 2007).
    """

    k: int
    keys: Any
    counts: Ints
    values: Floats

    @classmethod
    def of(cls, k: int, keys: Any, values: Floats, counts: Ints | None = None) -> Self:
        """The sample of rows in any order; rows of equal key are one row."""
        found = np.ones(len(keys), np.int64) if counts is None else counts
        if len(keys) > k and counts is None:  # most rows of a large batch cannot enter
            near = keys <= np.partition(keys, k - 1)[k - 1]
            more = keys[near]
            if len(np.unique(more)) == k:
                keys, values, found = more, values[near], found[near]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else order
        summed = np.add.reduceat(found[order], starts) if len(starts) else found
        starts, summed = starts[:k], summed[:k]
        return cls(k, keys[starts], summed, values[order[starts]])

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def limit(self) -> int:
        """Rows with keys above this are not in the sample."""
        return int(self.keys[-1]) if len(self) >= self.k else (1 << 64) - 1

    def merge(self, other: Self) -> Self:
        """Both together: associative, commutative, exact."""
        k = min(self.k, other.k)
        return self.of(
            k,
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.values, other.values]),
            np.concatenate([self.counts, other.counts]),
        )
