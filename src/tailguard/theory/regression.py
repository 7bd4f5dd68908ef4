"""Linear regression trained on its own labels: replace, accumulate, and what carries over.

Generation i draws n_i inputs, labels them with the previous model plus noise, and fits least
squares; labels of generation 1 come from the true weights. The risk is the excess test error
E(x'(w_t - w))² on a fresh input, in the units of the noise variance. ``t`` counts fits: 0 is the
true weights, 1 the fit to real labels, whose risk is noise_var·d/(n - d - 1) for Gaussian inputs of
any covariance. n > d + 1; otherwise the expectation is infinite (see `overparametrised`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import polygamma

from tailguard.theory.anchor import last_generation
from tailguard.theory.base import Floats, Law, checked, generations

GERSTGRASSER = "Gerstgrasser et al. 2024, arXiv:2404.01413"
DEY = "Dey & Donoho 2024, arXiv:2410.22812"
DOHMATOB = "Dohmatob, Feng & Kempe 2024, arXiv:2402.07712"
Design = Literal["gaussian", "fixed"]


def _sizes(steps: int, n: int, sizes: ArrayLike | None) -> Floats:
    if sizes is None:
        return np.full(steps, float(checked("n", n, 1, whole=True)))
    given = np.atleast_1d(checked("sizes", sizes, 1, whole=True))
    checked("generations in sizes", len(given), steps)
    return given[:steps]


def _noise(steps: int, noise_var: float, synthetic_noise_var: float | None) -> Floats:
    real = float(checked("noise_var", noise_var, 0))
    synthetic = real if synthetic_noise_var is None else synthetic_noise_var
    noise = np.full(steps, float(checked("synthetic_noise_var", synthetic, 0)))
    noise[:1] = real
    return noise


def _inverse_trace(rows: Floats, d: int, design: Design) -> Floats:
    """E tr (X'X)^-1 in units of the inputs' covariance: d/(rows - d - 1), or d/rows if fixed."""
    checked("d", d, 1, whole=True)
    checked(
        f"design {design!r} is neither gaussian nor fixed; it", design in ("gaussian", "fixed"), 1
    )
    left = rows - d - 1 if design == "gaussian" else np.where(rows >= d, rows, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(left > 0, d / np.maximum(left, 0.0), np.inf))


def _summed(terms: Floats, t: Floats) -> Floats:
    return np.asarray(np.append(0.0, np.cumsum(terms))[t.astype(np.int64)])


def replace_risk(
    t: ArrayLike,
    n: int,
    d: int,
    *,
    sizes: ArrayLike | None = None,
    noise_var: float = 1.0,
    synthetic_noise_var: float | None = None,
    design: Design = "gaussian",
) -> Floats:
    """Excess test error of replace: Σ_{i<=t} s_i·d/(n_i - d - 1), t times that of real data.

    w_i = w_{i-1} + X_i⁺·noise, and E tr (X'X)^-1 = d/(n - d - 1) for fresh Gaussian inputs of any
    covariance. With ``design`` fixed (every generation the same n inputs) the error on those inputs
    is Σ s_i·d/n_i. s_1 = ``noise_var``, later s_i = ``synthetic_noise_var`` (default the same);
    ``sizes`` n_1, n_2, … default to n. Exact. Source: Gerstgrasser et al. (2024), arXiv:2404.01413;
    Dohmatob, Feng & Kempe (2024), arXiv:2402.07712.

    >>> (replace_risk([1, 20], 100, 10) * 89 / 10).tolist()
    [1.0, 20.0]
    """
    t = generations(t)
    steps = last_generation(t)
    rows = _sizes(steps, n, sizes)
    noise = _noise(steps, noise_var, synthetic_noise_var)
    return _summed(noise * _inverse_trace(rows, d, design), t)


def accumulate_risk(
    t: ArrayLike,
    n: int,
    d: int,
    *,
    sizes: ArrayLike | None = None,
    noise_var: float = 1.0,
    synthetic_noise_var: float | None = None,
    design: Design = "gaussian",
) -> Floats:
    """Excess test error of accumulate: Σ_{i<=t} s_i·(n_i/N_i)·d/(N_i - d - 1), N_i = n_1 + … + n_i.

    With S_i the sum of X'X so far, S_t·w_t = S_t·w_{t-1} + X_t'·noise; rows are exchangeable, so
    E tr S⁻¹X_t'X_tS⁻¹ = (n_t/N_t)·E tr S⁻¹. Equal sizes: s·d·Σ 1/(i(in - d - 1)), below the
    bound (π²/6)·s·d/(n - d - 1) by Gerstgrasser et al.; with ``design`` fixed s·(d/n)·Σ 1/i², which
    attains it. Exact. Source: Gerstgrasser et al. (2024), arXiv:2404.01413, for the regime and the
    bound; equality derived here.

    >>> ratios = [accumulate_risk([1, 20], 100, 10, design=x) for x in ("gaussian", "fixed")]
    >>> [round(float(last / first), 4) for first, last in ratios]
    [1.5512, 1.5962]
    """
    t = generations(t)
    steps = last_generation(t)
    rows = _sizes(steps, n, sizes)
    pool = np.cumsum(rows)
    noise = _noise(steps, noise_var, synthetic_noise_var)
    return _summed(noise * rows / pool * _inverse_trace(pool, d, design), t)


def accumulate_risk_limit(n: int, d: int, *, noise_var: float = 1.0) -> float:
    """`accumulate_risk` at t → ∞, equal sizes: noise_var·(d/n)·Σ 1/(i(i - c)), c = (d+1)/n.

    The sum is (ψ(1) - ψ(1 - c))/c with the digamma function ψ; π²/6 as c → 0. Infinite for
    n <= d + 1. Exact. Source: partial fractions.

    >>> round(accumulate_risk_limit(100, 10) * 8.9, 4), round(np.pi**2 / 6, 4)
    (1.5947, 1.6449)
    """
    c = (float(checked("d", d, 1, whole=True)) + 1) / float(checked("n", n, 1, whole=True))
    if c >= 1:
        return float("inf")
    total = (polygamma(0, 1.0) - polygamma(0, 1.0 - c)) / c
    return float(noise_var * d / n * total)


def accumulate_bound(t: ArrayLike, n: int, d: int, *, noise_var: float = 1.0) -> Floats:
    """Upper bound on `accumulate_risk` for all t: (π²/6)·noise_var·d/(n - d - 1); 0 at t = 0.

    Source: Gerstgrasser et al. (2024), arXiv:2404.01413.

    >>> bool(accumulate_bound(20, 100, 10) > accumulate_risk(20, 100, 10))
    True
    """
    first = replace_risk(1, n, d, noise_var=noise_var)
    return np.asarray(np.where(generations(t) > 0, np.pi**2 / 6 * first, 0.0))


def discard_ratio(t: ArrayLike) -> Floats:
    """Variance over that of real data alone when each fit sees only the newest n samples: t.

    Any asymptotically linear estimator, n → ∞ at fixed t. 0 at t = 0. Asymptotic. Source: Dey &
    Donoho (2024), arXiv:2410.22812 (discard).

    >>> discard_ratio([0, 1, 40]).tolist()
    [0.0, 1.0, 40.0]
    """
    return generations(t) + 0.0


def augment_ratio(t: ArrayLike, *, sizes: ArrayLike | None = None) -> Floats:
    """Variance over that of the real data alone when fits see all data so far: Σ_{i<=t} 1/i².

    General sizes: n_1·Σ n_i/N_i². Any asymptotically linear estimator, n → ∞ at fixed t; limit
    π²/6. Asymptotic. Source: Dey & Donoho (2024), arXiv:2410.22812 (augment).

    >>> augment_ratio([1, 40]).round(4).tolist()
    [1.0, 1.6202]
    """
    t = generations(t)
    rows = _sizes(last_generation(t), 1, sizes)
    pool = np.cumsum(rows)
    return _summed(rows[:1].sum() * rows / pool**2, t)


def augment_subsample_ratio(t: ArrayLike, *, replacement: bool = False) -> Floats:
    """Variance over that of real data alone when fits see n samples of all data so far.

    The pool's score P adds P' = P + (subsample's error + new noise)/(i + 1), of variance (1 - 1/i)
    + 1 in units of var0/n (2 with ``replacement``), and the fit itself adds 1 - 1/t (or 1). Limit
    π²/2 - 2 = 2.935 (π²/3 with replacement). Any asymptotically linear estimator, n → ∞ at fixed t.
    Asymptotic. Source: regimes of Dey & Donoho (2024), arXiv:2410.22812, and Kazdan et al. (2024),
    arXiv:2410.16713; derived here.

    >>> augment_subsample_ratio([1, 2, 10**6]).round(4).tolist()
    [1.0, 1.75, 2.9348]
    """
    t = generations(t)
    i = np.arange(1.0, max(1, last_generation(t)) + 1)
    fit = np.ones_like(i) if replacement else 1 - 1 / i
    pool = 1 + np.append(0.0, np.cumsum((fit + 1) / (i + 1) ** 2)[:-1])
    return np.asarray(np.append(0.0, pool + fit)[t.astype(np.int64)])


def orthogonal_ridge_risk(
    t: ArrayLike,
    n: int,
    d: int,
    ridge: float,
    *,
    norm_sq: float = 1.0,
    noise_var: float = 1.0,
    synthetic_noise_var: float | None = None,
) -> Floats:
    """Excess error of ridge under replace with orthogonal inputs, X'X = n·I in every generation.

    Each fit shrinks by s = 1/(1 + ridge): (1 - s^t)²·|w|² + (d/n)·Σ_{i<=t} s_i·s^(2(t-i+1)). The
    penalty is n·ridge·|w|². It stops the noise from adding up and loses the signal instead. Exact.
    Source: derived here; Dohmatob, Feng & Kempe (2024), arXiv:2402.07712, for ridge in the loop.

    >>> orthogonal_ridge_risk([1, 5], 100, 10, 0.0).round(3).tolist()
    [0.1, 0.5]
    """
    t = generations(t)
    checked("n", n, float(checked("d", d, 1, whole=True)), whole=True)
    log = float(np.log1p(checked("ridge", ridge, 0)))
    s = float(np.exp(-log))
    later = noise_var if synthetic_noise_var is None else synthetic_noise_var
    held = np.expm1(-2 * t * log) / np.expm1(-2 * log) if log > 0 else t  # Σ s^(2i), i < t
    noise = later * s * s * held + (noise_var - later) * s ** (2 * t) * (t > 0)
    return np.asarray(np.expm1(-t * log) ** 2 * checked("norm_sq", norm_sq, 0) + d / n * noise)


def linear_accumulate_risk(t: ArrayLike, n: int, d: int, *, noise: float = 1.0) -> Floats:
    """`accumulate_risk` of equal sizes from the noise's standard deviation. Exact.

    >>> float(linear_accumulate_risk(1, 22, 10, noise=2.0).round(4))
    3.6364
    """
    return accumulate_risk(t, n, d, noise_var=noise**2)


def linear_accumulate_bound(t: ArrayLike, n: int, d: int, *, noise: float = 1.0) -> Floats:
    """`accumulate_bound` from the noise's standard deviation: an upper bound.

    >>> float(linear_accumulate_bound(1, 22, 10).round(4))
    1.4954
    """
    return accumulate_bound(t, n, d, noise_var=noise**2)


# Those of replace are in `tailguard.theory.overparametrised`, which also takes n < d.
LAWS: tuple[Law, ...] = (
    Law("accumulate: regression risk", linear_accumulate_risk, ("accumulate",), ("linear",),
        "risk", cite=GERSTGRASSER),
    Law("accumulate: bound of regression risk", linear_accumulate_bound, ("accumulate",),
        ("linear",), "risk", "bound", cite=GERSTGRASSER, note="from above"),
)  # fmt: skip
