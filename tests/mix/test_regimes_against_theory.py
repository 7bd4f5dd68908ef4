"""Regimes on Gaussian statistics do what the closed forms say, and not what others say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailguard.lab.families.gaussian import Gaussian
from tailguard.lab.recursion import recurse
from tailguard.mix.registry import REGIMES
from tailguard.theory.anchor import Moments, affine_path, anchor, mix_step, moments
from tailguard.theory.contamination import Risk, batch, stream
from tailguard.theory.growing import growing
from tailguard.theory.mixing import (
    accumulate,
    accumulate_subsample,
    fixed_real,
    fresh_real,
    refresh,
    window,
)
from tailguard.theory.prior import normal_inverse_gamma
from tailguard.theory.weighting import weighted

N = 20
FEW = 3_000  # replicates where single samples are needed
Law = Callable[[Any], Moments]


def replaced(t: Any) -> Moments:
    return growing(t, N)


def of_risk(risk: Risk) -> Moments:
    return Moments(risk.var, risk.mean_sq)


def of_prior(t: Any, strength: float, points: int) -> Moments:
    """Exact for a prior made of so many real samples: a fixed block of weight strength."""
    a = strength / (N + strength)
    step = mix_step(points, N, weight=a, fixed=True)
    start = np.array([1.0, 0.0, 0.0, 1.0])
    return moments(affine_path(step, start, int(np.max(t))), np.asarray(t, float), 1.0, 1)


def read_by(models: int, others: float, t: Any) -> Moments:
    """Second moments of a group of models that read each other; b = E mean², c between two.

    A model's mean is Σ (share of k's samples)·(mean of k) + noise of variance v/n; noise is not
    shared, for no sample is read twice. q = E x² stays 1, so v' = 1 - b'.
    """
    own, each = 1 - others, others / (models - 1)
    rows = []
    b, c, v = 1 / N, 0.0, 1 - 1 / N
    for _ in range(int(np.max(t))):
        rows.append((v, b))
        mixed = own**2 + (models - 1) * each**2
        b_next = mixed * b + (1 - mixed) * c + v / N
        # Two models share the means of the same authors, weighted own·each twice and each².
        same = 2 * own * each + (models - 2) * each**2
        c = same * b + (1 - same) * c
        b, v = b_next, 1 - b_next
    var, mean_sq = np.array(rows).T
    return Moments(var[np.asarray(t) - 1], mean_sq[np.asarray(t) - 1])


CASES: list[tuple[str, dict[str, Any], Law, int]] = [
    ("replace", {}, replaced, 20_000),
    ("accumulate", {}, lambda t: accumulate(t, N), 20_000),
    ("accumulate-subsample", {}, lambda t: accumulate_subsample(t, N), 4 * FEW),
    ("window", {"width": 3}, lambda t: window(t, N, 3), 20_000),
    ("growing", {"growth": 0.7, "ratio": 1.1}, lambda t: growing(t, N, growth=0.7, ratio=1.1),
     20_000),
    ("fixed-real", {"real_frac": 0.3}, lambda t: fixed_real(t, N, 0.3), 20_000),
    ("fresh-real", {"real_frac": 0.3}, lambda t: fresh_real(t, N, 0.3), 20_000),
    ("anchor", {}, lambda t: anchor(t, N, 1), 20_000),
    ("anchor", {"m": 3, "fixed": True}, lambda t: anchor(t, N, 3, fixed=True), 20_000),
    ("weighted", {"real_frac": 0.25, "weight": 0.6}, lambda t: weighted(t, N, 0.25, 0.6), 20_000),
    ("contaminated", {"real_frac": 0.3, "counts": True},
     lambda t: of_risk(batch(t, N, 0.3, counts=True)), 20_000),
    ("contaminated", {"real_frac": 0.3}, lambda t: of_risk(batch(t, N, 0.3)), FEW),
    ("contaminated-stream", {"real_frac": 0.3},
     lambda t: of_risk(stream(t, N, 0.3)), FEW),
    ("refresh", {"every": 3, "real_frac": 0.5}, lambda t: refresh(t, N, 3, real_frac=0.5), 20_000),
    ("prior", {"strength": 2.0, "points": 50}, lambda t: of_prior(t, 2.0, 50), 20_000),
    ("prior", {"strength": 2.0, "points": 10**6},
     lambda t: normal_inverse_gamma(t, N, mean_points=2, var_points=2), 20_000),
    ("ecosystem", {"models": 2, "others": 0.5}, lambda t: read_by(2, 0.5, t), 20_000),
    ("ecosystem", {"models": 4, "others": 0.6}, lambda t: read_by(4, 0.6, t), 20_000),
]  # fmt: skip
SAMPLES = {"accumulate-subsample", "contaminated", "contaminated-stream"}
T = np.array([1, 2, 3, 5, 8, 12])


@pytest.mark.parametrize(("name", "settings", "law", "replicates"), CASES)
def test_a_regime_moves_mean_and_variance_as_its_law_says(
    name: str, settings: dict[str, Any], law: Law, replicates: int
) -> None:
    path = "samples" if name in SAMPLES and not settings.get("counts") else "statistics"
    family = Gaussian()
    runs = recurse(
        family.truth(replicates), family, REGIMES.make(name, **settings),
        generations=int(T[-1]), n=N, seed=1, path=path,
    )  # fmt: skip
    models: dict[int, Any] = {run.index: run.model for run in runs}
    var = np.stack([models[t].var for t in T])
    mean_sq = np.stack([models[t].mean for t in T]) ** 2
    expected, other = law(T), replaced(T)
    far = False
    for values, should, rival in (
        (var, expected.var, other.var),
        (mean_sq, expected.mean_sq, other.mean_sq),
    ):
        mean = values.mean(axis=1)
        # Replicates that read each other are independent between groups only.
        group = settings.get("models", 1) if name == "ecosystem" else 1
        each = values.reshape(len(T), -1, group).mean(axis=2)
        error = each.std(axis=1, ddof=1) / np.sqrt(each.shape[1])
        assert (np.abs(mean - should) < 4.5 * error).all(), (mean, should, error)
        far |= bool((np.abs(rival - should) > 9 * error).any())
    assert far or name == "replace", "the test could not tell this regime from replace"


def test_one_real_point_a_generation_stops_the_collapse_that_one_fixed_point_does_not() -> None:
    family = Gaussian()

    def left(**settings: Any) -> float:
        *_, last = recurse(
            family.truth(4_000), family, REGIMES.make("anchor", **settings),
            generations=600, n=N, seed=2, path="statistics",
        )  # fmt: skip
        return float(last.model.var.mean())  # type: ignore[union-attr]

    fresh, fixed, none = left(m=1), left(m=1, fixed=True), left(m=0)
    assert abs(fresh - float(anchor(600, N, 1).var)) < 0.05
    assert fresh > 0.6
    assert fixed < 0.01 and none < 0.01


def test_the_golden_weight_is_the_best_and_as_good_as_the_paper_says() -> None:
    # He, Xu & Cheng: variance of the mean relative to real data alone, equal numbers of both.
    n, family = 2_000, Gaussian()

    def ratio(weight: float) -> float:
        rule = REGIMES.make("weighted", real_frac=0.5, weight=weight)
        *_, last = recurse(
            family.truth(40_000), family, rule, generations=12, n=n, seed=3, path="statistics"
        )
        return float((last.model.mean**2).mean() * n / 2)  # type: ignore[union-attr]

    golden = (5**0.5 - 1) / 2
    found = {weight: ratio(weight) for weight in (0.3, 0.5, golden, 0.8)}
    # The first generation has n, not n / 2, real samples; that is forgotten as (1 - w)^(2t).
    for weight, expected in zip(found, (1.137, 0.667, 0.618, 0.708), strict=True):
        assert abs(found[weight] - expected) < 4.5 * expected * (2 / 40_000) ** 0.5
    assert min(found, key=found.__getitem__) == golden


def test_sampling_bias_multiplies_the_variance_of_every_draw() -> None:
    family, n, t = Gaussian(), 100, 20
    *_, last = recurse(
        family.truth(20_000), family, REGIMES.make("bias", sampling_bias=0.9),
        generations=t, n=n, seed=4, path="statistics",
    )  # fmt: skip
    var = last.model.var  # type: ignore[union-attr]
    # t fits, and t - 1 biased draws between them.
    expected = 0.9 ** (t - 1) * (1 - 1 / n) ** t
    assert abs(var.mean() - expected) < 4.5 * var.std() / len(var) ** 0.5
