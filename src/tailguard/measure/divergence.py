"""How far apart two samples of feature vectors lie: MMD, energy, sliced Wasserstein, Fréchet.

Each is a distance between the sources as far as the two samples show it: for identical sources
the unbiased ones scatter around 0, and the others stay above 0 by an amount that falls with n.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tailguard.errors import InputError
from tailguard.measure.base import Floats, Ints
from tailguard.measure.geometry import (
    Features,
    as_feature_pair,
    as_features,
    covariance,
    row_blocks,
)
from tailguard.measure.neighbours import centred, distance_tiles

MEDIAN_SAMPLE = 2000  # rows; two million pairs pin the median to well under one percent


def median_bandwidth(x: ArrayLike, *, rng: np.random.Generator) -> float:
    """Median heuristic: the median distance between different rows of ``x`` (n, d).

    In feature units, > 0; from at most 2,000 rows drawn without replacement. nan for n < 2 or
    when at least half of the pairs coincide. Take it from gold alone, or from both samples
    stacked, but never from each sample on its own.

    >>> median_bandwidth([[0.0], [3.0]], rng=np.random.default_rng(0))
    3.0

    Gretton et al. 2012 (JMLR 13).
    """
    features = as_features(x, "median_bandwidth")
    if len(features) > MEDIAN_SAMPLE:
        features = features[rng.choice(len(features), MEDIAN_SAMPLE, replace=False)]
    if len(features) < 2:
        return float("nan")
    (scaled,), unit = centred(features)
    squared = [
        tile[np.triu_indices(len(tile), k=1)] if rows == columns else tile.ravel()
        for rows, columns, tile in distance_tiles(scaled)
    ]
    median = float(np.sqrt(np.median(np.concatenate(squared))))
    return unit * median if median > 0 else float("nan")


def _sum_over_pairs(x: Features, y: Features | None, of: Callable[[Features], Features]) -> float:
    """Sum of ``of(squared distance)`` over all ordered pairs of rows, of ``x`` where no ``y``."""
    total = 0.0
    for rows, columns, tile in distance_tiles(x, y):
        weight = 1 if y is not None or rows == columns else 2
        total += weight * float(of(tile).sum(dtype=np.float64))
    return total


def mmd2_unbiased(x: ArrayLike, y: ArrayLike, bandwidth: float) -> float:
    """Squared maximum mean discrepancy, Gaussian kernel, unbiased U-statistic over all pairs.

    mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean k(x_i, y_j) with
    k(a, b) = exp(−‖a − b‖² / (2 bandwidth²)).

    ``x`` (n, d), ``y`` (m, d), bandwidth in feature units. In [−2, 2]; its mean is ≥ 0 and 0 only
    for identical sources, the value itself may be below 0. nan for n < 2 or m < 2, or a nan
    bandwidth. O((n + m)² d) time. InputError for bandwidth ≤ 0.

    >>> round(mmd2_unbiased([[0.0], [0.0]], [[9.0], [9.0]], bandwidth=1.0), 6)
    2.0

    Gretton et al. 2012 (JMLR 13), lemma 6.
    """
    first, second = as_feature_pair(x, y, "mmd2_unbiased")
    n, m = len(first), len(second)
    if min(n, m) < 2 or not _positive(bandwidth, "mmd2_unbiased"):
        return float("nan")
    (a, b), unit = centred(first, second)
    scale = a.dtype.type(-0.5 * (unit / bandwidth) ** 2)

    def gaussian(squared: Features) -> Features:
        np.multiply(squared, scale, out=squared)
        return np.asarray(np.exp(squared, out=squared))

    within_x = (_sum_over_pairs(a, None, gaussian) - n) / (n * (n - 1))
    within_y = (_sum_over_pairs(b, None, gaussian) - m) / (m * (m - 1))
    return within_x + within_y - 2 * _sum_over_pairs(a, b, gaussian) / (n * m)


def _positive(bandwidth: float, who: str) -> bool:
    if bandwidth <= 0:
        raise InputError(who, "a bandwidth > 0", str(bandwidth), "use median_bandwidth(gold)")
    return not np.isnan(bandwidth)


def mmd2_random_features(
    x: ArrayLike, y: ArrayLike, *, n_features: int, bandwidth: float, rng: np.random.Generator
) -> float:
    """``mmd2_unbiased`` with the Gaussian kernel replaced by ``n_features`` random frequencies.

    Frequencies w ~ N(0, I/bandwidth²) give k(a, b) ≈ mean_w cos(w·(a − b)), by cosine and sine
    pairs, so that a row's kernel with itself is exactly 1 and leaving out the diagonal is too.

    ``x`` (n, d), ``y`` (m, d). Unbiased over the draw of frequencies; the error against
    ``mmd2_unbiased`` is of order its size plus 1/n, over √n_features. O((n + m) d n_features) time.
    nan for n < 2 or m < 2, or a nan bandwidth. InputError for n_features < 1 or bandwidth ≤ 0.

    >>> rng = np.random.default_rng(0)
    >>> near = mmd2_random_features(
    ...     [[0.0], [0.1]], [[0.0], [0.1]], n_features=64, bandwidth=1.0, rng=rng
    ... )
    >>> abs(near) < 0.02
    True

    Rahimi & Recht 2007 (NeurIPS); Sutherland & Schneider 2015 (UAI) for the pairs.
    """
    who = "mmd2_random_features"
    first, second = as_feature_pair(x, y, who)
    if n_features < 1:
        raise InputError(who, "n_features ≥ 1", str(n_features), "pass n_features=256")
    if min(len(first), len(second)) < 2 or not _positive(bandwidth, who):
        return float("nan")
    (a, b), unit = centred(first, second)
    frequencies = rng.standard_normal((a.shape[1], n_features)) * (unit / bandwidth)
    of_a, of_b = (_characteristic(s, frequencies.astype(s.dtype)) for s in (a, b))
    within_a, within_b = (
        (len(s) * float((of_s @ of_s) / n_features) - 1) / (len(s) - 1)
        for s, of_s in ((a, of_a), (b, of_b))
    )
    return within_a + within_b - 2 * float(of_a @ of_b) / n_features


def _characteristic(x: Features, frequencies: Features) -> Floats:
    """Empirical characteristic function of ``x`` at each frequency: means of cos, then of sin."""
    total = np.zeros((2, frequencies.shape[1]))
    for rows in row_blocks(x):
        phase = x[rows] @ frequencies
        total[0] += np.cos(phase).sum(axis=0, dtype=np.float64)
        total[1] += np.sin(phase).sum(axis=0, dtype=np.float64)
    return total.ravel() / len(x)


def energy_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Energy distance 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ of the two samples as they stand.

    Means over all pairs, a row with itself included (V-statistic), so it is 0 for equal samples
    and unchanged when every row is duplicated. For identical sources it stays above 0 by
    E‖X − X'‖ (1/n + 1/m): compare at equal sizes.

    ``x`` (n, d), ``y`` (m, d); in feature units (not squared), ≥ 0 up to rounding; nan for n = 0
    or m = 0. Exact, O((n + m)² d) time.

    >>> energy_distance([[0.0]], [[3.0]])
    6.0

    Székely & Rizzo 2013 (J. Stat. Plan. Inference 143).
    """
    first, second = as_feature_pair(x, y, "energy_distance")
    n, m = len(first), len(second)
    if min(n, m) == 0:
        return float("nan")
    (a, b), unit = centred(first, second)

    def root(squared: Features) -> Features:
        return np.asarray(np.sqrt(squared, out=squared))

    between = 2 * _sum_over_pairs(a, b, root) / (n * m)
    within = _sum_over_pairs(a, None, root) / n**2 + _sum_over_pairs(b, None, root) / m**2
    return unit * (between - within)


