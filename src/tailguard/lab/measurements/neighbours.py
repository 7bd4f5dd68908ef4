"""Nearest neighbours: do the samples a generation trains on still cover what is real?"""

from __future__ import annotations

from typing import Any

import numpy as np

from tailguard.lab.measurements import measurement
from tailguard.lab.recursion import Generation
from tailguard.measure.neighbours import prdc
from tailguard.mix.samples import Arrays, Floats

CITE = "Naeem et al. 2020, arXiv:2002.09797"
MOST_REPLICATES, MOST_SAMPLES = 64, 1_000
"""Neighbours are costly: only so many replicates and samples are looked at; the rest are nan."""


def _of_neighbours(generation: Generation, truth: Any, name: str) -> Floats:
    """One of the four measures, with k = 5, against as many real samples of a fixed seed."""
    samples = generation.training.samples
    found = np.full(len(truth.mean), np.nan)
    if not isinstance(samples, Arrays) or samples.values.dtype.kind != "f":
        return found
    made = np.asarray(samples.values)[:MOST_REPLICATES, -MOST_SAMPLES:]
    real = truth.sample(made.shape[1], rng=np.random.default_rng(0))[:MOST_REPLICATES]
    for replicate, (theirs, ours) in enumerate(zip(real, made, strict=True)):
        if np.isfinite(ours).all() and len(ours) > 5:
            flat = [x.reshape(len(x), -1).astype(np.float64) for x in (theirs, ours)]
            found[replicate] = getattr(prdc(*flat), name)
    return found


@measurement("precision", unit="share of samples", worse="lower", cite=CITE)
def precision(generation: Generation, truth: Any) -> Floats:
    """Share of samples inside the real manifold; needs path samples."""
    return _of_neighbours(generation, truth, "precision")


@measurement("recall", unit="share of samples", worse="lower", cite=CITE)
def recall(generation: Generation, truth: Any) -> Floats:
    """Share of real samples inside the samples' manifold; needs path samples."""
    return _of_neighbours(generation, truth, "recall")


@measurement("density", unit="", worse="lower", cite=CITE)
def density(generation: Generation, truth: Any) -> Floats:
    """How many real neighbourhoods a sample lies in, over k; needs path samples."""
    return _of_neighbours(generation, truth, "density")


@measurement("coverage", unit="share of samples", worse="lower", cite=CITE)
def coverage(generation: Generation, truth: Any) -> Floats:
    """Share of real samples with a sample among their neighbours; needs path samples."""
    return _of_neighbours(generation, truth, "coverage")
