"""Replace with sample sizes that grow: how fast they must, and what is lost if they do not.

``t`` counts fits; model i is fitted to n_i samples of model i - 1. A fit adds V/n_i to
E(mean - mean0)², so the mean's errors add up to Σ 1/n_i: they stay bounded, and the variance stays
positive, if and only if that sum converges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, zeta

from tailguard.theory.anchor import CITE as JANGJOO
from tailguard.theory.anchor import Moments, family_laws_of, last_generation, laws_of, moments
from tailguard.theory.base import Floats, Law, checked, generations

CITE = "Xu, He & Cheng 2025, arXiv:2505.13947"
_LONG = 100_000  # terms summed before the tail is replaced by its first two orders


def sample_sizes(
    steps: int,
    n: int,
    *,
    growth: float = 0.0,
    ratio: float = 1.0,
    sizes: ArrayLike | None = None,
    whole: bool = True,
) -> Floats:
    """n_1 … n_steps: n·i^growth·ratio^(i-1), or the first of ``sizes``.

    Shape (steps,); rounded unless ``whole`` is false. n >= 1, ratio > 0; sizes below 1, and fewer
    than ``steps`` of them, are refused.

    >>> sample_sizes(4, 10, growth=1).tolist(), sample_sizes(3, 10, ratio=2).tolist()
    ([10.0, 20.0, 30.0, 40.0], [10.0, 20.0, 40.0])
    """
    if sizes is not None:
        given = np.atleast_1d(checked("sizes", sizes, 1))
        checked("generations in sizes", len(given), steps)
        return given[:steps]
    checked("n", n, 1)
    checked("ratio", ratio, np.finfo(float).tiny)
    i = np.arange(1, steps + 1)
    with np.errstate(over="ignore"):
        made = n * i ** float(growth) * float(ratio) ** (i - 1.0)
    return checked("sizes from n, growth and ratio", np.rint(made) if whole else made, 1)


def growing(
    t: ArrayLike,
    n: int,
    *,
    growth: float = 0.0,
    ratio: float = 1.0,
    sizes: ArrayLike | None = None,
    whole: bool = True,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Replace with sizes n_i: E var = var0·Π(1 + C/n_i), E(mean - mean0)² = (E var - var0)/C.

    C = ``curvature`` of V(mean), see `anchor.CURVATURE`; -1 is the Gaussian with maximum
    likelihood. For C = 0 or ``unbiased``: E var = var0, E(mean - mean0)² = var0·Σ 1/n_i.
    Sizes as in `sample_sizes`. Exact. Source: Xu, He & Cheng (2025), arXiv:2505.13947, for the
    schedule and the sum; the product is the law of total variance, fit by fit.

    >>> growing([1, 2, 3], n=10, growth=1.0).var.round(4).tolist()
    [0.9, 0.855, 0.8265]
    """
    t = generations(t)
    n_i = sample_sizes(last_generation(t), n, growth=growth, ratio=ratio, sizes=sizes, whole=whole)
    path = np.zeros((4, len(n_i) + 1))
    path[3] = 1.0
    c = 0.0 if unbiased else curvature
    if c == 0.0:
        path[2, 1:] = np.cumsum(1 / n_i)
    else:
        with np.errstate(divide="ignore", over="ignore"):
            logs = np.cumsum(np.log1p(c / n_i))
            path[2, 1:], path[3, 1:] = np.expm1(logs) / c, np.exp(logs)
    return moments(path, t, var0, d)


def growing_limit(
    n: int,
    *,
    growth: float = 0.0,
    ratio: float = 1.0,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
) -> Moments:
    """`growing` at t → ∞ with sizes not rounded: for ratio 1, Σ 1/n_i = ζ(growth)/n.

    The sum diverges for ratio < 1, and for ratio = 1 with growth <= 1: then C = -1 loses all
    variance (mean² → var0), others have E mean² → ∞. Products to a relative 1e-9. growth = 2 has
    E var = var0·sin(π/√n)/(π/√n). Source: as `growing`.

    >>> float(growing_limit(10, growth=2).var.round(6)), float(growing_limit(10, growth=1).var)
    (0.843436, 0.0)
    """
    c = 0.0 if unbiased else curvature
    if not survives(growth, ratio):
        gone = (0.0, -1.0 / c) if c < 0 else (1.0, np.inf) if c == 0 else (np.inf, np.inf)
        return Moments(np.asarray(var0 * gone[0]), np.asarray(var0 * gone[1]))
    terms = 1 / sample_sizes(_LONG, n, growth=growth, ratio=ratio, whole=False)
    first = float(zeta(growth, _LONG + 1)) / n if ratio == 1 else 0.0
    second = float(zeta(2 * growth, _LONG + 1)) / n**2 if ratio == 1 else 0.0
    if c == 0.0:
        return Moments(np.asarray(var0), np.asarray(var0 * (terms.sum() + first)))
    with np.errstate(divide="ignore"):
        log = float(np.log1p(c * terms).sum()) + c * first - c * c * second / 2
    return Moments(np.asarray(var0 * np.exp(log)), np.asarray(var0 * np.expm1(log) / c))


