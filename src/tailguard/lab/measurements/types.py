"""Discrete models: which types are left, and how evenly."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailguard.lab.measurements import measurement
from tailguard.lab.measurements.moments import undefined
from tailguard.lab.recursion import Generation
from tailguard.mix.samples import Floats


def _shares(generation: Generation) -> Floats | None:
    shares = getattr(generation.model, "probabilities", None)
    return None if shares is None else np.asarray(shares)


@measurement("survivors", unit="types", worse="lower", cite="Suresh et al. 2024, arXiv:2412.17646")
def survivors(generation: Generation, truth: Any) -> Floats:
    """Types the model can still write."""
    shares = _shares(generation)
    return undefined(generation, truth) if shares is None else (shares > 0).sum(axis=1) * 1.0


@measurement("survival", unit="share of types", worse="lower")
def survival(generation: Generation, truth: Any) -> Floats:
    """Share of the true types that the model can still write."""
    shares = _shares(generation)
    if shares is None:
        return undefined(generation, truth)
    real = np.asarray(truth.probabilities) > 0
    return (real & (shares > 0)).sum(axis=1) / real.sum(axis=1)


@measurement("unseen_mass", unit="probability", cite="Dohmatob et al. 2024, arXiv:2402.07043")
def unseen_mass(generation: Generation, truth: Any) -> Floats:
    """True mass of the types that the model cannot write."""
    shares = _shares(generation)
    if shares is None:
        return undefined(generation, truth)
    return (np.asarray(truth.probabilities) * (shares == 0)).sum(axis=1)


@measurement("heterozygosity", unit="probability", worse="lower", cite="Seddik et al. 2024")
def heterozygosity(generation: Generation, truth: Any) -> Floats:
    """Chance that two draws from the model differ: 1 - Σ p²."""
    shares = _shares(generation)
    return undefined(generation, truth) if shares is None else 1.0 - (shares**2).sum(axis=1)


@measurement("entropy", unit="nats", worse="lower")
def entropy(generation: Generation, truth: Any) -> Floats:
    """Shannon entropy of the model; of a Gaussian, its differential entropy."""
    shares = _shares(generation)
    if shares is not None:
        safe = np.where(shares > 0, shares, 1.0)
        return -(shares * np.log(safe)).sum(axis=1)
    model: Any = generation.model
    if not getattr(model, "gaussian", False):
        return undefined(generation, truth)
    spread = np.asarray(model.var)
    with np.errstate(divide="ignore"):
        each = 0.5 * np.log(2 * np.pi * np.e * spread)
    return each if each.ndim == 1 else each.sum(axis=-1)


@measurement("absorbed", unit="share of replicates", cite="Kazdan et al. 2024")
def absorbed(generation: Generation, truth: Any) -> Floats:
    """1 where one type is all that is left, or the variance is zero; else 0."""
    shares = _shares(generation)
    if shares is not None:
        return ((shares > 0).sum(axis=1) == 1).astype(float)
    model: Any = generation.model
    spread = np.asarray(model.var)
    return (spread == 0).reshape(len(spread), -1).all(axis=1).astype(float)


@measurement("alive", unit="share of replicates", worse="lower", cite="Suresh et al. 2024")
def alive(generation: Generation, truth: Any) -> Floats:
    """1 while the mean is not zero: a type, or a rate, that has not died out; else 0."""
    centre = np.asarray(generation.model.mean)  # type: ignore[union-attr]
    return (centre.reshape(len(centre), -1)[:, -1] > 0).astype(float)
