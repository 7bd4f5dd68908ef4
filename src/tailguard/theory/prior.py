"""Priors, MAP and ridge under replace: pseudo-data that every generation sees anew.

A conjugate prior acts as a fixed number of pseudo-points. Pseudo-points on a parameter stop that
parameter's collapse or drift, and only that one: with pseudo-points on the variance alone the mean
still wanders. ``t`` counts fits, 0 is the real distribution; every n may differ from the prior's
weight, and the prior may be wrong.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tailguard.theory.anchor import (
    CITE,
    Moments,
    affine_path,
    family_laws_of,
    last_generation,
    laws_of,
    mix_step,
    moments,
)
from tailguard.theory.base import Floats, Law, checked, generations

Estimate = Literal["counts", "mean", "mode", "joint_mode", "unbiased"]
# What each estimate adds to n + var_points in the denominator of the variance.
_ADDED = {"counts": 0.0, "mean": -2.0, "mode": 2.0, "joint_mode": 3.0, "unbiased": -1.0}


def _gaussian_step(
    n: int, mean_points: float, var_points: float, offset: float, spread: float, added: float,
    joined: bool,
) -> Floats:  # fmt: skip
    """One generation as a matrix on (1, e, M, v), in units of var0 and its root."""
    unit = np.eye(4)
    a = mean_points / (n + mean_points)
    data = unit[2] + unit[3] / n  # E(x̄ - mean0)²
    pull = a * offset
    mean = (1 - a) * unit[1] + pull * unit[0]
    square = (1 - a) ** 2 * data + 2 * (1 - a) * pull * unit[1] + pull**2 * unit[0]
    apart = data - 2 * offset * unit[1] + offset**2 * unit[0]  # E(x̄ - prior mean)²
    total = var_points * spread * unit[0] + (n - 1) * unit[3] + (a * n * apart if joined else 0)
    return np.stack([unit[0], mean, square, total / (n + var_points + added)])


def normal_inverse_gamma(
    t: ArrayLike,
    n: int,
    *,
    mean_points: float = 0.0,
    var_points: float = 0.0,
    estimate: Estimate = "counts",
    prior_offset: float = 0.0,
    prior_var: float | None = None,
    joined: bool = True,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Replace with a normal prior on the mean and an inverse-gamma one on the variance.

    ``mean_points`` (k) pseudo-points at mean0 + ``prior_offset``, ``var_points`` (u) of variance
    ``prior_var`` (default var0). With a = k/(n + k): mean' = (1-a)x̄ + a·(prior mean) and
    var' = [u·prior_var + Σ(x - x̄)² + a·n·(x̄ - prior mean)²]/(n + u + c), c = -2 for the posterior
    mean of the variance (inverse-gamma shape u/2), +2 its mode, +3 the joint mode (MAP), 0 plain
    pseudo-counts, -1 the unbiased estimate when u = 0. Without ``joined`` the term in the middle is
    left out: priors independent, or ridge. Expectations close on E error, E error² and E var.
    k = u = 0 is replace. d coordinates share var0, and are offset alike. Exact. Source: regime of
    Jangjoo, Marsili & Roudi (2026), PRL 136:197301; posterior as in Gelman et al. (2013), section
    3.3; recursion derived here.

    >>> normal_inverse_gamma([1, 10_000], n=100, var_points=5, estimate="counts").var.round(4)
    array([0.9905, 0.8333])
    """
    t = generations(t)
    step, start = _gaussian(
        n, mean_points, var_points, estimate, prior_offset, prior_var, joined, var0
    )
    return moments(affine_path(step, start, last_generation(t)), t, var0, d)


