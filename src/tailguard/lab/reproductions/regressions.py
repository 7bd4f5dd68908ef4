"""Rows on regression and on estimates that weigh real against synthetic data: 6, 14, 15 and 16."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tailguard.lab.families.logistic import Logistic
from tailguard.lab.recursion import recurse
from tailguard.lab.reproductions import Check, above, relative, reproduction
from tailguard.lab.simulate import Setting, simulate
from tailguard.lab.trajectory import Trajectory
from tailguard.mix.samples import Arrays, Floats


def _ratio(name: str, expected: float, top: Trajectory, bottom: Trajectory, within: float) -> Check:
    """The last value of one trajectory over the first model's of another."""
    got = top.mean[-1] / bottom.mean[1]
    error = got * math.hypot(top.error[-1] / top.mean[-1], bottom.error[1] / bottom.mean[1])
    return relative(name, expected, got, error, within=within)


@reproduction(
    6,
    "linear regression: replacing adds error every generation, accumulating bounds it",
    cite="Gerstgrasser et al. 2024, arXiv:2404.01413",
    setting="ordinary least squares, T = 100, d = 10, 20 generations",
)
def linear_regression(seed: int) -> Sequence[Check]:
    """Excess risk in generation 20 over that of the first model."""
    checks = []
    for regime, expected in (("replace", 20.0), ("accumulate", 1.596)):
        setting = Setting(
            family="linear", regime=regime, n=100, generations=20, replicates=20_000,
            truth_settings={"d": 10}, measurements=("risk",), seed=seed,
        )  # fmt: skip
        risk = simulate(setting).trajectories["risk"]
        checks.append(_ratio(f"{regime}, risk ratio", expected, risk, risk, 0.04))
    return checks


@reproduction(
    14,
    "the best weight of real data is the golden ratio",
    cite="He, Xu & Cheng 2025, arXiv:2502.18049",
    setting="mean of a Gaussian, as many real as synthetic samples each generation, stationary",
)
def optimal_weight(seed: int) -> Sequence[Check]:
    """Variance of the mean relative to that of real data alone, by the weight of real data."""
    weights = (0.3, 0.5, 0.8, (math.sqrt(5) - 1) / 2)
    found = []
    for weight in weights:
        setting = Setting(
            regime="weighted", regime_settings={"weight": weight, "real_frac": 0.5}, n=2_000,
            generations=60, replicates=200_000, measurements=("mean_sq",), seed=seed,
        )  # fmt: skip
        found.append(simulate(setting).trajectories["mean_sq"])
    ratios = [t.mean[-1] * 1_000 for t in found]
    errors = [t.error[-1] * 1_000 for t in found]
    checks = [
        relative(f"ratio at w = {w:g}", expected, ratios[i], errors[i], within=0.01)
        for i, (w, expected) in enumerate(((0.3, 1.137), (0.5, 0.667), (0.8, 0.708)))
    ]
    best = relative("ratio at w = 1/φ", 0.618, ratios[3], errors[3], within=0.01)
    return [
        *checks,
        best,
        above("least at 1/φ: next best - best", 0.0, min(ratios[:3]) - ratios[3]),
    ]


@reproduction(
    15,
    "logistic regression: discarding old data ruins what augmenting keeps",
    cite="Dey & Donoho 2024, arXiv:2410.22812",
    setting="breast_cancer of scikit-learn, mean radius and mean texture, iteration 50",
    slow=True,
)
def discard_against_augment(seed: int) -> Sequence[Check]:
    """Squared distance from the first fit, median of 20 replicates: discard over augment.

    The paper's log has 1.475 against 0.121, a ratio of 12; features and penalty are not stated, so
    the order and a gap over 5 are looked for. All thirty features separate the classes: without a
    penalty no fit exists, and with one its bias hides the recursion. So two features are taken.
    """
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    chosen = data.data[:, :2]
    design = np.c_[np.ones(len(chosen)), (chosen - chosen.mean(0)) / chosen.std(0)]
    family = Logistic(ridge=0.0, design=design)
    labelled = np.c_[design, data.target]
    real = Arrays(np.repeat(labelled[None], 20, axis=0))
    gaps: dict[str, Floats] = {}
    for regime in ("replace", "accumulate"):
        models = [g.model for g in recurse(real, family, regime, generations=51, seed=seed)][1:]
        gaps[regime] = ((models[-1].coef - models[0].coef) ** 2).sum(axis=1)  # type: ignore[union-attr]
    ratio = float(np.median(gaps["replace"]) / np.median(gaps["accumulate"]))
    return [above("discard / augment", 5.0, ratio)]


@reproduction(
    16,
    "augmenting: the variance grows as the sum of 1/i²",
    cite="Dey & Donoho 2024, arXiv:2410.22812",
    setting="mean of a Gaussian, accumulate, G = 40",
)
def augment(seed: int) -> Sequence[Check]:
    """Variance of the estimate in generation 40 over that of the first: towards π²/6."""
    setting = Setting(
        regime="accumulate", n=1_000, generations=40, replicates=100_000,
        measurements=("mean_sq",), seed=seed,
    )  # fmt: skip
    mean_sq = simulate(setting).trajectories["mean_sq"]
    return [
        _ratio("variance ratio", 1.620, mean_sq, mean_sq, 0.02),
    ]
