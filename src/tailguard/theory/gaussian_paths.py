"""One path of a Gaussian that is fitted to its own samples: quantiles, tails, divergences.

The mean of σ²_t hides what a run sees: the median falls while the mean may stay. Conventions and
settings are those of `tailguard.theory.gaussian`; ``var0`` is the true variance. Distributions are
exact up to quadrature (see `tailguard.theory.chisquare`, relative error below 1e-9) and take scalar
``n`` and ``d``; ``t`` and thresholds broadcast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from tailguard.errors import InputError
from tailguard.theory import chisquare, gaussian
from tailguard.theory.base import Floats, checked, generations
from tailguard.theory.gaussian import Structure


def var_quantile(
    q: ArrayLike,
    t: ArrayLike,
    n: int,
    *,
    unbiased: bool = False,
    d: int = 1,
    structure: Structure = "full",
    sampling_bias: float = 1.0,
    var0: float = 1.0,
) -> Floats:
    """Quantile q of σ²_t, of one coordinate, in the replace regime; q = 0.5 is the median.

    Exact. Domain: n >= 2, 0 < λ, 0 <= q <= 1.

    >>> float(var_quantile(0.5, 100, 100, unbiased=True).round(3))
    0.364

    Source: derived here (product of chi-squares); setting of Shumailov et al. 2024.
    """
    nu, scale = _scalar_step(n, unbiased, d, structure, sampling_bias)
    return np.asarray(checked("var0", var0, 0) * chisquare.quantile(q, t, nu=nu, scale=scale))


def var_band(
    t: ArrayLike,
    n: int,
    *,
    level: float = 0.95,
    unbiased: bool = False,
    d: int = 1,
    structure: Structure = "full",
    sampling_bias: float = 1.0,
    var0: float = 1.0,
) -> tuple[Floats, Floats]:
    """Interval that σ²_t of one replicate leaves with probability 1 - ``level``, half on each side.

    Exact. Takes about 2 ms a generation.

    >>> lo, hi = var_band([0, 10], 100)
    >>> lo.round(2).tolist(), hi.round(2).tolist()
    ([1.0, 0.33], [1.0, 1.96])
    """
    half = float(checked("level", level, 0, 1)) / 2
    settings = {"unbiased": unbiased, "d": d, "sampling_bias": sampling_bias, "var0": var0}
    low, high = (
        var_quantile(q, t, n, structure=structure, **settings)  # type: ignore[arg-type]
        for q in (0.5 - half, 0.5 + half)
    )
    return low, high


def log_var_band(
    t: ArrayLike,
    n: int,
    *,
    level: float = 0.95,
    unbiased: bool = False,
    d: int = 1,
    structure: Structure = "full",
    sampling_bias: float = 1.0,
    var0: float = 1.0,
) -> tuple[Floats, Floats]:
    """`var_band` in logarithms, which neither under- nor overflow. Exact.

    >>> [float(x.round(2)) for x in log_var_band(10, 100)]
    [-1.1, 0.67]
    """
    half = float(checked("level", level, 0, 1)) / 2
    nu, scale = _scalar_step(n, unbiased, d, structure, sampling_bias)
    start = np.log(checked("var0", var0, np.finfo(float).tiny))
    low, high = (
        np.asarray(start + chisquare.log_quantile(q, t, nu=nu, scale=scale))
        for q in (0.5 - half, 0.5 + half)
    )
    return low, high


def sd_exceeds(
    epsilon: ArrayLike,
    t: ArrayLike,
    n: int,
    *,
    unbiased: bool = False,
    d: int = 1,
    structure: Structure = "full",
    sampling_bias: float = 1.0,
    var0: float = 1.0,
) -> Floats:
    """P(σ_t > ε), of one coordinate: the model has not collapsed below ε yet.

    Exact. t → ∞: 0 for any n.

    >>> sd_exceeds(0.1, [20, 50, 100, 200], 10, unbiased=True).round(3).tolist()
    [0.849, 0.376, 0.082, 0.004]

    Source: setting of Suresh et al. 2024, arXiv:2412.17646 (unbiased); distribution derived here.
    """
    nu, scale = _scalar_step(n, unbiased, d, structure, sampling_bias)
    start = float(checked("var0", var0, np.finfo(float).tiny))
    threshold = checked("epsilon", epsilon, 0) ** 2 / start
    return chisquare.sf(threshold, t, nu=nu, scale=scale)


def sd_exceeds_bound(
    epsilon: ArrayLike,
    t: ArrayLike,
    n: int,
    *,
    best: bool = False,
    unbiased: bool = False,
    d: int = 1,
    structure: Structure = "full",
    sampling_bias: float = 1.0,
    var0: float = 1.0,
) -> Floats:
    """Upper bound on `sd_exceeds`: E σ_t/ε (Markov), or the least E σ_t^s/ε^s, s > 0, if ``best``.

    A bound, at most 1. ``best`` (Chernoff) has the exact rate in t. Unbiased, Markov's is nearly as
    good and decays as exp(-t/(4n)), whence the order of n generations after which σ collapses; for
    maximum likelihood the best moment is near s = 2 and decays as exp(-t/n).

    >>> sd_exceeds_bound(0.1, [100, 200], 10, unbiased=True).round(3).tolist()
    [0.625, 0.039]

    Source: Suresh et al. 2024, arXiv:2412.17646, for the rate; moments of the chi distribution.
    """
    nu, scale = _scalar_step(n, unbiased, d, structure, sampling_bias)
    low = np.log(checked("epsilon", epsilon, np.finfo(float).tiny))
    steps, low = np.broadcast_arrays(generations(t), low - np.log(var0) / 2)

    def log_bound(s: float, k: float, x: float) -> float:
        return float(chisquare.log_moment(k, s / 2, nu=nu, scale=scale)) - s * x

    out = np.empty(steps.shape)
    for i in np.ndindex(steps.shape):
        k, x = float(steps[i]), float(low[i])
        value = log_bound(1.0, k, x)
        if best and k > 0:
            found = minimize_scalar(
                lambda r, k=k, x=x: log_bound(float(np.exp(r)), k, x),
                bounds=(-12.0, 12.0), method="bounded",
            )  # fmt: skip
            value = min(value, float(found.fun))
        out[i] = np.exp(min(value, 0.0))
    return out


def kl_from_truth(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    d: ArrayLike = 1,
    structure: Structure = "full",
    sampling_bias: ArrayLike = 1.0,
) -> Floats:
    """E KL(truth ‖ model t) in nats, for any true variance: what the truth loses under the model.

    (d/2)·[t·m + β^t + (λ/n)·Σ_{i=1}^t β^i - 1], m the mean of log R (full: of the determinant,
    per dimension) and β = E 1/R = c/(λ(ν - 2)); full: c/(λ(n - d - 2)). Exact. Infinite for t > 0
    where E 1/R is: n <= 3 in one dimension or diagonal, d(n - 1) <= 2 isotropic, n <= d + 2 full.

    >>> kl_from_truth([0, 1, 10], 100).round(4).tolist()
    [0.0, 0.0105, 0.1365]
    >>> float(kl_from_truth(1, 3))
    inf

    Source: Kullback–Leibler divergence of Gaussians, moments of the inverse Wishart; derived here.
    """
    t, dims = generations(t), checked("d", d, 1, whole=True)
    nu, scale = gaussian.step(
        n, unbiased=unbiased, d=d, structure=structure, sampling_bias=sampling_bias
    )
    size, bias = np.asarray(n, np.float64), np.asarray(sampling_bias, np.float64)
    free = nu - dims - 1 if structure == "full" else nu - 2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        drift = _log_per_dimension(nu, scale, dims, structure)
        inverse = 1 / (scale * np.where(free > 0, free, np.nan))
        moments = inverse**t + bias / size * inverse * gaussian.geometric(
            np.where(free > 0, inverse, 1.0), t
        )
        value = dims / 2 * (t * drift + moments - 1)
    return np.where(t == 0, 0.0, np.where(free > 0, value, np.inf))


def kl_to_truth(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    d: ArrayLike = 1,
    structure: Structure = "full",
    sampling_bias: ArrayLike = 1.0,
) -> Floats:
    """E KL(model t ‖ truth) in nats, for any true variance.

    (d/2)·[E σ²_t + E|μ_t - μ_0|²/d - 1 - t·m], with unit true variance and m as in `kl_from_truth`.
    Exact. Infinite for t > 0 where a fitted covariance is singular: n = 1, or n <= d for the full.
    Maximum likelihood without bias: -(d/2)·t·m, linear in t.

    >>> kl_to_truth([0, 1, 10], 100).round(4).tolist()
    [0.0, 0.0101, 0.1009]
    """
    t, dims = generations(t), checked("d", d, 1, whole=True)
    nu, scale = gaussian.step(
        n, unbiased=unbiased, d=d, structure=structure, sampling_bias=sampling_bias
    )
    var = gaussian.replace_var(t, n, unbiased=unbiased, sampling_bias=sampling_bias)
    apart = gaussian.replace_mean_sq(t, n, unbiased=unbiased, sampling_bias=sampling_bias)
    with np.errstate(divide="ignore", invalid="ignore"):
        drift = _log_per_dimension(nu, scale, dims, structure)
        value = dims / 2 * (var + apart - 1 - t * drift)
    return np.where(t == 0, 0.0, value)


def _log_per_dimension(nu: Floats, scale: Floats, d: Floats, structure: Structure) -> Floats:
    """Mean of log R; for the full covariance, of the determinant's multiplier divided by d."""
    if structure != "full":
        return chisquare.log_mean(1, nu=nu, scale=scale)
    from tailguard.theory import wishart

    return wishart.log_det_drift(nu, d) / d + np.log(2 * scale)


def _scalar_step(
    n: int, unbiased: bool, d: int, structure: Structure, sampling_bias: float
) -> tuple[float, float]:
    if n < 2 or not sampling_bias > 0:
        got = f"n = {n}, sampling_bias = {sampling_bias}"
        raise InputError(
            "distribution of the variance", "n >= 2, sampling_bias > 0", got, "change it"
        )
    nu, scale = gaussian.step(
        n, unbiased=unbiased, d=d, structure=structure, sampling_bias=sampling_bias
    )
    return float(nu), float(scale)
