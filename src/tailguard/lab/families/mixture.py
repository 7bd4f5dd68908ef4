"""Gaussian mixtures fitted by EM, compiled, many replicates at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from scipy.special import logsumexp

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats

LEAST_VARIANCE = 1e-6
"""Added to every variance, as scikit-learn's ``reg_covar``, so that no component is a point."""


@FAMILIES.register("mixture", cite="Shumailov et al. 2024 (supplement)")
@dataclass(frozen=True)
class Mixture:
    """Mixture of ``components`` Gaussians with full covariances, fitted by EM.

    EM starts from k-means++ centres, equal weights and the pooled covariance, and stops when the
    mean log-likelihood gains less than ``tol`` or after ``steps`` rounds: fewer leave an
    approximation error. 1e-6 is added to every variance. Data have shape (R, n, d).

    >>> rng = np.random.default_rng(0)
    >>> family = Mixture(components=2)
    >>> model = family.fit(family.truth(1).sample(4_000, rng=rng), rng=rng)
    >>> bool(np.allclose(np.sort(model.means[0, :, 0]), [-2.0, 2.0], atol=0.2))
    True

    Source: Dempster, Laird & Rubin 1977; Arthur & Vassilvitskii 2007 (k-means++).
    """

    components: int = 2
    steps: int = 100
    tol: float = 1e-3
    replicated = True

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("components", self.components >= 1, "at least 1"),
            ("steps", self.steps >= 1, "at least 1"),
            ("tol", 0.0 <= self.tol < np.inf, "at least 0"),
        ):
            if not ok:
                got = f"{getattr(self, name)}"
                raise InputError("mixture", f"{name} {expected}", got, f"change {name}")

    def fit(
        self, data: Floats, *, rng: np.random.Generator, weights: Floats | None = None
    ) -> MixtureModel:
        """EM in every replicate; ``rng`` draws the k-means++ centres."""
        data = np.ascontiguousarray(data, dtype=np.float64)
        replicates, n, d = data.shape
        if n < self.components:
            raise InputError("mixture", f"n at least {self.components}", f"{n}", "raise n")
        weight = np.ones((replicates, n))
        if weights is not None:
            weight = np.ascontiguousarray(np.broadcast_to(weights, (replicates, n)), np.float64)
        shares = np.empty((replicates, self.components))
        means = np.empty((replicates, self.components, d))
        covariances = np.empty((replicates, self.components, d, d))
        uniforms = rng.random((replicates, self.components))
        _fit_all(data, weight, uniforms, self.steps, self.tol, shares, means, covariances)
        return MixtureModel(shares, means, covariances)

    def truth(
        self, replicates: int, *, d: int = 2, spacing: float = 4.0, var: float = 1.0
    ) -> MixtureModel:
        """Equal components on a line, ``spacing`` apart, each N(·, var·I), about the origin."""
        if d < 1 or not 0 < var < np.inf:
            raise InputError("mixture", "d ≥ 1, var > 0", f"d {d}, var {var}", "change them")
        k = self.components
        means = np.zeros((replicates, k, d))
        means[:, :, 0] = spacing * (np.arange(k) - (k - 1) / 2)
        covariances = np.broadcast_to(var * np.eye(d), (replicates, k, d, d)).copy()
        return MixtureModel(np.full((replicates, k), 1 / k), means, covariances)


@dataclass(frozen=True)
class MixtureModel:
    """R fitted mixtures: ``shares`` (R, K), ``means`` (R, K, d), ``covariances`` (R, K, d, d)."""

    shares: Floats
    means: Floats
    covariances: Floats

    @property
    def mean(self) -> Floats:
        """Mean of the whole mixture, shape (R, d)."""
        return (self.shares[:, :, None] * self.means).sum(axis=1)

    @property
    def covariance(self) -> Floats:
        """Covariance of the whole mixture, (R, d, d): within components and between them."""
        gaps = self.means - self.mean[:, None]
        whole = self.covariances + gaps[..., :, None] * gaps[..., None, :]
        return (self.shares[:, :, None, None] * whole).sum(axis=1)

    @property
    def var(self) -> Floats:
        """Variance of each coordinate, shape (R, d)."""
        return np.diagonal(self.covariance, axis1=1, axis2=2)

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Shape (R, n, d)."""
        replicates, k, d = self.means.shape
        running = np.cumsum(self.shares, axis=1)
        places = rng.random((replicates, n)) * running[:, -1:]
        which = np.minimum((places[:, :, None] >= running[:, None, :]).sum(axis=2), k - 1)
        values, vectors = np.linalg.eigh(self.covariances)
        roots = vectors * np.sqrt(np.clip(values, 0, None))[..., None, :]
        draws = rng.standard_normal((replicates, n, d))
        row = np.arange(replicates)[:, None]
        return self.means[row, which] + (roots[row, which] @ draws[..., None])[..., 0]

    def decoded(self, decoding: Decoding) -> MixtureModel:
        """Bias λ scales every component's covariance, as truncation about its mode does."""
        if decoding != Decoding(bias=decoding.bias):
            raise InputError("mixture", "bias alone", "temperature, top-k or top-p", "drop it")
        return MixtureModel(self.shares, self.means, self.covariances * decoding.bias)

    def log_prob(self, x: Floats) -> Floats:
        """Log density in nats, shape (R, n) for x (R, n, d)."""
        values, vectors = np.linalg.eigh(self.covariances)
        values = np.maximum(values, 1e-300)
        gaps = x[:, None] - self.means[:, :, None]
        rotated = gaps @ vectors
        logs = -0.5 * (rotated**2 / values[:, :, None] + np.log(2 * np.pi * values)[:, :, None])
        with np.errstate(divide="ignore"):
            each: Any = logs.sum(axis=3) + np.log(self.shares)[:, :, None]
        found: Floats = logsumexp(each, axis=1)
        return found