def normal_inverse_gamma_limit(
    n: int,
    *,
    mean_points: float = 0.0,
    var_points: float = 0.0,
    estimate: Estimate = "counts",
    prior_offset: float = 0.0,
    prior_var: float | None = None,
    joined: bool = True,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """`normal_inverse_gamma` at t → ∞.

    With k = 0: E var = u·prior_var/(u + 1 + c), whatever n is, and E mean² grows without bound
    (unless u = 0). With k > 0 both are the fixed point of the recursion. Infinite where the
    estimate inflates the variance (an eigenvalue of 1 or more). Exact. Source: as there.

    >>> float(normal_inverse_gamma_limit(50, mean_points=1, var_points=1).var.round(4))
    0.6689
    """
    step, _ = _gaussian(n, mean_points, var_points, estimate, prior_offset, prior_var, joined, var0)
    if mean_points > 0:
        core = step[1:, 1:]
        if np.abs(np.linalg.eigvals(core)).max() >= 1:
            return moments(np.array([[1.0], [np.nan], [np.inf], [np.inf]]), np.zeros(()), var0, d)
        end = np.append(1.0, np.linalg.solve(np.eye(3) - core, step[1:, 0]))
    elif step[3, 3] >= 1:
        v = 1.0 if step[3, 3] == 1 and var_points == 0 else np.inf
        end = np.array([1.0, 0.0, np.inf, v])
    else:
        v = step[3, 0] / (1 - step[3, 3])
        end = np.array([1.0, 0.0, np.inf if v > 0 else 1 / n / (1 - step[3, 3]), v])
    return moments(end[:, None], np.zeros(()), var0, d)


def _gaussian(
    n: int, mean_points: float, var_points: float, estimate: Estimate, offset: float,
    prior_var: float | None, joined: bool, var0: float,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Checked settings as the matrix of a generation and the state at t = 0."""
    if estimate not in _ADDED:
        checked(f"estimate {estimate!r} is none of {', '.join(_ADDED)}; it", np.nan, 0)
    checked("n", n, 1, whole=True)
    checked("mean_points", mean_points, 0)
    added = _ADDED[estimate]
    checked("n + var_points", n + checked("var_points", var_points, 0) + added, 1e-9)
    scale = float(checked("var0", var0, np.finfo(float).tiny))
    spread = 1.0 if prior_var is None else float(checked("prior_var", prior_var, 0)) / scale
    step = _gaussian_step(n, mean_points, var_points, offset / scale**0.5, spread, added, joined)
    return step, np.array([1.0, 0.0, 0.0, 1.0])


def conjugate_mean(
    t: ArrayLike,
    n: int,
    mean_points: float,
    *,
    curvature: float = 0.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Replace with a conjugate prior of k pseudo-points at the true mean, one-parameter families.

    With s = n/(n + k) and V(mean) of ``curvature`` C (`anchor.CURVATURE`: known-variance Gaussian
    and Poisson 0, Bernoulli -1, exponential 1): b' = s²(b + V/n), V = 1 + C·b, in units of var0.
    b → s²/(n(1 - s²) - C·s²), so k >= 1 keeps b near var0/2k, however large n is. Exact. Source:
    regime of Jangjoo, Marsili & Roudi (2026); linear posterior means of Diaconis & Ylvisaker
    (1979), Ann. Stat. 7:269; recursion derived here.

    >>> float(conjugate_mean(10_000, n=100, mean_points=1).mean_sq.round(4))
    0.4975
    """
    t = generations(t)
    checked("n", n, 1, whole=True)
    s = n / (n + float(checked("mean_points", mean_points, 0)))
    step = np.zeros((4, 4))
    step[0, 0] = 1.0
    step[2] = 0.0, 0.0, s * s, s * s / n
    step[3] = 1 - s * s, 0.0, 0.0, s * s * (1 + curvature / n)
    path = affine_path(step, np.array([1.0, 0.0, 0.0, 1.0]), last_generation(t))
    return moments(path, t, var0, d)


def dirichlet_heterozygosity(t: ArrayLike, n: int, p0: ArrayLike, pseudo: ArrayLike) -> Floats:
    """E(1 - Σp²) of a categorical under replace with a Dirichlet prior.

    p' = (counts + pseudo)/(n + A), A = Σ pseudo. ``pseudo`` is the prior's concentration for the
    posterior mean, and the concentration less 1 for MAP; a number stands for every category, and
    Bernoulli with a Beta prior is K = 2. With s = A/(n + A), q = pseudo/A and g = q·E p, which
    tends to |q|² as (1-s)^t: F = E|p|² obeys F' = (1-s)²(F + (1-F)/n) + 2s(1-s)g + s²|q|².
    Exact. Source: regime of Jangjoo, Marsili & Roudi (2026); recursion derived here.

    >>> dirichlet_heterozygosity([0, 1, 10_000], 10, [0.9, 0.1], 1.0).round(4).tolist()
    [0.18, 0.2653, 0.4074]
    """
    t = generations(t)
    p, q, s = _dirichlet(n, p0, pseudo)
    keep = (1 - s) ** 2
    pulled = np.array([s * float(q @ q), 1 - s, 0.0])  # g' from (1, g, 1 - F)
    step = np.stack([np.eye(3)[0], pulled, np.array([
        1 - keep - s * s * float(q @ q), -2 * s * (1 - s), keep * (1 - 1 / n)])])  # fmt: skip
    start = np.array([1.0, float(q @ p), 1 - float(p @ p)])
    path = affine_path(step, start, last_generation(t))[2]
    return np.asarray(np.maximum(path[t.astype(np.int64)], 0.0))


def dirichlet_heterozygosity_limit(n: int, k: int, pseudo: ArrayLike) -> Floats:
    """`dirichlet_heterozygosity` at t → ∞ with k categories, whatever the start.

    (1 - |q|²)(1 - r)/(1 - r(1 - 1/n)), r = (n/(n + A))²: about (1 - |q|²)·2A/(2A + 1) for n >> A.
    0 without a prior. Exact. Source: fixed point of the recursion.

    >>> float(dirichlet_heterozygosity_limit(10, 2, 1.0).round(4))
    0.4074
    """
    _, q, s = _dirichlet(n, np.full(int(checked("k", k, 1, whole=True)), 1 / k), pseudo)
    r = (1 - s) ** 2
    lost = s * (2 - s)  # 1 - r
    return np.asarray((1 - float(q @ q)) * lost / (lost + r / n))


def _dirichlet(n: int, p0: ArrayLike, pseudo: ArrayLike) -> tuple[Floats, Floats, float]:
    """The real distribution, the prior's mean, and the prior's share of a fit."""
    checked("n", n, 1, whole=True)
    p = np.atleast_1d(checked("p0", p0, 0, 1))
    checked("sum of p0", p.sum(), 1 - 1e-9, 1 + 1e-9)
    points = np.broadcast_to(checked("pseudo", pseudo, 0), p.shape)
    total = float(points.sum())
    return p, points / total if total else p, total / (n + total)


def pseudo_data(
    t: ArrayLike,
    n: int,
    strength: float,
    points: int,
    *,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Replace beside a prior made of data: ``points`` fixed real samples of total weight strength.

    The n samples of the newest model weigh 1 each, also those of the first model, which are real.
    With w = strength/(n + strength) and s = 1 - w: b' = w²/points + 2ws·c + s²(b + v/n), c' =
    w/points + s·c from b = c = 0; var as in `anchor.real_mix`. For points → ∞ it is
    `normal_inverse_gamma` with ``strength`` pseudo-points on mean and variance, and
    `conjugate_mean` for other ``curvature``. Exact. Source: regime of Jangjoo, Marsili & Roudi
    (2026), PRL 136:197301; recursion derived here.

    >>> float(pseudo_data(10_000, 100, 1.0, 10**9).var.round(4))
    0.6678
    """
    t = generations(t)
    checked("n", n, 1, whole=True)
    checked("points", points, 1, whole=True)
    weight = float(checked("strength", strength, 0)) / (n + strength)
    step = mix_step(points, n, weight=weight, fixed=True, unbiased=unbiased, curvature=curvature)
    path = affine_path(step, np.array([1.0, 0.0, 0.0, 1.0]), last_generation(t))
    return moments(path, t, var0, d)


# The regime `prior` has pseudo-data, so its laws are those of `pseudo_data`.
LAWS: tuple[Law, ...] = (
    *laws_of(pseudo_data, "prior", CITE),
    *family_laws_of(pseudo_data, "prior", CITE),
)
