"""Sufficient statistics that add up: sums over samples, for families that are fitted by a mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailguard.errors import InputError
from tailguard.mix.samples import Floats, Ints, readers, unseen


@dataclass(frozen=True, slots=True)
class Sums:
    """Weighted sum of a statistic over n samples in each of R replicates, shape (R,) or (R, k).

    ``kind`` says of what: "bits", "counts" and "numbers" are sums of the samples themselves, and
    of these each is a case of the next; other kinds are only what they are. ``weight`` is the sum
    of the samples' weights: a number, or an array that broadcasts against ``sums``; None stands
    for n samples of weight 1.

    >>> a = Sums(2, np.array([3.0]), "counts")
    >>> mean_of("poisson", a.join(a.scaled(0.5)), "counts").tolist(), a.join(a).n
    ([1.5], 4)
    """

    n: int
    sums: Floats
    kind: str
    weight: float | Floats | None = None

    @property
    def values(self) -> Sums:
        return self

    @property
    def total(self) -> float | Floats:
        """Sum of weights."""
        return float(self.n) if self.weight is None else self.weight

    def join(self, *others: Sums) -> Sums:
        n, sums, kind, total = self.n, self.sums, self.kind, self.total
        for other in others:
            kind = other.kind if _is(kind, other.kind) else kind
            if not _is(other.kind, kind):
                raise InputError("regime", f"sums of {kind}", other.kind, "use path samples")
            n, sums, total = n + other.n, sums + other.sums, total + other.total
        return Sums(n, sums, kind, total)

    def take(self, rows: Ints) -> Sums:
        raise unseen("sums over samples")

    def read(self, group: int, shift: int) -> Sums:
        whom = readers(len(self.sums), group, shift)
        weight = self.weight[whom] if isinstance(self.weight, np.ndarray) else self.weight
        return Sums(self.n, self.sums[whom], self.kind, weight)

    def scaled(self, weight: float) -> Sums:
        return Sums(self.n, self.sums * weight, self.kind, self.total * weight)


def mean_of(
    who: str, statistics: Any, kind: str, *, prior: float = 0.0, prior_sum: float = 0.0
) -> Floats:
    """Mean of sums after ``prior`` more samples whose sum is ``prior_sum``, in the sums' shape.

    InputError, on behalf of ``who``, unless these are sums of ``kind`` of positive weight.
    """
    given = statistics.kind if isinstance(statistics, Sums) else type(statistics).__name__
    if not (isinstance(statistics, Sums) and _is(given, kind)):
        raise InputError(who, f"sums of {kind}", given, "use path samples")
    total = np.asarray(statistics.total) + prior
    if not (total > 0.0).all():
        raise InputError(who, "a sample of positive weight", "none", "change n or the weights")
    return (statistics.sums + prior_sum if prior_sum else statistics.sums) / total


def _is(kind: str, other: str) -> bool:
    """Whether sums of ``kind`` are also sums of ``other``."""
    plain = ("bits", "counts", "numbers")
    return kind == other or (kind in plain and other in plain[plain.index(kind) :])


def summed(data: Any, kind: str, weights: Floats | None) -> Sums:
    """Sums over the samples of ``data`` (R, n) or (R, n, k), with weights (n,) or (R, n).

    >>> summed(np.array([[1, 2, 3]]), "counts", np.array([1.0, 0.0, 1.0])).sums.tolist()
    [4.0]
    """
    data = np.asarray(data)
    if weights is None:
        return Sums(data.shape[1], data.sum(axis=1, dtype=np.float64), kind)
    weights = np.broadcast_to(weights, data.shape[:2])
    sums = np.einsum("rn,rn...->r...", weights, data, dtype=np.float64)
    total = weights.sum(axis=1)
    return Sums(data.shape[1], sums, kind, total.reshape(total.shape + (1,) * (sums.ndim - 1)))


def at_least(who: str, name: str, value: float, low: float, high: float = np.inf) -> None:
    """InputError, on behalf of ``who``, unless ``value`` is finite and in [``low``, ``high``].

    >>> at_least("poisson", "rate", 1.0, 0.0)
    """
    if not (low <= value <= high and abs(value) < np.inf):
        span = f"at least {low:g}" if high == np.inf else f"in [{low:g}, {high:g}]"
        span = "finite" if low == -np.inf else span
        raise InputError(who, f"{name} {span}", f"{value}", f"change {name}")
