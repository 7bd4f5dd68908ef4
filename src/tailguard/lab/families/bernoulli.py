"""Bernoulli: a coin, many replicates at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.families.categorical import sharpened
from tailguard.lab.sums import Sums, at_least, mean_of, summed
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats


@FAMILIES.register("bernoulli", cite="Suresh et al. 2024, arXiv:2412.17646")
@dataclass(frozen=True)
class Bernoulli:
    """A coin: 1 with probability p, else 0.

    p is the (weighted) share of ones, the maximum-likelihood estimate, or with ``prior`` a ≥ 0 the
    posterior mean (ones + a) / (n + 2a) under a Beta(a, a). Data are 0 or 1, shape (R, n).

    >>> Bernoulli().fit(np.array([[1, 0, 0, 0]]), rng=np.random.default_rng(0)).mean.tolist()
    [0.25]

    Source: Suresh et al. 2024, arXiv:2412.17646.
    """

    prior: float = 0.0
    replicated = True

    def __post_init__(self) -> None:
        at_least("bernoulli", "prior", self.prior, 0.0)

    def fit(
        self, data: Any, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> BernoulliModel:
        """Share of ones; ``rng`` is not used."""
        data = np.asarray(data)
        if not np.isin(data, (0, 1)).all():
            raise InputError("bernoulli", "data of 0 and 1", "other values", "change the data")
        return self.fit_statistics(summed(data, "bits", weights), rng=rng)

    def fit_statistics(self, statistics: Sums, *, rng: np.random.Generator) -> BernoulliModel:
        """The same from the number of ones."""
        share = mean_of("bernoulli", statistics, "bits", prior=2 * self.prior, prior_sum=self.prior)
        return BernoulliModel(share)

    def truth(self, replicates: int, *, p: float = 0.5) -> BernoulliModel:
        """The true coin, the same in every replicate."""
        at_least("bernoulli", "p", p, 0.0, 1.0)
        return BernoulliModel(np.full(replicates, float(p)))


@dataclass(frozen=True, slots=True)
class BernoulliModel:
    """R fitted coins; ``mean``, shape (R,), is the probability of 1."""

    mean: Floats

    @property
    def var(self) -> Floats:
        """p(1 - p), shape (R,)."""
        return self.mean * (1.0 - self.mean)

    @property
    def probabilities(self) -> Floats:
        """Of 0 and 1, shape (R, 2)."""
        return np.stack([1.0 - self.mean, self.mean], axis=1)

    def sample(self, n: int, *, rng: np.random.Generator) -> NDArray[np.int8]:
        """Shape (R, n)."""
        ones: NDArray[np.bool_] = rng.random((len(self.mean), n)) < self.mean[:, None]
        return ones.astype(np.int8)

    def statistics(self, n: int, *, rng: np.random.Generator) -> Sums:
        """Their law: ones ~ Binomial(n, p)."""
        return Sums(n, rng.binomial(n, self.mean).astype(np.float64), "bits")

    def expected_statistics(self, n: int) -> Sums:
        """What `statistics` is on average: np."""
        return Sums(n, self.mean * n, "bits")

    def decoded(self, decoding: Decoding) -> BernoulliModel:
        """Probabilities to the power 1/temperature, or only the likelier side; a tie is 0."""
        return BernoulliModel(sharpened("bernoulli", self.probabilities, decoding)[:, 1])

    def log_prob(self, x: Any) -> Floats:
        """Log-probability in nats, shape (R, n); -inf where impossible."""
        x = np.asarray(x)
        with np.errstate(divide="ignore"):
            ones, zeros = np.log(self.mean)[:, None], np.log1p(-self.mean)[:, None]
        impossible = np.where(x == 0, zeros, -np.inf)
        return np.where(x == 1, ones, impossible)
