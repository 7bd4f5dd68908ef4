"""How many types there are, seen and unseen, and how evenly tokens are spread over them.

Every function takes a vector of counts, one per type (zeros are ignored), or a `Spectrum`, the
frequencies of frequencies; pass a `Spectrum` when asking several questions of the same counts.

**On a sample of types.** When a profile kept counts only for a coordinated sample of types, each
kept with probability p, build ``Spectrum.of(counts, scale=1 / p, n=tokens)`` with the exact total
of tokens: a kept type then stands for 1/p types (Horvitz & Thompson 1952).

- *Unbiased*, being sums over types: `missing_mass`, `simpson`, `entropy_plugin_bits`, ``hill`` at
  q = 0; for m <= n also `rarefaction.mao_tau`, ``hill_at`` at q = 0, and ``coverage_at`` (m < n).
- *Consistent*, being ratios of such sums: `coverage`, `chao1`, `ace`.
- *Noisy*: sums that the few most frequent types dominate, so that it matters whether they were
  kept: `simpson`, the entropies, ``hill`` at q >= 1. Count those types exactly and give them
  weight 1 with `Spectrum.of_frequencies`.
- *Undefined*: `zipf_slope_rank_mle`, because the ranks of the kept types are unknown.

Such estimates may leave the ranges that the functions state for complete counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp, psi, zeta

from tailguard.errors import InputError
from tailguard.measure.base import Floats, Ints

NAN = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Frequencies of frequencies: ``f[i]`` types were seen ``k[i]`` times, in ``n`` draws.

    ``k`` (U,) is ascending, distinct and positive; ``f`` (U,) is positive, and fractional for a
    weighted sample of types; ``n`` is the number of tokens, or of units for incidences, and 0 where
    no type was seen.

    >>> s = Spectrum.of([3, 1, 0, 1, 2])
    >>> s.k.tolist(), s.f.tolist(), s.n, s.types
    ([1, 2, 3], [2.0, 1.0, 1.0], 7, 4.0)
    """

    k: Ints
    f: Floats
    n: int

    @classmethod
    def of(cls, counts: ArrayLike, *, scale: float = 1.0, n: int | None = None) -> Spectrum:
        """Spectrum of a vector of counts; each type stands for ``scale`` types.

        ``n`` is the number of draws, by default the (scaled) sum of the counts. Raises `InputError`
        unless ``counts`` is a flat vector of whole numbers >= 0, ``scale`` >= 1, and no count
        exceeds ``n``.
        """
        if not scale >= 1.0:
            raise InputError("scale", "a number >= 1", str(scale), "pass 1 / inclusion probability")
        k, f = np.unique(_whole(counts), return_counts=True)
        return cls.of_frequencies(k, f * scale, n=n)

    @classmethod
    def of_frequencies(cls, k: ArrayLike, f: ArrayLike, *, n: int | None = None) -> Spectrum:
        """Spectrum from abundances ``k`` and how many types have each; repeated ``k`` are added.

        >>> Spectrum.of_frequencies([1, 2, 1], [4, 1, 0.5]).f.tolist()
        [4.5, 1.0]
        """
        abundance, weight = _whole(k), np.asarray(f, dtype=np.float64)
        if abundance.shape != weight.shape or not np.all(weight >= 0):
            got = f"{weight.size} weights for {abundance.size} abundances, or a negative one"
            raise InputError("frequencies", "one weight >= 0 per abundance", got, "check f")
        kept = (abundance > 0) & (weight > 0)
        unique, where = np.unique(abundance[kept], return_inverse=True)
        totals = np.bincount(where, weights=weight[kept], minlength=unique.size)
        if unique.size == 0:
            n = 0  # nothing is known about the draws: everything is undefined
        n = round(float(unique @ totals)) if n is None else int(n)
        if unique.size and n < unique[-1]:
            raise InputError("n", f"at least the largest count {unique[-1]}", str(n), "correct n")
        return cls(unique, totals.astype(np.float64), n)

    @property
    def types(self) -> float:
        """Number of types seen, S."""
        return float(self.f.sum())

    def at(self, k: int) -> float:
        """Number of types seen exactly ``k`` times, f_k."""
        return float(self.f[self.k == k].sum())


