"""A small Ising model by exact enumeration, many replicates at once.

States of equal magnetisation and equal number of aligned pairs are equally likely, so everything
happens on these few levels. The moments of the levels span a polygon. Data whose mean moments lie
on its border have no maximum-likelihood parameters, but their likelihood still has a supremum: the
family restricted to that edge or corner (Barndorff-Nielsen 1978, its closure). Borders and corners
are where closed loops end, so they are found exactly and fitted as what they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.families.categorical import CategoricalModel
from tailguard.lab.sums import Sums, at_least, mean_of, summed
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats, Ints

CITE = "Jangjoo, Marsili & Roudi 2026, PRL 136:197301, arXiv:2506.20623"
PAIRS = ("none", "ring", "all")
_STEPS = 200

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """States by level. L levels, d moments: the mean spin and, with pairs, the mean product.

    ``moments`` (L, d); ``size`` (L,) states in each; ``states`` (2^N, N) spins sorted by level, and
    ``first`` (L,) where a level begins. The polygon of moments is a·x ≤ c over its borders, rows of
    ``borders`` (E, d + 1) = (a, c); ``slack`` (E, L) is c - a·x of each level, exactly 0 on the
    border. Moments are kept as whole numbers, ``scale`` (d,) times the means, so that it is exact.
    """

    moments: Floats
    size: Floats
    states: NDArray[np.int8]
    first: Ints
    scale: Floats
    borders: Floats
    slack: Floats


@lru_cache(maxsize=32)
def levels_of(spins: int, pairs: str) -> Levels:
    """All levels of a model of so many spins.

    >>> levels_of(3, "all").size.tolist(), levels_of(3, "all").moments[:2].tolist()
    ([1.0, 3.0, 3.0, 1.0], [[-3.0, 3.0], [-1.0, -1.0]])
    """
    bits = (np.arange(2**spins)[:, None] >> np.arange(spins)) & 1
    states = (2 * bits - 1).astype(np.int8)
    sums = whole_moments(states, pairs)
    moments, level, size = np.unique(sums, axis=0, return_inverse=True, return_counts=True)
    first = np.concatenate([[0], np.cumsum(size)[:-1]])
    scale = np.array([spins, len(_neighbours(spins, pairs))], dtype=np.float64)[: sums.shape[1]]
    borders = _polygon(moments)
    slack = borders[:, -1:] - borders[:, :-1] @ moments.T
    order = np.argsort(level.reshape(-1), kind="stable")
    return Levels(moments, size.astype(np.float64), states[order], first, scale, borders, slack)


def _neighbours(spins: int, pairs: str) -> list[tuple[int, int]]:
    if pairs == "ring":
        return [(i, (i + 1) % spins) for i in range(spins)]
    return [(i, j) for i in range(spins) for j in range(i)] if pairs == "all" else []


def whole_moments(states: Any, pairs: str) -> Floats:
    """Sum of spins and, with pairs, of their products: (..., N) to (..., 1 or 2), whole numbers."""
    spins = np.asarray(states).astype(np.float64)
    total = spins.sum(axis=-1)
    if pairs == "none":
        return total[..., None]
    if pairs == "all":
        products = (total**2 - spins.shape[-1]) / 2.0
    else:
        products = (spins * np.roll(spins, -1, axis=-1)).sum(axis=-1)
    return np.stack([total, products], axis=-1)


def _polygon(points: Floats) -> Floats:
    """The borders (a, c) of the hull of whole-numbered points, a·x ≤ c, by gift wrapping."""
    if points.shape[1] == 1:
        return np.array([[-1.0, -points.min()], [1.0, points.max()]])
    corners, at = [], int(np.lexsort(points.T[::-1])[0])
    while at not in corners:
        corners.append(at)
        ahead = points - points[at]
        best = (at + 1) % len(points)
        for other in range(len(points)):
            turn = ahead[best, 0] * ahead[other, 1] - ahead[best, 1] * ahead[other, 0]
            farther = (ahead[other] ** 2).sum() > (ahead[best] ** 2).sum()
            if turn < 0 or (turn == 0 and farther):
                best = other
        at = best
    here = points[corners]
    along = np.roll(here, -1, axis=0) - here
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1)
    return np.column_stack([outward, (outward * here).sum(axis=1)])


@FAMILIES.register("ising", cite=CITE)
@dataclass(frozen=True)
class Ising:
    """N spins s = ±1 with P(s) ∝ exp(field · Σ s_i + coupling · Σ s_i s_j), fitted exactly.

    The second sum runs over ``pairs``: "all", neighbours on a "ring", or "none" (then there is no
    coupling). Fitted by maximum likelihood, which matches the mean of both sums; ``prior`` a ≥ 0
    adds the moments of a samples of independent fair spins (the conjugate prior's mode), which
    keeps the fit off the absorbing border. Data are -1 or 1, shape (R, n, N).

    Raises InputError for settings out of range (2 to 12 spins, 3 on a ring), and for other data.

    >>> data = np.array([[[1, 1, 1], [1, 1, -1]]])
    >>> model = Ising(spins=3).fit(data, rng=np.random.default_rng(0))
    >>> model.mean.round(6).tolist()
    [[0.666667, 0.333333]]

    Source: Jangjoo, Marsili & Roudi 2026, PRL 136:197301, arXiv:2506.20623.
    """

    spins: int = 8
    pairs: str = "all"
    prior: float = 0.0
    replicated = True

    def __post_init__(self) -> None:
        if self.pairs not in PAIRS:
            raise InputError("ising", "pairs " + ", ".join(PAIRS), f"'{self.pairs}'", "choose one")
        at_least("ising", "spins", self.spins, 3 if self.pairs == "ring" else 2, 12)
        at_least("ising", "prior", self.prior, 0.0)

    @property
    def kind(self) -> str:
        """What its statistics are sums of."""
        return f"moments of {self.spins} spins, pairs {self.pairs}"

    def fit(
        self, data: Any, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> IsingModel:
        """Match moments; ``rng`` is not used."""
        data = np.asarray(data)
        if data.ndim != 3 or data.shape[2] != self.spins or not (np.abs(data) == 1).all():
            got = f"shape {data.shape}"
            expected = f"spins -1 or 1 of shape (R, n, {self.spins})"
            raise InputError("ising", expected, got, "change the data")
        moments = whole_moments(data, self.pairs)
        return self.fit_statistics(summed(moments, self.kind, weights), rng=rng)

    def fit_statistics(self, statistics: Sums, *, rng: np.random.Generator) -> IsingModel:
        """The same from sums of moments."""
        return self._matched(mean_of("ising", statistics, self.kind, prior=self.prior))

    def truth(self, replicates: int, *, field: float = 0.0, coupling: float = 0.0) -> IsingModel:
        """The true model, the same in every replicate."""
        at_least("ising", "field", field, -np.inf)
        at_least("ising", "coupling", coupling, -np.inf)
        if self.pairs == "none" and coupling:
            raise InputError("ising", "no coupling without pairs", f"{coupling:g}", "set pairs")
        levels = levels_of(self.spins, self.pairs)
        theta = np.array([field, coupling])[: levels.moments.shape[1]]
        logs = np.log(levels.size) + levels.moments @ theta
        shares = np.exp(logs - logs.max())
        return IsingModel(self, np.tile(shares / shares.sum(), (replicates, 1)))

    def _matched(self, moments: Floats) -> IsingModel:
        levels = levels_of(self.spins, self.pairs)
        # One sample of n off a border leaves a room of at least 1/n. The centre is inside: c > 0.
        room = levels.borders[:, -1] - moments @ levels.borders[:, :-1].T
        on = (room < 1e-13 * levels.borders[:, -1]).astype(np.float64)
        open_ = on @ levels.slack == 0.0
        shares = np.empty(open_.shape)
        flat = ((0, 0), (0, 2 - moments.shape[1]))  # the kernel takes two moments
        points, wanted = np.pad(levels.moments, flat), np.pad(moments, flat)
        failed = _match(points, np.log(levels.size), open_, wanted, shares)
        if failed >= 0:
            got = f"{moments[failed]} too near the border"
            raise InputError("ising", "moments that can be matched", got, "lower n or set prior")
        return IsingModel(self, shares)


@dataclass(frozen=True, slots=True)
class IsingModel:
    """R fitted Ising models: ``shares``, shape (R, L), of the levels of its family."""

    family: Ising
    shares: Floats

    @property
    def levels(self) -> Levels:
        """The levels of its family."""
        return levels_of(self.family.spins, self.family.pairs)

    @property
    def mean(self) -> Floats:
        """Mean spin and, with pairs, mean product of a pair, shape (R, 1 or 2), in [-1, 1]."""
        return self.shares @ (self.levels.moments / self.levels.scale)

    @property
    def var(self) -> Floats:
        """Variances of a state's mean spin and mean product, shape (R, 1 or 2)."""
        features = self.levels.moments / self.levels.scale
        return np.maximum(self.shares @ features**2 - (self.shares @ features) ** 2, 0.0)

    @property
    def probabilities(self) -> Floats:
        """Of all states, sorted by level, shape (R, 2^N)."""
        sizes = self.levels.size
        return np.repeat(self.shares / sizes, sizes.astype(np.int64), axis=1)

    def sample(self, n: int, *, rng: np.random.Generator) -> NDArray[np.int8]:
        """Shape (R, n, N)."""
        level = CategoricalModel(self.shares).sample(n, rng=rng)
        within = (rng.random(level.shape) * self.levels.size[level]).astype(np.int64)
        return self.levels.states[self.levels.first[level] + within]

    def statistics(self, n: int, *, rng: np.random.Generator) -> Sums:
        """Sums of moments, from how often each level came."""
        times = CategoricalModel(self.shares).statistics(n, rng=rng).sums
        return Sums(n, times @ self.levels.moments, self.family.kind)

    def expected_statistics(self, n: int) -> Sums:
        """What `statistics` is on average."""
        return Sums(n, n * (self.shares @ self.levels.moments), self.family.kind)

    def decoded(self, decoding: Decoding) -> IsingModel:
        """Temperature: each state's probability to the power 1/temperature."""
        if decoding.bias != 1.0 or decoding.top_k is not None or decoding.top_p < 1.0:
            raise InputError("ising", "a temperature", "bias, top-k or top-p", "drop it")
        each = self.shares / self.levels.size
        warm = (each / each.max(axis=1, keepdims=True)) ** (1.0 / decoding.temperature)
        warm *= self.levels.size
        return IsingModel(self.family, warm / warm.sum(axis=1, keepdims=True))

    def log_prob(self, x: Any) -> Floats:
        """Log-probability of states (R, n, N) in nats, shape (R, n); -inf where impossible."""
        moments = whole_moments(x, self.family.pairs)
        same = (moments[:, :, None, :] == self.levels.moments).all(axis=-1)
        with np.errstate(divide="ignore"):
            each = np.log(self.shares / self.levels.size)
        return np.take_along_axis(each, same.argmax(axis=-1), axis=1)


@njit(cache=True, nogil=True)
def _tilt(
    moments: Floats, logs: Floats, open_: Flags, field: float, coupling: float, out: Floats
) -> float:
    """Shares ∝ exp(logs + moments·θ) over the open levels; returns their log-partition function."""
    top, total = -np.inf, 0.0
    for k in range(len(out)):
        out[k] = -np.inf
        if open_[k]:
            out[k] = logs[k] + moments[k, 0] * field + moments[k, 1] * coupling
            top = max(top, out[k])
    for k in range(len(out)):
        out[k] = math.exp(out[k] - top)
        total += out[k]
    for k in range(len(out)):
        out[k] /= total
    return top + math.log(total)


@njit(cache=True, nogil=True)
def _newton(moments: Floats, p: Floats, x: float, y: float) -> tuple[float, float, float, float]:
    """How far the moments of ``p`` are from (x, y), and Newton's step towards them.

    On an edge the covariance has rank 1; a ridge far below it leaves the step along the edge as it
    is, and none across.
    """
    left, right = x, y
    for k in range(len(p)):
        left -= p[k] * moments[k, 0]
        right -= p[k] * moments[k, 1]
    a = b = c = 0.0
    for k in range(len(p)):
        u, v = moments[k, 0] - (x - left), moments[k, 1] - (y - right)
        a, b, c = a + p[k] * u * u, b + p[k] * u * v, c + p[k] * v * v
    ridge = 1e-13 * (a + c)
    a, c = a + ridge, c + ridge
    det = a * c - b * b
    if det <= 0.0:
        return left, right, 0.0, 0.0
    return left, right, (c * left - b * right) / det, (a * right - b * left) / det


@njit(cache=True, nogil=True)
def _match(moments: Floats, logs: Floats, open_: Flags, wanted: Floats, shares: Floats) -> int:
    """Shares with the ``wanted`` moments in each replicate; one that failed, or -1.

    Newton's method on the log-likelihood, which is concave; a step is halved until it rises
    enough (Armijo), as far as rounding lets one see.
    """
    trial, close = np.empty(len(moments)), 0.0
    for k in range(len(moments)):
        close = max(close, 1e-12 * abs(moments[k, 0]), 1e-12 * abs(moments[k, 1]))
    for r in range(len(wanted)):
        x, y = wanted[r, 0], wanted[r, 1]
        field = coupling = 0.0
        height = -_tilt(moments, logs, open_[r], field, coupling, shares[r])
        for _ in range(_STEPS):
            left, right, along, across = _newton(moments, shares[r], x, y)
            if max(abs(left), abs(right)) < close:
                break
            slope, length = along * left + across * right, 1.0
            while True:
                new_field, new_coupling = field + length * along, coupling + length * across
                energy = new_field * x + new_coupling * y
                above = energy - _tilt(moments, logs, open_[r], new_field, new_coupling, trial)
                enough = height + 1e-4 * length * slope - 1e-14 * (1.0 + abs(energy))
                if above >= enough or length < 1e-10:
                    break
                length *= 0.5
            field, coupling, height = new_field, new_coupling, above
            for k in range(len(trial)):
                shares[r, k] = trial[k]
        else:
            return r
    return -1
