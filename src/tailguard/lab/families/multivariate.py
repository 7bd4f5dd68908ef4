"""The Gaussian in d dimensions: isotropic, diagonal or full, many replicates at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats, Ints, readers, unseen

Shape = Literal["isotropic", "diagonal", "full"]


@dataclass(frozen=True)
class ScatterStatistics:
    """Mean (R, d) and scatter matrix Σ (x - mean)(x - mean)' (R, d, d) of n samples."""

    n: int
    mean: Floats
    scatter: Floats
    weight: float = 0.0  # total weight; 0 stands for n

    @property
    def values(self) -> ScatterStatistics:
        return self

    @property
    def total(self) -> float:
        """Total weight of the samples."""
        return self.weight or float(self.n)

    def join(self, *others: ScatterStatistics) -> ScatterStatistics:
        """Chan's update in d dimensions."""
        n, total, mean, scatter = self.n, self.total, self.mean, self.scatter
        for other in others:
            both = total + other.total
            gap = other.mean - mean
            apart = gap[:, :, None] * gap[:, None, :]
            scatter = scatter + other.scatter + apart * (total * other.total / both)
            mean = mean + gap * (other.total / both)
            n, total = n + other.n, both
        return ScatterStatistics(n, mean, scatter, total)

    def take(self, rows: Ints) -> ScatterStatistics:
        raise unseen("scatter statistics")

    def read(self, group: int, shift: int) -> ScatterStatistics:
        whom = readers(len(self.mean), group, shift)
        return ScatterStatistics(self.n, self.mean[whom], self.scatter[whom], self.weight)

    def scaled(self, weight: float) -> ScatterStatistics:
        return ScatterStatistics(self.n, self.mean, self.scatter * weight, self.total * weight)


