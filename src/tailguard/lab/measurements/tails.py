"""Tails: how much of the true distribution's rare part the model still holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailguard.lab.measurements import measurement
from tailguard.lab.measurements.moments import undefined
from tailguard.lab.recursion import Generation
from tailguard.mix.samples import Floats

TAIL = 0.05
"""True mass called the tail: half of it on either side of a line, or the rarest types."""


@measurement(
    "tail_mass_lost", unit="share of the true tail", heavy_tailed=True, cite="Shumailov et al. 2024"
)
def tail_mass_lost(generation: Generation, truth: Any) -> Floats:
    """Share of the true tail's mass that the model no longer holds, in [0, 1].

    Its mean is carried by the cut at 0: replicates that hold too much do not make up for those that
    hold too little. So the median is what to report.

    On a line the tail is what lies beyond the true 2.5% and 97.5% quantiles: 1 - P_model / 5%,
    cut at 0 when the model holds more. Of types it is the rarest ones that together have at most
    5%: the true mass of those the model gives none, over their true mass. nan for other models.
    """
    model: Any = generation.model
    if hasattr(model, "probabilities"):
        true = np.asarray(truth.probabilities)
        order = np.argsort(true, axis=1, kind="stable")
        running = np.cumsum(np.take_along_axis(true, order, axis=1), axis=1)
        rare = np.zeros(true.shape, bool)
        np.put_along_axis(rare, order, running <= TAIL * (1 + 1e-12), axis=1)
        held = (true * (rare & (np.asarray(model.probabilities) > 0))).sum(axis=1)
        whole = (true * rare).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(whole > 0, 1.0 - held / whole, np.nan)
    if not hasattr(model, "cdf") or not hasattr(truth, "quantile"):
        return undefined(generation, truth)
    low, high = truth.quantile(TAIL / 2), truth.quantile(1 - TAIL / 2)
    mass = model.cdf(low[:, None])[:, 0] + 1.0 - model.cdf(high[:, None])[:, 0]
    return np.clip(1.0 - mass / TAIL, 0.0, 1.0)


@measurement("tail_mass", unit="probability", worse="both")
def tail_mass(generation: Generation, truth: Any) -> Floats:
    """Mass the model puts beyond the true 2.5% and 97.5% quantiles; 0.05 for the truth."""
    model: Any = generation.model
    if not hasattr(model, "cdf") or not hasattr(truth, "quantile"):
        return undefined(generation, truth)
    low, high = truth.quantile(TAIL / 2), truth.quantile(1 - TAIL / 2)
    mass: Floats = model.cdf(low[:, None])[:, 0] + 1.0 - model.cdf(high[:, None])[:, 0]
    return mass


@measurement("hallucinated_mass", unit="probability", cite="Schaeffer et al. 2025")
def hallucinated_mass(generation: Generation, truth: Any) -> Floats:
    """Mass the model puts where the truth has next to none: unreal types, or beyond 0.01% / 99.99%.

    On a line the true share of that region, 0.02%, is not taken off. nan for other models.
    """
    model: Any = generation.model
    if hasattr(model, "probabilities"):
        unreal = np.asarray(truth.probabilities) == 0
        return (np.asarray(model.probabilities) * unreal).sum(axis=1)
    if not hasattr(model, "cdf") or not hasattr(truth, "quantile"):
        return undefined(generation, truth)
    low, high = truth.quantile(1e-4), truth.quantile(1 - 1e-4)
    mass: Floats = model.cdf(low[:, None])[:, 0] + 1.0 - model.cdf(high[:, None])[:, 0]
    return mass
