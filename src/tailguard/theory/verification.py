"""A verifier filters synthetic labels: when imperfect filtering saves a classifier, and when not.

Inputs are x | y ~ N(y·μ, I_d), labels y = ±1 with equal odds, |μ| = ``snr``. A generator writes n
labelled inputs whose labels are right with probability p, independently of x. A verifier keeps a
right one with probability ``phi`` (φ) and a wrong one with ``psi`` (ψ). The new model classifies by
the sign of w·x, where w is the mean of (label)·x over what was kept. (Least squares differs from
it in finite samples only: inputs have covariance I + μμᵀ, which keeps the direction of μ.)
Accuracy is P(sign(w·x) = y); the best is Φ(snr).

Kept labels are right with odds pφ : (1 - p)ψ, so the signal in w has the sign of pφ - (1 - p)ψ:
accuracy flips from Φ(-snr) to Φ(snr) as p passes the breakdown point ψ/(φ + ψ).

Source: Feng et al. 2024, arXiv:2406.07515 (model and breakdown point); finite n derived here.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.special import gammaln, ndtr, xlogy

from tailguard.theory.base import Floats, checked
from tailguard.theory.drift import binomial_pmf

# Sums over counts are exact up to this n; above, counts are normal.
LARGEST_EXACT = 1_000
_GRID = 97


def breakdown_point(phi: ArrayLike, psi: ArrayLike) -> Floats:
    """Least p at which filtered labels teach the truth: p* = ψ/(φ + ψ) = 1/(1 + φ/ψ).

    Exact as n → ∞. 1/2 without a verifier (φ = ψ); nan where nothing is kept (φ = ψ = 0).

    >>> breakdown_point(1.0, [1.0, 0.5]).round(4).tolist()
    [0.5, 0.3333]

    Source: Feng et al. 2024, arXiv:2406.07515, theorem 1.
    """
    right, wrong = checked("phi", phi, 0, 1), checked("psi", psi, 0, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(wrong / (right + wrong))


def kept_share(p: ArrayLike, phi: ArrayLike, psi: ArrayLike) -> Floats:
    """Share of what was written that the verifier keeps: pφ + (1 - p)ψ. Exact.

    >>> float(kept_share(0.4, 1.0, 0.5))
    0.7
    """
    right = checked("p", p, 0, 1)
    return np.asarray(right * checked("phi", phi, 0, 1) + (1 - right) * checked("psi", psi, 0, 1))


def kept_accuracy(p: ArrayLike, phi: ArrayLike, psi: ArrayLike) -> Floats:
    """Share of the kept labels that is right: pφ/(pφ + (1 - p)ψ). Exact; nan if none is kept.

    >>> kept_accuracy(0.4, 1.0, [1.0, 0.5]).round(4).tolist()
    [0.4, 0.5714]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        right = checked("p", p, 0, 1) * checked("phi", phi, 0, 1)
        return np.asarray(right / kept_share(p, phi, psi))


def verified_accuracy_limit(
    p: ArrayLike, phi: ArrayLike, psi: ArrayLike, *, snr: ArrayLike
) -> Floats:
    """Accuracy for n → ∞: Φ(snr), 1/2 or Φ(-snr) as p is above, at or below the breakdown point.

    Exact limit.

    >>> verified_accuracy_limit(0.4, 1.0, [1.0, 0.5], snr=1.5).round(3).tolist()
    [0.067, 0.933]

    Source: Feng et al. 2024, arXiv:2406.07515, theorem 1.
    """
    right = checked("p", p, 0, 1)
    signal = right * checked("phi", phi, 0, 1) - (1 - right) * checked("psi", psi, 0, 1)
    return np.asarray(ndtr(np.sign(signal) * checked("snr", snr, 0)))


def verified_accuracy_large(
    n: ArrayLike, p: ArrayLike, phi: ArrayLike, psi: ArrayLike, *, snr: ArrayLike, d: ArrayLike
) -> Floats:
    """Accuracy for large n and d: Φ(s·snr²/√(s²·snr² + k·d/n)), with s = pφ - (1 - p)ψ.

    k is `kept_share`. Asymptotic in n and d with d/n fixed: w concentrates. 1/2 where s = 0.

    >>> verified_accuracy_large(2000, 0.4, 1.0, [1.0, 0.5], snr=1.5, d=10).round(3).tolist()
    [0.072, 0.919]

    Source: derived here from the model of Feng et al. 2024, arXiv:2406.07515.
    """
    right, strength = checked("p", p, 0, 1), checked("snr", snr, 0)
    signal = right * checked("phi", phi, 0, 1) - (1 - right) * checked("psi", psi, 0, 1)
    noise = (
        kept_share(p, phi, psi) * checked("d", d, 1, whole=True) / checked("n", n, 1, whole=True)
    )
    length = np.sqrt((signal * strength) ** 2 + noise)
    slope = np.where(length > 0, signal * strength**2 / np.where(length > 0, length, 1.0), 0.0)
    return np.asarray(ndtr(slope))


