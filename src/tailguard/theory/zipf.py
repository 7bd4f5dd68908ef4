"""Zipf's law and what resampling, cutting and mixing leave of its tail.

Facts i = 1 … V have probability p_i = i^{-β}/H, H = Σ i^{-β}. A model that memorises knows the
facts of its training set, and its test error is the unseen mass: the true probability of facts
that were not there. ``n`` is the size of every training set, ``types`` is V, ``exponent`` is β.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gamma, gammaincc, zeta

from tailguard.theory import drift, survival
from tailguard.theory.base import Floats, Law, checked

CITE = "Dohmatob et al. 2024, arXiv:2402.07043"


def zipf_probabilities(types: int, exponent: float) -> Floats:
    """p_i = i^{-β}/Σ_j j^{-β}, i = 1 … V. Domain: V >= 1, β >= 0 (β = 0: uniform). Exact.

    >>> zipf_probabilities(3, 1.0).round(4).tolist()
    [0.5455, 0.2727, 0.1818]
    """
    ranks = np.arange(1.0, float(checked("types", types, 1, 1e9, whole=True)) + 1)
    weights = ranks ** -float(checked("exponent", exponent, 0))
    return np.asarray(weights / weights.sum())


def top_k(p: ArrayLike, k: int) -> Floats:
    """``p`` with all but its k largest entries set to 0, renormalised (ties: the first). Exact.

    >>> top_k([0.5, 0.3, 0.2], 2).round(6).tolist()
    [0.625, 0.375, 0.0]
    """
    share = survival.probabilities(p)
    kept = np.argsort(-share, kind="stable")[: int(checked("k", k, 1, whole=True))]
    cut = np.zeros_like(share)
    cut[kept] = share[kept]
    return np.asarray(cut / cut.sum())


def top_p(p: ArrayLike, mass: float) -> Floats:
    """``p`` cut to the fewest largest entries that hold at least ``mass``, renormalised. Exact.

    >>> top_p([0.5, 0.3, 0.2], 0.7).round(6).tolist()
    [0.625, 0.375, 0.0]
    """
    share = survival.probabilities(p)
    ordered = np.cumsum(-np.sort(-share))
    needed = float(checked("mass", mass, 0, 1)) - 1e-12
    return top_k(share, 1 + int(np.searchsorted(ordered, needed)))


def tempered(p: ArrayLike, temperature: float) -> Floats:
    """p^{1/temperature}, renormalised: Zipf's β becomes β/temperature. Exact; temperature > 0.

    >>> tempered([0.8, 0.2], 0.5).round(4).tolist()
    [0.9412, 0.0588]
    """
    heat = float(checked("temperature", temperature, np.finfo(float).tiny))
    share = survival.probabilities(p)
    powered = np.power(share / share.max(), 1 / heat)
    return np.asarray(powered / powered.sum())


def zipf_unseen_mass(t: ArrayLike, n: int, types: int, exponent: float) -> Floats:
    """Unseen mass after t generations of replace: Σ p_i·P(fact i is missing from sample t).

    Exact; above n = 2,000 to 1e-6. t = 0: 0. t → ∞: 1 - Σp².

    >>> zipf_unseen_mass([1, 10, 30], 20_000, 20_000, 1.5).round(4).tolist()
    [0.0294, 0.0571, 0.0822]

    Source: Dohmatob et al. 2024, arXiv:2402.07043 (t = 1); all t derived here.
    """
    return survival.unseen_mass(t, n, zipf_probabilities(types, exponent))


def zipf_survivors(t: ArrayLike, n: int, types: int, exponent: float) -> Floats:
    """Expected number of distinct facts in sample t. Exactness as `zipf_unseen_mass`.

    >>> zipf_survivors([0, 1], 100, 1000, 1.5).round(1).tolist()
    [1000.0, 28.0]
    """
    return survival.survivors(t, n, zipf_probabilities(types, exponent))


def zipf_heterozygosity(t: ArrayLike, n: ArrayLike, types: int, exponent: float) -> Floats:
    """E(1 - Σp̂²) of sample t, of facts drawn again and again: (1 - Σp²)·(1 - 1/n)^t. Exact.

    >>> zipf_heterozygosity([0, 50], 100, 1000, 1.5).round(4).tolist()
    [0.815, 0.4931]
    """
    start = drift.heterozygosity0(zipf_probabilities(types, exponent))
    return drift.heterozygosity(t, n, start)


def missing_mass(n: ArrayLike, p: ArrayLike, q: ArrayLike) -> Floats:
    """Test error under truth ``p`` after n samples of ``q`` (both (k,)): Σ p_i·(1 - q_i)^n. Exact.

    >>> missing_mass([0, 1], [0.5, 0.5], [1.0, 0.0]).tolist()
    [1.0, 0.5]

    Source: Dohmatob et al. 2024, arXiv:2402.07043, section 2 (q is what the generator writes).
    """
    truth, source = survival.probabilities(p), survival.probabilities(q)
    size = checked("n", n, 0, whole=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_miss = np.where(source < 1, np.log1p(-np.minimum(source, 1.0)), -np.inf)
        missing = np.where(source == 0, 1.0, np.exp(size[..., None] * log_miss))
    missing = np.where((size == 0)[..., None], 1.0, missing)
    return np.asarray(missing @ truth)


def scaling_law(
    n: ArrayLike, exponent: ArrayLike, *, exponent_model: ArrayLike | None = None, t: ArrayLike = 1
) -> Floats:
    """Test error ~ c·(n·g_t)^{-(β - 1)/β′}, with c = (C/β′)·C′^{-(β-1)/β′}·Γ((β - 1)/β′).

    Asymptotic for n·g_t → ∞ and V = ∞; C = 1/ζ(β), C′ = 1/ζ(β′). β′ = ``exponent_model`` is the
    exponent of what the first generation writes (default β; β′ > β is a narrowed tail, which slows
    learning down). t generations count as a sample of n·g_t ~ 2n/t: the error grows as t^{1 - 1/β}.
    Domain: β, β′ > 1, t >= 1.

    >>> scaling_law(20_000, 1.5, t=[1, 10]).round(4).tolist()
    [0.0347, 0.0623]

    Source: Dohmatob et al. 2024, arXiv:2402.07043 (exponents 1 - 1/β and (β - 1)/β′); constants
    and t derived here, by Σ → ∫.
    """
    truth = checked("exponent", exponent, np.nextafter(1, 2))
    steepness = exponent if exponent_model is None else exponent_model
    model = checked("exponent_model", steepness, np.nextafter(1, 2))
    slope = (truth - 1) / model
    constant = gamma(slope) / (model * zeta(truth)) * zeta(model) ** slope
    size = checked("n", n, 1) * survival.poisson_rate(checked("t", t, 1, whole=True))
    return np.asarray(constant * size**-slope)


def cut_scaling_law(n: ArrayLike, exponent: ArrayLike, k: ArrayLike) -> Floats:
    """Test error when only the k top facts are ever written: `scaling_law`·Q + C·k^{1 - β}/(β - 1).

    Q = Γ(1 - 1/β, n·C·k^{-β})/Γ(1 - 1/β), the regularised upper incomplete gamma function, is near
    1 below n ~ k^β and vanishes above: then more samples no longer help, a double scaling law.
    Asymptotic for n, k → ∞. Domain: β > 1.

    >>> cut_scaling_law([1e4, 1e9], 2.0, 1000).round(5).tolist()
    [0.00691, 0.00061]

    Source: Dohmatob et al. 2024, arXiv:2402.07043, theorem 2.1 (exponents); constants derived here.
    """
    truth, kept = checked("exponent", exponent, np.nextafter(1, 2)), checked("k", k, 1)
    learnt = gammaincc(1 - 1 / truth, checked("n", n, 1) * kept**-truth / zeta(truth))
    floor = kept ** (1 - truth) / ((truth - 1) * zeta(truth))
    return np.asarray(scaling_law(n, truth) * learnt + floor)


def grokking_error(
    n: ArrayLike, real_frac: float, types: int, exponent: float, *, k: int
) -> Floats:
    """Test error when a share π = ``real_frac`` of n samples is real, the rest cut to k top facts.

    `missing_mass` with q = π·p + (1 - π)·top_k(p, k). Exact. A plateau at the mass of the cut tail
    until n ~ `grokking_size`; then the law of the real data alone, for any π > 0.

    >>> grokking_error([1e4, 1e6, 1e9], 0.01, 10_000, 1.5, k=100).round(4).tolist()
    [0.0686, 0.0361, 0.0]

    Source: Dohmatob et al. 2024, arXiv:2402.07043, section 4 (grokking); exact sum derived here.
    """
    p = zipf_probabilities(types, exponent)
    share = float(checked("real_frac", real_frac, 0, 1))
    return missing_mass(n, p, share * p + (1 - share) * top_k(p, k))


def grokking_size(real_frac: ArrayLike, exponent: ArrayLike, k: ArrayLike) -> Floats:
    """Samples after which real data are felt: 1/(π·p_k) = k^β·ζ(β)/π, where facts beyond k show up.

    Asymptotic (an order of magnitude). Infinite for π = 0. Domain: β > 1.

    >>> float(grokking_size(0.01, 1.5, 100).round(-3))
    261000.0

    Source: Dohmatob et al. 2024, arXiv:2402.07043 (order k^β/π).
    """
    share, kept = checked("real_frac", real_frac, 0, 1), checked("k", k, 1)
    truth = checked("exponent", exponent, np.nextafter(1, 2))
    with np.errstate(divide="ignore"):
        return np.asarray(kept**truth * zeta(truth) / share)


_REPLACE, _ZIPF = ("replace",), ("zipf",)
LAWS: tuple[Law, ...] = (
    Law("replace: unseen mass of Zipf", zipf_unseen_mass, _REPLACE, _ZIPF, "unseen_mass",
        cite=CITE),
    Law("replace: survivors of Zipf", zipf_survivors, _REPLACE, _ZIPF, "survivors", cite=CITE),
    Law("replace: heterozygosity of Zipf", zipf_heterozygosity, _REPLACE, _ZIPF, "heterozygosity",
        cite="Seddik et al. 2024, arXiv:2404.05090"),
)  # fmt: skip
