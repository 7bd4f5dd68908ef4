"""What a run leaves: each measurement over the generations, summed up over replicates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from tailguard.mix.samples import Floats, Ints

# Quantiles come from the first replicates only, so that memory does not grow with their number.
KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One measurement over T + 1 generations: moments over all replicates, and some in full.

    ``count``, ``centre``, ``scatter``: shape (T+1,), over replicates where it is finite.
    ``kept``: shape (at most 10,000, T+1), the first replicates. A monoid under `merge`.
    """

    count: Ints
    centre: Floats
    scatter: Floats
    kept: Floats

    @classmethod
    def of(cls, values: Floats) -> Trajectory:
        """From all values, shape (R, T+1)."""
        finite = np.isfinite(values)
        count = finite.sum(axis=0)
        safe = np.where(finite, values, 0.0)
        centre = safe.sum(axis=0) / np.maximum(count, 1)
        scatter = (np.where(finite, values - centre, 0.0) ** 2).sum(axis=0)
        return cls(count, centre, scatter, values[:KEPT].copy())

    def merge(self, other: Trajectory) -> Trajectory:
        """Both together, this one's replicates first."""
        count = self.count + other.count
        size = np.maximum(count, 1)
        gap = other.centre - self.centre
        centre = self.centre + gap * other.count / size
        scatter = self.scatter + other.scatter + gap**2 * self.count * other.count / size
        return Trajectory(count, centre, scatter, np.concatenate([self.kept, other.kept])[:KEPT])

    @property
    def mean(self) -> Floats:
        """Mean over replicates; nan where none is finite."""
        return np.where(self.count > 0, self.centre, np.nan)

    @property
    def error(self) -> Floats:
        """Monte-Carlo standard error of the mean; nan below two replicates."""
        with np.errstate(divide="ignore", invalid="ignore"):
            error: Floats = np.sqrt(self.scatter / (self.count - 1) / self.count)
        return np.where(self.count > 1, error, np.nan)

    def quantile(self, q: float) -> Floats:
        """Quantile over the kept replicates, infinities included; nan where one is nan."""
        with np.errstate(invalid="ignore"):
            return np.quantile(self.kept, q, axis=0, method="inverted_cdf")

    @property
    def median(self) -> Floats:
        """Median over the kept replicates."""
        return self.quantile(0.5)


def merged(parts: list[Trajectory]) -> Trajectory:
    """All parts in their order."""
    return reduce(Trajectory.merge, parts)
