"""Logistic regression, many replicates at once, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.mix.samples import Floats

STEP_LIMIT = 10.0
"""Largest Newton step in any coefficient: where labels are nearly separable it overshoots."""


@FAMILIES.register("logistic", cite="Dey & Donoho 2024, arXiv:2410.22812")
@dataclass(frozen=True)
class Logistic:
    """Logistic regression P(y = 1 | x) = 1 / (1 + exp(-x'β)) fitted by Newton's method.

    Samples have shape (R, n, d + 1): x, then y in {0, 1}. A model writes x ~ N(0, I_d), or the rows
    of ``design`` (N, d) in order, again from the start after the last, and labels from its own
    probabilities. The fit minimises the negative log-likelihood + ``ridge`` |β|² / 2, as
    scikit-learn's with C = 1 / ridge and no intercept does. ``steps`` Newton steps at most: fewer
    leave an approximation error.

    >>> rng = np.random.default_rng(0)
    >>> truth = Logistic().truth(2, d=3, norm=1.0)
    >>> model = Logistic().fit(truth.sample(4000, rng=rng), rng=rng)
    >>> bool(np.all(np.abs(model.coef - truth.coef) < 0.2))
    True

    Source: McCullagh & Nelder 1989, ch. 4 (iteratively reweighted least squares).
    """

    ridge: float = 1.0
    steps: int = 50
    design: Floats | None = field(default=None, repr=False)
    replicated = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.ridge < np.inf:
            raise InputError("logistic", "ridge at least 0", f"{self.ridge}", "change ridge")
        if self.steps < 1:
            raise InputError("logistic", "steps at least 1", f"{self.steps}", "change steps")

    def fit(
        self, data: Floats, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> LogisticModel:
        """Newton steps until none moves a coefficient by 1e-8; ``rng`` is not used."""
        x, y = data[..., :-1], data[..., -1]
        replicates, _, d = x.shape
        weight = np.ones(y.shape) if weights is None else np.broadcast_to(weights, y.shape)
        coef = np.zeros((replicates, d))
        # A touch of ridge keeps a separable fit finite: where the likelihood has no maximum.
        penalty = max(self.ridge, 1e-8)
        for _ in range(self.steps):
            chance = expit((x @ coef[..., None])[..., 0])
            pull = ((weight * (y - chance))[:, None, :] @ x)[:, 0] - penalty * coef
            curvature = (weight * chance * (1 - chance))[..., None] * x
            hessian = curvature.swapaxes(1, 2) @ x + penalty * np.eye(d)
            step = np.linalg.solve(hessian, pull[..., None])[..., 0]
            largest = np.abs(step).max(axis=1, keepdims=True)
            coef = coef + step * np.minimum(1.0, STEP_LIMIT / np.maximum(largest, 1e-300))
            if largest.max() < 1e-8:
                break
        return LogisticModel(coef, self.design)

    def truth(self, replicates: int, *, d: int = 5, norm: float = 1.0) -> LogisticModel:
        """The true coefficients: ``d`` equal ones of length ``norm``."""
        if d < 1:
            raise InputError("logistic", "d at least 1", f"{d}", "change d")
        if self.design is not None:
            d = self.design.shape[1]
        return LogisticModel(np.full((replicates, d), norm / np.sqrt(d)), self.design)


@dataclass(frozen=True)
class LogisticModel:
    """R fitted regressions: ``coef`` (R, d), and the design they write on, (N, d) or None."""

    coef: Floats
    design: Floats | None = field(default=None, repr=False)

    @property
    def mean(self) -> Floats:
        """The coefficients: what `mean_sq` compares with the truth."""
        return self.coef

    @property
    def var(self) -> Floats:
        """Mean variance of a label on a standard Gaussian design is not closed; nan, shape (R,)."""
        return np.full(len(self.coef), np.nan)

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Shape (R, n, d + 1): the design, then labels."""
        replicates, d = self.coef.shape
        out = np.empty((replicates, n, d + 1))
        if self.design is None:
            out[..., :d] = rng.standard_normal((replicates, n, d))
        else:
            out[..., :d] = self.design[np.arange(n) % len(self.design)]
        chance = expit((out[..., :d] @ self.coef[..., None])[..., 0])
        out[..., d] = rng.random((replicates, n)) < chance
        return out

    def log_prob(self, x: Floats) -> Floats:
        """Log probability of the labels given the design, in nats, shape (R, n)."""
        z = (x[..., :-1] @ self.coef[..., None])[..., 0]
        return -np.logaddexp(0.0, np.where(x[..., -1] > 0.5, -z, z))
