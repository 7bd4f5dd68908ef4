"""Products of independent chi-squares: the law of a variance that is estimated again and again.

Throughout, V_t = R_1 ⋯ R_t with independent R_i = ``scale`` · χ²(``nu``), t whole, V_0 = 1.
Distributions are exact up to quadrature: a trapezoid rule on the vertical line through the
saddlepoint of the cumulant function K of log V_t, where P(log V > x) =
(2πi)⁻¹ ∫ exp(K(s) - sx) ds/s. The integrand is analytic, so the rule converges geometrically.
Against chi-squares and products of two, the relative error is below 1e-9, in far tails too.

Source: Daniels (1954), Annals of Mathematical Statistics 25:631; Rice (1980), SIAM J. Sci. Stat.
Comput. 1:438 (saddlepoint and quadrature).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import digamma, gammaln, loggamma, polygamma, xlogy

from tailguard.theory.base import Floats, checked, generations

# exp(-REACH) is what quadrature may leave out, relative to the integrand's peak.
REACH = 38.0
# Above this, Stirling's series for Γ(a + s)/Γ(a) is exact to double precision.
_LARGE = 1e4


def log_gamma_ratio(a: ArrayLike, s: ArrayLike) -> Floats:
    """log Γ(a + s)/Γ(a), without cancellation for large a. Infinite where a + s = 0.

    >>> float(log_gamma_ratio(0.5, 0.5).round(6)), float(log_gamma_ratio(1e12, 1.0).round(6))
    (-0.572365, 27.631021)
    """
    a, s = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(s, np.float64))
    high = np.maximum(a, _LARGE)
    reach = np.maximum(s, 1 - high)
    series = (high - 0.5) * np.log1p(reach / high) + reach * np.log(high + reach) - reach
    series += (1 / (high + reach) - 1 / high) / 12
    low = np.minimum(a, _LARGE)
    return np.where(a > _LARGE, series, gammaln(low + s) - gammaln(low))


def log_moment(t: ArrayLike, s: ArrayLike, *, nu: ArrayLike, scale: ArrayLike) -> Floats:
    """log E V_t^s = t·(s log(2 scale) + log Γ(nu/2 + s)/Γ(nu/2)); infinite for s <= -nu/2.

    Exact. t = 0 gives 0.

    >>> float(log_moment(3, 1, nu=4, scale=0.25))
    0.0
    """
    t, s, half = generations(t), np.asarray(s, np.float64), np.asarray(nu, np.float64) / 2
    finite = half + s > 0
    safe = np.where(finite, s, 0.0)
    per_step = safe * np.log(2 * np.asarray(scale)) + log_gamma_ratio(half, safe)
    with np.errstate(invalid="ignore"):
        return np.where(t == 0, 0.0, t * np.where(finite, per_step, np.inf))


def log_mean(t: ArrayLike, *, nu: ArrayLike, scale: ArrayLike) -> Floats:
    """E log V_t = t·(ψ(nu/2) + log(2 scale)), ψ the digamma function; -inf for nu = 0, t > 0.

    Exact.

    >>> float(log_mean(1, nu=2, scale=0.5).round(6))
    -0.577216
    """
    t, half = generations(t), np.asarray(nu, np.float64) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        per_step = digamma(half) + np.log(2 * np.asarray(scale, np.float64))
        return np.where(t == 0, 0.0, t * np.where(half > 0, per_step, -np.inf))


def log_variance(t: ArrayLike, *, nu: ArrayLike) -> Floats:
    """Var log V_t = t·ψ′(nu/2), ψ′ the trigamma function; infinite for nu = 0, t > 0. Exact.

    >>> float(log_variance(6, nu=2).round(6))
    9.869604
    """
    t, half = generations(t), np.asarray(nu, np.float64) / 2
    with np.errstate(invalid="ignore"):
        return np.where(t == 0, 0.0, t * polygamma(1, half))


def cdf(x: ArrayLike, t: ArrayLike, *, nu: float, scale: float) -> Floats:
    """P(V_t <= x), over x and t broadcast together. Domain: x >= 0, nu > 0. Exact to 1e-9.

    >>> cdf([1, 2], 1, nu=2, scale=0.5).round(6).tolist()
    [0.632121, 0.864665]
    """
    return _tails(x, t, nu, scale)[0]


def sf(x: ArrayLike, t: ArrayLike, *, nu: float, scale: float) -> Floats:
    """P(V_t > x), with relative accuracy where it is tiny. Domain and accuracy as `cdf`.

    >>> float(sf(100, 1, nu=2, scale=0.5) / np.exp(-100)).__round__(9)
    1.0
    """
    return _tails(x, t, nu, scale)[1]


def log_quantile(q: ArrayLike, t: ArrayLike, *, nu: float, scale: float) -> Floats:
    """y with P(log V_t <= y) = q, over q and t broadcast together. Domain: 0 <= q <= 1, nu > 0.

    >>> float(np.exp(log_quantile(0.5, 1, nu=2, scale=0.5)).round(9))
    0.693147181
    """
    level, steps = np.broadcast_arrays(checked("q", q, 0, 1), generations(t))
    out = [_log_quantile(p, k, nu, scale) for p, k in zip(level.flat, steps.flat, strict=True)]
    return np.array(out, dtype=np.float64).reshape(level.shape)


def quantile(q: ArrayLike, t: ArrayLike, *, nu: float, scale: float) -> Floats:
    """x with P(V_t <= x) = q: exp of `log_quantile`; may underflow to 0 or overflow to infinity.

    >>> float(quantile(0.5, 1, nu=2, scale=0.5).round(9))
    0.693147181
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(log_quantile(q, t, nu=nu, scale=scale)))


