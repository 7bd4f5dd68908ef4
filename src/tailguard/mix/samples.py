"""Samples of one kind, held three ways: rows, arrays with a replicate axis, sufficient statistics.

A regime joins samples, picks among them and lets models read each other; it never looks inside.
So the same regime runs on texts, on raw draws of a million replicates, and on statistics that
stand for such draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tailguard.errors import InputError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Samples(Protocol):
    """``n`` samples (in each replicate)."""

    @property
    def n(self) -> int: ...

    @property
    def values(self) -> Any:
        """What a family's ``fit`` takes."""

    def join(self, *others: Self) -> Self:
        """These samples, then the others."""

    def take(self, rows: Ints) -> Self:
        """Samples by position: ``rows`` (m,), or (R, m) for other rows in each replicate."""

    def read(self, group: int, shift: int) -> Self:
        """Replicates in groups of ``group``; each holds what the ``shift``-th after it held."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples of one replicate: a list of texts, or an array whose first axis counts samples.

    >>> Rows(["a", "b"]).join(Rows(["c"])).take(np.array([2, 0])).values
    ['c', 'a']
    """

    values: Sequence[Any] | NDArray[Any]

    @property
    def n(self) -> int:
        return len(self.values)

    def join(self, *others: Rows) -> Rows:
        parts = [self.values, *(other.values for other in others)]
        if isinstance(self.values, np.ndarray):
            return Rows(np.concatenate(parts))
        return Rows([value for part in parts for value in part])

    def take(self, rows: Ints) -> Rows:
        if isinstance(self.values, np.ndarray):
            return Rows(self.values[rows])
        return Rows([self.values[i] for i in rows.tolist()])

    def read(self, group: int, shift: int) -> Rows:
        raise InputError(
            "regime", "samples with a replicate axis", "rows", "use a numeric family here"
        )


@dataclass(frozen=True, slots=True)
class Arrays:
    """Samples of R replicates: an array of shape (R, n, ...).

    >>> a = Arrays(np.arange(6).reshape(2, 3))
    >>> a.join(a).n, a.take(np.array([[0, 1], [1, 2]])).values.tolist()
    (6, [[0, 1], [4, 5]])
    """

    values: NDArray[Any]

    @property
    def n(self) -> int:
        return self.values.shape[1]

    def join(self, *others: Arrays) -> Arrays:
        return Arrays(np.concatenate([self.values, *(other.values for other in others)], axis=1))

    def take(self, rows: Ints) -> Arrays:
        if rows.ndim == 1:
            return Arrays(self.values[:, rows])
        deep = rows.reshape(rows.shape + (1,) * (self.values.ndim - 2))
        return Arrays(np.take_along_axis(self.values, deep, axis=1))

    def read(self, group: int, shift: int) -> Arrays:
        return Arrays(self.values[readers(len(self.values), group, shift)])


class Statistics(Samples, Protocol):
    """Sufficient statistics of n unseen samples in each replicate.

    ``join`` adds up; ``take`` is refused where the law of a subset is not known; ``values`` is the
    object itself, for ``fit_statistics``.
    """

    def scaled(self, weight: float) -> Self:
        """Every sample counted ``weight`` times."""


def readers(replicates: int, group: int, shift: int) -> Ints:
    """Whom each replicate reads: the ``shift``-th after it within its group of ``group``.

    >>> readers(4, 2, 1).tolist()
    [1, 0, 3, 2]
    """
    if group < 1 or replicates % group:
        raise InputError(
            "replicates", f"a multiple of the {group} models", f"{replicates}", "change one of them"
        )
    index = np.arange(replicates)
    return index - index % group + (index + shift) % group


def unseen(statistic: str) -> InputError:
    """The refusal of `Statistics.take`."""
    return InputError(
        statistic,
        "a regime that needs no single samples",
        "one that picks among them",
        "run it on samples (path 'samples')",
    )
