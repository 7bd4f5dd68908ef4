"""Categorical: a distribution over K types, many replicates at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.lab.draws import LANES, Bits, fill, stream, unit
from tailguard.lab.families import FAMILIES
from tailguard.lab.sums import Sums, at_least, mean_of
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats

Types = NDArray[np.int32]

# With so few live types, comparing every draw with every boundary is the fastest way.
_FEW = 64
# From so many samples for each type on, K binomials are faster than n draws.
_CROWDED = 32


@FAMILIES.register("categorical", cite="Kazdan et al. 2024, arXiv:2410.16713; Seddik et al. 2024")
@dataclass(frozen=True)
class Categorical:
    """K types, fitted by their (weighted) shares.

    That is the maximum-likelihood estimate; with ``prior`` a ≥ 0 it is the posterior mean
    (count + a) / (n + aK) under a Dirichlet(a, …, a), so that no type is ever lost. The truth is
    uniform over ``k`` types, or has the given ``probabilities``, which then say what K is. Data are
    types 0 … K - 1, shape (R, n).

    Raises InputError for settings out of range, and for data that are no types.

    >>> rng = np.random.default_rng(0)
    >>> Categorical(k=3).fit(np.array([[0, 0, 2, 0]]), rng=rng).probabilities.tolist()
    [[0.75, 0.0, 0.25]]

    Source: Kazdan et al. 2024, arXiv:2410.16713; Seddik et al. 2024, arXiv:2404.05090.
    """

    k: int = 100
    probabilities: Sequence[float] | None = None
    prior: float = 0.0
    replicated = True

    def __post_init__(self) -> None:
        at_least("categorical", "prior", self.prior, 0.0)
        if self.probabilities is None:
            at_least("categorical", "k", self.k, 1)
            return
        given = np.asarray(self.probabilities, dtype=np.float64)
        if given.ndim != 1 or not ((given >= 0).all() and np.isclose(given.sum(), 1, atol=1e-6)):
            raise InputError(
                "categorical", "probabilities: a list that sums to 1", f"{given}", "change it"
            )
        object.__setattr__(self, "probabilities", tuple(given.tolist()))
        object.__setattr__(self, "k", len(given))

    def fit(
        self, data: Any, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> CategoricalModel:
        """Shares along the sample axis; ``rng`` is not used."""
        return self.fit_statistics(tally("categorical", data, self.k, weights), rng=rng)

    def fit_statistics(self, statistics: Sums, *, rng: np.random.Generator) -> CategoricalModel:
        """The same from the number of samples of each type."""
        return shares_of("categorical", self.k, statistics, self.prior)

    def truth(self, replicates: int) -> CategoricalModel:
        """The true model, the same in every replicate."""
        share = np.full(self.k, 1.0 / self.k)
        if self.probabilities is not None:
            share = np.array(self.probabilities) / np.sum(self.probabilities)
        return CategoricalModel(np.tile(share, (replicates, 1)))


def tally(who: str, data: Any, k: int, weights: Floats | None) -> Sums:
    """How often each type comes in ``data`` (R, n), by weight: sums of shape (R, k)."""
    data = np.asarray(data)
    if data.ndim != 2 or data.dtype.kind not in "iu":
        got = f"{data.dtype} of shape {data.shape}"
        raise InputError(who, "whole numbers of shape (R, n)", got, "change the data")
    if data.size and (data.min() < 0 or data.max() >= k):
        got = f"{data.min()} to {data.max()}"
        raise InputError(who, f"types 0 to {k - 1}", got, "give all types to the family")
    times = np.zeros((len(data), k))
    types = np.ascontiguousarray(data, dtype=np.int32)
    if weights is None:
        _count(types, times)
        return Sums(data.shape[1], times, f"{k} types")
    each = np.ascontiguousarray(np.broadcast_to(weights, data.shape), dtype=np.float64)
    _weigh(types, each, times)
    return Sums(data.shape[1], times, f"{k} types", each.sum(axis=1, keepdims=True))


def shares_of(who: str, k: int, counts: Sums, prior: float) -> CategoricalModel:
    """The shares of k counted types, after ``prior`` more of each."""
    shares = mean_of(who, counts, f"{k} types", prior=prior * k, prior_sum=prior)
    return CategoricalModel(shares)


@dataclass(frozen=True, slots=True)
class CategoricalModel:
    """R fitted distributions over types: ``probabilities``, shape (R, K)."""

    probabilities: Floats

    @property
    def mean(self) -> Floats:
        """Of types written as unit vectors: their probabilities, shape (R, K)."""
        return self.probabilities

    @property
    def var(self) -> Floats:
        """p(1 - p) of each type, shape (R, K)."""
        return self.probabilities * (1.0 - self.probabilities)

    def sample(self, n: int, *, rng: np.random.Generator) -> Types:
        """Shape (R, n)."""
        shares = np.ascontiguousarray(self.probabilities)
        out = np.empty((len(shares), n), np.int32)
        _draw(stream(rng=rng), shares, n, out, np.empty((0, 0)))
        return out

    def statistics(self, n: int, *, rng: np.random.Generator) -> Sums:
        """Their law: counts ~ Multinomial(n, p), by n draws or by a binomial for each type."""
        shares = np.ascontiguousarray(self.probabilities)
        kind = f"{shares.shape[1]} types"
        if n > _CROWDED * shares.shape[1]:
            return Sums(n, rng.multinomial(n, shares).astype(np.float64), kind)
        times = np.zeros(shares.shape)
        _draw(stream(rng=rng), shares, n, np.empty((0, 0), np.int32), times)
        return Sums(n, times, kind)

    def expected_statistics(self, n: int) -> Sums:
        """What `statistics` is on average: np."""
        return Sums(n, self.probabilities * n, f"{self.probabilities.shape[1]} types")

    def decoded(self, decoding: Decoding) -> CategoricalModel:
        """Sharper or flatter by temperature, then cut by top-k, then by top-p."""
        return CategoricalModel(sharpened("categorical", self.probabilities, decoding))

    def log_prob(self, x: Any) -> Floats:
        """Log-probability in nats of types, shape (R, n), for ``x`` (n,) or (R, n)."""
        shares = self.probabilities
        x = np.broadcast_to(x, (len(shares), np.shape(x)[-1]))
        with np.errstate(divide="ignore"):
            return np.log(np.take_along_axis(shares, x, axis=1))


def sharpened(who: str, probabilities: Floats, decoding: Decoding) -> Floats:
    """Distributions over types, shape (R, K), as a decoder sees them.

    First p^(1/temperature), then the ``top_k`` likeliest, then the fewest, likeliest that hold
    ``top_p`` of what is left; always renormalised. Of equally likely types, earlier ones count as
    likelier. Raises InputError for a bias, which scales a variance.

    >>> p = np.array([[0.5, 0.3, 0.2]])
    >>> sharpened("types", p, Decoding(top_p=0.7)).round(3).tolist()
    [[0.625, 0.375, 0.0]]
    """
    if decoding.bias != 1.0:
        raise InputError(who, "temperature, top-k or top-p", "a bias", "drop it")
    p = probabilities
    if decoding.temperature != 1.0:
        p = (p / p.max(axis=1, keepdims=True)) ** (1.0 / decoding.temperature)
        p = p / p.sum(axis=1, keepdims=True)
    if (decoding.top_k is None or decoding.top_k >= p.shape[1]) and decoding.top_p == 1.0:
        return p
    order = np.argsort(-p, axis=1, kind="stable")
    falling = np.take_along_axis(p, order, axis=1)
    if decoding.top_k is not None:
        falling[:, decoding.top_k :] = 0.0
        falling /= falling.sum(axis=1, keepdims=True)
    if decoding.top_p < 1.0:
        before = np.cumsum(falling, axis=1) - falling
        falling[before >= decoding.top_p] = 0.0
        falling /= falling.sum(axis=1, keepdims=True)
    out = np.empty_like(p)
    np.put_along_axis(out, order, falling, axis=1)
    return out


@njit(cache=True, nogil=True)
def _count(types: Types, times: Floats) -> None:
    for r in range(len(types)):
        row, into = types[r], times[r]
        for i in range(len(row)):
            into[row[i]] += 1.0


@njit(cache=True, nogil=True)
def _weigh(types: Types, weights: Floats, times: Floats) -> None:
    for r in range(len(types)):
        for i in range(types.shape[1]):
            times[r, types[r, i]] += weights[r, i]


@njit(cache=True, nogil=True)
def _boundaries(shares: Floats, live: Types, upper: Floats) -> int:
    """The types that can come and where their shares end; how many there are."""
    found, total = 0, 0.0
    for k in range(len(shares)):
        if shares[k] > 0.0:
            total += shares[k]
            live[found], upper[found] = k, total
            found += 1
    return found


@njit(cache=True, nogil=True)
def _place(points: Floats, upper: Floats, guide: Types, into: Types) -> None:
    """The first boundary above each point; points lie below the last boundary.

    With few boundaries all are compared, which vectorises; else a guide table says where to begin
    (Chen & Asau 1974), about one comparison from the end.
    """
    m = len(upper)
    into[:] = 0
    if m <= _FEW:
        for j in range(m - 1):
            edge = upper[j]
            for i in range(len(points)):
                into[i] += np.int32(points[i] >= edge)
        return
    j = 0
    for cell in range(m):
        while upper[j] <= upper[m - 1] * (cell / m):
            j += 1
        guide[cell] = j
    cells = m / upper[m - 1]
    for i in range(len(points)):
        x = points[i]
        j = guide[min(int(x * cells), m - 1)]
        # Rounding may have put the point a cell too high.
        while j > 0 and upper[j - 1] > x:
            j -= 1
        while upper[j] <= x:
            j += 1
        into[i] = j


@njit(cache=True, nogil=True)
def _draw(state: Bits, shares: Floats, n: int, out: Types, times: Floats) -> None:
    """n types of each distribution into the rows of ``out``; or if it has none, their counts."""
    k = shares.shape[1]
    random = np.empty(-(-n // LANES) * LANES, np.uint64)
    points, place, guide = np.empty(n), np.empty(n, np.int32), np.empty(k, np.int32)
    live, upper = np.empty(k, np.int32), np.empty(k)
    counts = len(out) == 0
    for r in range(len(shares)):
        m = _boundaries(shares[r], live, upper)
        if m > 1:
            fill(state, random)
            for i in range(n):
                points[i] = unit(random[i]) * upper[m - 1]
            _place(points, upper[:m], guide, place)
        else:
            place[:] = 0
        if counts:
            for i in range(n):
                times[r, live[place[i]]] += 1.0
        else:
            for i in range(n):
                out[r, i] = live[place[i]]