Counts = ArrayLike | Spectrum


def _whole(counts: ArrayLike) -> Ints:
    x = np.asarray(counts)
    if x.ndim != 1 or (x.size and x.dtype.kind not in "iu"):
        what = f"{x.dtype} array of shape {x.shape}"
        raise InputError("counts", "a flat vector of integers", what, "pass one count per type")
    if x.size and x.min() < 0:
        raise InputError("counts", "numbers >= 0", str(x.min()), "remove negative counts")
    return x.astype(np.int64, copy=False)


def spectrum_of(counts: Counts) -> Spectrum:
    """A `Spectrum` as it is, a vector of counts as its `Spectrum`."""
    return counts if isinstance(counts, Spectrum) else Spectrum.of(counts)


def order_of(q: float) -> float:
    """Check an order of diversity; next to 1, where the general formula cancels, it becomes 1."""
    if not 0 <= q < math.inf:
        raise InputError("q", "a finite order >= 0", str(q), "use 0, 1 or 2")
    return 1.0 if abs(q - 1) < 1e-8 else float(q)


def unseen_types(s: Spectrum) -> float:
    """Chao's lower bound on the number of unseen types, f0; 0 where no type is a singleton."""
    f1, f2 = s.at(1), s.at(2)
    if s.n < 1 or f1 == 0:
        return 0.0
    pairs = f1 * f1 / (2 * f2) if f2 else f1 * (f1 - 1) / 2
    return (s.n - 1) / s.n * pairs


def missing_mass(counts: Counts) -> float:
    """Share of future tokens whose type was not seen yet (Good–Turing): f1 / n.

    Range [0, 1]; 1 when every token is new. ``nan`` when n = 0. Good (1953), Biometrika 40.

    >>> missing_mass([5, 2, 1, 1])
    0.2222222222222222
    """
    s = spectrum_of(counts)
    return s.at(1) / s.n if s.n else NAN


def coverage(counts: Counts) -> float:
    """Share of the whole distribution that belongs to types already seen, better than 1 - f1/n.

    1 - (f1/n) A, A = (n-1) f1 / ((n-1) f1 + 2 f2), or (n-1)(f1-1) / ((n-1)(f1-1) + 2) if f2 = 0.
    Range [0, 1]; 1 when there is no singleton (or only one, and no doubleton). ``nan`` when n < 2.
    Chao & Jost (2012), Ecology 93.

    >>> round(coverage([5, 2, 1, 1]), 4)
    0.8025
    """
    s = spectrum_of(counts)
    if s.n < 2:
        return NAN
    f0, f1 = unseen_types(s), s.at(1)
    return 1 - f1 / s.n * (s.n * f0 / (s.n * f0 + f1)) if f1 else 1.0


def chao1(counts: Counts) -> float:
    """Lower bound on the number of types, seen and unseen: S + (n-1)/n f1² / (2 f2).

    Where f2 = 0, S + (n-1)/n f1 (f1 - 1) / 2. Range [S, inf); ``nan`` when n = 0.
    Chao (1984), Scand. J. Statistics 11, with the factor (n-1)/n of Chao et al. (2014), which
    some packages leave out.

    >>> round(chao1([5, 2, 1, 1]), 4)
    5.7778
    """
    s = spectrum_of(counts)
    return s.types + unseen_types(s) if s.n else NAN


def ace(counts: Counts, rare: int = 10) -> float:
    """Abundance-based coverage estimate of the number of types, seen and unseen.

    S_abundant + S_rare / C + f1 / C · γ²; rare are the types seen at most ``rare`` times, in N_r
    tokens; C = 1 - f1 / N_r and γ² = max(S_rare / C · Σ k(k-1) f_k / (N_r (N_r - 1)) - 1, 0).
    Range [S, inf); ``nan`` when n = 0 or when all rare types are singletons (C = 0; use `chao1`).
    Chao & Lee (1992), JASA 87.

    >>> ace([12, 3, 2, 2, 1])
    5.571428571428571
    """
    s = spectrum_of(counts)
    low = s.k <= rare
    k, f = s.k[low], s.f[low]
    tokens, types, f1 = float(k @ f), float(f.sum()), s.at(1)
    if s.n == 0 or (f1 and f1 == types):
        return NAN
    if types == 0:
        return s.types
    c = 1 - f1 / tokens
    spread = max(types / c * float((k * (k - 1.0)) @ f) / (tokens * (tokens - 1)) - 1, 0.0)
    return s.types - types + types / c + f1 / c * spread


