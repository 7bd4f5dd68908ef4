"""Rows on types and counts, where tails die by extinction: 3, 4, 5, 10, 11, 12 and 17."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tailguard.corpus import open_corpus
from tailguard.lab.families.categorical import Categorical
from tailguard.lab.recursion import recurse
from tailguard.lab.reproductions import Check, near, relative, reproduction
from tailguard.lab.simulate import Setting, simulate
from tailguard.measure.tokens import tokenize
from tailguard.mix.samples import Floats, Ints

CORPUS, MOST_TOKENS = "builtin:python-docs", 100_000


def word_counts() -> Ints:
    """How often each word of a real corpus occurs, among its first 100,000 tokens."""
    texts = [t for b in open_corpus(CORPUS).batches() for t in b.column("text").to_pylist()]
    return np.unique(tokenize(texts).hashes[:MOST_TOKENS], return_counts=True)[1]


def _share(values: Floats) -> tuple[float, float]:
    """Mean and standard error over replicates."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


@reproduction(
    3,
    "which words of a real corpus survive",
    cite="Suresh et al. 2024, arXiv:2412.17646",
    setting="unigram counts of Python's documentation, replace, k = 1, 2, 5, 10, 50",
)
def unigram_survival(seed: int) -> Sequence[Check]:
    """A word that came c times survives k generations with chance 1 - exp(-c g_k)."""
    counts = word_counts()
    total = int(counts.sum())
    family = Categorical(probabilities=tuple((counts / total).tolist()))
    truth = family.truth(20)
    wanted, checks, g = (1, 2, 5, 10, 50), [], math.inf
    for generation in recurse(truth, family, generations=50, n=total, seed=seed, path="statistics"):
        if generation.index == 0:
            continue
        g = -math.expm1(-g)
        if generation.index in wanted:
            alive = (generation.model.probabilities > 0).mean(axis=1)  # type: ignore[union-attr]
            expected = float(-np.expm1(-counts * g).mean())
            what = f"share of words alive, k = {generation.index}"
            checks.append(near(what, expected, *_share(alive), within=0.005))
    return checks


@reproduction(
    4,
    "Zipf: the mass that is never seen again",
    cite="Dohmatob et al. 2024, arXiv:2402.07043",
    setting="exponent 1.5, V = T = 20,000, replace, t = 1, 10, 30",
)
def zipf_unseen_mass(seed: int) -> Sequence[Check]:
    """True mass of the words that the t-th model cannot write."""
    setting = Setting(
        family="zipf", n=20_000, generations=30, replicates=240,
        measurements=("unseen_mass",), seed=seed,
    )  # fmt: skip
    mass = simulate(setting).trajectories["unseen_mass"]
    return [
        relative(f"unseen mass, t = {t}", expected, mass.mean[t], mass.error[t], within=0.03)
        for t, expected in ((1, 0.0294), (10, 0.0571), (30, 0.0822))
    ]


@reproduction(
    5,
    "a type takes over with the probability it began with",
    cite="Shumailov et al. 2024, Nature 631:755",
    setting="p = (.5, .3, .15, .05), n = 50, replace until one type is left",
)
def fixation_probability(seed: int) -> Sequence[Check]:
    """The share of replicates that each type has taken over."""
    p = (0.5, 0.3, 0.15, 0.05)
    family = Categorical(probabilities=p)
    runs = recurse(
        family.truth(40_000), family, generations=900, n=50, seed=seed, path="statistics"
    )
    for generation in runs:
        winners: Floats = generation.model.probabilities == 1.0  # type: ignore[union-attr]
        if winners.any(axis=1).all():
            break
    return [
        near(f"P(type of p = {p[k]:g} wins)", p[k], *_share(winners[:, k]), within=0.01)
        for k in range(4)
    ]


@reproduction(
    10,
    "heterozygosity falls by 1/n each generation",
    cite="Seddik et al. 2024, arXiv:2404.05090",
    setting="100 types of p₀ = .01, n = 100, replace, k = 50",
)
def heterozygosity_decay(seed: int) -> Sequence[Check]:
    """E H_k / H_0 = (1 - 1/n)^k."""
    setting = Setting(
        family="categorical", family_settings={"k": 100}, n=100, generations=50,
        replicates=5_000, measurements=("heterozygosity",), seed=seed,
    )  # fmt: skip
    found = simulate(setting).trajectories["heterozygosity"]
    got, error = found.mean[-1] / found.mean[0], found.error[-1] / found.mean[0]
    return [near("E H_50 / H_0", 0.605, got, error, within=0.005)]


@reproduction(
    11,
    "a Poisson rate survives as a branching process does",
    cite="Suresh et al. 2024, arXiv:2412.17646",
    setting="n λ₀ = 10, replace, k = 10, 50",
)
def poisson_survival(seed: int) -> Sequence[Check]:
    """P(rate > 0) after k generations = 1 - exp(-10 g_k)."""
    setting = Setting(
        family="poisson", truth_settings={"rate": 1.0}, n=10, generations=50,
        replicates=200_000, measurements=("absorbed",), seed=seed,
    )  # fmt: skip
    dead = simulate(setting).trajectories["absorbed"]
    return [
        near(f"P(rate > 0), k = {k}", expected, 1 - dead.mean[k], dead.error[k], within=0.003)
        for k, expected in ((10, 0.8214), (50, 0.3187))
    ]


@reproduction(
    12,
    "a rare type survives",
    cite="Suresh et al. 2024, arXiv:2412.17646",
    setting="Bernoulli, p₀ = .01, n = 100, replace, k = 1, 10, 50",
)
def bernoulli_survival(seed: int) -> Sequence[Check]:
    """P(p > 0) after k generations, and inside proved bounds."""
    from tailguard.theory.survival import survival_bounds

    setting = Setting(
        family="bernoulli", truth_settings={"p": 0.01}, n=100, generations=50,
        replicates=200_000, measurements=("alive",), seed=seed,
    )  # fmt: skip
    alive = simulate(setting).trajectories["alive"]
    checks = []
    for k, expected in ((1, 0.634), (10, 0.161), (50, 0.041)):
        got, error = float(alive.mean[k]), float(alive.error[k])
        checks.append(near(f"P(p > 0), k = {k}", expected, got, error, within=0.005))
        low, high = (float(bound) for bound in survival_bounds(k, n=100, p0=0.01))
        middle, reach = (low + high) / 2, (high - low) / 2 + 3 * error
        checks.append(near(f"within [{low:.3f}, {high:.3f}]", middle, got, error, within=reach))
    return checks


@reproduction(
    17,
    "how long until one type is left",
    cite="Kazdan et al. 2024, arXiv:2410.16713",
    setting="categorical, K = n = 100, replace until one type is left",
)
def fixation_time(seed: int) -> Sequence[Check]:
    """The mean is about 2n(1 - 1/n)."""
    family = Categorical(k=100)
    replicates = 10_000
    taken = np.full(replicates, np.nan)
    runs = recurse(
        family.truth(replicates), family, generations=5_000, n=100, seed=seed, path="statistics"
    )
    for generation in runs:
        left = (generation.model.probabilities > 0).sum(axis=1)  # type: ignore[union-attr]
        taken[(left == 1) & np.isnan(taken)] = generation.index
        if not np.isnan(taken).any():
            break
    return [near("mean generations", 196, *_share(taken), within=4)]
