"""The one-dimensional Gaussian, many replicates at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats, Ints, readers, unseen


@dataclass(frozen=True, slots=True)
class GaussianStatistics:
    """Mean and sum of squared deviations of n samples in each of R replicates."""

    n: int
    mean: Floats
    scatter: Floats
    weight: float = 0.0  # total weight; 0 stands for n

    @property
    def values(self) -> GaussianStatistics:
        return self

    @property
    def total(self) -> float:
        """Total weight of the samples."""
        return self.weight or float(self.n)

    def join(self, *others: GaussianStatistics) -> GaussianStatistics:
        """Chan's update: exact, and stable when the variance is far below the mean."""
        n, total, mean, scatter = self.n, self.total, self.mean, self.scatter
        for other in others:
            both = total + other.total
            gap = other.mean - mean
            scatter = scatter + other.scatter + gap**2 * (total * other.total / both)
            mean = mean + gap * (other.total / both)
            n, total = n + other.n, both
        return GaussianStatistics(n, mean, scatter, total)

    def take(self, rows: Ints) -> GaussianStatistics:
        raise unseen("Gaussian statistics")

    def read(self, group: int, shift: int) -> GaussianStatistics:
        whom = readers(len(self.mean), group, shift)
        return GaussianStatistics(self.n, self.mean[whom], self.scatter[whom], self.weight)

    def scaled(self, weight: float) -> GaussianStatistics:
        return GaussianStatistics(self.n, self.mean, self.scatter * weight, self.total * weight)


@FAMILIES.register("gaussian", cite="Shumailov et al. 2024; Kazdan et al. 2024")
@dataclass(frozen=True)
class Gaussian:
    """One-dimensional Gaussian fitted by its moments: N(μ, σ²).

    μ is the sample mean; σ² the mean squared deviation, times n/(n - 1) if ``unbiased`` (else the
    maximum-likelihood estimate). With weights, both are weighted and ``unbiased`` corrects by
    the number of samples. Data have shape (R, n), n ≥ 2 when unbiased.

    >>> rng = np.random.default_rng(0)
    >>> model = Gaussian().fit(np.array([[1.0, 3.0]]), rng=rng)
    >>> model.mean.tolist(), model.var.tolist(), model.sample(5, rng=rng).shape
    ([2.0], [1.0], (1, 5))

    Source: Shumailov et al. 2024 (unbiased), Kazdan et al. 2024 (maximum likelihood).
    """

    unbiased: bool = False
    replicated = True

    def fit(
        self, data: Floats, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> GaussianModel:
        """Moments along the sample axis; ``rng`` is not used."""
        n = data.shape[1]
        self._enough(n)
        if weights is None:
            mean = data.mean(axis=1)
            var = ((data - mean[:, None]) ** 2).mean(axis=1)
        else:
            total = np.broadcast_to(weights, data.shape).sum(axis=1)
            mean = (weights * data).sum(axis=1) / total
            var = (weights * (data - mean[:, None]) ** 2).sum(axis=1) / total
        return GaussianModel(mean, var * self._correction(n))

    def fit_statistics(
        self, statistics: GaussianStatistics, *, rng: np.random.Generator
    ) -> GaussianModel:
        """The same from sufficient statistics."""
        self._enough(statistics.n)
        var = statistics.scatter * (self._correction(statistics.n) / statistics.total)
        return GaussianModel(statistics.mean, var)

    def truth(self, replicates: int, *, mean: float = 0.0, var: float = 1.0) -> GaussianModel:
        """The true model, the same in every replicate."""
        return GaussianModel(np.full(replicates, mean), np.full(replicates, var))

    def _enough(self, n: int) -> None:
        if n < 1 + self.unbiased:
            raise InputError("Gaussian", f"n at least {1 + self.unbiased}", f"{n}", "raise n")

    def _correction(self, n: int) -> float:
        return n / (n - 1) if self.unbiased else 1.0


@dataclass(frozen=True, slots=True)
class GaussianModel:
    """R fitted Gaussians: ``mean`` and ``var``, shape (R,)."""

    mean: Floats
    var: Floats

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Shape (R, n)."""
        draws = rng.standard_normal((len(self.mean), n))
        draws *= np.sqrt(self.var)[:, None]
        draws += self.mean[:, None]
        return draws

    def statistics(self, n: int, *, rng: np.random.Generator) -> GaussianStatistics:
        """Their law: mean ~ N(μ, σ²/n), scatter ~ σ² χ²(n - 1), independent."""
        size = len(self.mean)
        mean = self.mean + np.sqrt(self.var / max(n, 1)) * rng.standard_normal(size)
        scatter = self.var * (rng.chisquare(n - 1, size) if n > 1 else 0.0)
        return GaussianStatistics(n, mean, scatter)

    def decoded(self, decoding: Decoding) -> GaussianModel:
        """Bias and temperature both scale the variance."""
        if decoding.top_k is not None or decoding.top_p < 1.0:
            raise InputError("Gaussian", "bias or temperature", "top-k or top-p", "drop it")
        return GaussianModel(self.mean, self.var * (decoding.bias * decoding.temperature))

    def log_prob(self, x: Floats) -> Floats:
        """Log density in nats, shape (R, n); -inf or nan where the variance is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (x - self.mean[:, None]) ** 2 / self.var[:, None]
            return -0.5 * (z + np.log(2 * np.pi * self.var)[:, None])
