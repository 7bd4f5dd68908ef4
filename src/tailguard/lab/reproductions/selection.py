"""Rows on selection: curated and verified data: 1 and 19."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from tailguard.lab.families.categorical import Categorical
from tailguard.lab.recursion import recurse
from tailguard.lab.reproductions import Check, near, reproduction
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Floats


@reproduction(
    1,
    "users who pick the better of two drive the model to the reward",
    cite="Ferbach et al. 2024, arXiv:2407.09499",
    setting="K = 2, p = (.6, .3, .1), r = (0, 1, 2), t = 5",
)
def curation(seed: int) -> Sequence[Check]:
    """p' = 2 p · Sp with S_xy = logistic(r_x - r_y), five times."""
    family = Categorical(probabilities=(0.6, 0.3, 0.1))
    # The first fit is on real data; the five after it see curated samples.
    *_, last = recurse(
        family.truth(40), family, REGIMES.make("curated", candidates=2), generations=6,
        n=200_000, seed=seed,
    )  # fmt: skip
    shares: Floats = last.model.probabilities  # type: ignore[union-attr]
    errors = shares.std(axis=0, ddof=1) / math.sqrt(len(shares))
    got = shares.mean(axis=0)
    checks = [
        near(f"p of type {k}", expected, got[k], errors[k], within=0.002)
        for k, expected in enumerate((0.0483, 0.3395, 0.6122))
    ]
    reward = shares @ np.arange(3.0)
    error = float(reward.std(ddof=1)) / math.sqrt(len(reward))
    return [*checks, near("E r", 1.5639, reward.mean(), error, within=0.002)]


@dataclass(frozen=True)
class _Centroid:
    """Classes at ±μ, |μ| = ``snr``; samples are label · x, then whether the label is right (±1).

    The model is the mean of label · x; what it writes is labelled rightly with chance ``right``.
    """

    snr: float
    d: int
    right: float
    replicated = True

    def fit(self, data: Floats, *, rng: np.random.Generator) -> _CentroidModel:
        return _CentroidModel(data[..., :-1].mean(axis=1), self.snr, self.right)

    def truth(self, replicates: int) -> _CentroidModel:
        """Real data: every label is right."""
        return _CentroidModel(np.zeros((replicates, self.d)), self.snr, 1.0)


@dataclass(frozen=True)
class _CentroidModel:
    mean: Floats
    snr: float
    right: float

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        replicates, d = self.mean.shape
        sign = np.where(rng.random((replicates, n)) < self.right, 1.0, -1.0)
        out = np.empty((replicates, n, d + 1))
        out[..., :d] = rng.standard_normal((replicates, n, d))
        out[..., 0] += sign * self.snr
        out[..., d] = sign
        return out

    @property
    def accuracy(self) -> Floats:
        """P(sign(w·x) = y), shape (R,)."""
        return ndtr(self.snr * self.mean[:, 0] / np.linalg.norm(self.mean, axis=1))


@reproduction(
    19,
    "a verifier twice as likely to pass what is right turns failure into success",
    cite="Feng et al. 2024, arXiv:2406.07515",
    setting="labels right with p = .4, d = 10, snr = 1.5, n = 2000; φ/ψ = 1 against 2",
)
def verification(seed: int) -> Sequence[Check]:
    """Accuracy of the model trained on what the verifier lets through."""
    family = _Centroid(snr=1.5, d=10, right=0.4)
    checks = []
    for wrong, expected in ((1.0, 0.07), (0.5, 0.92)):
        rule = REGIMES.make("verified", accept_correct=1.0, accept_wrong=wrong)
        *_, last = recurse(family.truth(200), family, rule, generations=2, n=2_000, seed=seed)
        found = last.model.accuracy  # type: ignore[union-attr]
        error = float(found.std(ddof=1)) / math.sqrt(len(found))
        what = f"accuracy, φ/ψ = {1 / wrong:g}"
        checks.append(near(what, expected, found.mean(), error, within=0.02))
    return checks
