"""The full covariance of a d-dimensional Gaussian that is fitted to its own samples.

Σ_{t+1} given Σ_t is Wishart with n - 1 degrees of freedom, divided by c = n, or n - 1 if
``unbiased``. So E Σ_t keeps the shape of Σ_0 (factor `gaussian.replace_var`), while the typical
covariance grows ever more elongated: its eigenvalues decay at different rates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, polygamma

from tailguard.theory.base import Floats, checked, generations
from tailguard.theory.gaussian import step


def rank(t: ArrayLike, n: ArrayLike, d: ArrayLike) -> Floats:
    """Rank of Σ_t: d at t = 0, then min(d, n - 1) for ever, almost surely. Exact; n >= 1.

    With n <= d the first fit already spans only n - 1 dimensions: the model dies in the others.

    >>> rank([0, 1, 50], 4, 10).tolist()
    [10.0, 3.0, 3.0]
    """
    dims, size = checked("d", d, 1, whole=True), checked("n", n, 1, whole=True)
    return np.where(generations(t) == 0, dims, np.minimum(dims, size - 1))


def log_det_drift(nu: ArrayLike, d: ArrayLike) -> Floats:
    """Σ_{j=1}^d ψ((nu + 1 - j)/2): E log det of a standard Wishart, less d log 2.

    Exact; -inf for nu < d.

    >>> float(log_det_drift(2, 1).round(6)), float(log_det_drift(1, 2))
    (-0.577216, -inf)

    Source: Bartlett's decomposition (Anderson 2003, Multivariate Statistical Analysis, 7.2).
    """
    return _over_dimensions(digamma, nu, d, -np.inf)


def log_det_mean(
    t: ArrayLike,
    n: ArrayLike,
    d: ArrayLike,
    *,
    unbiased: bool = False,
    sampling_bias: ArrayLike = 1.0,
) -> Floats:
    """E log(det Σ_t/det Σ_0) = t·[Σ_{j=1}^d ψ((n - j)/2) + d·log(2λ/c)].

    Exact. -inf for n <= d, t > 0.

    >>> log_det_mean([1, 10], 100, 3, unbiased=True).round(4).tolist()
    [-0.0613, -0.6128]

    Source: as `log_det_drift`.
    """
    nu, scale = step(n, unbiased=unbiased, sampling_bias=sampling_bias)
    t, dims = generations(t), checked("d", d, 1, whole=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        drift = log_det_drift(nu, dims) + dims * np.log(2 * scale)
        return np.where(t == 0, 0.0, t * drift)


def log_det_sd(t: ArrayLike, n: ArrayLike, d: ArrayLike) -> Floats:
    """Standard deviation of log det Σ_t: √(t·Σ_{j=1}^d ψ′((n - j)/2)).

    Exact; nan for n <= d, t > 0.

    >>> float(log_det_sd(10, 100, 3).round(3))
    0.786
    """
    t = generations(t)
    spread = _over_dimensions(lambda x: polygamma(1, x), step(n).nu, d, np.nan)
    return np.where(t == 0, 0.0, np.sqrt(t * spread))


def log_eigenvalue_rates(
    n: int, d: int, *, unbiased: bool = False, sampling_bias: float = 1.0
) -> Floats:
    """Limits of log λ_j(Σ_t)/t, largest eigenvalue first: ψ((n - j)/2) + log(2λ/c), shape (d,).

    Asymptotic in t (almost surely); they sum to the drift of log det. -inf beyond the rank n - 1.
    Neighbours differ by about 1/n, so the model is one-dimensional after some n generations.

    >>> log_eigenvalue_rates(100, 3, unbiased=True).round(4).tolist()
    [-0.0101, -0.0204, -0.0308]

    Source: Newman (1986), Commun. Math. Phys. 103:121 (Lyapunov exponents of Gaussian products).
    """
    nu, scale = step(n, unbiased=unbiased, sampling_bias=sampling_bias)
    halves = (float(nu) - np.arange(int(checked("d", d, 1, whole=True)))) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = digamma(halves) + np.log(2 * scale)
    return np.where(halves > 0, rates, -np.inf)


def _over_dimensions(fn: object, nu: ArrayLike, d: ArrayLike, beyond: float) -> Floats:
    """Σ_{j=1}^d fn((nu + 1 - j)/2); ``beyond`` where nu < d."""
    freedom, dims = np.broadcast_arrays(np.asarray(nu, np.float64), np.asarray(d, np.float64))
    j = np.arange(int(dims.max(initial=1)))
    halves = (freedom[..., None] - j) / 2
    inside = j < dims[..., None]
    terms = fn(np.where(halves > 0, halves, 1.0))  # type: ignore[operator]
    total = np.where(inside, terms, 0.0).sum(axis=-1)
    return np.where(freedom < dims, beyond, total)
