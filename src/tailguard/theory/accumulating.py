"""All data so far are kept: what is lost stays bounded.

Model t is fitted to t·n samples, n of them from each of the models 0 … t - 1; model 0 is the
truth. The weight 1/t of the newest samples makes the losses Σ 1/t² converge. One-hot data obey the
law of the maximum-likelihood variance: with h0 = 1 - Σp² for ``var0`` it is the expected
heterozygosity of a categorical.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import zeta

from tailguard.theory import chisquare
from tailguard.theory.base import Floats, Law, checked, generations

_LARGEST = 1e15


def accumulate_var(
    t: ArrayLike, n: ArrayLike, *, unbiased: bool = False, var0: ArrayLike = 1.0
) -> Floats:
    """E σ²_t of a Gaussian fitted to all t·n samples so far, n of them from each model.

    Maximum likelihood: var0·Π_{i=1}^t (1 - 1/(n·i²)); t → ∞: var0·sin(π/√n)/(π/√n).
    Unbiased: var0·Π_{i=2}^t (1 - 1/(i(n·i - 1))). Exact. n → ∞: var0.

    >>> accumulate_var([0, 1, 100], 10).round(4).tolist()
    [1.0, 0.9, 0.8443]

    Source: Kazdan et al. 2024, arXiv:2410.16713; unbiased derived here.
    """
    size = checked("n", n, 2 if unbiased else 1, _LARGEST, whole=True)
    t, start = generations(t), checked("var0", var0, 0)
    if not unbiased:
        return np.asarray(start * np.exp(_log_kept(t, size)))
    # i(n·i - 1) - 1 = n(i - r)(i - s), r and s the roots of n·x² - x - 1
    ratio, root, last = chisquare.log_gamma_ratio, np.sqrt(1 + 4 * size), np.maximum(t, 1) + 1
    shifts = ((1 + root) / (2 * size), 1.0), ((1 - root) / (2 * size), 1.0), (1 / size, -1.0)
    value = sum(sign * (ratio(last, -x) - ratio(2.0, -x)) for x, sign in shifts)
    return np.asarray(start * np.exp(value))


def accumulate_var_limit(n: ArrayLike, *, var0: ArrayLike = 1.0) -> Floats:
    """Limit t → ∞ of `accumulate_var`, maximum likelihood: var0·sin(π/√n)/(π/√n). Exact.

    >>> float(accumulate_var_limit(10).round(4))
    0.8434

    Source: Euler's product for the sine; Kazdan et al. 2024, arXiv:2410.16713.
    """
    size = checked("n", n, 1, whole=True)
    return np.asarray(checked("var0", var0, 0) * np.sinc(1 / np.sqrt(size)))


def accumulate_mean_sq(
    t: ArrayLike,
    n: ArrayLike,
    *,
    unbiased: bool = False,
    var0: ArrayLike = 1.0,
    d: ArrayLike = 1,
) -> Floats:
    """E|μ_t - μ_0|² = (d/n) Σ_{i=1}^t E σ²_{i-1}/i² when all t·n samples so far are kept.

    Exact; maximum likelihood gives d·(var0 - E σ²_t). Bounded: at most d·var0·π²/(6n).

    >>> accumulate_mean_sq([0, 100], 10).round(4).tolist()
    [0.0, 0.1557]

    Source: Kazdan et al. 2024, arXiv:2410.16713.
    """
    dims, start = checked("d", d, 1, whole=True), checked("var0", var0, 0)
    size, t = checked("n", n, 2 if unbiased else 1, _LARGEST, whole=True), generations(t)
    if not unbiased:
        return np.asarray(dims * start * np.abs(np.expm1(_log_kept(t, size))))
    ahead = np.arange(1, int(t.max(initial=0)) + 1)
    path = accumulate_var(ahead - 1, size[..., None], unbiased=True) / ahead**2
    total = np.concatenate([np.zeros((*path.shape[:-1], 1)), path.cumsum(axis=-1)], axis=-1)
    shape = np.broadcast_shapes(t.shape, size.shape)
    index = np.broadcast_to(t, shape).astype(np.int64)
    total = np.broadcast_to(total, (*shape, total.shape[-1]))
    picked = np.take_along_axis(total, index[..., None], axis=-1)[..., 0]
    return np.asarray(dims * start * picked / size)


def _log_kept(t: Floats, n: Floats) -> Floats:
    """log Π_{i=1}^t (1 - 1/(n·i²)) = -Σ_k n^{-k}/k·Σ_{i<=t} i^{-2k}, exact for large n too."""
    more = np.maximum(n, 2.0)
    total = np.zeros(np.broadcast_shapes(t.shape, n.shape))
    for k in range(1, 60):
        power = more**-k
        if not np.any(power > 1e-18):
            break
        total -= power / k * (zeta(2 * k) - zeta(2 * k, t + 1))
    return np.where(t == 0, 0.0, np.where(n == 1, -np.inf, total))


def _heterozygosity(t: ArrayLike, n: ArrayLike, h0: ArrayLike = 1.0) -> Floats:
    return accumulate_var(t, n, var0=h0)


CITE = "Kazdan et al. 2024, arXiv:2410.16713"
_CATEGORICAL = ("categorical", "bernoulli")
LAWS: tuple[Law, ...] = (
    Law("accumulate: variance", accumulate_var, ("accumulate",), ("gaussian",), "var", cite=CITE),
    Law("accumulate: mean", accumulate_mean_sq, ("accumulate",), ("gaussian",), "mean_sq",
        cite=CITE),
    Law("accumulate: heterozygosity", _heterozygosity, ("accumulate",), _CATEGORICAL,
        "heterozygosity", cite=CITE),
)  # fmt: skip
