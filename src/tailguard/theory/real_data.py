"""Real data in every training set, fresh or the same: closed forms for a Gaussian.

Each generation trains on n_real real samples and n_syn of the model before; N = n_real + n_syn,
s = n_syn/N is the synthetic share. The first model sees N real samples, the fixed ones among them.
Maximum likelihood keeps E(σ²_t + (μ_t - μ_0)²) = var0, so the mean tells all: E σ²_t = var0 - b_t,
b_t = E(μ_t - μ_0)². Where the variance is known and not estimated, σ²_t = var0, only ρ differs.
The unbiased estimator and weighted samples are in `tailguard.theory.anchor.real_mix`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tailguard.theory.base import Floats, checked, generations
from tailguard.theory.gaussian import geometric


def fresh_real_mean_sq(
    t: ArrayLike,
    n_real: ArrayLike,
    n_syn: ArrayLike,
    *,
    known_var: bool = False,
    var0: ArrayLike = 1.0,
    d: ArrayLike = 1,
) -> Floats:
    """E|μ_t - μ_0|² with new real samples every generation: (d·var0/N)·(1 - ρ^t)/(1 - ρ).

    ρ = s² - s/N, or s² if ``known_var``. Exact. t → ∞: relative to real data only (d·var0/n_real)
    it is 1/(1 + s) for a known variance, always below 1: synthetic samples help. n_real = 0 is
    replace.

    >>> float((100 * fresh_real_mean_sq(1000, 100, 100, known_var=True)).round(4))
    0.6667

    Source: Alemohammad et al. 2023, arXiv:2307.01850 (fresh data loop); derived here.
    """
    t, s, total, size = _shares(t, n_real, n_syn, var0, d)
    return np.asarray(size / total * geometric(_decay(s, total, known_var), t))


def fixed_real_mean_sq(
    t: ArrayLike,
    n_real: ArrayLike,
    n_syn: ArrayLike,
    *,
    known_var: bool = False,
    var0: ArrayLike = 1.0,
    d: ArrayLike = 1,
) -> Floats:
    """E|μ_t - μ_0|² with the same real samples in every generation.

    (d·var0/N)·[(1 + 2s)·(1 - ρ^t)/(1 - ρ) - 2s·(s^t - ρ^t)/(s - ρ)], ρ as in `fresh_real_mean_sq`.
    Exact. t → ∞: relative to real data only it is (1 + 2s)/(1 + s) for a known variance, between 1
    and 1.5: synthetic samples add noise that never averages out, but no more than that.

    >>> float((100 * fixed_real_mean_sq(1000, 100, 100, known_var=True)).round(4))
    1.3333

    Source: Alemohammad et al. 2023, arXiv:2307.01850 (synthetic augmentation loop); derived here.
    """
    t, s, total, size = _shares(t, n_real, n_syn, var0, d)
    rho = _decay(s, total, known_var)
    apart = s - rho > 0
    gap = np.where(apart, s - rho, 1.0)
    cross = np.where(apart, (s**t - rho**t) / gap, t * s ** np.maximum(t - 1, 0))
    level = (1 + 2 * s) * geometric(rho, t) - 2 * s * cross
    return np.asarray(size / total * level)


def real_data_mean_sq_limit(
    n_real: ArrayLike,
    n_syn: ArrayLike,
    *,
    fixed: bool,
    known_var: bool = False,
    var0: ArrayLike = 1.0,
    d: ArrayLike = 1,
) -> Floats:
    """Limit t → ∞ of `fresh_real_mean_sq`, or of `fixed_real_mean_sq`. Exact. Domain: n_real >= 1.

    >>> [round(200 * float(real_data_mean_sq_limit(200, 0, fixed=f))) for f in (True, False)]
    [1, 1]
    """
    checked("n_real", n_real, 1, whole=True)
    _, s, total, size = _shares(0, n_real, n_syn, var0, d)
    gain = 1 + 2 * s if fixed else 1.0
    return np.asarray(size / total * gain / (1 - _decay(s, total, known_var)))


def _decay(s: Floats, total: Floats, known_var: bool) -> Floats:
    return np.asarray(s**2 if known_var else s**2 - s / total)


def _shares(
    t: ArrayLike, n_real: ArrayLike, n_syn: ArrayLike, var0: ArrayLike, d: ArrayLike
) -> tuple[Floats, Floats, Floats, Floats]:
    real, syn = checked("n_real", n_real, 0, whole=True), checked("n_syn", n_syn, 0, whole=True)
    total = checked("n_real + n_syn", real + syn, 1)
    size = checked("var0", var0, 0) * checked("d", d, 1, whole=True)
    return generations(t), np.asarray(syn / total), total, size
