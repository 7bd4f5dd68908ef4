"""Poisson counts, many replicates at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln, pdtr, pdtrik, xlogy

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.families.categorical import CategoricalModel, sharpened
from tailguard.lab.sums import Sums, at_least, mean_of, summed
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats, Ints

# A sharper or flatter Poisson is a table of outcomes; those of relative log-weight below are left
# out, which is nothing in double precision.
_NEGLIGIBLE = -45.0
_LONGEST = 1_000_000


@FAMILIES.register("poisson", cite="Suresh et al. 2024, arXiv:2412.17646")
@dataclass(frozen=True)
class Poisson:
    """Counts with rate λ, fitted by their (weighted) mean, the maximum-likelihood estimate.

    Data are whole numbers ≥ 0, shape (R, n).

    >>> Poisson().fit(np.array([[0, 3]]), rng=np.random.default_rng(0)).mean.tolist()
    [1.5]

    Source: Suresh et al. 2024, arXiv:2412.17646.
    """

    replicated = True

    def fit(
        self, data: Any, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> PoissonModel:
        """Mean along the sample axis; ``rng`` is not used."""
        data = np.asarray(data)
        if not ((data >= 0) & (data == np.rint(data))).all():
            raise InputError("poisson", "whole numbers from 0", "other values", "change the data")
        return self.fit_statistics(summed(data, "counts", weights), rng=rng)

    def fit_statistics(self, statistics: Sums, *, rng: np.random.Generator) -> PoissonModel:
        """The same from sums."""
        return PoissonModel(mean_of("poisson", statistics, "counts"))

    def truth(self, replicates: int, *, rate: float = 1.0) -> PoissonModel:
        """The true model, the same in every replicate."""
        at_least("poisson", "rate", rate, 0.0)
        return PoissonModel(np.full(replicates, float(rate)))


@dataclass(frozen=True, slots=True)
class PoissonModel:
    """R fitted Poissons; ``mean``, shape (R,), is the rate λ."""

    mean: Floats

    @property
    def var(self) -> Floats:
        """λ, shape (R,)."""
        return self.mean

    def sample(self, n: int, *, rng: np.random.Generator) -> Ints:
        """Shape (R, n)."""
        return rng.poisson(self.mean[:, None], (len(self.mean), n))

    def statistics(self, n: int, *, rng: np.random.Generator) -> Sums:
        """Their law: sum ~ Poisson(nλ)."""
        return Sums(n, rng.poisson(self.mean * n).astype(np.float64), "counts")

    def expected_statistics(self, n: int) -> Sums:
        """What `statistics` is on average: nλ."""
        return Sums(n, self.mean * n, "counts")

    def decoded(self, decoding: Decoding) -> CountTable:
        """A table of 0, 1, 2, … with probabilities sharpened as for types."""
        size = int(self.mean.max()) + 32
        logs = self.log_prob(np.arange(size))
        while (logs[:, -1] - logs.max(axis=1)).max() > _NEGLIGIBLE * decoding.temperature:
            size *= 2
            if size > _LONGEST:
                raise InputError("poisson", "fewer outcomes", f"{size}", "lower the temperature")
            logs = self.log_prob(np.arange(size))
        probabilities = np.exp(logs - logs.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return CountTable(CategoricalModel(sharpened("poisson", probabilities, decoding)))

    def log_prob(self, x: Any) -> Floats:
        """Log-probability in nats, shape (R, n), for ``x`` of shape (n,) or (R, n)."""
        x = np.asarray(x, dtype=np.float64)
        rate = self.mean[:, None]
        whole = (x >= 0) & (x == np.rint(x))
        safe = np.where(whole, x, 0.0)
        return np.where(whole, xlogy(safe, rate) - rate - gammaln(safe + 1.0), -np.inf)

    def cdf(self, x: Floats) -> Floats:
        """P(X ≤ x), shape (R, n)."""
        return np.where(x < 0, 0.0, pdtr(np.maximum(x, 0.0), self.mean[:, None]))

    def quantile(self, q: float) -> Floats:
        """The least count with P(X ≤ x) ≥ q, shape (R,)."""
        rate = np.maximum(self.mean, 1e-300)
        above = np.ceil(pdtrik(q, rate))
        below = np.maximum(above - 1.0, 0.0)  # where the inverse was a little too high
        found: Floats = np.where(pdtr(below, rate) >= q, below, above)
        return np.where(self.mean > 0, found, 0.0)


@dataclass(frozen=True, slots=True)
class CountTable:
    """R distributions over the counts 0, 1, 2, …, given as a table."""

    table: CategoricalModel

    def sample(self, n: int, *, rng: np.random.Generator) -> Ints:
        """Shape (R, n)."""
        return self.table.sample(n, rng=rng).astype(np.int64)

    def statistics(self, n: int, *, rng: np.random.Generator) -> Sums:
        """Sum of n counts, from how often each outcome came."""
        times = self.table.statistics(n, rng=rng).sums
        return Sums(n, times @ np.arange(times.shape[1], dtype=np.float64), "counts")

    def expected_statistics(self, n: int) -> Sums:
        """What `statistics` is on average."""
        outcomes = np.arange(self.table.probabilities.shape[1], dtype=np.float64)
        return Sums(n, n * (self.table.probabilities @ outcomes), "counts")