def verified_accuracy(n: int, p: float, phi: float, psi: float, *, snr: float, d: int) -> float:
    """Expected accuracy of the model trained on what the verifier keeps of n labelled inputs.

    Given C right and W wrong ones kept, w points along μ + noise: in units of its noise its
    component along μ is N(δ, 1), δ = snr·(C - W)/√(C + W), the rest χ(d - 1). The mean of
    Φ(snr·cos(w, μ)) is taken by quadrature. Exact to about 1e-4 up to n = 1,000; above, C and W
    are taken as normal. Nothing kept: 1/2.

    >>> [round(verified_accuracy(2000, 0.4, 1.0, psi, snr=1.5, d=10), 3) for psi in (1.0, 0.5)]
    [0.072, 0.918]

    Source: derived here from the model of Feng et al. 2024, arXiv:2406.07515.
    """
    size, dims = int(checked("n", n, 1, whole=True)), int(checked("d", d, 1, whole=True))
    strength, share = float(checked("snr", snr, 0)), float(checked("p", p, 0, 1))
    right = share * float(checked("phi", phi, 0, 1))
    wrong = (1 - share) * float(checked("psi", psi, 0, 1))
    c, w, mass = (
        _exact_counts(size, right, wrong)
        if size <= LARGEST_EXACT
        else _normal_counts(size, right, wrong)
    )
    kept = c + w
    shift = strength * (c - w) / np.sqrt(np.maximum(kept, 1e-300))
    grid = np.linspace(shift.min(), shift.max(), _GRID) if np.ptp(shift) > 1e-9 else shift[:1]
    on_grid = _accuracy(grid, strength, dims)
    values = (
        CubicSpline(grid, on_grid)(shift) if len(grid) > 1 else np.full(shift.shape, on_grid[0])
    )
    return float(mass @ np.where(kept > 0, values, 0.5))


def _exact_counts(n: int, right: float, wrong: float) -> tuple[Floats, Floats, Floats]:
    """Right and wrong ones kept, and their trinomial probabilities; far tails are left out."""
    rest = min(wrong / (1 - right), 1.0) if right < 1 else 0.0
    counts = np.arange(n + 1.0)
    first = binomial_pmf(counts, n, right)
    c, w = np.meshgrid(counts[first > 1e-15], counts, indexing="ij")
    mass = first[first > 1e-15][:, None] * binomial_pmf(w, n - c, rest)
    likely = mass > 1e-15
    return c[likely], w[likely], mass[likely] / mass[likely].sum()


def _normal_counts(n: int, right: float, wrong: float) -> tuple[Floats, Floats, Floats]:
    """The same from normals of equal mean and covariance, on a Gauss–Hermite grid."""
    nodes, weights = hermegauss(24)
    x, y = np.meshgrid(nodes, nodes, indexing="ij")
    sd = np.sqrt(n * right * (1 - right))
    slope = -wrong / (1 - right) if right < 1 else 0.0
    spread = np.sqrt(max(n * wrong * (1 - wrong) - (slope * sd) ** 2, 0.0))
    c = np.maximum(n * right + sd * x, 0.0)
    w = np.maximum(n * wrong + slope * sd * x + spread * y, 0.0)
    mass = np.outer(weights, weights) / weights.sum() ** 2
    return c.ravel(), w.ravel(), mass.ravel()


def _accuracy(shift: Floats, strength: float, d: int) -> Floats:
    """E Φ(strength·a/√(a² + r²)), a ~ N(shift, 1), r ~ χ(d - 1); shape of shift."""
    if d == 1:
        ahead = ndtr(shift)
        return np.asarray(ahead * ndtr(strength) + (1 - ahead) * ndtr(-strength))
    x, wx = _panels(-9.0, 9.0, 16)
    middle = np.sqrt(d - 1.5)
    r, wr = _panels(max(middle - 9.0, 0.0), middle + 9.0, 16)
    wx, wr = wx * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), wr * _chi_density(r, d - 1)
    out = np.empty(shift.shape)
    for i, delta in enumerate(shift):
        along = delta + x[:, None]
        out[i] = wx @ ndtr(strength * along / np.hypot(along, r)) @ wr
    return out / (wx.sum() * wr.sum())


def _panels(low: float, high: float, panels: int) -> tuple[Floats, Floats]:
    """Nodes and weights of 8-point Gauss–Legendre on equal panels."""
    nodes, weights = leggauss(8)
    half = (high - low) / panels / 2
    centres = low + half * (2 * np.arange(panels) + 1)
    return (centres[:, None] + half * nodes).ravel(), np.tile(half * weights, panels)


def _chi_density(r: Floats, nu: int) -> Floats:
    """Density of a chi variable of ``nu`` ≥ 1 degrees of freedom at r ≥ 0."""
    log = (1 - nu / 2) * np.log(2) - gammaln(nu / 2) + xlogy(nu - 1, r) - r**2 / 2
    return np.asarray(np.exp(log))
