"""Mean and variance of a fitted Gaussian in the regimes that mix, keep or renew data.

Exact laws for any n, maximum likelihood or unbiased, built on the step explained in `anchor`:
expectations of squares of block means, drift between blocks included. `Moments.var` for maximum
likelihood is also the law of a categorical's expected heterozygosity; ``curvature`` turns to other
families, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, polygamma

from tailguard.theory.anchor import (
    Moments,
    affine_path,
    family_laws_of,
    last_generation,
    laws_of,
    mix_step,
    moments,
    real_mix,
)
from tailguard.theory.base import Floats, Law, checked, generations

KAZDAN = "Kazdan et al. 2024, arXiv:2410.16713"
ALEMOHAMMAD = "Alemohammad et al. 2023, arXiv:2307.01850"
SEED_BANK = "Kaj, Krone & Lascoux 2001, J. Appl. Probab. 38:285"
_LONG = 100_000  # factors multiplied before the rest is replaced by its leading order


def fixed_real(
    t: ArrayLike,
    n: int,
    real_frac: float,
    *,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """The same round(real_frac·n) real samples in every generation, the rest from the newest model.

    The first model sees n real samples. For other sizes, weights and first generations, and for the
    limits: `anchor.real_mix` and `anchor.real_mix_limit`. Exact. Source: Alemohammad et al. (2023),
    arXiv:2307.01850, for the regime.

    >>> float(fixed_real(3, n=10, real_frac=0.0).var.round(6))
    0.729
    """
    real = _real(n, real_frac)
    return real_mix(
        t, real, n - real, fixed=True, unbiased=unbiased, curvature=curvature, var0=var0, d=d
    )


def fresh_real(
    t: ArrayLike,
    n: int,
    real_frac: float,
    *,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """New round(real_frac·n) real samples in every generation, the rest from the newest model.

    The first model sees n real samples. Otherwise as `fixed_real`. Exact.

    >>> float(fresh_real(3, n=10, real_frac=1.0).var)
    0.9
    """
    real = _real(n, real_frac)
    return real_mix(t, real, n - real, unbiased=unbiased, curvature=curvature, var0=var0, d=d)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _real(n: int, real_frac: float) -> int:
    """Real samples among n, rounded as the regimes round."""
    checked("n", n, 1, whole=True)
    return round(float(checked("real_frac", real_frac, 0, 1)) * n)


def refresh(
    t: ArrayLike,
    n: int,
    every: int,
    *,
    real_frac: float = 1.0,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Replace, but models 1, 1 + every, 1 + 2·every, … see round(real_frac·n) fresh real samples.

    With real_frac = 1: E var = var0·(1 - 1/n)^(1 + (t-1) mod every), or var0 unbiased with
    E(mean - mean0)² = var0·(1 + (t-1) mod every)/n. Exact. Source: `anchor.mix_step`, repeated.

    >>> refresh([1, 3, 4], n=10, every=3).var.round(6).tolist()
    [0.9, 0.729, 0.9]
    """
    t = generations(t)
    last = last_generation(t)
    every = min(int(checked("every", every, 1, whole=True)), last + 1)
    real = _real(n, real_frac)
    checked("n", n, 2 if unbiased else 1)
    own = mix_step(0, n, unbiased=unbiased, curvature=curvature)
    fresh = mix_step(real, n - real, unbiased=unbiased, curvature=curvature)
    cycle = fresh @ np.linalg.matrix_power(own, every - 1)
    start = np.array([1.0, 0.0, 1.0 / n, 1.0 if unbiased else 1.0 + curvature / n])
    phases = [affine_path(cycle, start, last // every)]
    for _ in range(every - 1):
        phases.append(own @ phases[-1])
    path = np.stack(phases, axis=2).reshape(4, -1)
    return moments(np.hstack([[[1.0], [0.0], [0.0], [1.0]], path]), t, var0, d)


class _Pool(NamedTuple):
    """Pools after 1, 2, … generations: size, E mean², E variance; a fit's share of the last two."""

    size: Floats
    mean_sq: Floats
    var: Floats
    spread: Floats
    fitted: Floats

    @property
    def path(self) -> Floats:
        """States (1, 0, b, v) of the fitted models, from t = 0."""
        b = self.mean_sq + self.spread * self.var
        rows = np.stack([np.ones_like(b), np.zeros_like(b), b, self.fitted * self.var])
        return np.hstack([[[1.0], [0.0], [0.0], [1.0]], rows])


def _pools(steps: int, budget: float, emitted: int, n_real: int, unbiased: bool) -> _Pool:
    """The recursion of `accumulate_subsample`, in units of var0."""
    e = float(checked("emitted", emitted, 1, whole=True))
    size = checked("n_real", n_real, 2, whole=True) + e * np.arange(max(steps, 1))
    k = np.minimum(checked("n", budget, 2), size)
    g = size / (size - 1)
    spread = g / k * (1 - k / size)
    fitted = g if unbiased else g * (1 - 1 / k)
    share = e / (size + e)
    gain = share**2 * (spread + fitted / e)
    factor = 1 + share * (fitted + spread - 1) - gain
    var = (1 - 1 / n_real) * np.cumprod(np.concatenate([[1.0], factor[:-1]]))
    mean_sq = 1 / n_real + np.cumsum(np.concatenate([[0.0], (gain * var)[:-1]]))
    return _Pool(size, mean_sq, var, spread, fitted)


def _pool_path(
    t: Floats, budget: float, emitted: int, n_real: int, unbiased: bool, curvature: float
) -> Floats:
    """States (1, 0, b, v) of the models fitted to pools, from t = 0."""
    steps = last_generation(t)
    if unbiased or curvature == -1.0:
        return _pools(steps, budget, emitted, n_real, unbiased).path
    e = float(checked("emitted", emitted, 1, whole=True))
    size = float(checked("n_real", n_real, 2, whole=True))
    mean_sq, second, rows = 1 / size, 1.0, [(0.0, 1.0)]
    for _ in range(steps):
        k = min(budget, size)
        noise = (second - mean_sq) * (1 - k / size) * size / (size - 1) / k
        b = mean_sq + noise
        v = 1 + curvature * b
        rows.append((b, v))
        second = (size * second + e * (v + b)) / (size + e)
        mean_sq += (e / (size + e)) ** 2 * (noise + v / e)
        size += e
    path = np.array(rows).T
    return np.stack([np.ones_like(path[0]), np.zeros_like(path[0]), *path])


def accumulate(
    t: ArrayLike,
    n: int,
    *,
    emitted: int | None = None,
    n_real: int | None = None,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Train on all data so far: n real samples, then n new ones from each model.

    E var = var0·(1 - 1/n_real)·Π(1 - e/N_i²) over pools N_i = n_real + (i-1)e, i = 2…t, with
    maximum likelihood: for equal sizes var0·Π_{i<=t}(1 - 1/(n·i²)). Unbiased: var0·Π(1 - e/(N_i
    (N_i - 1))), which also falls, since data that share a history vary less than each model.
    ``emitted`` (e) and ``n_real`` default to n; n_real >= 2. Exact. Source: Kazdan et al. (2024),
    arXiv:2410.16713 (maximum likelihood); derived here for other sizes and for unbiased.

    >>> [float(x.round(4)) for x in accumulate(100, n=10)]
    [0.8443, 0.1557]
    """
    t = generations(t)
    path = _pool_path(t, np.inf, _or(emitted, n), _or(n_real, n), unbiased, curvature)
    return moments(path, t, var0, d)


def accumulate_limit(
    n: int,
    *,
    emitted: int | None = None,
    n_real: int | None = None,
    unbiased: bool = False,
    var0: float = 1.0,
) -> Moments:
    """`accumulate` at t → ∞. With r = n_real/e and h = 1/√e, maximum likelihood,

    E var = var0·(1 - 1/n_real)·Γ(1+r)²/(Γ(1+r-h)·Γ(1+r+h)), for equal sizes var0·sin(πh)/(πh).
    Unbiased: var0·Γ(1+r)Γ(1+r-1/e)/(Γ(1+r-x)Γ(1+r-y)), x and y the roots of z² - z/e - 1/e. Exact;
    E mean² unbiased to about 1e-9, by a sum with its tail. Source: as `accumulate`, with the
    Gamma function's product.

    >>> [float(accumulate_limit(10, unbiased=u).var.round(6)) for u in (False, True)]
    [0.843436, 0.935141]
    """
    e, real = _or(emitted, n), _or(n_real, n)
    r = real / e
    if not unbiased:
        h = e**-0.5
        v = (1 - 1 / real) * np.exp(2 * gammaln(1 + r) - gammaln(1 + r - h) - gammaln(1 + r + h))
        return Moments(np.asarray(var0 * v), np.asarray(var0 * (1 - v)))
    root = np.sqrt(0.25 / e**2 + 1 / e)
    x, y = 0.5 / e + root, 0.5 / e - root
    logs = gammaln(1 + r) + gammaln(1 + r - 1 / e) - gammaln(1 + r - x) - gammaln(1 + r - y)
    v = np.exp(logs)
    pools = _pools(_LONG, np.inf, e, real, unbiased)
    b = pools.mean_sq[-1] + v / e * polygamma(1, r + _LONG)
    return Moments(np.asarray(var0 * v), np.asarray(var0 * b))


def accumulate_subsample(
    t: ArrayLike,
    n: int,
    *,
    emitted: int | None = None,
    n_real: int | None = None,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Train on n samples drawn without replacement from all data so far; each model adds n.

    From a pool of size N, E mean² a and E variance u, a fit has E(mean - mean0)² = a + su and
    E var = hu, with g = N/(N-1), s = (g/n)(1 - n/N), h = g(1 - 1/n), or g unbiased. What it writes
    (e samples, N' = N + e) makes a' = a + (e/N')²(s + h/e)u and u' = u·[1 + (e/N')(h + s - 1) -
    (e/N')²(s + h/e)]; h + s = 1 for maximum likelihood, which keeps a + u = var0. A pool smaller
    than n is used whole. Exact. Source: regime of Kazdan et al. (2024), arXiv:2410.16713;
    recursion derived here.

    >>> accumulate_subsample([1, 100], n=10).var.round(4).tolist()
    [0.9, 0.7411]
    """
    t = generations(t)
    checked("n", n, 2, whole=True)
    path = _pool_path(t, n, _or(emitted, n), _or(n_real, n), unbiased, curvature)
    return moments(path, t, var0, d)


def accumulate_subsample_limit(
    n: int,
    *,
    emitted: int | None = None,
    n_real: int | None = None,
    unbiased: bool = False,
    var0: float = 1.0,
) -> Moments:
    """`accumulate_subsample` at t → ∞: positive for maximum likelihood, infinite unbiased.

    Late factors are 1 - c/(i + n_real/e)², c = 1/n + (1 - 1/n)/e; 1e5 of them are multiplied, the
    rest are replaced by their leading order (error about 1e-10). Unbiased, h + s - 1 → 1/n, so
    E var grows as t^(1/n): an unbiased fit and its wandering mean write more than they read.
    Source: as `accumulate_subsample`.

    >>> float(accumulate_subsample_limit(10).var.round(4))
    0.739
    """
    e, real = _or(emitted, n), _or(n_real, n)
    if unbiased:
        return Moments(np.asarray(np.inf), np.asarray(np.inf))
    pools = _pools(_LONG, n, e, real, unbiased)
    rest = (1 / n + (1 - 1 / n) / e) * polygamma(1, real / e + _LONG)
    v = (1 - 1 / n) * pools.var[-1] * np.exp(-rest)
    return Moments(np.asarray(var0 * v), np.asarray(var0 * (1 - v)))


def window(
    t: ArrayLike,
    n: int,
    width: int,
    *,
    unbiased: bool = False,
    curvature: float = -1.0,
    var0: float = 1.0,
    d: int = 1,
) -> Moments:
    """Train on the last ``width`` generations of data, n samples each; real data leave the window.

    The covariance C of the block means in the window is carried along: b is the mean of all its
    entries, a new block has covariances equal to the row means and variance b + v/n. Width 1 is
    `replace`, a width of at least t is `accumulate`. Cost t·width². Exact. Source: derived here.

    >>> window([3, 5], n=10, width=1).var.round(6).tolist()
    [0.729, 0.59049]
    """
    t = generations(t)
    width = int(checked("width", width, 1, whole=True))
    checked("n", n, 2, whole=True)
    steps = last_generation(t)
    path = np.zeros((4, steps + 1))
    path[3, 0] = 1.0
    cov, second = np.array([[1.0 / n]]), np.array([1.0])
    for step in range(1, steps + 1):
        b, whole = cov.mean(), n * len(cov)
        if unbiased:
            v = (second.mean() - b) * whole / (whole - 1)
        else:
            v = second.mean() - b if curvature == -1.0 else 1.0 + curvature * b
        path[2:, step] = b, v
        kept = max(0, len(cov) + 1 - width)
        row = cov.mean(axis=0)[kept:]
        cov = np.block([[cov[kept:, kept:], row[:, None]], [row[None], np.array([[b + v / n]])]])
        second = np.append(second[kept:], v + b)
    return moments(path, t, var0, d)


def window_decay(n: int, width: int) -> float:
    """Share of E var that a window loses in each late generation: about 1/(n·((width + 1)/2)²).

    Two samples descend from one when their lineages meet; each jump goes back uniformly 1…width
    generations, (width + 1)/2 on average, which slows meeting by that squared. Asymptotic in
    n → ∞ at fixed width; exact at width 1. Source: Kaj, Krone & Lascoux (2001), J. Appl. Probab.
    38:285 (seed bank).

    >>> window_decay(100, 1), window_decay(100, 3)
    (0.01, 0.0025)
    """
    checked("n", n, 2, whole=True)
    checked("width", width, 1, whole=True)
    return 1 / (n * ((width + 1) / 2) ** 2)


_WITH_FAMILIES: tuple[tuple[Callable[..., Moments], str, str], ...] = (
    (fixed_real, "fixed-real", ALEMOHAMMAD),
    (fresh_real, "fresh-real", ALEMOHAMMAD),
    (refresh, "refresh", "derived from Alemohammad et al. 2023, arXiv:2307.01850"),
    (accumulate, "accumulate", KAZDAN),
    (accumulate_subsample, "accumulate-subsample", KAZDAN),
    (window, "window", SEED_BANK),
)
# Those of accumulate for Gaussians and categoricals are in `tailguard.theory.accumulating`.
LAWS: tuple[Law, ...] = (
    *(law for source in _WITH_FAMILIES if source[0] is not accumulate for law in laws_of(*source)),
    *(law for source in _WITH_FAMILIES for law in family_laws_of(*source)),
)
