"""How long a symbol survives when counts are drawn from counts, again and again.

A corpus of n tokens is replaced by n tokens drawn from its own frequencies. A symbol's count is
then a Wright–Fisher chain: binomial, and close to Poisson for rare symbols. Survival at t means
that sample t still contains the symbol; sample 1 is drawn from the true probabilities.

The exact law is that of `tailguard.theory.ancestry`: a symbol of probability p is missing at t if
none of the A_{t-1} ancestors in sample 1 is it, P(missing) = E(1 - p)^{A_{t-1}}. It is exact for
n <= 2,000 and right to 1e-6 above.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tailguard.errors import InputError
from tailguard.theory.ancestry import generating, mean_ancestors
from tailguard.theory.base import Floats, Law, checked, generations


def poisson_rate(t: ArrayLike) -> Floats:
    """g_t, the t-fold iterate of 1 - exp(-x) from infinity: ∞, 1, 0.632, 0.469, …

    Exact. g_t ~ 2/t for t → ∞; see `poisson_rate_bounds`.

    >>> poisson_rate([0, 1, 2, 10]).round(4).tolist()
    [inf, 1.0, 0.6321, 0.1723]

    Source: Suresh et al. 2024, arXiv:2412.17646, theorem 2.
    """
    t = generations(t)
    path = [np.inf]
    for _ in range(int(t.max(initial=0))):
        path.append(-np.expm1(-path[-1]))
    return np.asarray(np.array(path)[t.astype(np.int64)])


def poisson_rate_bounds(t: ArrayLike, *, sharp: bool = True) -> tuple[Floats, Floats]:
    """Lower and upper bound on g_t for t >= 1; (∞, ∞) at t = 0.

    Of the paper: 1/t <= g_t <= 3/t. ``sharp``: 1/((t + 1)/2 + (H_t - 1)/6) <= g_t <= 2/(t + 1), H_t
    the harmonic number, from 1/g + 1/2 <= 1/(1 - exp(-g)) <= 1/g + 1/2 + g/12.

    >>> [float(g.round(4)) for g in poisson_rate_bounds(50)]
    [0.0383, 0.0392]

    Source: Suresh et al. 2024, arXiv:2412.17646, theorem 2; sharp ones derived here.
    """
    t = generations(t)
    with np.errstate(divide="ignore", invalid="ignore"):
        if not sharp:
            return np.asarray(1 / t), np.asarray(3 / t)
        harmonic = np.cumsum(np.r_[1.0, 1 / np.arange(1, int(t.max(initial=0)) + 1)]) - 1
        half = (t + 1) / 2
        low = 1 / (half + (harmonic[t.astype(np.int64)] - 1) / 6)
        return np.where(t == 0, np.inf, low), np.where(t == 0, np.inf, 1 / half)


def poisson_survival(t: ArrayLike, count: ArrayLike) -> Floats:
    """P(a symbol of Poisson mean ``count`` is still there at t) = 1 - exp(-count·g_t).

    ``count`` is n·λ_0 or the count in the corpus that is generation 0; broadcasts with t. Exact for
    Poisson sampling; for a corpus of fixed size (`survival`) a lower bound, close for rare symbols.
    Domain: count >= 0. t = 0: 1 for count > 0. t → ∞: about 2·count/t.

    >>> poisson_survival([10, 50], 10).round(4).tolist()
    [0.8214, 0.3187]

    Source: Suresh et al. 2024, arXiv:2412.17646, theorem 2.
    """
    mean = checked("count", count, 0)
    with np.errstate(invalid="ignore"):
        return np.where(mean == 0, 0.0, -np.expm1(-mean * poisson_rate(t)))


def survival(t: ArrayLike, n: int, p0: ArrayLike) -> Floats:
    """P(a symbol of probability p0 is still there at t) = 1 - E(1 - p0)^{A_{t-1}}, shape t + p0.

    The symbol may have taken over. Exact; above n = 2,000 to 1e-6. t = 0: 1 for p0 > 0. t → ∞: p0,
    the probability of taking over.

    >>> survival([1, 10, 50], 100, 0.01).round(3).tolist()
    [0.634, 0.161, 0.041]

    Source: Suresh et al. 2024, arXiv:2412.17646 (Bernoulli setting); derived here by duality.
    """
    t, p = generations(t), checked("p0", p0, 0, 1)
    missing = generating(np.maximum(t - 1, 0), n, 1 - p)
    start = np.reshape(t == 0, t.shape + (1,) * p.ndim)
    return np.where(start, np.where(p > 0, 1.0, 0.0), np.clip(1 - missing, 0.0, 1.0))


def survival_bounds(t: ArrayLike, n: ArrayLike, p0: ArrayLike) -> tuple[Floats, Floats]:
    """Bounds on `survival`, t, n and p0 broadcast: 1 - exp(-n·p0·g_t) and 1 - (1 - p0)^{a_{t-1}}.

    Lower: E exp(-sX) <= exp(-n·p0·(1 - exp(-s))) for a binomial X, by induction. Upper: Jensen on
    the number of ancestors, with a of `tailguard.theory.ancestry.mean_ancestors`. Any n; close for
    rare symbols.

    >>> [b.round(3).tolist() for b in survival_bounds([1, 10, 50], 100, 0.01)]
    [[0.632, 0.158, 0.038], [0.634, 0.162, 0.043]]

    Source: derived here; setting of Suresh et al. 2024, arXiv:2412.17646.
    """
    t, p = generations(t), checked("p0", p0, 0, 1)
    low = poisson_survival(t, np.asarray(n, np.float64) * p)
    with np.errstate(divide="ignore"):
        high = -np.expm1(mean_ancestors(np.maximum(t - 1, 0), n) * np.log1p(-p))
    start = np.where(p > 0, 1.0, 0.0)
    return np.where(t == 0, start, low), np.where(t == 0, start, high)


def survivors(t: ArrayLike, n: int, p: ArrayLike) -> Floats:
    """Expected number of symbols in sample t, of those with probabilities ``p`` (k,); shape of t.

    Exact; above n = 2,000 to 1e-6 of k. t = 0: symbols of p > 0. t → ∞: 1.

    >>> survivors([0, 1, 100], 100, np.full(100, 0.01)).round(2).tolist()
    [100.0, 63.4, 2.3]

    Source: as `survival`.
    """
    return _total(t, n, probabilities(p), None)


def unseen_mass(t: ArrayLike, n: int, p: ArrayLike) -> Floats:
    """Expected true probability of the symbols that sample t lacks: Σ p_i·P(i missing); shape of t.

    Exact; above n = 2,000 to 1e-6. t = 0: 0. t → ∞: 1 - Σp².

    >>> unseen_mass([0, 1, 10], 100, np.full(100, 0.01)).round(3).tolist()
    [0.0, 0.366, 0.839]

    Source: Dohmatob et al. 2024, arXiv:2402.07043 (t = 1); derived here for all t.
    """
    share = probabilities(p)
    return np.maximum(share.sum() - _total(t, n, share, share), 0.0)


def probabilities(p: ArrayLike) -> Floats:
    """``p`` as a flat vector in [0, 1] that sums to 1, or InputError.

    >>> probabilities([0.5, 0.5]).tolist()
    [0.5, 0.5]
    """
    vector = checked("p", p, 0, 1)
    if vector.ndim != 1 or not np.isclose(vector.sum(), 1.0, rtol=0, atol=1e-9):
        got = f"shape {vector.shape}, sum {vector.sum():g}"
        raise InputError("p", "a vector of probabilities with sum 1", got, "divide by the sum")
    return vector


def _total(t: ArrayLike, n: int, p: Floats, weight: Floats | None) -> Floats:
    """Σ_i weight_i·P(i survives until t), equal probabilities taken together."""
    values, where = np.unique(p, return_inverse=True)
    mass = np.bincount(where, weights=weight, minlength=len(values))
    return np.asarray(survival(t, n, values) @ mass)


def surviving_share(t: ArrayLike, n: int, p: ArrayLike) -> Floats:
    """Expected share of the symbols of probability > 0 that sample t contains; shape of t.

    `survivors` over their number. Exactness as there.

    >>> surviving_share([0, 1], 100, np.full(100, 0.01)).round(3).tolist()
    [1.0, 0.634]
    """
    share = probabilities(p)
    return np.asarray(survivors(t, n, share) / np.count_nonzero(share))


def _coin_alive(t: ArrayLike, n: int, p: ArrayLike) -> Floats:
    return survival(t, n, probabilities(p)[-1])


def _rate_alive(t: ArrayLike, n: int, var0: float) -> Floats:
    return poisson_survival(t, n * float(checked("var0", var0, 0)))  # the rate is the variance


CITE = "Suresh et al. 2024, arXiv:2412.17646"
_REPLACE, _COUNTS = ("replace",), ("categorical", "bernoulli")
LAWS: tuple[Law, ...] = (
    Law("replace: survival of a coin", _coin_alive, _REPLACE, ("bernoulli",), "alive", cite=CITE),
    Law("replace: survival of a rate", _rate_alive, _REPLACE, ("poisson",), "alive", cite=CITE),
    Law("replace: survivors", survivors, _REPLACE, _COUNTS, "survivors", cite=CITE),
    Law("replace: surviving share", surviving_share, _REPLACE, _COUNTS, "survival", cite=CITE),
    Law("replace: unseen mass", unseen_mass, _REPLACE, _COUNTS, "unseen_mass",
        cite="Dohmatob et al. 2024, arXiv:2402.07043"),
)  # fmt: skip
