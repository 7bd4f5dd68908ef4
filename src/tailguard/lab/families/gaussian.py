"""The one-dimensional Gaussian, many replicates at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from tailguard.errors import InputError
from tailguard.lab.draws import Normals, moments, normal_moments, normals
from tailguard.lab.families import FAMILIES
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats, Ints, readers, unseen


@dataclass(frozen=True, slots=True)
class GaussianStatistics:
    """Mean and sum of squared deviations of n samples in each of R replicates, shape (R,) each.

    ``weight`` and ``weight_sq`` are the sums of the samples' weights and of their squares; None
    stands for n samples of weight 1.
    """

    n: int
    mean: Floats
    scatter: Floats
    weight: float | None = None
    weight_sq: float | None = None

    @property
    def values(self) -> GaussianStatistics:
        return self

    @property
    def totals(self) -> tuple[float, float]:
        """Sum of weights, and of their squares."""
        one = float(self.n)
        return (
            one if self.weight is None else self.weight,
            one if self.weight_sq is None else self.weight_sq,
        )

    def join(self, *others: GaussianStatistics) -> GaussianStatistics:
        """Chan's update: exact, and stable when the variance is far below the mean."""
        n, mean, scatter = self.n, self.mean, self.scatter
        total, square = self.totals
        for other in others:
            more, more_sq = other.totals
            share = more / (total + more) if more else 0.0
            gap = other.mean - mean
            scatter = scatter + other.scatter + gap**2 * (total * share)
            mean = mean + gap * share
            n, total, square = n + other.n, total + more, square + more_sq
        return GaussianStatistics(n, mean, scatter, total, square)

    def take(self, rows: Ints) -> GaussianStatistics:
        raise unseen("Gaussian statistics")

    def read(self, group: int, shift: int) -> GaussianStatistics:
        whom = readers(len(self.mean), group, shift)
        return GaussianStatistics(
            self.n, self.mean[whom], self.scatter[whom], self.weight, self.weight_sq
        )

    def scaled(self, weight: float) -> GaussianStatistics:
        total, square = self.totals
        return GaussianStatistics(
            self.n, self.mean, self.scatter * weight, total * weight, square * weight**2
        )


@FAMILIES.register("gaussian", cite="Shumailov et al. 2024; Kazdan et al. 2024")
@dataclass(frozen=True)
class Gaussian:
    """One-dimensional Gaussian fitted by its moments: N(μ, σ²).

    μ is the (weighted) mean; σ² the (weighted) mean squared deviation, which is the
    maximum-likelihood estimate, or that over 1 - Σw²/(Σw)² if ``unbiased`` (n/(n - 1) times it when
    all weights w are equal). Data have shape (R, n), weights (n,) or (R, n).

    Raises InputError for no samples, fewer than 2 when unbiased, or no positive weight.

    >>> rng = np.random.default_rng(0)
    >>> model = Gaussian().fit(np.array([[1.0, 3.0]]), rng=rng)
    >>> model.mean.tolist(), model.var.tolist(), model.sample(5, rng=rng).shape
    ([2.0], [1.0], (1, 5))

    Source: Shumailov et al. 2024 (unbiased), Kazdan et al. 2024 (maximum likelihood).
    """

    unbiased: bool = False
    replicated = True
    takes_unstored = True

    def fit(
        self,
        data: Floats | Normals,
        *,
        rng: np.random.Generator,
        weights: Floats | None = None,
    ) -> GaussianModel:
        """Moments along the sample axis; ``rng`` is not used."""
        n = data.shape[1]
        self._enough(n)
        if weights is None:
            mean, scatter = moments(data)
            return GaussianModel(mean, scatter * self._scale(float(n), float(n)))
        data, weights = np.asarray(data), np.broadcast_to(weights, data.shape)
        total = weights.sum(axis=1)
        scale = self._scale(total, (weights**2).sum(axis=1))
        mean = (weights * data).sum(axis=1) / total
        scatter = (weights * (data - mean[:, None]) ** 2).sum(axis=1)
        return GaussianModel(mean, scatter * scale)

    def fit_statistics(
        self, statistics: GaussianStatistics, *, rng: np.random.Generator
    ) -> GaussianModel:
        """The same from sufficient statistics."""
        if not isinstance(statistics, GaussianStatistics):
            got = type(statistics).__name__
            raise InputError("Gaussian", "Gaussian statistics", got, "use path samples")
        self._enough(statistics.n)
        return GaussianModel(statistics.mean, statistics.scatter * self._scale(*statistics.totals))

    def truth(self, replicates: int, *, mean: float = 0.0, var: float = 1.0) -> GaussianModel:
        """The true model, the same in every replicate."""
        if not (np.isfinite(mean) and 0.0 <= var < np.inf):
            raise InputError(
                "Gaussian", "a mean and var at least 0", f"{mean:g} and {var:g}", "change them"
            )
        return GaussianModel(np.full(replicates, float(mean)), np.full(replicates, float(var)))

    def _enough(self, n: int) -> None:
        if n < 1 + self.unbiased:
            raise InputError("Gaussian", f"n at least {1 + self.unbiased}", f"{n}", "raise n")

    def _scale(self, total: float | Floats, square: float | Floats) -> float | Floats:
        """What the scatter is multiplied by, from the sums of weights and of their squares."""
        free = total
        if self.unbiased:
            with np.errstate(divide="ignore", invalid="ignore"):
                free = total - np.divide(square, total)
        if not np.min(free) > 0.0:
            least = "two samples" if self.unbiased else "a sample"
            raise InputError("Gaussian", f"{least} of positive weight", "less", "change weights")
        return 1.0 / free


