"""Resampling with a kernel: bootstrap, and kernel density estimates of fixed or scaled bandwidth.

Sample 0 is real, n draws of variance ``var0`` in each of d coordinates. Sample j is n draws of the
density estimate on sample j - 1: a point of it at random plus Gaussian noise of variance h². Model
t is fitted to sample t - 1. Let S_j be the variance of sample j (divided by n). Then
E S_{j+1} = (1 - 1/n)·(E S_j + h²), and a density estimate adds its own h²: Var(model t) =
S_{t-1} + h². Laws hold for every distribution of the real data.

``rule`` "fixed" takes h = ``bandwidth``; without a kernel (0) that is the bootstrap, the empirical
distribution of its own samples. "scott" takes h = ``bandwidth`` · 1.06 · s · n^{-1/5}, where s² is
the variance divided by n - 1: h² is then a multiple of S_j, so that the recursion stays linear and
exact. Rules with the interquartile range ("silverman") are not linear and are refused.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tailguard.errors import InputError
from tailguard.theory.base import Floats, Law, checked, generations
from tailguard.theory.gaussian import geometric

Rule = Literal["fixed", "scott"]
CITE = "Kazdan et al. 2024, arXiv:2410.16713; Borji 2024, arXiv:2410.12954"
NORMAL_REFERENCE = 1.06
_LARGEST = 1e15


def kernel_sample_var(
    j: ArrayLike,
    n: ArrayLike,
    bandwidth: ArrayLike,
    *,
    rule: Rule = "fixed",
    var0: ArrayLike = 1.0,
) -> Floats:
    """E S_j, the variance (divided by n) of the j-th synthetic sample; j = 0 is the real sample.

    Fixed h: f + (var0·(1 - 1/n) - f)·(1 - 1/n)^j with limit f = (n - 1)·h², whatever the truth was.
    Scott's rule: var0·(1 - 1/n)·(1 - 1/n + r²)^j, r = ``bandwidth`` · 1.06 · n^{-1/5}; it grows
    without end where n·r² > 1. Exact. n → ∞, fixed h: var0 + j·h².

    >>> [float(kernel_sample_var(50, 50, h).round(3)) for h in (0.1, 0.2)]
    [0.668, 1.603]

    Source: Kazdan et al. 2024, arXiv:2410.16713; Borji 2024, arXiv:2410.12954; derived here.
    """
    size, fixed, scaled = _noise(n, bandwidth, rule)
    steps, shrink = checked("j", j, 0, whole=True), 1 - 1 / size
    growth = shrink + scaled
    start = checked("var0", var0, 0) * shrink
    with np.errstate(over="ignore"):
        return np.asarray(start * growth**steps + fixed * shrink * geometric(growth, steps))


def kernel_sample_var_limit(n: ArrayLike, bandwidth: ArrayLike) -> Floats:
    """Limit j → ∞ of `kernel_sample_var` for fixed h: (n - 1)·h². Exact.

    >>> float(kernel_sample_var_limit(50, 0.1).round(2))
    0.49
    """
    return np.asarray(
        (checked("n", n, 2, whole=True) - 1) * checked("bandwidth", bandwidth, 0) ** 2
    )


def kernel_training_var(
    t: ArrayLike,
    n: ArrayLike,
    bandwidth: ArrayLike,
    *,
    rule: Rule = "fixed",
    var0: ArrayLike = 1.0,
) -> Floats:
    """Variance of what generation t was written: `kernel_sample_var` at j = t. Exact.

    >>> float(kernel_training_var(50, 50, 0.1).round(3))
    0.668
    """
    return kernel_sample_var(generations(t), n, bandwidth, rule=rule, var0=var0)


def kernel_var(
    t: ArrayLike,
    n: ArrayLike,
    bandwidth: ArrayLike,
    *,
    rule: Rule = "fixed",
    var0: ArrayLike = 1.0,
) -> Floats:
    """E variance of model t, of one coordinate: E S_{t-1} + h²; t = 0: var0.

    Counted in fits, one more than samples: `kernel_sample_var` at j is this at j + 1, less h².
    Exact.

    >>> kernel_var([0, 1, 51], 50, 0.1).round(4).tolist()
    [1.0, 0.99, 0.6784]

    Source: as `kernel_sample_var`.
    """
    t = generations(t)
    size, fixed, scaled = _noise(n, bandwidth, rule)
    sample = kernel_sample_var(np.maximum(t - 1, 0), n, bandwidth, rule=rule, var0=var0)
    model = sample * (1 + scaled * size / (size - 1)) + fixed
    return np.where(t == 0, checked("var0", var0, 0), model)


def kernel_mean_sq(
    t: ArrayLike,
    n: ArrayLike,
    bandwidth: ArrayLike,
    *,
    rule: Rule = "fixed",
    var0: ArrayLike = 1.0,
    d: ArrayLike = 1,
) -> Floats:
    """E|mean of model t - true mean|² = (d/n)·Σ_{i<t} E Var(model i), summed over d coordinates.

    Exact. Bootstrap: d·var0·(1 - (1 - 1/n)^t). Fixed h > 0: grows without end, by d·h² a
    generation in the long run.

    >>> kernel_mean_sq([0, 1, 2], 50, 0.1).round(4).tolist()
    [0.0, 0.02, 0.0398]

    Source: as `kernel_sample_var`.
    """
    t, start = generations(t), checked("var0", var0, 0)
    size, fixed, scaled = _noise(n, bandwidth, rule)
    shrink, before = 1 - 1 / size, np.maximum(t - 1, 0)  # models 1 … t - 1; model 0 has var0
    if rule == "fixed":
        limit = (size - 1) * fixed
        total = (start * shrink - limit) * geometric(shrink, before) + (limit + fixed) * before
    else:
        total = start * shrink * (1 + scaled * size / (size - 1))
        total = total * geometric(shrink + scaled, before)
    spread = np.where(t == 0, 0.0, start + total)
    return np.asarray(checked("d", d, 1, whole=True) * spread / size)


def _noise(n: ArrayLike, bandwidth: ArrayLike, rule: Rule) -> tuple[Floats, Floats, Floats]:
    """n; h² of a fixed bandwidth; and (n - 1)/n · h²/S of a scaled one, what it adds to growth."""
    size = checked("n", n, 2, _LARGEST, whole=True)
    width = checked("bandwidth", bandwidth, 0)
    if rule not in ("fixed", "scott"):
        raise InputError("rule", "fixed or scott, which are linear", str(rule), "choose one")
    none = np.zeros_like(width)
    if rule == "fixed":
        return size, width**2, none
    return size, none, np.asarray((NORMAL_REFERENCE * width) ** 2 * size**-0.4)


def _bootstrap_var(t: ArrayLike, n: ArrayLike, *, var0: ArrayLike = 1.0) -> Floats:
    return kernel_var(t, n, 0.0, var0=var0)


def _bootstrap_mean_sq(t: ArrayLike, n: ArrayLike, *, var0: ArrayLike = 1.0) -> Floats:
    return kernel_mean_sq(t, n, 0.0, var0=var0)


_REPLACE = ("replace",)
LAWS: tuple[Law, ...] = (
    Law("replace: variance of a density estimate", kernel_var, _REPLACE, ("kernel",), "var",
        cite=CITE),
    Law("replace: mean of a density estimate", kernel_mean_sq, _REPLACE, ("kernel",), "mean_sq",
        cite=CITE),
    Law("replace: variance of its samples", kernel_training_var, _REPLACE, ("kernel",),
        "sample_var", cite=CITE),
    Law("replace: variance of the bootstrap", _bootstrap_var, _REPLACE, ("ecdf",), "var",
        cite=CITE),
    Law("replace: mean of the bootstrap", _bootstrap_mean_sq, _REPLACE, ("ecdf",), "mean_sq",
        cite=CITE),
)  # fmt: skip
