"""A Gaussian fitted to its own samples, again and again: replace, accumulate, real data mixed in.

Model t is N(μ_t, Σ_t) fitted to n samples of model t - 1; model 0 is the truth, with variance
``var0`` in each of ``d`` coordinates. ``unbiased`` divides by n - 1, else by n (maximum
likelihood). ``structure`` says what is fitted in d dimensions: the ``full`` covariance, a
``diagonal`` one, or ``isotropic``, one variance for all coordinates. ``sampling_bias`` λ scales the
variance of every sample drawn, real data included (λ = 1: none). Keywords broadcast.

With ν degrees of freedom, each variance is multiplied by an independent R = λχ²(ν)/c every
generation: ν = n - 1 and c = n (n - 1 if unbiased); isotropic d times both. Diagonal entries of a
full covariance obey the same law. Where no family is named, laws hold for all three structures.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tailguard.errors import InputError
from tailguard.theory import chisquare
from tailguard.theory.base import Floats, checked, generations

Structure = Literal["full", "diagonal", "isotropic"]
_LARGEST = 1e15


class Step(NamedTuple):
    """One generation's multiplier of a variance: ``scale`` · χ²(``nu``)."""

    nu: Floats
    scale: Floats


def step(
    n: ArrayLike,
    *,
    unbiased: bool = False,
    d: ArrayLike = 1,
    structure: Structure = "full",
    sampling_bias: ArrayLike = 1.0,
) -> Step:
    """Degrees of freedom and scale of R. Domain: n >= 2 if unbiased, else n >= 1; λ >= 0.

    >>> step(10), step(10, unbiased=True, d=3, structure="isotropic").nu
    (Step(nu=array(9.), scale=array(0.1)), array(27.))
    """
    size = checked("n", n, 2 if unbiased else 1, _LARGEST, whole=True)
    dims = checked("d", d, 1, whole=True)
    if structure not in ("full", "diagonal", "isotropic"):
        raise InputError("structure", "full, diagonal or isotropic", str(structure), "change it")
    pooled = dims if structure == "isotropic" else np.asarray(1.0)
    divisor = pooled * (size - 1 if unbiased else size)
    bias = checked("sampling_bias", sampling_bias, 0)
    return Step(np.asarray(pooled * (size - 1)), np.asarray(bias / divisor))


def replace_var(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    sampling_bias: ArrayLike = 1.0,
    var0: ArrayLike = 1.0,
) -> Floats:
    """E σ²_t = var0·[λ(1 - 1/n)]^t, or var0·λ^t if unbiased; of each coordinate, any structure.

    Exact. t → ∞: 0, or var0 if unbiased with λ = 1, although σ²_t → 0 almost surely (see
    `replace_log_var`). n → ∞: var0·λ^t.

    >>> replace_var([0, 1, 100], 100).round(4).tolist()
    [1.0, 0.99, 0.366]
    >>> float(replace_var(20, 100, sampling_bias=0.9).round(4))
    0.0994

    Source: Kazdan et al. 2024, arXiv:2410.16713; Alemohammad et al. 2023, arXiv:2307.01850 (λ).
    """
    nu, scale = step(n, unbiased=unbiased, sampling_bias=sampling_bias)
    with np.errstate(over="ignore"):
        return np.asarray(checked("var0", var0, 0) * (nu * scale) ** generations(t))