def simpson(counts: Counts) -> float:
    """Chance that two tokens drawn without replacement share their type: Σ x(x-1) / (n(n-1)).

    Unbiased for Σ p². Range [0, 1]; ``nan`` when n < 2. Simpson (1949), Nature 163.

    >>> simpson([2, 2])
    0.3333333333333333
    """
    s = spectrum_of(counts)
    return float((s.k / s.n * ((s.k - 1) / (s.n - 1))) @ s.f) if s.n > 1 else NAN


def hill(counts: Counts, q: float) -> float:
    """Hill number of order q of the sample: how many equally frequent types are as diverse.

    (Σ p^q)^(1/(1-q)), p = x/n; q = 0 is the number of types, q = 1 the limit exp(-Σ p ln p), q = 2
    the inverse of Σ p². Any finite q >= 0. Range [1, S], falling in q; ``nan`` when n = 0.
    Hill (1973), Ecology 54.

    >>> hill([4, 4, 4, 4], 2), round(hill([6, 1, 1], 1), 4)
    (4.0, 2.0868)
    """
    s, q = spectrum_of(counts), order_of(q)
    if s.n == 0:
        return NAN
    if q == 0:
        return s.types
    log_p = np.log(s.k / s.n)
    if q == 1:
        return math.exp(-float((s.f * s.k / s.n) @ log_p))
    return math.exp(float(logsumexp(q * log_p, b=s.f)) / (1 - q))


def hill_asymptotic(counts: Counts, q: int) -> float:
    """Hill number of the distribution that the sample came from, for q = 0, 1, 2.

    q = 0: `chao1`, a lower bound, ``nan`` when n = 0. q = 1: exp of the entropy estimate of Chao,
    Wang & Jost (2013), Methods Ecol. Evol. 4, ``nan`` when n < 2. q = 2: 1 / `simpson`, the
    minimum-variance unbiased route, ``nan`` when no type occurs twice. Range [1, inf). Other orders
    raise `InputError`.

    >>> [round(hill_asymptotic([9, 4, 2, 2, 1, 1], q), 3) for q in (0, 1, 2)]
    [6.947, 5.196, 3.886]
    """
    if q not in (0, 1, 2):
        raise InputError("q", "0, 1 or 2", str(q), "use hill for other orders")
    s = spectrum_of(counts)
    if q == 0:
        return chao1(s)
    if q == 1:
        return math.exp(_entropy_chao_wang_jost(s))
    concentration = simpson(s)
    return 1 / concentration if concentration > 0 else NAN


def _entropy_chao_wang_jost(s: Spectrum) -> float:
    """Σ x/n (ψ(n) - ψ(x)) for the types seen, plus the share of the unseen; nats."""
    if s.n < 2:
        return NAN
    seen = float((s.k / s.n * (psi(s.n) - psi(s.k))) @ s.f)
    f0, f1 = unseen_types(s), s.at(1)
    if f0 == 0:
        return seen
    # The published remainder, f1/n (1-A)^(1-n) (-ln A - Σ_{r<n} (1-A)^r / r), loses all its digits
    # for large n. It equals f1/n ∫ exp(-t) u / (n (1 - u exp(-t/n))) dt over t > 0 with u = 1 - A,
    # smooth and two-sided decaying in v = ln t, where the trapezoid rule is exact to rounding.
    u, a = s.n * f0 / (s.n * f0 + f1), f1 / (s.n * f0 + f1)
    step = 0.25
    v = np.arange(min(math.log(s.n * a), 0.0) - 38, math.log(746), step)
    t = np.exp(v)
    tail = np.exp(-t) * u * t / (s.n * (a - u * np.expm1(-t / s.n)))
    return seen + f1 / s.n * step * float(tail.sum())


