"""Distances between the model and the truth, in closed form where the model has one."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import erf

from tailguard.lab.measurements import measurement
from tailguard.lab.measurements.moments import undefined
from tailguard.lab.recursion import Generation
from tailguard.mix.samples import Floats


def _pair(generation: Generation, truth: Any) -> tuple[str, Any, Any]:
    """The kind of both models ("types", "gaussian" or "other") and what describes them."""
    model: Any = generation.model
    if hasattr(model, "probabilities") and hasattr(truth, "probabilities"):
        return "types", np.asarray(model.probabilities), np.asarray(truth.probabilities)
    if getattr(model, "gaussian", False) and getattr(truth, "gaussian", False):
        flat = np.asarray(model.mean).ndim == 1
        return ("gaussian" if flat else "other"), model, truth
    return "other", model, truth


def _kl_of_types(p: Floats, q: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0)
    return terms.sum(axis=1)


def _kl_of_gaussians(p: Any, q: Any) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = p.var / q.var
        found: Floats = 0.5 * (ratio - 1 - np.log(ratio) + (p.mean - q.mean) ** 2 / q.var)
    return np.where(q.var > 0, found, np.inf)


@measurement("kl", unit="nats", heavy_tailed=True)
def kl(generation: Generation, truth: Any) -> Floats:
    """KL(truth ‖ model); infinite once the model has lost a type or all variance."""
    kind, model, true = _pair(generation, truth)
    if kind == "types":
        return _kl_of_types(true, model)
    return _kl_of_gaussians(true, model) if kind == "gaussian" else undefined(generation, truth)


@measurement("kl_reverse", unit="nats", heavy_tailed=True)
def kl_reverse(generation: Generation, truth: Any) -> Floats:
    """KL(model ‖ truth); finite for types that are lost, infinite for ones that never were."""
    kind, model, true = _pair(generation, truth)
    if kind == "types":
        return _kl_of_types(model, true)
    return _kl_of_gaussians(model, true) if kind == "gaussian" else undefined(generation, truth)


@measurement("w1", unit="data units", heavy_tailed=True)
def w1(generation: Generation, truth: Any) -> Floats:
    """Wasserstein-1 distance to the truth on a line; total variation for types without a metric.

    Between two Gaussians the optimal map is x -> x + Δμ + Δσ z, so W1 = E|Δμ + Δσ Z|, the mean of
    a folded normal (Leone, Nelson & Nottingham 1961).
    """
    kind, model, true = _pair(generation, truth)
    if kind == "types":
        return 0.5 * np.abs(model - true).sum(axis=1)
    if kind == "other":
        return undefined(generation, truth)
    shift = np.abs(model.mean - true.mean)
    scale = np.abs(np.sqrt(model.var) - np.sqrt(true.var))
    safe = np.where(scale > 0, scale, 1.0)
    folded = np.sqrt(2 / np.pi) * safe * np.exp(-((shift / safe) ** 2) / 2) + shift * erf(
        shift / (np.sqrt(2) * safe)
    )
    return np.where(scale > 0, folded, shift)


@measurement("w2_sq", unit="squared data units", heavy_tailed=True, cite="Shumailov et al. 2024")
def w2_sq(generation: Generation, truth: Any) -> Floats:
    """Squared Wasserstein-2 distance between Gaussians: Δμ² + Δσ², over dimensions summed."""
    model: Any = generation.model
    if not (getattr(model, "gaussian", False) and getattr(truth, "gaussian", False)):
        return undefined(generation, truth)
    if hasattr(model, "covariance"):
        return _bures(model, truth)
    shift = np.asarray(model.mean) - np.asarray(truth.mean)
    scale = np.sqrt(model.var) - np.sqrt(truth.var)
    total = shift**2 + scale**2
    return total if total.ndim == 1 else total.sum(axis=-1)


def _bures(model: Any, truth: Any) -> Floats:
    """Δμ² + tr A + tr B - 2 tr (A^½ B A^½)^½ (Dowson & Landau 1982)."""
    values, vectors = np.linalg.eigh(truth.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))[:, None, :]) @ vectors.swapaxes(1, 2)
    inner = np.linalg.eigvalsh(root @ model.covariance @ root)
    cross = np.sqrt(np.clip(inner, 0, None)).sum(axis=1)
    traces = np.trace(model.covariance, axis1=1, axis2=2) + np.trace(
        truth.covariance, axis1=1, axis2=2
    )
    shift: Floats = ((model.mean - truth.mean) ** 2).sum(axis=1)
    return np.maximum(shift + traces - 2 * cross, 0.0)


@measurement("mmd_sq", unit="", cite="Gretton et al. 2012")
def mmd_sq(generation: Generation, truth: Any) -> Floats:
    """Squared maximum mean discrepancy to the truth; exact, with a Gaussian kernel on a line.

    The kernel's width is the true standard deviation ℓ; E k(x, y) of two Gaussians is
    ℓ / s · exp(-Δμ² / 2s²) with s² = ℓ² + σ₁² + σ₂². For types the kernel says "the same type".
    """
    kind, model, true = _pair(generation, truth)
    if kind == "types":
        return ((model - true) ** 2).sum(axis=1)
    if kind == "other":
        return undefined(generation, truth)

    def mean_kernel(a: Any, b: Any) -> Floats:
        wide = true.var + a.var + b.var
        closeness: Floats = np.exp(-((a.mean - b.mean) ** 2) / (2 * wide))
        return np.sqrt(true.var / wide) * closeness

    found = mean_kernel(model, model) + mean_kernel(true, true) - 2 * mean_kernel(model, true)
    return np.maximum(found, 0.0)
