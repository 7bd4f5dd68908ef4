"""What a run leaves: each measurement over the generations, summed up over replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tailguard.lab.spread import spread
from tailguard.mix.samples import Floats, Ints

# Quantiles come from the first replicates only, so that memory does not grow with their number.
KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One measurement over T + 1 generations: moments over all replicates, and some in full.

    ``count``, ``centre``, ``scatter``, ``cubes``: shape (T+1,), number, mean, and sums of squared
    and cubed deviations over the replicates where it is finite. ``kept``: shape (at most 10,000,
    T+1), the first replicates. A monoid under `merge`.
    """

    count: Ints
    centre: Floats
    scatter: Floats
    kept: Floats
    cubes: Floats

    @classmethod
    def of(cls, values: Floats, kept: int = KEPT) -> Trajectory:
        """From all values, shape (R, T+1); the first ``kept`` replicates are kept in full."""
        return cls.gathered([spread(column) for column in values.T], list(values[:kept].T))

    @classmethod
    def gathered(
        cls, spreads: Sequence[tuple[int, float, float, float]], kept: Sequence[Floats]
    ) -> Trajectory:
        """From the `spread` of every generation, and the replicates of it that are kept in full."""
        count, centre, scatter, cubes = (np.array(row) for row in zip(*spreads, strict=True))
        return cls(count.astype(np.int64), centre, scatter, np.stack(kept, axis=1), cubes)

    def merge(self, other: Trajectory) -> Trajectory:
        """Both together, this one's replicates first."""
        count = self.count + other.count
        size = np.maximum(count, 1)
        gap = other.centre - self.centre
        centre = self.centre + gap * other.count / size
        with np.errstate(over="ignore", invalid="ignore"):
            between = gap**2 * self.count * other.count / size
            scatter = self.scatter + other.scatter + between
            lean = self.count * other.scatter - other.count * self.scatter
            shift = gap * (between * (self.count - other.count) + 3 * lean) / size
            cubes = self.cubes + other.cubes + shift
        kept = np.concatenate([self.kept, other.kept])[:KEPT]
        return Trajectory(count, centre, scatter, kept, cubes)

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

    @property
    def skewness(self) -> Floats:
        """Third standardised moment over replicates; nan where they do not differ."""
        with np.errstate(divide="ignore", invalid="ignore"):
            skewness: Floats = np.sqrt(self.count) * self.cubes / self.scatter**1.5
        return np.where(self.scatter > 0, skewness, np.nan)

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
