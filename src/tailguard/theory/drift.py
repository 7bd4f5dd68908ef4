"""Frequencies that drift: heterozygosity, taking over, and the time until one symbol is left.

Sample t, of size n, is drawn from the frequencies of sample t - 1 (multinomial); sample 1 from the
true probabilities ``p`` (k,). This is the Wright–Fisher model of population genetics without
mutation. Symbols are categories; conventions are those of `tailguard.theory.survival`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlog1py, xlogy

from tailguard.theory.ancestry import exact_size, expected_lineages, generating
from tailguard.theory.base import Floats, Law, checked, generations
from tailguard.theory.survival import probabilities


def heterozygosity0(p: ArrayLike) -> float:
    """1 - Σp²: the probability that two draws differ.

    >>> heterozygosity0([0.5, 0.5])
    0.5
    """
    return float(1.0 - (probabilities(p) ** 2).sum())


def heterozygosity(t: ArrayLike, n: ArrayLike, h0: ArrayLike = 1.0) -> Floats:
    """E(1 - Σp̂²) at t: h0·(1 - 1/n)^t, relative to the start if h0 = 1.

    Exact, for any number of categories. t → ∞: 0, so that one symbol takes over. n → ∞: h0.

    >>> float(heterozygosity(50, 100).round(3))
    0.605

    Source: Seddik et al. 2024, arXiv:2404.05090; Wright (1931), Genetics 16:97.
    """
    size, start = checked("n", n, 1, whole=True), checked("h0", h0, 0, 1)
    return np.asarray(start * (1 - 1 / size) ** generations(t))


def squared_error(t: ArrayLike, n: ArrayLike, h0: ArrayLike = 1.0) -> Floats:
    """E|p̂_t - p|², summed over categories: h0·(1 - (1 - 1/n)^t). Exact. t → ∞: h0.

    >>> float(squared_error(50, 100, 0.0198).round(5))
    0.00782

    Source: as `heterozygosity`; E p̂_t = p is a martingale.
    """
    return np.asarray(checked("h0", h0, 0, 1) - heterozygosity(t, n, h0))


def fixation_probability(p: ArrayLike) -> Floats:
    """P(a symbol is the one that is left) = its initial probability. Exact, any n; p in [0, 1].

    >>> fixation_probability([0.5, 0.3, 0.15, 0.05]).tolist()
    [0.5, 0.3, 0.15, 0.05]

    Source: Shumailov et al. 2024, Nature 631:755 (absorbing chain); frequencies are a martingale.
    """
    return checked("p", p, 0, 1)


def fixation_cdf(t: ArrayLike, n: int, p: ArrayLike) -> Floats:
    """P(one symbol is left by sample t) = Σ_i E p_i^{A_{t-1}}, A the ancestors; shape of t.

    Exact; above n = 2,000 to 1e-6. t = 0: 0, or 1 where some p_i = 1.

    >>> fixation_cdf([0, 1, 200], 100, np.full(100, 0.01)).round(3).tolist()
    [0.0, 0.0, 0.62]

    Source: derived here by the duality of `tailguard.theory.ancestry`.
    """
    t, share = generations(t), probabilities(p)
    values, many = np.unique(share, return_counts=True)
    left = generating(np.maximum(t - 1, 0), n, values) @ many
    return np.where(t == 0, 1.0 if share.max() == 1.0 else 0.0, np.minimum(left, 1.0))


def fixation_time(n: int, p: ArrayLike) -> float:
    """Expected first t at which sample t holds one symbol only, for any number of categories.

    E T = Σ_{t>=0} P(T > t) = 1 + Σ_a G(a)·(1 - Σ_i p_i^a), where G(a) is the expected number of
    generations with a ancestors. Exact; above n = 2,000 to about 1e-6. 0 where some p_i = 1.

    >>> round(fixation_time(100, np.full(100, 0.01)), 2)
    196.74

    Source: Kazdan et al. 2024, arXiv:2410.16713 (setting); derived here by duality.
    """
    share = probabilities(p)
    if share.max() == 1.0:
        return 0.0
    spent, ancestors = expected_lineages(n)
    values, many = np.unique(share, return_counts=True)
    same = np.power(values, ancestors[:, None]) @ many
    return float(1.0 + spent @ (1.0 - same))


def fixation_time_diffusion(n: ArrayLike, p: ArrayLike) -> Floats:
    """Approximation of `fixation_time` for large n: -2n·Σ_i (1 - p_i)·log(1 - p_i).

    Asymptotic in n, relative error about 1/n for symbols that are not rare. From a sample of n
    different symbols it is 2n(1 - 1/n). At most 2n.

    >>> float(fixation_time_diffusion(100, np.full(100, 0.01)).round(1))
    199.0

    Source: Ewens 2004, Mathematical Population Genetics, 5.2 (two symbols); Kingman (1982) for the
    coalescent, whose sum Σ_a (1 - Σp_i^a)·2n/(a(a - 1)) gives all.
    """
    share, size = probabilities(p), checked("n", n, 1, whole=True)
    return np.asarray(-2 * size * xlog1py(1 - share, -share).sum())


def count_distribution(t: ArrayLike, n: int, p0: float) -> Floats:
    """P(a symbol's count at t is 0 … n), shape t + (n+1,), for t >= 1; two symbols or one of many.

    Exact, by the chain itself; n <= 2,000.

    >>> count_distribution([1, 2], 2, 0.5).round(6).tolist()
    [[0.25, 0.5, 0.25], [0.375, 0.25, 0.375]]

    Source: Wright (1931), Genetics 16:97.
    """
    t, size = checked("t", t, 1, whole=True), exact_size(n)
    counts = np.arange(size + 1)
    state = binomial_pmf(counts, size, checked("p0", p0, 0, 1))
    matrix = _transitions(size)
    out = np.empty((*t.shape, size + 1))
    for now in range(1, int(t.max(initial=1)) + 1):
        if now > 1:
            state = state @ matrix
        out[t == now] = state
    return out


def entropy_nats(t: ArrayLike, n: int, p: ArrayLike) -> Floats:
    """Expected Shannon entropy -Σ p̂ log p̂ of sample t, in nats; shape of t.

    Exact, by the chain of one count, backwards; n <= 2,000. t = 0: entropy of p. t → ∞: 0.

    >>> entropy_nats([0, 1, 2], 2, [0.5, 0.5]).round(4).tolist()
    [0.6931, 0.3466, 0.1733]

    Source: derived here; setting of Seddik et al. 2024, arXiv:2404.05090.
    """
    t, share, size = generations(t), probabilities(p), exact_size(n)
    values, many = np.unique(share, return_counts=True)
    counts = np.arange(size + 1)
    first, matrix = many @ binomial_pmf(counts, size, values[:, None]), _transitions(size)
    ahead = -xlogy(counts / size, counts / size)
    out = np.full(t.shape, float(-xlogy(share, share).sum()))
    for now in range(1, int(t.max(initial=0)) + 1):
        if now > 1:
            ahead = matrix @ ahead
        out[t == now] = first @ ahead
    return out


def binomial_pmf(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """P(k successes of n), broadcast; 0 for k > n. Exact, for all p (SciPy's fails near 0).

    >>> binomial_pmf([0, 1, 2, 3], 2, 0.5).round(6).tolist()
    [0.25, 0.5, 0.25, 0.0]
    """
    counts, size, share = (np.asarray(x, np.float64) for x in (k, n, p))
    rest = np.maximum(size - counts, 0.0)
    log_choose = gammaln(size + 1) - gammaln(counts + 1) - gammaln(rest + 1)
    log_mass = log_choose + xlogy(counts, share) + xlog1py(rest, -share)
    return np.where(counts > size, 0.0, np.exp(log_mass))


def _transitions(n: int) -> Floats:
    """Row c: distribution of the next count of a symbol of count c."""
    counts = np.arange(n + 1)
    return binomial_pmf(counts, n, counts[:, None] / n)


_COUNTS = ("categorical", "bernoulli")
LAWS: tuple[Law, ...] = (
    Law("replace: heterozygosity", heterozygosity, ("replace",), _COUNTS, "heterozygosity",
        cite="Seddik et al. 2024, arXiv:2404.05090", note="relative unless h0 = 1 - Σp² is given"),
    Law("replace: entropy", entropy_nats, ("replace",), _COUNTS, "entropy",
        cite="derived here; setting of Seddik et al. 2024, arXiv:2404.05090"),
    Law("replace: one symbol is left", fixation_cdf, ("replace",), _COUNTS, "absorbed",
        cite="derived here; setting of Kazdan et al. 2024, arXiv:2410.16713"),
)  # fmt: skip