def _tails(x: ArrayLike, t: ArrayLike, nu: float, scale: float) -> tuple[Floats, Floats]:
    at, steps = np.broadcast_arrays(checked("x", x, 0), generations(t))
    both = [_both(v, k, nu, scale) for v, k in zip(at.flat, steps.flat, strict=True)]
    tails = np.array(both, dtype=np.float64).reshape(*at.shape, 2)
    return tails[..., 0], tails[..., 1]


def _both(x: float, t: float, nu: float, scale: float) -> tuple[float, float]:
    if t == 0 or x in (0.0, math.inf):
        below = float(x >= (1.0 if t == 0 else math.inf))
        return below, 1.0 - below
    return _log_tails(math.log(x), t, nu / 2, 2 * scale)


def _log_tails(y: float, t: float, a: float, theta: float) -> tuple[float, float]:
    """P(L <= y) and P(L > y) for the sum L of t logarithms of ``theta`` · Gamma(a)."""
    target = y / t - math.log(theta)
    saddle = _inverse_digamma(target) - a
    least = 1 / math.sqrt(t * float(polygamma(1, a)))
    s = saddle if abs(saddle) > least else least  # the pole at 0 must not be near the line
    width = 1 / math.sqrt(t * float(polygamma(1, a + s)))
    strip = abs(s) if s > 0 else min(-s, a + s)
    step = min(0.7 * width, 2 * math.pi * strip / REACH)
    reach = 10 * width
    while -t * float(_log_gamma_up(a + s, np.array(reach)).real) < REACH:
        reach *= 1.4
    u: Floats = np.arange(math.ceil(reach / step) + 1.0) * step
    terms = (np.exp(t * (_log_gamma_up(a + s, u) - 1j * u * target)) / (s + 1j * u)).real
    terms[0] /= 2
    peak = t * (float(log_gamma_ratio(a, s)) - s * target)
    integral = math.exp(peak) * float(terms.sum()) * step / math.pi
    tail = min(max(integral if s > 0 else -integral, 0.0), 1.0)
    return (1 - tail, tail) if s > 0 else (tail, 1 - tail)


def _log_gamma_up(x: float, u: Floats) -> NDArray[np.complex128]:
    """log Γ(x + iu) - log Γ(x), by Stirling's series for large x, where the two nearly cancel."""
    if x < _LARGE:
        return np.asarray(loggamma(x + 1j * u) - gammaln(x))
    angle = np.log1p((u / x) ** 2) / 2 + 1j * np.arctan(u / x)  # log(1 + iu/x)
    series = (1 / (x + 1j * u) - 1 / x) / 12
    return np.asarray((x - 0.5 + 1j * u) * angle + 1j * u * (math.log(x) - 1) + series)


def _inverse_digamma(y: float) -> float:
    """Root of ψ(x) = y by Newton's method from Minka's start; ψ is concave, so it converges."""
    x = math.exp(y) + 0.5 if y >= -2.22 else -1 / (y - float(digamma(1.0)))
    for _ in range(30):
        change = (float(digamma(x)) - y) / float(polygamma(1, x))
        x -= change
        if abs(change) <= 1e-14 * x:
            break
    return x


def _log_quantile(q: float, t: float, nu: float, scale: float) -> float:
    if t == 0:
        return 0.0
    if q in (0.0, 1.0):
        return math.inf if q else -math.inf
    a, theta = nu / 2, 2 * scale
    mean = float(log_mean(t, nu=nu, scale=scale))
    sd = math.sqrt(float(log_variance(t, nu=nu)))

    def gap(y: float) -> float:
        below, above = _log_tails(y, t, a, theta)
        return _logit(below, above) - float(xlogy(1, q) - np.log1p(-q))

    low, high = mean - 2 * sd, mean + 2 * sd
    while gap(low) > 0:
        low -= 3 * sd
    while gap(high) < 0:
        high += 3 * sd
    return float(brentq(gap, low, high, xtol=1e-12, rtol=1e-12))


def _logit(below: float, above: float) -> float:
    tiny = 1e-300
    return math.log(max(below, tiny)) - math.log(max(above, tiny))
