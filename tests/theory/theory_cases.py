"""Plain simulations of recursion, and how to compare a formula with one.

A formula agrees with a simulation when it lies within ``SE`` Monte-Carlo standard errors of its
mean; each comparison of a true formula fails with a probability of about 7e-6.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
SE = 4.5


def distance(samples: ArrayLike, formula: ArrayLike) -> float:
    """Largest distance between mean over axis 0 and formula, in standard errors."""
    drawn = np.asarray(samples, np.float64)
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    gap = np.abs(drawn.mean(axis=0) - np.asarray(formula))
    exact = np.isclose(gap, 0.0, atol=1e-12)
    return float(np.max(np.where(exact, 0.0, gap / np.where(error > 0, error, 1e-300))))


def agrees(samples: ArrayLike, formula: ArrayLike) -> bool:
    """Whether the formula is within SE standard errors of the simulated mean, everywhere."""
    return distance(samples, formula) <= SE


def share_agrees(hits: ArrayLike, formula: ArrayLike) -> bool:
    """As `agrees` for a probability, with the standard error that the formula itself predicts."""
    drawn, p = np.asarray(hits, np.float64), np.asarray(formula, np.float64)
    error = np.sqrt(np.maximum(p * (1 - p), 1 / len(drawn)) / len(drawn))
    return bool(np.all(np.abs(drawn.mean(axis=0) - p) <= SE * error))


def gaussian_replace(
    steps: int,
    n: int,
    replicates: int,
    *,
    rng: np.random.Generator,
    unbiased: bool = False,
    bias: float = 1.0,
) -> tuple[Floats, Floats]:
    """Mean and variance of models 0 … steps, each (replicates, steps + 1), from raw samples."""
    mean, var = np.zeros((replicates, steps + 1)), np.ones((replicates, steps + 1))
    for t in range(steps):
        noise = rng.standard_normal((replicates, n))
        x = mean[:, t, None] + np.sqrt(bias * var[:, t, None]) * noise
        mean[:, t + 1], var[:, t + 1] = x.mean(axis=1), x.var(axis=1, ddof=int(unbiased))
    return mean, var


def gaussian_pooled(
    steps: int,
    replicates: int,
    pool: Callable[[int, list[Floats], Floats], Floats],
    *,
    rng: np.random.Generator,
    n: int,
    unbiased: bool = False,
) -> tuple[Floats, Floats]:
    """As `gaussian_replace`, fitted to ``pool(t, samples so far, the newest of them)``."""
    mean, var = np.zeros((replicates, steps + 1)), np.ones((replicates, steps + 1))
    past: list[Floats] = []
    for t in range(steps):
        noise = rng.standard_normal((replicates, n))
        past.append(mean[:, t, None] + np.sqrt(var[:, t, None]) * noise)
        x = pool(t, past, past[-1])
        mean[:, t + 1], var[:, t + 1] = x.mean(axis=1), x.var(axis=1, ddof=int(unbiased))
    return mean, var


def multinomial_replace(
    steps: int, n: int, replicates: int, p: ArrayLike, *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Counts of samples 1 … steps, (replicates, steps, k)."""
    share = np.broadcast_to(np.asarray(p, np.float64), (replicates, np.size(p)))
    out = np.empty((replicates, steps, np.size(p)), np.int64)
    for t in range(steps):
        out[:, t] = rng.multinomial(n, share)
        share = out[:, t] / n
    return out
