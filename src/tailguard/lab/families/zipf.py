"""Zipf: types whose frequencies fall like a power of their rank, as words do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailguard.lab.families import FAMILIES
from tailguard.lab.families.categorical import CategoricalModel, shares_of, tally
from tailguard.lab.sums import Sums, at_least
from tailguard.mix.samples import Floats


@FAMILIES.register("zipf", cite="Dohmatob et al. 2024, arXiv:2402.07043")
@dataclass(frozen=True)
class Zipf:
    """Types of ranks 1 … ``types``, truly of probability ∝ rank^-``exponent``, fitted by shares.

    The model knows nothing of the law: it is a `Categorical`, with the same ``prior``. Data are
    types 0 … ``types`` - 1 (rank less one), shape (R, n).

    >>> Zipf(exponent=1.0, types=3).truth(1).probabilities.round(3).tolist()
    [[0.545, 0.273, 0.182]]

    Source: Dohmatob et al. 2024, arXiv:2402.07043.
    """

    exponent: float = 1.5
    types: int = 20_000
    prior: float = 0.0
    replicated = True

    def __post_init__(self) -> None:
        at_least("zipf", "exponent", self.exponent, 0.0)
        at_least("zipf", "types", self.types, 1)
        at_least("zipf", "prior", self.prior, 0.0)

    def fit(
        self, data: Any, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> CategoricalModel:
        """Shares along the sample axis; ``rng`` is not used."""
        return self.fit_statistics(tally("zipf", data, self.types, weights), rng=rng)

    def fit_statistics(self, statistics: Sums, *, rng: np.random.Generator) -> CategoricalModel:
        """The same from the number of samples of each type."""
        return shares_of("zipf", self.types, statistics, self.prior)

    def truth(self, replicates: int) -> CategoricalModel:
        """The true model, the same in every replicate."""
        share = np.arange(1, self.types + 1, dtype=np.float64) ** -self.exponent
        return CategoricalModel(np.tile(share / share.sum(), (replicates, 1)))