@njit(cache=True, nogil=True)
def _seeds(data: Any, weight: Any, uniforms: Any, means: Any) -> None:
    """k-means++: each centre drawn with odds the squared distance to the nearest one so far."""
    n, d = data.shape
    nearest = np.full(n, np.inf)
    odds = weight.copy()
    for k in range(len(means)):
        total = odds.sum()
        place, chosen, running = uniforms[k] * total, n - 1, 0.0
        for i in range(n):
            running += odds[i]
            if running > place:
                chosen = i
                break
        means[k] = data[chosen]
        for i in range(n):
            gap = 0.0
            for j in range(d):
                gap += (data[i, j] - means[k, j]) ** 2
            nearest[i] = min(nearest[i], gap)
            odds[i] = weight[i] * nearest[i]


@njit(cache=True, nogil=True)
def _triangle(matrix: Any, lower: Any) -> Any:
    """Cholesky factor of a covariance; returns half its log determinant."""
    d = len(matrix)
    half = 0.0
    for i in range(d):
        for j in range(i + 1):
            total = matrix[i, j]
            for m in range(j):
                total -= lower[i, m] * lower[j, m]
            if i == j:
                lower[i, i] = np.sqrt(max(total, 1e-300))
                half += np.log(lower[i, i])
            else:
                lower[i, j] = total / lower[j, j]
    return half


@njit(cache=True, nogil=True)
def _expect(data: Any, shares: Any, means: Any, lower: Any, halves: Any, odds: Any) -> Any:
    """Responsibilities of every sample, in place; returns nothing but the log-likelihoods."""
    n, d = data.shape
    k = len(means)
    logs = np.empty(n)
    z = np.empty(d)
    for i in range(n):
        largest = -np.inf
        for c in range(k):
            square = 0.0
            for j in range(d):
                total = data[i, j] - means[c, j]
                for m in range(j):
                    total -= lower[c, j, m] * z[m]
                z[j] = total / lower[c, j, j]
                square += z[j] * z[j]
            odds[i, c] = np.log(max(shares[c], 1e-300)) - halves[c] - 0.5 * square
            largest = max(largest, odds[i, c])
        total = 0.0
        for c in range(k):
            odds[i, c] = np.exp(odds[i, c] - largest)
            total += odds[i, c]
        for c in range(k):
            odds[i, c] /= total
        logs[i] = largest + np.log(total) - 0.5 * d * np.log(2 * np.pi)
    return logs


@njit(cache=True, nogil=True)
def _maximise(data: Any, weight: Any, odds: Any, shares: Any, means: Any, covariances: Any) -> None:
    """Weighted moments of every component."""
    n, d = data.shape
    whole = weight.sum()
    for c in range(len(means)):
        total = 1e-300
        means[c] = 0.0
        for i in range(n):
            share = weight[i] * odds[i, c]
            total += share
            for j in range(d):
                means[c, j] += share * data[i, j]
        means[c] /= total
        covariances[c] = 0.0
        for i in range(n):
            share = weight[i] * odds[i, c]
            for j in range(d):
                for m in range(j + 1):
                    gap = (data[i, j] - means[c, j]) * (data[i, m] - means[c, m])
                    covariances[c, j, m] += share * gap
        for j in range(d):
            for m in range(j + 1):
                covariances[c, j, m] /= total
                covariances[c, m, j] = covariances[c, j, m]
            covariances[c, j, j] += LEAST_VARIANCE
        shares[c] = total / whole


@njit(cache=True, nogil=True)
def _fit_all(
    data: Any, weight: Any, uniforms: Any, steps: Any, tol: Any,
    shares: Any, means: Any, covariances: Any,
) -> None:  # fmt: skip
    """EM in every replicate."""
    replicates, n, d = data.shape
    k = means.shape[1]
    for r in range(replicates):
        _seeds(data[r], weight[r], uniforms[r], means[r])
        odds = np.ones((n, 1))
        pooled, centre = np.empty((1, d, d)), np.empty((1, d))
        _maximise(data[r], weight[r], odds, np.empty(1), centre, pooled)
        lower, halves = np.zeros((k, d, d)), np.empty(k)
        odds = np.empty((n, k))
        for c in range(k):
            shares[r, c] = 1.0 / k
            covariances[r, c] = pooled[0]
        last = -np.inf
        for _ in range(steps):
            for c in range(k):
                halves[c] = _triangle(covariances[r, c], lower[c])
            logs = _expect(data[r], shares[r], means[r], lower, halves, odds)
            now = (logs * weight[r]).sum() / weight[r].sum()
            _maximise(data[r], weight[r], odds, shares[r], means[r], covariances[r])
            if abs(now - last) < tol:
                break
            last = now