def entropy_plugin_bits(counts: Counts) -> float:
    """Entropy of the sample, -Σ p log2 p: biased low by about (S - 1) / (2 n) nats.

    Range [0, log2 S] bits; ``nan`` when n = 0. Shannon (1948).

    >>> entropy_plugin_bits([2, 2, 2, 2])
    2.0
    """
    s = spectrum_of(counts)
    p = s.k / s.n if s.n else s.k
    return float(-(s.f * p) @ np.log2(p)) + 0.0 if s.n else NAN


def entropy_miller_madow_bits(counts: Counts) -> float:
    """Plug-in entropy plus the first-order correction (S - 1) / (2 n ln 2).

    Range [0, inf) bits; ``nan`` when n = 0. Miller (1955).

    >>> round(entropy_miller_madow_bits([2, 2]), 4)
    1.1803
    """
    s = spectrum_of(counts)
    return entropy_plugin_bits(s) + (s.types - 1) / (2 * s.n * math.log(2)) if s.n else NAN


def entropy_chao_shen_bits(counts: Counts) -> float:
    """Entropy with unseen types: -Σ c p log2(c p) / (1 - (1 - c p)^n), c = 1 - f1/n.

    Where every token is a singleton, c = 1/n instead of 0. Range [0, inf) bits; ``nan`` when n = 0.
    Chao & Shen (2003), Environ. Ecol. Statistics 10.

    >>> round(entropy_chao_shen_bits([4, 2, 1, 1]), 4)
    2.2771
    """
    s = spectrum_of(counts)
    if s.n == 0:
        return NAN
    p = max(1 - s.at(1) / s.n, 1 / s.n) * s.k / s.n
    with np.errstate(divide="ignore"):  # a single type: log1p(-1) = -inf gives inclusion 1
        included = -np.expm1(s.n * np.log1p(-p))
    return float(-(s.f * p / included) @ np.log2(p)) + 0.0


def zipf_slope_rank_mle(counts: Counts) -> float:
    """Exponent a of Zipf's law p(r) ∝ r^-a over the S ranks seen, by maximum likelihood.

    Solves Σ x_r ln r / n = Σ r^-a ln r / Σ r^-a, r = 1..S by falling count. Range [0, 64]; biased
    where ranks are noisy, because they come from the same counts (Moreno-Sánchez et al. 2016, PLOS
    ONE 11). ``nan`` when fewer than two types were seen, or for a sample of types (fractional f).

    >>> round(zipf_slope_rank_mle([1000, 500, 333, 250, 200]), 3)
    1.0
    """
    s = spectrum_of(counts)
    if s.types < 2 or np.any(s.f % 1):
        return NAN
    last = np.cumsum(s.f[::-1])
    log_ranks = np.diff(gammaln(last + 1), prepend=0.0)  # Σ ln r over the ranks of one count
    tokens = s.k[::-1]
    mean = float(tokens @ log_ranks) / float(s.k @ s.f)
    log_r = np.log(np.arange(1, int(last[-1]) + 1))

    def excess(a: float) -> float:
        weight = np.exp(-a * log_r)
        return float(weight @ log_r / weight.sum()) - mean

    return float(brentq(excess, 0.0, 64.0)) if excess(0.0) > 1e-12 else 0.0


def zipf_slope_spectrum_mle(counts: Counts) -> float:
    """Zipf exponent 1 / (γ - 1) from the maximum-likelihood γ of f_k ∝ k^-γ, k >= 1.

    Ruled by the many rare types where `zipf_slope_rank_mle` is by the few frequent ones; right on
    a sample of types too. Range (0, inf); ``nan`` when no type, or only singletons, were
    seen. Clauset, Shalizi & Newman (2009), SIAM Review 51, with k_min = 1.

    >>> k = np.arange(1, 2000)
    >>> round(zipf_slope_spectrum_mle(Spectrum.of_frequencies(k, 1e6 * k**-2.0)), 1)
    1.0
    """
    s = spectrum_of(counts)
    if s.n == 0 or s.k[-1] == 1:
        return NAN
    mean = float(s.f @ np.log(s.k)) / s.types

    def excess(gamma: float) -> float:
        h = 1e-5 * (gamma - 1)
        return mean + float(np.log(zeta(gamma + h) / zeta(gamma - h))) / (2 * h)

    return 1 / (float(brentq(excess, 1 + 1e-3, 60.0)) - 1)