def sliced_wasserstein(
    x: ArrayLike, y: ArrayLike, *, projections: int, rng: np.random.Generator, p: float = 2
) -> float:
    """Sliced Wasserstein distance of order p: root of the mean over random directions of W_p^p.

    W_p^p along one direction is ∫ |F⁻¹(t) − G⁻¹(t)|^p dt between the sorted projections, exact for
    n ≠ m too, as both are steps on the grid of all i/n and j/m.

    ``x`` (n, d), ``y`` (m, d), directions uniform on the sphere. In feature units, ≥ 0; nan for
    n = 0 or m = 0. For identical sources it stays above 0 and falls with n: compare at equal sizes.
    O((n + m)(d + log) projections) time. InputError for projections < 1 or p < 1.

    >>> rng = np.random.default_rng(0)
    >>> sliced_wasserstein([[0.0], [1.0]], [[2.0], [3.0]], projections=8, rng=rng)
    2.0

    Bonneel et al. 2015 (J. Math. Imaging Vis. 51).
    """
    who = "sliced_wasserstein"
    first, second = as_feature_pair(x, y, who)
    if projections < 1:
        raise InputError(who, "projections ≥ 1", str(projections), "pass projections=128")
    if not 1 <= p < np.inf:
        raise InputError(who, "a finite order p ≥ 1", str(p), "pass p=2")
    if min(len(first), len(second)) == 0:
        return float("nan")
    (a, b), unit = centred(first, second)
    directions = rng.standard_normal((projections, a.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    along = directions.astype(a.dtype)
    in_a, in_b, widths = _common_steps(len(a), len(b))
    total = 0.0
    for sorted_a, sorted_b in zip(
        np.sort(along @ a.T, axis=1), np.sort(along @ b.T, axis=1), strict=True
    ):
        gaps = np.abs(sorted_a[in_a] - sorted_b[in_b]).astype(np.float64)
        total += float(widths @ gaps**p)
    return unit * float((total / projections) ** (1 / p))


def _common_steps(n: int, m: int) -> tuple[Ints, Ints, Floats]:
    """Where two step functions of n and m equal steps are both constant: indices and widths."""
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    starts = np.concatenate([[0], ends[:-1]])
    return starts // m, starts // n, (ends - starts) / (n * m)


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Fréchet distance of two Gaussians fitted to the rows: FID, for any features.

    ‖μ − ν‖² + tr(A + B − 2 (A B)^½) with means μ, ν and unbiased covariances A, B.

    ``x`` (n, d), ``y`` (m, d). In squared feature units, ≥ 0 up to rounding; nan for n < 2 or
    m < 2. Biased upwards, by about (d + 5) tr(A) (1/n + 1/m) / 4 for identical round sources:
    compare at equal n well above d only. It sees means and covariances and
    nothing else. O((n + m) d² + d³) time.

    >>> round(frechet_distance([[0.0], [2.0]], [[3.0], [7.0]]), 9)
    18.0

    Fréchet 1957; Heusel et al. 2017 (NeurIPS); the bias: Chong & Forsyth 2020 (CVPR).
    """
    first, second = as_feature_pair(x, y, "frechet_distance")
    if min(len(first), len(second)) < 2:
        return float("nan")
    (a, b), unit = centred(first, second)
    mean_a, cov_a = covariance(a)
    mean_b, cov_b = covariance(b)
    values, vectors = np.linalg.eigh(cov_a)
    root_a = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root_a @ cov_b @ root_a).clip(min=0)).sum()
    shift = mean_a - mean_b
    return unit**2 * float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap)
