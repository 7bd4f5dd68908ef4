"""Exponential waiting times, many replicates at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.sums import Sums, at_least, mean_of, summed
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats


@FAMILIES.register("exponential", cite="Jangjoo, Marsili & Roudi 2026, arXiv:2506.20623")
@dataclass(frozen=True)
class Exponential:
    """Waiting times with mean θ, fitted by their (weighted) mean, the maximum-likelihood estimate.

    The fitted θ is unbiased and its relative error does not depend on θ, so that log θ is a random
    walk under replacement: E θ stays, E log θ falls by log n - ψ(n) each generation. Data are ≥ 0,
    shape (R, n).

    >>> Exponential().fit(np.array([[1.0, 2.0]]), rng=np.random.default_rng(0)).mean.tolist()
    [1.5]

    Source: Jangjoo, Marsili & Roudi 2026, arXiv:2506.20623, for exponential families in general.
    """

    replicated = True

    def fit(
        self, data: Any, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> ExponentialModel:
        """Mean along the sample axis; ``rng`` is not used."""
        data = np.asarray(data)
        if not (data >= 0).all():
            raise InputError("exponential", "data at least 0", "other values", "change the data")
        return self.fit_statistics(summed(data, "numbers", weights), rng=rng)

    def fit_statistics(self, statistics: Sums, *, rng: np.random.Generator) -> ExponentialModel:
        """The same from sums."""
        return ExponentialModel(mean_of("exponential", statistics, "numbers"))

    def truth(self, replicates: int, *, mean: float = 1.0) -> ExponentialModel:
        """The true model, the same in every replicate."""
        at_least("exponential", "mean", mean, 0.0)
        return ExponentialModel(np.full(replicates, float(mean)))


@dataclass(frozen=True, slots=True)
class ExponentialModel:
    """R fitted exponentials; ``mean``, shape (R,), is θ."""

    mean: Floats

    @property
    def var(self) -> Floats:
        """θ², shape (R,)."""
        return self.mean**2

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Shape (R, n)."""
        return rng.standard_exponential((len(self.mean), n)) * self.mean[:, None]

    def statistics(self, n: int, *, rng: np.random.Generator) -> Sums:
        """Their law: sum ~ θ · Gamma(n)."""
        return Sums(n, self.mean * rng.standard_gamma(n, len(self.mean)), "numbers")

    def expected_statistics(self, n: int) -> Sums:
        """What `statistics` is on average: nθ."""
        return Sums(n, self.mean * n, "numbers")

    def decoded(self, decoding: Decoding) -> ExponentialModel:
        """Temperature scales the mean, bias the variance."""
        if decoding.top_k is not None or decoding.top_p < 1.0:
            raise InputError("exponential", "bias or temperature", "top-k or top-p", "drop it")
        return ExponentialModel(self.mean * (decoding.temperature * np.sqrt(decoding.bias)))

    def log_prob(self, x: Any) -> Floats:
        """Log density in nats, shape (R, n); -inf below 0, inf at 0 where θ is 0."""
        x, mean = np.asarray(x, dtype=np.float64), self.mean[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = np.where(mean > 0, -x / mean - np.log(mean), np.where(x == 0, np.inf, -np.inf))
        return np.where(x < 0, -np.inf, inside)

    def cdf(self, x: Floats) -> Floats:
        """P(X ≤ x), shape (R, n)."""
        mean = self.mean[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(mean > 0, x / mean, np.inf)
        return np.where(x < 0, 0.0, -np.expm1(-ratio))

    def quantile(self, q: float) -> Floats:
        """-θ log(1 - q), shape (R,)."""
        return -self.mean * np.log1p(-q)
