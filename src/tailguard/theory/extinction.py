"""When the first of K categories is lost: time, quantiles and distribution under replace.

Each generation draws n samples from the previous one's frequencies. T is the first t whose sample
lacks a category that the real distribution p has; t = 0 is p itself, and n < K samples lose one at
t = 1. Three levels: exact for any K by duality; branching, where categories are rare and so
nearly independent; and diffusion, the closed law of Benati et al.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from scipy.optimize import brentq
from scipy.special import gammaln, xlogy

from tailguard.theory.ancestry import ancestors, exact_size, expected_lineages
from tailguard.theory.base import Floats, Law, checked, generations
from tailguard.theory.survival import poisson_rate

Complexes = NDArray[np.complex128]
BENATI = "Benati et al. 2025, arXiv:2509.20101"
_STEP = 0.02  # of the logarithmic quadrature, whose error is then below 1e-12


def coverage(a: int, p: ArrayLike) -> Floats:
    """P(j samples from p show all its categories), j = 0 … a; shape (a + 1,).

    The coefficients of Π(e^(p_i z) - 1) times j!, by Cauchy's integral on circles of radius near
    each j (a Fourier transform each); absolute error below 1e-9 for a up to 2,000. Nondecreasing, 0
    below K. Categories of probability 0 are left out. Source: coupon collector, e.g. Flajolet,
    Gardy & Thimonier (1992), Discrete Appl. Math. 39:207.

    >>> coverage(3, [0.5, 0.5]).round(6).tolist()
    [0.0, 0.0, 0.5, 0.75]
    """
    size = int(checked("a", a, 0, whole=True))
    share, copies = np.unique(_shares(p), return_counts=True)
    out = np.zeros(size + 1)
    low = int(copies.sum())
    while low <= size:
        high = min(size, low + int(3 * low**0.5) + 1)
        radius = (low + high) / 2
        # Enough points that coefficients which fold onto each other are below 1e-16.
        points = 2 * next_fast_len(int(radius + 12 * radius**0.5 + 64) // 2 + 1)
        half = radius * np.exp(2j * np.pi * np.arange(points // 2 + 1) / points)
        logs = -radius + sum(m * _log_expm1(x * half) for x, m in zip(share, copies, strict=True))
        values = np.fft.irfft(np.conj(np.exp(logs)), points)
        j = np.arange(low, high + 1)
        out[j] = values[j] / np.exp(xlogy(j, radius) - radius - gammaln(j + 1))
        low = high + 1
    return np.clip(out, 0.0, 1.0)


def _log_expm1(z: Complexes) -> Complexes:
    """log(e^z - 1) up to multiples of 2πi, for any real part."""
    right = z.real > 0
    near = np.where(right, -z, z)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.expm1(near)) + np.where(right, z + 1j * np.pi, 0.0))


def first_extinction_cdf(t: ArrayLike, n: int, p: ArrayLike) -> Floats:
    """P(T <= t): some category is lost by generation t; shape of t.

    The n samples of generation t descend from A ancestors in sample 1, which is drawn from p, so
    P(T > t) = Σ_a P(A_{t-1} = a)·`coverage`_a. Exact; n <= 2,000, any K. Source: duality of the
    Wright–Fisher chain, derived here; question of Benati et al. (2025), arXiv:2509.20101.

    >>> first_extinction_cdf([0, 1, 2], 2, [0.5, 0.5]).round(4).tolist()
    [0.0, 0.5, 0.75]
    """
    t = generations(t)
    covered = coverage(exact_size(n), p)
    alive = ancestors(np.maximum(t - 1, 0), n) @ covered
    return np.asarray(np.where(t == 0, 0.0, 1.0 - np.minimum(alive, 1.0)))


def first_extinction_mean(n: int, p: ArrayLike) -> float:
    """E T = 1 + Σ_a G(a)·coverage_a, G(a) the expected generations with a ancestors.

    Exact; n <= 2,000. Infinite for one category, which is never lost. For large n:
    `first_extinction_mean_diffusion`. Source: as `first_extinction_cdf`.

    >>> round(first_extinction_mean(2, [0.5, 0.5]), 9)
    2.0
    """
    if len(_shares(p)) == 1:
        return float("inf")
    covered = coverage(exact_size(n), p)
    if n == 1:
        return 1.0
    stays, counts = expected_lineages(n)
    return float(1.0 + stays @ covered[counts.astype(np.int64)])


def first_extinction_quantile(q: float, n: int, p: ArrayLike) -> float:
    """Least t with P(T <= t) >= q, 0 < q < 1; 0.5 is the median. Exact; n <= 2,000.

    Infinite for one category.

    >>> first_extinction_quantile(0.5, 2, [0.5, 0.5])
    1.0
    """
    # A jump that ends exactly on q must not be missed by rounding.
    level = float(checked("q", q, 1e-12, 1 - 1e-12)) - 1e-12
    if len(_shares(p)) == 1:
        return float("inf")
    low, high = 0, 1
    while first_extinction_cdf(high, n, p) < level:
        low, high = high, 2 * high
    while high - low > 1:
        tried = np.unique(np.linspace(low, high, 18).astype(int)[1:-1])
        lost = first_extinction_cdf(tried, n, p) >= level
        low, high = int(max([low, *tried[~lost]])), int(min([high, *tried[lost]]))
    return float(high)


def first_extinction_cdf_branching(t: ArrayLike, n: float, p: ArrayLike) -> Floats:
    """P(T <= t) where categories are rare: 1 - Π(1 - exp(-n·p_i·g_t)).

    Each count is a Poisson branching process of its own; g_1 = 1, g_{k+1} = 1 - e^(-g_k) is
    `survival.poisson_rate`. Asymptotic: n → ∞ at fixed n·p_i of the categories that can be lost;
    categories are taken as independent. Any n and K. Source: Suresh et al. (2024),
    arXiv:2412.17646, for g; product derived here.

    >>> float(first_extinction_cdf_branching(10, 10_000, [0.001, 0.999]).round(4))
    0.1786
    """
    t = generations(t)
    rate = np.asarray(poisson_rate(np.maximum(t, 1)))
    return np.asarray(np.where(t == 0, 0.0, _lost(float(checked("n", n, 0)) * rate, p)))


def first_extinction_cdf_diffusion(t: ArrayLike, n: float, p: ArrayLike) -> Floats:
    """P(T <= t) of Benati et al.: 1 - Π(1 - exp(-2n·p_i/t)), for real t >= 0.

    Frequencies as independent square-root diffusions without drift. Asymptotic: n → ∞ at fixed
    n·p_i >> 1 and t >> 1, categories rare. Its mean is the exact Wright–Fisher diffusion's, the law
    is not: P(T > t) falls as t^-K and not exponentially, and for two equal categories the median is
    a quarter too low. Source: Benati et al. (2025),
    arXiv:2509.20101.

    >>> float(first_extinction_cdf_diffusion(10, 10_000, [0.001, 0.999]).round(4))
    0.1353
    """
    time = checked("t", t, 0)
    with np.errstate(divide="ignore"):
        return _lost(2 * float(checked("n", n, 0)) / time, p)


def first_extinction_mean_diffusion(n: float, p: ArrayLike) -> float:
    """E T = 2n∫Π(1 - e^(-p_i u))du/u² = 2n·Σ_S (-1)^|S| P_S·log P_S over subsets S, P_S = Σ p_i.

    Two categories: -2n(p·log p + q·log q). Linear in K. Asymptotic: n·min p → ∞; for n from 100
    to 2,000 it is up to three generations too long. Infinite for one category. Source: Benati et
    al. (2025), arXiv:2509.20101; Baxter, Blythe & McKane (2007), Math. Biosci. 209:124.

    >>> round(first_extinction_mean_diffusion(100, [0.5, 0.5]) / float(np.log(2)), 9)
    200.0
    """
    share, copies = np.unique(_shares(p), return_counts=True)
    if copies.sum() == 1:
        return float("inf")
    # u = e^x: the integrand is analytic and dies at both ends, so the trapezoid is exact.
    x = np.arange(-40 - np.log(share.max()), 45 - np.log(share.min()), _STEP)
    logs = np.zeros_like(x)
    with np.errstate(divide="ignore"):
        for one, times in zip(share, copies, strict=True):
            logs += times * np.log(-np.expm1(-one * np.exp(x)))
    return float(2 * checked("n", n, 0) * _STEP * np.exp(logs - x).sum())


def first_extinction_quantile_diffusion(q: float, n: float, p: ArrayLike) -> float:
    """Time at which the law of Benati et al. reaches q, 0 < q < 1.

    For K equal categories, log(1 - q) = K·log(1 - exp(-2n/(Kt))), so t = -2n/(K·log(1 -
    (1-q)^(1/K))). Asymptotic as `first_extinction_cdf_diffusion`.

    >>> round(first_extinction_quantile_diffusion(0.5, 100, [0.5, 0.5]), 3)
    81.437
    """
    return _solve(lambda t: first_extinction_cdf_diffusion(t, n, p), q, n, p)


def _solve(cdf: Callable[[float], Floats], q: float, n: float, p: ArrayLike) -> float:
    level = float(checked("q", q, 1e-12, 1 - 1e-12))
    share = _shares(p)
    if len(share) == 1:
        return float("inf")
    rarest = float(checked("n", n, np.finfo(float).tiny)) * share.min()
    low, high = np.log(rarest) - 20, np.log(rarest) + 5
    while cdf(float(np.exp(high))) < level:
        high += 5
    root = brentq(lambda x: float(cdf(float(np.exp(x)))) - level, low, high, xtol=1e-13)
    return float(np.exp(root))


def _lost(weight: Floats, p: ArrayLike) -> Floats:
    """1 - Π(1 - e^(-weight·p_i)), without cancellation."""
    share, copies = np.unique(_shares(p), return_counts=True)
    if copies.sum() == 1:
        return np.zeros_like(weight)
    with np.errstate(divide="ignore"):
        logs = sum(
            times * np.log(-np.expm1(-weight * one))
            for one, times in zip(share, copies, strict=True)
        )
    return np.asarray(-np.expm1(logs))


def _shares(p: ArrayLike) -> Floats:
    """Positive probabilities of p, which must sum to 1."""
    share = np.atleast_1d(checked("p", p, 0, 1))
    checked("sum of p", share.sum(), 1 - 1e-9, 1 + 1e-9)
    return share[share > 0]


# A time is no quantity of a generation, so there is nothing to draw over a run.
LAWS: tuple[Law, ...] = ()
