"""Real and synthetic data with a weight of their own: the best weight, and what it attains.

Each generation takes n_real new real samples with total weight w and n_syn samples of the newest
model with 1 - w; k = n_real/n_syn. With V the variance of the estimate relative to real data alone
(var0/n_real), V' = w² + (1-w)²(V + k). Exact for the mean of any distribution whose generator has
the right variance (known, or He et al.'s weighted sum of unbiased variances); to first order for
other smooth estimators. `weighted` gives the Gaussian whose variance is the weighted second moment.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tailguard.theory.anchor import (
    Moments,
    affine_path,
    family_laws_of,
    last_generation,
    laws_of,
    real_mix,
)
from tailguard.theory.base import Floats, Law, checked, generations

CITE = "He, Xu & Cheng 2025, arXiv:2502.18049"
_TINY = np.finfo(float).tiny


def weighted_ratio(t: ArrayLike, k: float, weight: float) -> Floats:
    """Variance of the estimate over that of real data alone, at generation t.

    0 at t = 0, 1 at t = 1 (n_real real samples), then V' = w² + (1-w)²(V + k). ``k`` = n_real/n_syn
    > 0, ``weight`` w in [0, 1]. Exact. Source: He, Xu & Cheng (2025), arXiv:2502.18049.

    >>> weighted_ratio([0, 1, 2, 50], k=1.0, weight=0.5).round(4).tolist()
    [0.0, 1.0, 0.75, 0.6667]
    """
    t = generations(t)
    ratio = float(checked("k", k, 0))
    w = float(checked("weight", weight, 0, 1))
    step = np.array([[1.0, 0.0], [w**2 + (1 - w) ** 2 * ratio, (1 - w) ** 2]])
    path = affine_path(step, np.array([1.0, 1.0]), last_generation(t))[1]
    return np.asarray(np.append(0.0, path)[t.astype(np.int64)])


def weighted_ratio_limit(k: ArrayLike, weight: ArrayLike) -> Floats:
    """`weighted_ratio` at t → ∞: (w² + k(1-w)²)/(w(2-w)); infinite at w = 0. Exact.

    Arrays are combined by broadcasting. Source: He, Xu & Cheng (2025).

    >>> weighted_ratio_limit(1.0, [0.3, 0.5, 0.8]).round(3).tolist()
    [1.137, 0.667, 0.708]
    """
    ratio, w = checked("k", k, 0), checked("weight", weight, 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (w**2 + ratio * (1 - w) ** 2) / (w * (2 - w))
    return np.asarray(np.where(w > 0, value, np.inf))


def optimal_weight(k: ArrayLike) -> Floats:
    """Weight of real data with the least limit, and that limit: (√(k² + 4k) - k)/2.

    Setting the derivative to zero gives V = w/(1-w) - k and w² + kw - k = 0, so V = w. It is 1/φ
    = 0.618 at k = 1, about √k for much synthetic data and 1 - 1/k for little. Exact. Source: He,
    Xu & Cheng (2025).

    >>> optimal_weight([0.01, 1.0, 100.0]).round(4).tolist()
    [0.0951, 0.618, 0.9902]
    """
    ratio = checked("k", k, _TINY)
    return np.asarray(2 * ratio / (np.sqrt(ratio * (ratio + 4)) + ratio))


def naive_weight(k: ArrayLike) -> Floats:
    """Weight of real data when all samples count the same: k/(1 + k), below the optimal weight.

    >>> naive_weight(1.0)
    array(0.5)
    """
    ratio = checked("k", k, 0)
    return np.asarray(ratio / (1 + ratio))


def optimal_schedule(t: ArrayLike, k: float) -> Floats:
    """Best weight at each generation: w_t = (V + k)/(1 + V + k), after which V' = w_t.

    nan at t = 0, 1 at t = 1 (only real data exist); falls to `optimal_weight`. The value is also
    the variance ratio attained, the least any weights can attain. Exact. Source: minimum of
    w² + (1-w)²(V + k) over w, derived here from He, Xu & Cheng (2025).

    >>> optimal_schedule([1, 2, 30], k=1.0).round(4).tolist()
    [1.0, 0.6667, 0.618]
    """
    t = generations(t)
    ratio = float(checked("k", k, 0))
    weights = [np.nan, 1.0]
    for _ in range(last_generation(t) - 1):
        weights.append((weights[-1] + ratio) / (1 + weights[-1] + ratio))
    return np.asarray(np.array(weights)[t.astype(np.int64)])


def weighted(
    t: ArrayLike,
    n: int,
    real_frac: float,
    weight: float,
    *,
    n_first: int | None = None,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """round(real_frac·n) fresh real samples with total weight w, the rest of n with 1 - w.

    The weighted variance about the weighted mean is a Gaussian's weighted likelihood estimate
    (``curvature`` -1); ``unbiased`` divides it by 1 - Σ w_i²; ``curvature`` 0 keeps E var = var0,
    as He et al. do. The first model sees ``n_first`` real samples, n unless given. Exact.
    Source: `anchor.real_mix`; weights of He, Xu & Cheng (2025), arXiv:2502.18049.

    >>> float((500 * weighted(99, 1000, 0.5, 0.5, curvature=0.0).mean_sq).round(3))
    0.667
    """
    checked("n", n, 2, whole=True)
    real = round(float(checked("real_frac", real_frac, 0, 1)) * n)
    return real_mix(
        t, real, n - real, real_weight=weight, n_first=n if n_first is None else n_first,
        unbiased=unbiased, curvature=curvature, var0=var0, d=d,
    )  # fmt: skip


def weighted_var_error(
    t: ArrayLike, n_real: int, n_syn: int, weight: float, *, n_first: int | None = None
) -> Floats:
    """E(var/var0 - 1)² of a Gaussian whose variance is w·S_real + (1-w)·S_syn, S unbiased.

    E var² = M: M' = w²(1 + 2/(n_real-1)) + 2w(1-w) + (1-w)²(1 + 2/(n_syn-1))·M, since E var = var0.
    The first model sees ``n_first`` (default n_real) real samples. For large n the ratio to
    2/n_real has the limit and the best weight of the mean. Infinite when (1-w)²(1 + 2/(n_syn-1))
    exceeds 1. Sizes at least 2. Exact. Source: derived here for He, Xu & Cheng's estimator.

    >>> value = weighted_var_error(200, 10**6, 10**6, 0.5)
    >>> float((value * 10**6 / 2).round(3))
    0.667
    """
    t = generations(t)
    w = float(checked("weight", weight, 0, 1))
    real, syn = (
        1 + 2 / (float(checked(name, size, 2, whole=True)) - 1)
        for name, size in (("n_real", n_real), ("n_syn", n_syn))
    )
    first = float(checked("n_first", n_real if n_first is None else n_first, 2, whole=True))
    keep = (1 - w) ** 2 * syn
    step = np.array([[1.0, 0.0], [w**2 * real + 2 * w * (1 - w) - 1 + keep, keep]])
    start = np.array([1.0, 2 / (first - 1)])
    path = affine_path(step, start, last_generation(t))[1]
    return np.asarray(np.append(0.0, path)[t.astype(np.int64)])


LAWS: tuple[Law, ...] = (
    *laws_of(weighted, "weighted", CITE),
    *family_laws_of(weighted, "weighted", CITE),
)
