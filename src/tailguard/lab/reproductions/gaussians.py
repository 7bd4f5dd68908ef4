"""Rows on one-dimensional Gaussians: 2, 7, 8, 9, 13 and 20."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tailguard.lab.reproductions import Check, near, relative, reproduction
from tailguard.lab.simulate import Setting, simulate
from tailguard.lab.trajectory import Trajectory, merged


def run(setting: Setting) -> dict[str, Trajectory]:
    """The trajectories of a setting."""
    return simulate(setting).trajectories


@reproduction(
    2,
    "sampling bias shrinks the variance geometrically",
    cite="Alemohammad et al. 2023, arXiv:2307.01850; Marchi et al. 2024, arXiv:2404.02325",
    setting="Gaussian, maximum likelihood, replace, bias λ = .9, n = 100, t = 20",
)
def sampling_bias(seed: int) -> Sequence[Check]:
    """E σ² = [λ(1 - 1/n)]^t, of what the t-th model writes.

    The first model is fitted on real data, which are not biased; so the t-th fit has seen t - 1
    biased draws, and what it writes in turn has seen t.
    """
    setting = Setting(
        regime="bias", regime_settings={"sampling_bias": 0.9}, n=100, generations=20,
        replicates=100_000, measurements=("var",), seed=seed,
    )  # fmt: skip
    var = run(setting)["var"]
    return [relative("E var", 0.0994, 0.9 * var.mean[-1], 0.9 * var.error[-1], within=0.01)]


@reproduction(
    7,
    "replace: what the variance loses, the mean gains",
    cite="Kazdan et al. 2024, arXiv:2410.16713",
    setting="Gaussian, maximum likelihood, replace, n = t = 100",
)
def replace_mle(seed: int) -> Sequence[Check]:
    """E σ² = (1 - 1/n)^t and E(μ - μ₀)² add up to the true variance."""
    found = run(Setting(n=100, generations=100, replicates=200_000, seed=seed))
    var, mean_sq = found["var"], found["mean_sq"]
    total = var.mean[-1] + mean_sq.mean[-1]
    return [
        near("E var", 0.3660, var.mean[-1], var.error[-1], within=0.01),
        near("E (mean - true)²", 0.6340, mean_sq.mean[-1], mean_sq.error[-1], within=0.01),
        near("sum", 1.0, total, math.hypot(var.error[-1], mean_sq.error[-1]), within=0.01),
    ]


@reproduction(
    8,
    "unbiased replace: the median dies while the mean stays",
    cite="Shumailov et al. 2024, Nature 631:755",
    setting="Gaussian, unbiased, replace, n = t = 100",
)
def replace_unbiased(seed: int) -> Sequence[Check]:
    """log σ² is a random walk that drifts down; E σ² = 1 hides it."""
    wanted = ("var", "log_var", "w2_sq")
    seeds = np.random.SeedSequence(seed).generate_state(10).tolist()
    parts = [
        run(Setting(
            family_settings={"unbiased": True}, n=100, generations=100, replicates=40_000,
            measurements=wanted, seed=part,
        ))
        for part in seeds
    ]  # fmt: skip
    var, log_var, w2 = (merged([part[name] for part in parts]) for name in wanted)
    # Medians come from the replicates that runs keep in full.
    kept = np.concatenate([part["log_var"].kept[:, -1] for part in parts])
    median = float(np.exp(np.median(kept)))
    error = 1.2533 * float(kept.std()) / math.sqrt(len(kept)) * median
    return [
        near("median var", 0.365, median, error, within=0.01),
        near("E log var", -1.0135, log_var.mean[-1], log_var.error[-1], within=0.02),
        near("E W2²", 1.446, w2.mean[-1], w2.error[-1], within=3 * w2.error[-1]),
        near("E var", 1.0, var.mean[-1], var.error[-1], within=3 * var.error[-1]),
    ]


@reproduction(
    9,
    "accumulating real and synthetic data bounds the loss",
    cite="Kazdan et al. 2024, arXiv:2410.16713",
    setting="Gaussian, maximum likelihood, accumulate, n = 10, t = 100",
)
def accumulate(seed: int) -> Sequence[Check]:
    """The loss of each generation falls as 1/t², so that its sum is finite."""
    setting = Setting(
        regime="accumulate", n=10, generations=100, replicates=100_000,
        measurements=("var", "mean_sq"), seed=seed,
    )  # fmt: skip
    found = run(setting)
    var, mean_sq = found["var"], found["mean_sq"]
    return [
        near("E var", 0.8443, var.mean[-1], var.error[-1], within=0.005),
        near("E (mean - true)²", 0.1557, mean_sq.mean[-1], mean_sq.error[-1], within=0.005),
    ]


@reproduction(
    13,
    "the chance that a Gaussian has not collapsed",
    cite="Suresh et al. 2024, arXiv:2412.17646",
    setting="Gaussian, unbiased, replace, n = 10, k = 20, 50, 100, 200",
)
def survival_of_width(seed: int) -> Sequence[Check]:
    """P(σ > .1) after k generations."""
    setting = Setting(
        family_settings={"unbiased": True}, n=10, generations=200, replicates=100_000,
        measurements=("wide",), seed=seed,
    )  # fmt: skip
    wide = run(setting)["wide"]
    return [
        near(f"P(sd > .1), k = {k}", p, wide.mean[k], wide.error[k], within=0.005)
        for k, p in ((20, 0.848), (50, 0.375), (100, 0.081), (200, 0.004))
    ]


@reproduction(
    20,
    "fresh real data hold the mean, fixed real data hold it less",
    cite="Alemohammad et al. 2023, arXiv:2307.01850",
    setting="Gaussian, n_s = n_r = 1000, stationary after 40 generations",
)
def real_share(seed: int) -> Sequence[Check]:
    """Variance of the mean relative to that of the real data alone."""
    checks = []
    for regime, expected in (("fresh-real", 2 / 3), ("fixed-real", 4 / 3)):
        setting = Setting(
            regime=regime, regime_settings={"real_frac": 0.5}, n=2_000, generations=40,
            replicates=100_000, measurements=("mean_sq",), seed=seed,
        )  # fmt: skip
        found = run(setting)["mean_sq"]
        got, error = found.mean[-1] * 1_000, found.error[-1] * 1_000
        checks.append(relative(f"{regime}, ratio", expected, got, error, within=0.02))
    return checks
