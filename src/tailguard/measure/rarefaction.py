"""Diversity at another sample size, or at another coverage: what makes corpora comparable.

Interpolation (m < n) is the exact expectation over all subsamples drawn without replacement;
extrapolation (m > n) estimates, and for richness should not go beyond m = 2n. All functions take
counts or a `Spectrum`; `richness` says which of them hold on a sample of types.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from tailguard.errors import InputError
from tailguard.measure.base import Floats, Ints
from tailguard.measure.richness import (
    NAN,
    Counts,
    Spectrum,
    hill,
    hill_asymptotic,
    order_of,
    simpson,
    spectrum_of,
    unseen_types,
)


@njit(cache=True, nogil=True)
def _log_absent(k: Ints, n: float, m: float) -> Floats:
    """log C(n-k, m) / C(n, m), ascending k: the chance that m of n draws miss k given ones."""
    out = np.empty(k.size)
    total, i = 0.0, 0
    for j in range(k.size):
        # A running product keeps digits that differences of log-gammas lose at n ~ 1e8.
        while i < k[j] and total > -745.0:
            left = n - i
            total += math.log1p(-m / left) if left > m else -math.inf
            i += 1
        out[j] = total
    return out


@njit(cache=True, nogil=True)
def _share(i: float, m: float, q: float) -> float:
    if i == 0.0:
        return 0.0
    return -(i / m) * math.log(i / m) if q == 1.0 else (i / m) ** q


@njit(cache=True, nogil=True)
def _expected_share(k: Ints, n: float, m: float, q: float) -> Floats:
    """E (K/m)^q, or E -(K/m) ln(K/m) where q = 1, for K hypergeometric: m draws, k of n marked.

    Walks from the mode outwards with ratios of neighbouring probabilities and divides by their
    sum, so that no factorial is ever computed.
    """
    out = np.empty(k.size)
    for j in range(k.size):
        x = float(k[j])
        low, high = max(0.0, m + x - n), min(x, m)
        mode = math.floor((x + 1) * (m + 1) / (n + 2))
        mass = 1.0
        value = _share(mode, m, q)
        i, w = mode, 1.0
        while i < high:
            w *= (x - i) * (m - i) / ((i + 1) * (n - x - m + i + 1))
            i += 1
            gain = w * _share(i, m, q)
            if w < 1e-17 * mass and gain < 1e-17 * value:
                break
            mass += w
            value += gain
        i, w = mode, 1.0
        while i > low and w > 1e-17 * mass:
            w *= i * (n - x - m + i) / ((x - i + 1) * (m - i + 1))
            i -= 1
            mass += w
            value += w * _share(i, m, q)
        out[j] = value / mass
    return out


def _types_at(s: Spectrum, m: int) -> float:
    return float(s.f @ -np.expm1(_log_absent(s.k, float(s.n), float(m))))


def _miss_rate(s: Spectrum) -> float:
    """ln(1 + f1 / (n f0)): each draw beyond n shrinks the expected unseen by exp of minus this."""
    return math.log1p(s.at(1) / (s.n * unseen_types(s)))


def _coverage_at(s: Spectrum, tokens: float, m: int) -> float:
    """Coverage of m draws (tokens, or units that hold ``tokens`` incidences altogether)."""
    if s.n < 2 or m < 0:
        return NAN
    if m < s.n:
        # C(n-x, m) / C(n-1, m), the chance that m of the other n - 1 draws miss the type
        missed = np.exp(_log_absent(s.k - 1, s.n - 1.0, float(m)))
        return 1 - float((s.f * s.k / tokens) @ missed)
    if unseen_types(s) == 0:
        return 1.0
    return 1 - s.at(1) / tokens * math.exp(-(m - s.n + 1) * _miss_rate(s))


def coverage_at(counts: Counts, m: int) -> float:
    """Expected coverage of a sample of m tokens: the share of all tokens whose type it holds.

    m < n: 1 - Σ x/n C(n-x, m) / C(n-1, m), unbiased. m >= n: 1 - f1/n A^(m-n+1), with A as in
    `richness.coverage`, which it equals at m = n. Range [0, 1], rising in m; ``nan`` when n < 2 or
    m < 0. Chao & Jost (2012), Ecology 93.

    >>> [round(coverage_at([5, 2, 1, 1], m), 3) for m in (0, 1, 8, 9, 18)]
    [0.0, 0.306, 0.778, 0.802, 0.932]
    """
    s = spectrum_of(counts)
    return _coverage_at(s, s.n, m)


def hill_at(counts: Counts, m: int, q: float) -> float:
    """Hill number of order q expected in a sample of m tokens.

    m < n: (Σ_j (j/m)^q f_j(m))^(1/(1-q)) with the exact expected frequencies of frequencies f_j(m)
    over subsamples without replacement, any finite q >= 0. m = n: `richness.hill`. m > n, for
    q = 0: S + f0 (1 - A^(m-n)); q = 1: exp of n/m of the plug-in entropy and 1 - n/m of the
    asymptotic one; q = 2: 1 / (1/m + (1 - 1/m) Σ x(x-1) / (n(n-1))). Range [1, inf). ``nan`` when
    n = 0, m < 1, for other orders at m > n, and for q > 0 at m > n = 1. Chao et al. (2014), Ecol.
    Monographs 84 (recent versions of its R package iNEXT extrapolate q = 1 geometrically instead).

    >>> [round(hill_at([5, 2, 1, 1], m, 0), 3) for m in (1, 4, 9, 18)]
    [1.0, 2.603, 4.0, 5.162]
    """
    s, q = spectrum_of(counts), order_of(q)
    if s.n == 0 or m < 1:
        return NAN
    if m == s.n:
        return hill(s, q)
    if m > s.n:
        return _extrapolate(s, m, q)
    if q == 0:
        return _types_at(s, m)
    if q == 2:
        return 1 / (1 / m + (1 - 1 / m) * simpson(s))
    total = float(s.f @ _expected_share(s.k, float(s.n), float(m), q))
    return math.exp(total) if q == 1 else total ** (1 / (1 - q))


def _extrapolate(s: Spectrum, m: float, q: float) -> float:
    """Hill number at real m > n, up to m = inf, for q = 0, 1, 2; ``nan`` for other orders."""
    if q == 0:
        f0 = unseen_types(s)
        return s.types + (f0 * -math.expm1(-(m - s.n) * _miss_rate(s)) if f0 else 0.0)
    if q == 1:
        return hill(s, 1) ** (s.n / m) * hill_asymptotic(s, 1) ** (1 - s.n / m)
    return 1 / (1 / m + (1 - 1 / m) * simpson(s)) if q == 2 else NAN


def hill_at_coverage(counts: Counts, c: float, q: float) -> float:
    """Hill number of order q in a sample just large enough to have coverage c.

    Below the sample's own coverage the size is sought among whole m, and the Hill number is linear
    in coverage between two neighbours (1 below the coverage of a single token); above it, the size
    solves `coverage_at` in real m, and c = 1 gives the asymptotic estimate. Range [1, inf);
    ``nan`` when n < 2, and above the sample's coverage for orders other than 0, 1, 2. Raises
    `InputError` unless 0 < c <= 1. Chao & Jost (2012), Ecology 93.

    >>> [round(hill_at_coverage([5, 2, 1, 1], c, 0), 3) for c in (0.5, 0.8, 0.9, 1)]
    [1.732, 3.978, 4.878, 5.778]
    """
    if not 0 < c <= 1:
        raise InputError("coverage", "a share in (0, 1]", str(c), "pass a value such as 0.9")
    s, q = spectrum_of(counts), order_of(q)
    if s.n < 2:
        return NAN
    if c > coverage_at(s, s.n):
        grown = math.log((1 - c) * s.n / s.at(1)) / _miss_rate(s) if c < 1 else -math.inf
        return _extrapolate(s, s.n - 1 - grown, q)
    low, high = 1, s.n
    if c <= coverage_at(s, low):
        return 1.0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if coverage_at(s, middle) < c else (low, middle)
    below, above = coverage_at(s, low), coverage_at(s, high)
    weight = (c - below) / (above - below)
    return (1 - weight) * hill_at(s, low, q) + weight * hill_at(s, high, q)


def rarefaction_curve(counts: Counts, sizes: ArrayLike, q: float) -> Floats:
    """`hill_at` at each of ``sizes`` (tokens, whole numbers), as an array of the same length.

    Range and undefined cases as there. Chao et al. (2014), Ecol. Monographs 84.

    >>> rarefaction_curve([5, 2, 1, 1], [1, 4, 9], 0).round(3).tolist()
    [1.0, 2.603, 4.0]
    """
    s = spectrum_of(counts)
    return np.array([hill_at(s, int(m), q) for m in np.asarray(sizes).ravel()], dtype=np.float64)


def _incidence(df: Counts, n_units: int) -> Spectrum:
    if isinstance(df, Spectrum):
        return Spectrum.of_frequencies(df.k, df.f, n=n_units)
    return Spectrum.of(df, n=n_units)


def mao_tau(df: Counts, n_units: int, m: int) -> float:
    """Types expected in m units (documents), from how many of ``n_units`` units hold each type.

    m <= M: Σ [1 - C(M-df, m) / C(M, m)], exact over draws of units without replacement. m > M:
    S + Q0 (1 - A^(m-M)), Chao2's lower bound Q0 on the unseen; do not go beyond 2M. Unlike
    ``hill_at(counts, m, 0)`` it does not assume that tokens are independent within a unit. Range
    [0, inf), rising in m; ``nan`` when no type was seen or m < 0. Colwell, Mao & Chang (2004),
    Ecology 85; Colwell et al. (2012), J. Plant Ecology 5.

    >>> [round(mao_tau([3, 2, 1, 1], 4, m), 3) for m in (0, 1, 2, 4, 8)]
    [0.0, 1.75, 2.833, 4.0, 5.025]
    """
    s = _incidence(df, n_units)
    if s.n < 1 or m < 0:
        return NAN
    return _types_at(s, m) if m <= s.n else _extrapolate(s, m, 0)


def incidence_coverage_at(df: Counts, n_units: int, m: int) -> float:
    """Expected coverage of m units (documents): the share of all incidences whose type they hold.

    With U = Σ df: m < M: 1 - Σ df/U C(M-df, m) / C(M-1, m). m >= M: 1 - Q1/U A^(m-M+1). Range
    [0, 1], rising in m; ``nan`` when M < 2, m < 0, or no type was seen. Chao et al. (2014), Ecol.
    Monographs 84.

    >>> [round(incidence_coverage_at([3, 2, 1, 1], 4, m), 3) for m in (0, 1, 3, 4, 8)]
    [0.0, 0.381, 0.714, 0.786, 0.932]
    """
    s = _incidence(df, n_units)
    return _coverage_at(s, float(s.k @ s.f), m)


def heaps_slope_ols(sizes: ArrayLike, types: ArrayLike) -> float:
    """Exponent β of Heaps' law V(n) ∝ n^β: least-squares slope of ln types on ln sizes.

    Points where either is 0 are left out. In [0, 1] for a rarefaction curve; ``nan`` with fewer
    than two distinct sizes. Raises `InputError` when the lengths differ. Heaps (1978).

    >>> round(heaps_slope_ols([100, 400, 1600], [50, 100, 200]), 6)
    0.5
    """
    n, v = np.asarray(sizes, dtype=np.float64), np.asarray(types, dtype=np.float64)
    if n.shape != v.shape or n.ndim != 1:
        got = f"shapes {n.shape} and {v.shape}"
        raise InputError("heaps_slope_ols", "two vectors of one length", got, "pair them up")
    kept = (n > 0) & (v > 0)
    if np.unique(n[kept]).size < 2:
        return NAN
    x, y = np.log(n[kept]), np.log(v[kept])
    x -= x.mean()
    return float(x @ y / (x @ x))