@FAMILIES.register("multivariate", cite="Shumailov et al. 2024; Alemohammad et al. 2023")
@dataclass(frozen=True)
class Multivariate:
    """Gaussian in d dimensions fitted by its moments: N(μ, Σ).

    ``shape`` "full" fits a covariance matrix, "diagonal" a variance for each coordinate,
    "isotropic" one for all. Σ is the maximum-likelihood estimate, or with ``unbiased`` times
    n/(n - 1). A full fit on n ≤ d samples has rank n - 1, and no later one has a higher rank. Data
    have shape (R, n, d).

    >>> rng = np.random.default_rng(0)
    >>> model = Multivariate().fit(np.array([[[0.0, 0.0], [2.0, 4.0]]]), rng=rng)
    >>> model.covariance.tolist(), model.rank.tolist()
    ([[[1.0, 2.0], [2.0, 4.0]]], [1])

    Source: Shumailov et al. 2024 (supplement); Kazdan et al. 2024, arXiv:2410.16713.
    """

    shape: Shape = "full"
    unbiased: bool = False
    replicated = True

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape):
            expected = "shape " + ", ".join(get_args(Shape))
            raise InputError("multivariate", expected, f"'{self.shape}'", "change shape")

    def fit(
        self, data: Floats, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> MultivariateModel:
        """Moments along the sample axis; ``rng`` is not used."""
        weight = np.ones(data.shape[:2])
        if weights is not None:
            weight = np.broadcast_to(weights, data.shape[:2])
        total = weight.sum(axis=1)
        mean = (weight[:, :, None] * data).sum(axis=1) / total[:, None]
        gaps = data - mean[:, None]
        scatter = (weight[:, :, None] * gaps).swapaxes(1, 2) @ gaps
        return self._model(data.shape[1], mean, scatter / total[:, None, None])

    def fit_statistics(
        self, statistics: ScatterStatistics, *, rng: np.random.Generator
    ) -> MultivariateModel:
        """The same from sufficient statistics."""
        if not isinstance(statistics, ScatterStatistics):
            got = type(statistics).__name__
            raise InputError(
                "multivariate", "ScatterStatistics", f"{got} of another truth", "use path samples"
            )
        return self._model(statistics.n, statistics.mean, statistics.scatter / statistics.total)

    def truth(self, replicates: int, *, d: int = 2, var: float = 1.0) -> MultivariateModel:
        """The true model: N(0, var·I) in ``d`` dimensions."""
        if d < 1 or not 0 <= var < np.inf:
            raise InputError("multivariate", "d ≥ 1, var ≥ 0", f"d {d}, var {var}", "change them")
        covariance = np.broadcast_to(var * np.eye(d), (replicates, d, d)).copy()
        return MultivariateModel(np.zeros((replicates, d)), covariance)

    def _model(self, n: int, mean: Floats, covariance: Floats) -> MultivariateModel:
        if n < 1 + self.unbiased:
            got = f"{n}"
            raise InputError("multivariate", f"n at least {1 + self.unbiased}", got, "raise n")
        if self.unbiased:
            covariance = covariance * (n / (n - 1))
        d = mean.shape[1]
        spread = np.diagonal(covariance, axis1=1, axis2=2)
        if self.shape == "diagonal":
            covariance = spread[:, :, None] * np.eye(d)
        elif self.shape == "isotropic":
            covariance = spread.mean(axis=1)[:, None, None] * np.eye(d)
        return MultivariateModel(mean, covariance)


@dataclass(frozen=True)
class MultivariateModel:
    """R fitted Gaussians: ``mean`` (R, d), ``covariance`` (R, d, d)."""

    mean: Floats
    covariance: Floats
    gaussian = True

    @property
    def var(self) -> Floats:
        """Variance of each coordinate, shape (R, d)."""
        return np.diagonal(self.covariance, axis1=1, axis2=2)

    @cached_property
    def _root(self) -> Floats:
        """A square root of the covariance that exists however low its rank, (R, d, d)."""
        values, vectors = np.linalg.eigh(self.covariance)
        # Rounding leaves lost directions with a variance of about 1e-17 of the largest.
        least = values[:, -1:] * self.mean.shape[1] * 4 * np.finfo(float).eps
        values = np.where(values > least, values, 0.0)
        root: Floats = vectors * np.sqrt(values)[:, None, :]
        return root

    @property
    def rank(self) -> Ints:
        """Directions in which the model varies, shape (R,)."""
        return (np.abs(self._root).max(axis=1) > 0).sum(axis=1)

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Shape (R, n, d)."""
        draws = rng.standard_normal((len(self.mean), n, self.mean.shape[1]))
        return self.mean[:, None] + draws @ self._root.swapaxes(1, 2)

    def statistics(self, n: int, *, rng: np.random.Generator) -> ScatterStatistics:
        """Their law: mean ~ N(μ, Σ/n), scatter ~ Wishart(n - 1, Σ), independent.

        For n - 1 ≥ d by Bartlett's triangle; below, as a product of n - 1 draws.
        """
        replicates, d = self.mean.shape
        mean = self.mean + (self._root @ rng.standard_normal((replicates, d, 1)))[..., 0] / np.sqrt(
            n
        )
        if n - 1 >= d:
            inner = np.tril(rng.standard_normal((replicates, d, d)), -1)
            at = np.arange(d)
            inner[:, at, at] = np.sqrt(rng.chisquare(n - 1 - at, (replicates, d)))
        else:
            inner = rng.standard_normal((replicates, d, n - 1))
        factor = self._root @ inner
        return ScatterStatistics(n, mean, factor @ factor.swapaxes(1, 2))

    def expected_statistics(self, n: int) -> ScatterStatistics:
        """What `statistics` is on average, but for the mean's own spread: (μ, nΣ)."""
        return ScatterStatistics(n, self.mean, self.covariance * n)

    def decoded(self, decoding: Decoding) -> MultivariateModel:
        """Bias and temperature both scale the covariance."""
        if decoding.top_k is not None or decoding.top_p < 1.0:
            raise InputError("multivariate", "bias or temperature", "top-k or top-p", "drop it")
        scale = decoding.bias * decoding.temperature
        return MultivariateModel(self.mean, self.covariance * scale)

    def log_prob(self, x: Floats) -> Floats:
        """Log density in nats, shape (R, n); -inf off the span where the rank is below d."""
        d = self.mean.shape[1]
        values, vectors = np.linalg.eigh(self.covariance)
        dead = values <= values[:, -1:] * d * 4 * np.finfo(float).eps
        rotated = (x - self.mean[:, None]) @ vectors
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = rotated**2 / values[:, None] + np.log(2 * np.pi * values)[:, None]
        found = -0.5 * terms.sum(axis=2)
        return np.where(dead.any(axis=1)[:, None], -np.inf, found)
