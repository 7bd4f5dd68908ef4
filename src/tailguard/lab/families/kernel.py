"""Kernel density estimates and the bare empirical distribution, many replicates at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from scipy.special import logsumexp, ndtr

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.families.gaussian import GaussianModel
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats

Rule = Literal["fixed", "silverman", "scott"]


@FAMILIES.register("kernel", cite="Silverman 1986; Borji 2024, arXiv:2410.12954")
@dataclass(frozen=True)
class Kernel:
    """Kernel density estimate on a line; ``bandwidth`` 0 is the empirical distribution.

    The model is the mean of N(x_i, h²) over the n samples, h the bandwidth. ``rule`` "fixed" takes
    h = ``bandwidth``; "silverman" and "scott" take ``bandwidth`` times 0.9 · min(s, IQR / 1.34)
    n^(-1/5) and 1.06 · s n^(-1/5), s the sample standard deviation (n - 1 in the denominator). Data
    have shape (R, n).

    >>> rng = np.random.default_rng(0)
    >>> model = Kernel(bandwidth=0.5).fit(np.array([[-1.0, 1.0]]), rng=rng)
    >>> model.mean.tolist(), model.var.tolist(), model.cdf(np.array([[0.0]])).tolist()
    ([0.0], [1.25], [[0.5]])

    Source: Silverman 1986, eqs. 3.28 and 3.31; Scott 1992.
    """

    bandwidth: float = 0.2
    rule: Rule = "fixed"
    replicated = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.bandwidth < np.inf:
            got = f"{self.bandwidth}"
            raise InputError("kernel", "bandwidth at least 0", got, "change bandwidth")
        if self.rule not in get_args(Rule):
            expected = "rule " + ", ".join(get_args(Rule))
            raise InputError("kernel", expected, f"'{self.rule}'", "change rule")

    def fit(
        self, data: Floats, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> KernelModel:
        """Keep the samples and choose the bandwidth; ``rng`` is not used."""
        n = data.shape[1]
        if n < 1 or (n < 2 and self.rule != "fixed"):
            raise InputError("kernel", "n at least 2", f"{n}", "raise n")
        width = np.full(len(data), self.bandwidth)
        if self.rule != "fixed":
            spread = data.std(axis=1, ddof=1)
            factor = 1.06
            if self.rule == "silverman":
                low, high = np.quantile(data, [0.25, 0.75], axis=1)
                spread, factor = np.minimum(spread, (high - low) / 1.34), 0.9
            width = width * factor * spread * n**-0.2
        if weights is not None:
            weights = np.broadcast_to(weights, data.shape)
            weights = weights / weights.sum(axis=1, keepdims=True)
        return KernelModel(data, width, weights)

    def truth(self, replicates: int, *, mean: float = 0.0, var: float = 1.0) -> GaussianModel:
        """The true model: a Gaussian, the same in every replicate."""
        return GaussianModel(np.full(replicates, mean), np.full(replicates, var))


@FAMILIES.register("ecdf", cite="Efron 1979")
@dataclass(frozen=True)
class Ecdf:
    """Empirical distribution on a line: resampling of resamples.

    >>> rng = np.random.default_rng(0)
    >>> Ecdf().fit(np.array([[3.0, 3.0]]), rng=rng).sample(2, rng=rng).tolist()
    [[3.0, 3.0]]
    """

    replicated = True

    def fit(
        self, data: Floats, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> KernelModel:
        """Keep the samples."""
        return Kernel(bandwidth=0.0).fit(data, rng=rng, weights=weights)

    def truth(self, replicates: int, *, mean: float = 0.0, var: float = 1.0) -> GaussianModel:
        """The true model: a Gaussian, the same in every replicate."""
        return Kernel().truth(replicates, mean=mean, var=var)


@dataclass(frozen=True)
class KernelModel:
    """R kernel density estimates: ``points`` (R, n), ``width`` (R,), ``weights`` (R, n) or None."""

    points: Floats
    width: Floats
    weights: Floats | None = None

    @cached_property
    def mean(self) -> Floats:
        """Mean of the model, shape (R,)."""
        if self.weights is None:
            return self.points.mean(axis=1)
        return (self.weights * self.points).sum(axis=1)

    @cached_property
    def var(self) -> Floats:
        """Variance of the model, shape (R,): that of the points plus the bandwidth squared."""
        gaps = (self.points - self.mean[:, None]) ** 2
        spread = gaps.mean(axis=1) if self.weights is None else (self.weights * gaps).sum(axis=1)
        return spread + self.width**2

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Points drawn with replacement, each moved by the kernel; shape (R, n)."""
        size = self.points.shape
        if self.weights is None:
            rows = rng.integers(0, size[1], (size[0], n))
        else:
            running = np.cumsum(self.weights, axis=1)
            places = rng.random((size[0], n)) * running[:, -1:]
            rows = np.stack([np.searchsorted(r, p, "right") for r, p in zip(running, places)])  # noqa: B905
            rows = np.minimum(rows, size[1] - 1)
        drawn = np.take_along_axis(self.points, rows, axis=1)
        if self.width.any():
            drawn = drawn + self.width[:, None] * rng.standard_normal((size[0], n))
        return drawn

    def decoded(self, decoding: Decoding) -> KernelModel:
        """Bias λ draws points towards the mean and narrows the kernel: variance times λ."""
        if decoding != Decoding(bias=decoding.bias):
            raise InputError("kernel", "bias alone", "temperature, top-k or top-p", "drop it")
        scale = np.sqrt(decoding.bias)
        middle = self.mean[:, None]
        return KernelModel(
            middle + scale * (self.points - middle), scale * self.width, self.weights
        )

    def log_prob(self, x: Floats) -> Floats:
        """Log density in nats, shape (R, m) for x (R, m).

        Where h is 0 the model is discrete: log of the share of points equal to x, -inf off them.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            h = self.width[:, None, None]
            z = (x[:, :, None] - self.points[:, None, :]) / h
            logs = -0.5 * z**2 - np.log(h) - 0.5 * np.log(2 * np.pi)
            share = 1 / self.points.shape[1] if self.weights is None else self.weights[:, None, :]
            density = logsumexp(logs, axis=2, b=share)
            same = x[:, :, None] == self.points[:, None, :]
            shares = np.log((same * share).sum(axis=2))
        return np.where(self.width[:, None] > 0, density, shares)

    def cdf(self, x: Floats) -> Floats:
        """P(X ≤ x), shape (R, m) for x of shape (R, m)."""
        gap = x[:, :, None] - self.points[:, None, :]
        h = self.width[:, None, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            below = np.where(h > 0, ndtr(gap / h), gap >= 0)
        if self.weights is None:
            return below.mean(axis=2)
        return (below * self.weights[:, None, :]).sum(axis=2)