@dataclass(frozen=True, slots=True)
class GaussianModel:
    """R fitted Gaussians: ``mean`` and ``var``, shape (R,)."""

    mean: Floats
    var: Floats
    gaussian = True

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Shape (R, n)."""
        return normals(self.mean, self.var, n, rng=rng)

    def unstored(self, n: int, *, rng: np.random.Generator) -> Normals:
        """The same draws as `sample`, made when they are looked at; a fit needs only moments."""
        return Normals(self.mean, self.var, n, rng=rng)

    def statistics(self, n: int, *, rng: np.random.Generator) -> GaussianStatistics:
        """Their law: mean ~ N(μ, σ²/n), scatter ~ σ² χ²(n - 1), independent."""
        if n == 0:
            return self.expected_statistics(0)
        return GaussianStatistics(n, *normal_moments(self.mean, self.var, n, rng=rng))

    def expected_statistics(self, n: int) -> GaussianStatistics:
        """What `statistics` is on average: mean μ, scatter (n - 1)σ²."""
        return GaussianStatistics(n, self.mean, self.var * max(n - 1, 0))

    def decoded(self, decoding: Decoding) -> GaussianModel:
        """Bias and temperature both scale the variance."""
        if decoding.top_k is not None or decoding.top_p < 1.0:
            raise InputError("Gaussian", "bias or temperature", "top-k or top-p", "drop it")
        return GaussianModel(self.mean, self.var * (decoding.bias * decoding.temperature))

    def log_prob(self, x: Floats) -> Floats:
        """Log density in nats, shape (R, n); inf, -inf or nan where the variance is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (x - self.mean[:, None]) ** 2 / self.var[:, None]
            return -0.5 * (z + np.log(2 * np.pi * self.var)[:, None])

    def cdf(self, x: Floats) -> Floats:
        """P(X ≤ x), shape (R, n); a step where the variance is 0."""
        gap = x - self.mean[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            below: Floats = ndtr(gap / np.sqrt(self.var)[:, None])
        return np.where(self.var[:, None] > 0, below, (gap >= 0) * 1.0)

    def quantile(self, q: float) -> Floats:
        """μ + σ Φ⁻¹(q), shape (R,)."""
        return self.mean + np.sqrt(self.var) * ndtri(q)
