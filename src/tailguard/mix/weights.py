"""Weights in the loss: how much a sample counts when the next model is fitted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tailguard.errors import InputError
from tailguard.mix.base import Block, TrainingSet
from tailguard.mix.samples import Arrays, Floats, Rows


def real_weight(weight: float) -> Callable[[TrainingSet], TrainingSet]:
    """Weights under which real samples have the share ``weight`` of the loss, others the rest.

    Real samples weigh weight·n/n_real each, the others (1 - weight)·n/n_syn, so that weights sum
    to n in each replicate. Where all or no samples are real, every sample weighs 1. Weights are a
    number for a block of one kind, which sufficient statistics need; else of the shape of the
    depths.

    Raises InputError when the set has weights already, or when a block of statistics holds both.

    Source: He, Xu & Cheng 2025, arXiv:2502.18049.

    >>> from tailguard.mix.samples import Rows
    >>> made = TrainingSet((Block(Rows(["a"]), np.array([0])), Block(Rows(["b"]), np.array([1]))))
    >>> [float(block.weights) for block in real_weight(0.75)(made).blocks]
    [1.5, 0.5]
    """

    def weigh(made: TrainingSet) -> TrainingSet:
        if any(block.weights is not None for block in made.blocks):
            raise InputError("weights", "samples without weights", "weights", "weigh them once")
        real = (made.depth == 0).sum(axis=-1)  # () or (R,)
        synthetic = made.n - real
        both = (real > 0) & (synthetic > 0)
        of_real = np.where(both, weight * made.n / np.maximum(real, 1), 1.0)
        of_synthetic = np.where(both, (1.0 - weight) * made.n / np.maximum(synthetic, 1), 1.0)
        blocks = (_weighed(block, of_real, of_synthetic) for block in made.blocks)
        return TrainingSet(tuple(blocks), made.pool)

    return weigh


def _weighed(block: Block, of_real: Floats, of_synthetic: Floats) -> Block:
    is_real = block.depth == 0
    if of_real.ndim == 0 and (is_real.all() or not is_real.any()):
        return Block(block.samples, block.depth, of_real if is_real.all() else of_synthetic)
    if not isinstance(block.samples, Arrays | Rows):
        raise InputError(
            "weights",
            "blocks of real or of written samples",
            "statistics of both together",
            "run it on samples (path 'samples')",
        )
    return Block(
        block.samples,
        block.depth,
        np.where(is_real, of_real[..., None], of_synthetic[..., None]),
    )