def survives(growth: float = 0.0, ratio: float = 1.0, *, bias_order: float = np.inf) -> bool:
    """Whether n_i = n·i^growth·ratio^(i-1) avoids collapse.

    Yes if ratio > 1, or ratio = 1 and growth > `least_growth` (bias_order). Exact. Source: Xu, He &
    Cheng (2025).

    >>> survives(growth=1.0), survives(growth=1.01), survives(ratio=1.1)
    (False, True, True)
    """
    return ratio > 1 or (ratio == 1 and growth > least_growth(bias_order))


def least_growth(bias_order: float = np.inf) -> float:
    """Exponent that n_i = n·i^growth must exceed: max(1, 1/bias_order).

    Variances 1/n_i add up to a finite sum above 1; biases of size n_i^(-bias_order) that all point
    one way do so above 1/bias_order. No bias is infinity, maximum likelihood has 1. Exact. Source:
    Xu, He & Cheng (2025): superlinear growth, faster under bias.

    >>> least_growth(), least_growth(1.0), least_growth(0.5)
    (1.0, 1.0, 2.0)
    """
    return max(1.0, 1.0 / float(checked("bias_order", bias_order, np.finfo(float).tiny)))


def growing_var_error(
    t: ArrayLike,
    n: int,
    *,
    growth: float = 0.0,
    ratio: float = 1.0,
    sizes: ArrayLike | None = None,
    whole: bool = True,
    unbiased: bool = False,
) -> Floats:
    """E(var/var0 - 1)² of a Gaussian: Π(1 + 2/(n_i - 1)) - 1 unbiased.

    Maximum likelihood: Π(1 - 1/n_i²) - 2Π(1 - 1/n_i) + 1. From var_i = var_{i-1}·χ²/(n_i - 1) (or
    /n_i) with n_i - 1 degrees of freedom. Sizes at least 2. Exact; heavy-tailed, so simulations
    need many replicates. Source: derived here.

    >>> growing_var_error([0, 1], n=11, unbiased=True).round(3).tolist()
    [0.0, 0.2]
    """
    t = generations(t)
    n_i = sample_sizes(last_generation(t), n, growth=growth, ratio=ratio, sizes=sizes, whole=whole)
    checked("sizes", n_i, 2)
    if unbiased:
        steps = np.expm1(np.cumsum(np.log1p(2 / (n_i - 1))))
    else:
        steps = np.cumprod(1 - 1 / n_i**2) - 2 * np.cumprod(1 - 1 / n_i) + 1
    return np.asarray(np.append(0.0, steps)[t.astype(np.int64)])


def chance_of_beating_real(
    t: ArrayLike,
    n: int,
    *,
    growth: float = 0.0,
    ratio: float = 1.0,
    sizes: ArrayLike | None = None,
    whole: bool = True,
    d: int = 1,
) -> Floats:
    """P(|mean_t - mean0| < |mean_1 - mean0|): synthetic generations happened to help.

    mean_t = mean_1 + N(0, τ²I), τ² = Σ_{i=2..t} 1/n_i, known isotropic variance. Given its length,
    the step helps if its cosine to the error is below -|step|/2|…|: with s² = 1/n_1 the chance is
    P(T_d > √d·τ/(2s)) for Student's T, (1/π)·arctan(2s/τ) for d = 1. At most 1/2; nan for t < 2.
    Exact. Source: question of Xu, He & Cheng (2025), arXiv:2505.13947; derived here.

    >>> chance_of_beating_real([2, 5], n=10).round(4).tolist()
    [0.3524, 0.25]
    """
    t = generations(t)
    n_i = sample_sizes(
        max(1, last_generation(t)), n, growth=growth, ratio=ratio, sizes=sizes, whole=whole
    )
    added = np.concatenate([[0.0, 0.0], np.cumsum(1 / n_i[1:])])[t.astype(np.int64)]
    free = float(checked("d", d, 1, whole=True))
    chance = stdtr(free, -np.sqrt(free * added * n_i[0]) / 2)
    return np.asarray(np.where(t < 2, np.nan, chance))


LAWS: tuple[Law, ...] = (
    *laws_of(growing, "growing", CITE),
    *family_laws_of(growing, "growing", CITE),
    *family_laws_of(growing, "replace", JANGJOO),
)
