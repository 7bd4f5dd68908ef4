"""Moments of the model: where it is, and how wide."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailguard.lab.measurements import measurement
from tailguard.lab.recursion import Generation
from tailguard.mix.samples import Arrays, Floats


def undefined(generation: Generation, truth: Any) -> Floats:
    """nan in every replicate."""
    return np.full(len(truth.mean), np.nan)


@measurement("var", unit="squared data units", worse="lower", heavy_tailed=True)
def var(generation: Generation, truth: Any) -> Floats:
    """Variance of the model; of several dimensions, their mean."""
    model: Any = generation.model
    spread: Floats = np.asarray(model.var)
    return spread if spread.ndim == 1 else spread.mean(axis=-1)


@measurement("log_var", unit="nats", worse="lower")
def log_var(generation: Generation, truth: Any) -> Floats:
    """Logarithm of the variance; -inf once it is zero."""
    with np.errstate(divide="ignore"):
        return np.log(var(generation, truth))


@measurement("mean_sq", unit="squared data units", heavy_tailed=True)
def mean_sq(generation: Generation, truth: Any) -> Floats:
    """Squared distance of the model's mean from the true one, per dimension."""
    model: Any = generation.model
    gap = np.asarray(model.mean) - np.asarray(truth.mean)
    return gap**2 if gap.ndim == 1 else (gap**2).mean(axis=-1)


@measurement("rank", unit="dimensions", worse="lower")
def rank(generation: Generation, truth: Any) -> Floats:
    """Dimensions in which the model still varies."""
    model: Any = generation.model
    covariance = getattr(model, "covariance", None)
    if covariance is not None:
        return np.linalg.matrix_rank(covariance, hermitian=True).astype(float)
    spread: Floats = np.asarray(model.var)
    return (spread > 0).astype(float) if spread.ndim == 1 else (spread > 0).sum(axis=-1) * 1.0


@measurement("wide", unit="share of replicates", worse="lower", cite="Suresh et al. 2024")
def wide(generation: Generation, truth: Any) -> Floats:
    """1 where the standard deviation is above a tenth of the true one, else 0."""
    least = 0.01 * np.asarray(truth.var).reshape(len(truth.mean), -1)[:, 0]
    return np.asarray(var(generation, truth) > least, np.float64)


@measurement("risk", unit="squared response units", cite="Gerstgrasser et al. 2024")
def risk(generation: Generation, truth: Any) -> Floats:
    """Excess test risk of a regression: E (x'β - x'β*)² over the design."""
    model: Any = generation.model
    if not hasattr(model, "coef"):
        return undefined(generation, truth)
    return ((model.coef - truth.coef) ** 2).sum(axis=-1)


@measurement("sample_var", unit="squared data units", worse="lower", heavy_tailed=True)
def sample_var(generation: Generation, truth: Any) -> Floats:
    """Mean squared deviation of the generation's own samples (over n); needs path samples."""
    samples = generation.training.samples
    if not isinstance(samples, Arrays) or samples.values.ndim != 2:
        return undefined(generation, truth)
    spread: Floats = np.asarray(samples.values, np.float64).var(axis=1)
    return spread