def replace_var_sd(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    d: ArrayLike = 1,
    structure: Structure = "full",
    sampling_bias: ArrayLike = 1.0,
    var0: ArrayLike = 1.0,
) -> Floats:
    """Standard deviation of σ²_t over replicates, from E R² = (νλ/c)²·(1 + 2/ν).

    Exact. Unbiased, it grows as (1 + 2/ν)^{t/2} while the median falls: the mean of σ²_t is then
    carried by few replicates, and a simulated mean of fewer is of no use.

    >>> replace_var_sd([1, 100], 101, unbiased=True).round(3).tolist()
    [0.141, 2.499]

    Source: moments of the chi-square; Shumailov et al. 2024, Nature 631:755.
    """
    nu, scale = step(n, unbiased=unbiased, d=d, structure=structure, sampling_bias=sampling_bias)
    t, start = generations(t), checked("var0", var0, 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        growth = t * np.log1p(2 / nu)  # log E R² / (E R)², so the variance is E² expm1(growth)
        log_sd = t * np.log(nu * scale) + (growth + np.log(-np.expm1(-growth))) / 2
        return np.asarray(start * np.where(t * nu * scale > 0, np.exp(log_sd), 0.0))


def replace_mean_sq(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    sampling_bias: ArrayLike = 1.0,
    var0: ArrayLike = 1.0,
    d: ArrayLike = 1,
) -> Floats:
    """E|μ_t - μ_0|² = (d·λ/n) Σ_{i<t} E σ²_i, summed over d coordinates.

    Exact. Maximum likelihood without bias: d·var0·(1 - (1 - 1/n)^t), so that E σ²_t and it sum to
    var0; t → ∞: d·var0. Unbiased: d·var0·t/n, without limit. n → ∞: 0.

    >>> float(replace_mean_sq(100, 100).round(4)), float(replace_mean_sq(100, 100, unbiased=True))
    (0.634, 1.0)

    Source: Kazdan et al. 2024, arXiv:2410.16713; Shumailov et al. 2024, Nature 631:755.
    """
    nu, scale = step(n, unbiased=unbiased, sampling_bias=sampling_bias)
    per_step = np.asarray(sampling_bias, np.float64) / np.asarray(n, np.float64)
    total = geometric(nu * scale, t)
    return np.asarray(checked("d", d, 1, whole=True) * checked("var0", var0, 0) * per_step * total)


def replace_log_var(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    d: ArrayLike = 1,
    structure: Structure = "full",
    sampling_bias: ArrayLike = 1.0,
    var0: ArrayLike = 1.0,
) -> Floats:
    """E log σ²_t = log var0 + t·(ψ(ν/2) + log(2λ/c)), ψ the digamma function.

    Exact. The drift is about -1/n unbiased and -2/n for maximum likelihood, always negative for
    λ <= 1: σ²_t → 0 almost surely. -inf where n = 1 or λ = 0, t > 0.

    >>> float(replace_log_var(100, 100, unbiased=True).round(4))
    -1.0135

    Source: Shumailov et al. 2024, Nature 631:755, supplement; E log χ² is classical.
    """
    nu, scale = step(n, unbiased=unbiased, d=d, structure=structure, sampling_bias=sampling_bias)
    with np.errstate(divide="ignore"):
        start = np.log(checked("var0", var0, 0))
    return np.asarray(start + chisquare.log_mean(t, nu=nu, scale=scale))


def replace_log_var_sd(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    d: ArrayLike = 1,
    structure: Structure = "full",
) -> Floats:
    """Standard deviation of log σ²_t over replicates: √(t·ψ′(ν/2)), ψ′ the trigamma function.

    Exact, the same for both estimators; about √(2t/n).

    >>> float(replace_log_var_sd(50, 101, unbiased=True).round(3))
    1.005

    Source: as `replace_log_var`.
    """
    nu, _ = step(n, unbiased=unbiased, d=d, structure=structure)
    return np.sqrt(chisquare.log_variance(t, nu=nu))


def replace_sd(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    d: ArrayLike = 1,
    structure: Structure = "full",
    sampling_bias: ArrayLike = 1.0,
    var0: ArrayLike = 1.0,
) -> Floats:
    """E σ_t = √var0·[√(2λ/c)·Γ((ν + 1)/2)/Γ(ν/2)]^t, of one coordinate.

    Exact. Unbiased, about exp(-t/(4n)): the standard deviation falls although E σ²_t stays.

    >>> replace_sd([0, 100], 100, unbiased=True).round(4).tolist()
    [1.0, 0.7768]

    Source: Suresh et al. 2024, arXiv:2412.17646 (rate); mean of the chi distribution.
    """
    nu, scale = step(n, unbiased=unbiased, d=d, structure=structure, sampling_bias=sampling_bias)
    root = np.sqrt(checked("var0", var0, 0))
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(root * np.exp(chisquare.log_moment(t, 0.5, nu=nu, scale=scale)))


def replace_w2_sq(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    d: ArrayLike = 1,
    structure: Structure = "full",
    sampling_bias: ArrayLike = 1.0,
    var0: ArrayLike = 1.0,
) -> Floats:
    """E W₂²(model t, truth) = E|μ_t - μ_0|² + d·(E σ²_t + var0 - 2√var0·E σ_t).

    Exact for d = 1, diagonal and isotropic. For the full covariance (d > 1) a lower bound: there
    the last term is a trace of Σ^{1/2}, at most the sum of the roots of the diagonal.
    Maximum likelihood: t → ∞ gives 2d·var0. Unbiased: grows as d·var0·t/n.

    >>> float(replace_w2_sq(100, 100, unbiased=True).round(3))
    1.446

    Source: Shumailov et al. 2024, Nature 631:755 (theorem 3.1, a lower bound); derived here.
    """
    size, dims = np.asarray(var0, np.float64), checked("d", d, 1, whole=True)
    sd = replace_sd(
        t, n, unbiased=unbiased, d=d, structure=structure, sampling_bias=sampling_bias, var0=var0
    )
    var = replace_var(t, n, unbiased=unbiased, sampling_bias=sampling_bias, var0=var0)
    apart = replace_mean_sq(t, n, unbiased=unbiased, sampling_bias=sampling_bias, var0=var0, d=d)
    with np.errstate(invalid="ignore"):  # a bias above 1 may overflow: infinite, not undefined
        value = apart + dims * (var + size - 2 * np.sqrt(size) * sd)
    return np.where(np.isinf(var), np.inf, value)


def geometric(ratio: ArrayLike, t: ArrayLike) -> Floats:
    """Σ_{i<t} ratio^i for ratio >= 0, without cancellation near 1; may overflow to infinity.

    >>> geometric([0.5, 1.0], 2).tolist()
    [1.5, 2.0]
    """
    q, t = np.asarray(ratio, np.float64), generations(t)
    near = np.abs(q - 1) < 1e-15
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        power = np.expm1(t * np.log(q)) / np.where(near, 1.0, q - 1)
    return np.where(t == 0, 0.0, np.where(near, t, power))
