"""Regression on its own labels with more parameters than samples, and with ridge.

Isotropic Gaussian inputs, new in every generation; labels come from the previous model plus noise.
Fits are rotationally invariant, so the risk E|w_t - w|² needs two numbers of the previous model:
its overlap with w and its length. ``t`` counts fits; 0 is the true weights, 1 the fit to real
labels. Ridgeless fits are the minimum-norm ones. Ridge minimises |y - Xw|²/n + ridge·|w|².
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from tailguard.theory.anchor import affine_path, last_generation
from tailguard.theory.base import Floats, Law, checked, generations

DOHMATOB = "Dohmatob, Feng & Kempe 2024, arXiv:2402.07712"


class BiasVariance(NamedTuple):
    """Squared bias |E w_t - w|², variance E|w_t - E w_t|², and their sum, each over t."""

    bias_sq: Floats
    variance: Floats
    risk: Floats


class Fit(NamedTuple):
    """One fit of labels Xv + noise: E(A) = shrink·I, E A'A = keep·I, E|noise part|² = noise·var.

    The fit is Av + noise part, with A the share of v that it sees.
    """

    shrink: float
    keep: float
    noise: float


def ridgeless_fit(n: int, d: int) -> Fit:
    """The minimum-norm fit. Exact.

    n > d + 1: A = I, noise d/(n - d - 1). n < d - 1: A projects on n random directions, so shrink =
    keep = n/d, and the noise is n/(d - n - 1). Infinite for n = d - 1, d, d + 1. Source: inverse
    Wishart mean; Dohmatob, Feng & Kempe (2024), arXiv:2402.07712.

    >>> ridgeless_fit(100, 10).noise == 10 / 89, ridgeless_fit(10, 100)[:2]
    (True, (0.1, 0.1))
    """
    rows, columns = (float(checked(x, v, 1, whole=True)) for x, v in (("n", n), ("d", d)))
    seen = min(1.0, rows / columns)
    gap = abs(rows - columns) - 1
    return Fit(seen, seen, min(rows, columns) / gap if gap > 0 else np.inf)


def ridge_fit(n: int, d: int, ridge: float) -> Fit:
    """Ridge in the limit n, d → ∞ with d/n = g fixed; `ridgeless_fit` at ridge 0.

    With z = ridge and the Marchenko–Pastur transform m(z) = E tr (S + z)⁻¹/d, the root of
    g·z·m² + (1 - g + z)·m = 1: shrink = 1 - zm, keep = 1 - 2zm - z²m', noise = g(m + zm').
    Asymptotic: error of order 1/d. Source: Dohmatob, Feng & Kempe (2024), arXiv:2402.07712;
    Hastie et al. (2022), Ann. Stat. 50:949.

    >>> ridge_fit(100, 50, 1e9).shrink < 1e-8
    True
    """
    z = float(checked("ridge", ridge, 0))
    if z == 0:
        return ridgeless_fit(n, d)
    g = float(checked("d", d, 1, whole=True)) / float(checked("n", n, 1, whole=True))
    b = 1 - g + z
    root = np.sqrt(b * b + 4 * g * z)
    # The stable form of the positive root on either side of g = 1.
    m = 2 / (b + root) if b > 0 else (root - b) / (2 * g * z)
    slope = -(g * m * m + m) / root  # 2gzm + b = root
    return Fit(float(1 - z * m), float(1 - 2 * z * m - z * z * slope), float(g * (m + z * slope)))


def _path(
    fit: Fit, last: Fit, t: Floats, norm_sq: float, noise_var: float, synthetic: float | None
) -> BiasVariance:
    """Overlap p (E w_t = p·w) and squared length q after t - 1 fits of one kind and a last one."""
    size, real = float(checked("norm_sq", norm_sq, 0)), float(checked("noise_var", noise_var, 0))
    later = real if synthetic is None else float(checked("synthetic_noise_var", synthetic, 0))
    steps = last_generation(t)
    with np.errstate(invalid="ignore"):
        lengths = np.array([size])
        if steps > 1:
            first = fit.keep * size + (fit.noise * real if real else 0.0)
            made = fit.noise * later if later else 0.0
            step = np.array([[1.0, 0.0], [made, fit.keep]])
            lengths = np.append(lengths, affine_path(step, np.array([1.0, first]), steps - 2)[1])
        if not np.isfinite(fit.noise):
            lengths[1:] = np.inf if real or later else lengths[1:]
    before = np.maximum(t.astype(np.int64) - 1, 0)
    overlap = fit.shrink**before * last.shrink
    noise = np.where(t == 1, real, later)
    added = np.where(noise > 0, last.noise, 0.0) * np.where(noise > 0, noise, 1.0)
    length = last.keep * lengths[before] + added
    bias = np.where(t == 0, 0.0, (1 - overlap) ** 2 * size)
    variance = np.where(t == 0, 0.0, np.maximum(length - overlap**2 * size, 0.0))
    return BiasVariance(np.asarray(bias), np.asarray(variance), np.asarray(bias + variance))


def ridgeless(
    t: ArrayLike,
    n: int,
    d: int,
    *,
    norm_sq: float = 1.0,
    noise_var: float = 1.0,
    synthetic_noise_var: float | None = None,
    same_inputs: bool = False,
) -> BiasVariance:
    """Replace with minimum-norm fits: bias and variance at every generation.

    n < d - 1, r = n/d: bias² = (1 - r^t)²|w|², risk = (1 - r^t)|w|² + s·n/(d - n - 1)·(1 - r^t)/
    (1 - r); the model forgets geometrically even without noise. n > d + 1: no bias, risk =
    t·s·d/(n - d - 1). With ``same_inputs`` in every generation the projection is applied once:
    risk = (1 - r)|w|² + t·s·n/(d - n - 1). Infinite for |n - d| <= 1 with noise. Exact, any n and
    d. Source: Dohmatob, Feng & Kempe (2024), arXiv:2402.07712; closed form derived here.

    >>> ridgeless([1, 2, 50], 50, 100, noise_var=0.0).risk.round(4).tolist()
    [0.5, 0.75, 1.0]
    """
    t = generations(t)
    fit = ridgeless_fit(n, d)
    if not same_inputs:
        return _path(fit, fit, t, norm_sq, noise_var, synthetic_noise_var)
    # Later fits see all of what the first one wrote.
    once = _path(fit, fit, np.minimum(t, 1), norm_sq, noise_var, None)
    later = noise_var if synthetic_noise_var is None else synthetic_noise_var
    more = np.maximum(t - 1, 0) * (fit.noise * later if later else 0.0)
    return BiasVariance(once.bias_sq, once.variance + more, once.risk + more)


def ridge_path(
    t: ArrayLike,
    n: int,
    d: int,
    penalty: float,
    *,
    last_penalty: float | None = None,
    last_n: int | None = None,
    norm_sq: float = 1.0,
    noise_var: float = 1.0,
    synthetic_noise_var: float | None = None,
) -> BiasVariance:
    """Replace with ridge in every generation; the last may have its own penalty and size.

    With the numbers of `ridge_fit`: E w_t = shrink^t·w, E|w_t|² = keep·E|w_{t-1}|² + s·noise, risk
    = |w|² - 2E w_t·w + E|w_t|². ``penalty`` 0 with ``last_penalty`` is the setting of Dohmatob et
    al.: t - 1 unregularised generators, a regularised last model. Asymptotic (n, d → ∞ in
    proportion; about 1/(2d) off), exact where the penalty is 0. Source: Dohmatob, Feng & Kempe
    (2024), arXiv:2402.07712.

    >>> bool(np.isclose(ridge_path(3, 50, 100, 1e-9).risk, ridgeless(3, 50, 100).risk, rtol=0.02))
    True
    """
    t = generations(t)
    fit = ridge_fit(n, d, penalty)
    last = ridge_fit(
        n if last_n is None else last_n, d, penalty if last_penalty is None else last_penalty
    )
    return _path(fit, last, t, norm_sq, noise_var, synthetic_noise_var)


def optimal_ridge(
    t: int,
    n: int,
    d: int,
    *,
    penalty: float | None = None,
    norm_sq: float = 1.0,
    noise_var: float = 1.0,
    synthetic_noise_var: float | None = None,
) -> float:
    """Penalty of the least risk at generation t >= 1: one for all generations, or of the last.

    With ``penalty`` given, generations before the last use it and only the last is tuned. At t = 1
    it is the classical (d/n)·noise_var/|w|². Later optima differ: labels are noisier and the signal
    smaller. Found on a grid of logarithms from 1e-8 to 1e8 and refined to a relative 1e-6.
    Asymptotic as `ridge_path`. Idea: Dohmatob, Feng & Kempe (2024), arXiv:2402.07712.

    >>> round(optimal_ridge(1, 100, 50, noise_var=2.0), 4)
    1.0
    """
    checked("t", t, 1, whole=True)

    def risk(log: float) -> float:
        tuned = float(np.exp(log))
        first, last = (tuned, None) if penalty is None else (penalty, tuned)
        return float(
            ridge_path(
                t, n, d, first, last_penalty=last, norm_sq=norm_sq, noise_var=noise_var,
                synthetic_noise_var=synthetic_noise_var,
            ).risk
        )  # fmt: skip

    grid = np.linspace(np.log(1e-8), np.log(1e8), 161)
    values = [risk(x) for x in grid]
    best = int(np.argmin(values))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(risk, bounds=(low, high), method="bounded", options={"xatol": 1e-7})
    return float(np.exp(found.x))


def linear_risk(t: ArrayLike, n: int, d: int, *, noise: float = 1.0, norm: float = 1.0) -> Floats:
    """Risk of `ridgeless` from the noise's standard deviation and the length of w. Exact.

    >>> linear_risk([0, 1], 10, 20, noise=0.0, norm=2.0).tolist()
    [0.0, 2.0]
    """
    return ridgeless(t, n, d, norm_sq=norm**2, noise_var=noise**2).risk


def linear_ridge_risk(
    t: ArrayLike, n: int, d: int, ridge: float, *, noise: float = 1.0, norm: float = 1.0
) -> Floats:
    """Risk of `ridge_path` with one positive penalty. Asymptotic (n, d → ∞ in proportion).

    >>> float(linear_ridge_risk(1, 100, 50, 0.5).round(4))
    0.4142
    """
    checked("ridge", ridge, np.finfo(float).tiny)
    return ridge_path(t, n, d, ridge, norm_sq=norm**2, noise_var=noise**2).risk


LAWS: tuple[Law, ...] = (
    Law("replace: regression risk", linear_risk, ("replace",), ("linear",), "risk", cite=DOHMATOB),
    Law("replace: risk of ridge", linear_ridge_risk, ("replace",), ("linear",), "risk",
        "asymptotic", cite=DOHMATOB, note="n, d → infinity at fixed d/n, isotropic inputs"),
)  # fmt: skip
