"""Regimes of several models that read each other's output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tailguard.mix.base import Block, Past, Real, Regime, TrainingSet
from tailguard.mix.policy import Policy, Promise
from tailguard.mix.regimes import from_real, least, share, together
from tailguard.mix.regimes.real_data import rounded
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import readers


@REGIMES.register("ecosystem", cite="Vu, Reeves & Wenger 2025, arXiv:2505.21677")
def ecosystem(*, models: int = 2, others: float = 0.5, real_frac: float = 0.0) -> Regime:
    """Several models that read, beside their own output, that of the others.

    Replicates stand in groups of ``models``: their number must be a multiple of it. A share
    ``others`` of what a model reads was written by the others, divided evenly among them; a sample
    is read by one model only. round(real_frac·n) samples are real, the same in every generation.
    """
    least("models", models, 2)
    share("others", others)
    share("real_frac", real_frac)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        kept = round(real_frac * n)
        written = n - kept
        foreign = round(others * written)
        each, rest = divmod(foreign, models - 1)

        def reading(shift: int) -> Callable[[int], Block]:
            return lambda m: _read(newest.draw(m, rng=rng), models, shift)

        return together(
            (kept, real.fixed),
            (written - foreign, lambda m: newest.draw(m, rng=rng)),
            *((each + (shift <= rest), reading(shift)) for shift in range(1, models)),
        )

    return Policy(
        from_real(step, fixed=lambda n: round(real_frac * n)),
        promise=Promise(real=rounded(real_frac), group=models),
    )


def _read(block: Block, group: int, shift: int) -> Block:
    depth = block.depth
    if depth.ndim == 2:
        depth = depth[readers(len(depth), group, shift)]
    return Block(block.samples.read(group, shift), depth)
