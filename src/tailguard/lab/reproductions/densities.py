"""Rows on density estimates: 18 and 21."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tailguard.lab.families.mixture import Mixture
from tailguard.lab.recursion import recurse
from tailguard.lab.reproductions import Check, above, below, relative, reproduction
from tailguard.lab.simulate import Setting, simulate


@reproduction(
    18,
    "kernel density estimates: the bandwidth decides between collapse and blow-up",
    cite="Borji 2024, arXiv:2410.12954; Kazdan et al. 2024, arXiv:2410.16713",
    setting="Gaussian kernel of fixed bandwidth .1 and .2, replace, n = 50, t = 50",
)
def kernel_bandwidth(seed: int) -> Sequence[Check]:
    """The model's variance follows v -> (1 - 1/n) v + h²; its n samples have (1 - 1/n) of it."""
    checks = []
    for bandwidth, expected in ((0.1, 0.668), (0.2, 1.603)):
        setting = Setting(
            family="kernel", family_settings={"bandwidth": bandwidth}, n=50, generations=50,
            replicates=60_000, measurements=("sample_var",), seed=seed,
        )  # fmt: skip
        var = simulate(setting).trajectories["sample_var"]
        what = f"E sample variance, h = {bandwidth:g}"
        checks.append(relative(what, expected, var.mean[-1], var.error[-1], within=0.02))
    return checks


@reproduction(
    21,
    "a mixture of two Gaussians: distorted by generation 50, near a point by 2000",
    cite="Shumailov et al. 2024, Nature 631:755 (supplement)",
    setting="two components in two dimensions, EM, replace, n = 1000, 2000 generations",
    slow=True,
)
def mixture(seed: int) -> Sequence[Check]:
    """Medians of 8 replicates. The paper shows pictures; these are the figures looked for.

    Distorted: KL(truth ‖ model) is ten times that of the first model. Near a point: the total
    variance is below a twentieth of the true one.
    """
    family = Mixture(components=2)
    truth = family.truth(8)
    reference = truth.sample(2_000, rng=np.random.default_rng(seed))
    best = truth.log_prob(reference).mean(axis=1)
    gaps: dict[int, float] = {}
    model: Any = truth
    for generation in recurse(truth, family, generations=2_000, n=1_000, seed=seed):
        model = generation.model
        if generation.index in (1, 50):
            missing = best - model.log_prob(reference).mean(axis=1)
            gaps[generation.index] = float(np.median(missing))
    left = float(np.median(model.var.sum(axis=1) / truth.var.sum(axis=1)))
    point = below("share of the variance left, t = 2000", 0.05, left)
    return [above("KL at t = 50 over t = 1", 10.0, gaps[50] / gaps[1]), point]
