"""Regimes without new real data: what is kept of the past, and how much is written."""

from __future__ import annotations

import numpy as np

from tailguard.errors import InputError
from tailguard.mix.base import Block, Past, Real, Regime, TrainingSet
from tailguard.mix.policy import Policy, Promise
from tailguard.mix.regimes import bare, finite, from_real, least
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Arrays

# Every sample has a depth of its own, on statistics too, so memory sets the limit.
LARGEST = 10**8


def only_first(generation: int, n: int) -> int:
    """Real samples of a regime that sees them once, in generation 0.

    >>> only_first(0, 10), only_first(1, 10)
    (10, 0)
    """
    return n if generation == 0 else 0


def subsample(block: Block, n: int, *, rng: np.random.Generator) -> Block:
    """n samples of a block without replacement, drawn anew in each replicate."""
    size = block.samples.n
    if not isinstance(block.samples, Arrays):
        return block.take(np.sort(rng.choice(size, n, replace=False)))
    shape = len(block.samples.values), n
    if 2 * n > size:
        keys = rng.random((shape[0], size))
        return block.take(np.sort(np.argpartition(keys, n - 1, axis=1)[:, :n], axis=1))
    # Draws that hit a sample twice are drawn again: all sets of n stay equally likely.
    rows = np.sort(rng.integers(0, size, shape), axis=1)
    while (twice := rows[:, 1:] == rows[:, :-1]).any():
        rows[:, 1:][twice] = rng.integers(0, size, int(twice.sum()))
        rows.sort(axis=1)
    return block.take(rows)


@REGIMES.register("replace", cite="Shumailov et al. 2024, Nature 631:755")
def replace() -> Regime:
    """Each generation is trained only on what the one before it wrote."""
    return Policy(from_real(_written), promise=Promise(real=only_first))


def _written(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
    return TrainingSet((newest.draw(n, rng=rng),))


@REGIMES.register("accumulate", cite="Gerstgrasser et al. 2024, arXiv:2404.01413")
def accumulate() -> Regime:
    """All data so far and n new samples: real data stay, their share falls to 1/(g + 1)."""

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        old = bare(newest.training.blocks)
        return TrainingSet((*old, newest.draw(n, rng=rng))).merged()

    return Policy(
        from_real(step), promise=Promise(size=lambda g, n: n * (g + 1), real=lambda g, n: n)
    )


@REGIMES.register("accumulate-subsample", cite="Kazdan et al. 2024, arXiv:2410.16713")
def accumulate_subsample() -> Regime:
    """n samples drawn without replacement from all data so far: a fixed budget."""

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        # Generation 0 has no pool of its own: all its data are the pool.
        old = newest.training.pool or bare(newest.training.blocks)
        pool = TrainingSet((*old, newest.draw(n, rng=rng))).merged().blocks
        return TrainingSet((subsample(pool[0], n, rng=rng),), pool=pool)

    return Policy(from_real(step), promise=Promise())


@REGIMES.register("window", cite="Kaj, Krone & Lascoux 2001, J. Appl. Probab. 38:285 (seed bank)")
def window(*, width: int = 5) -> Regime:
    """What the last few generations wrote, n samples each; real data leave the window.

    ``width`` counts generations; 1 is replace.
    """
    least("width", width, 1)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        blocks = (*bare(newest.training.blocks), newest.draw(n, rng=rng))
        return TrainingSet(blocks[-width:])

    return Policy(
        from_real(step),
        promise=Promise(
            size=lambda g, n: n * min(g + 1, width), real=lambda g, n: n if g < width else 0
        ),
    )


@REGIMES.register("growing", cite="Xu, He & Cheng 2025, arXiv:2505.13947")
def growing(*, growth: float = 1.5, ratio: float = 1.0) -> Regime:
    """Replace with more samples each time: round(n·(g + 1)^growth·ratio^g) in generation g.

    Sizes must grow faster than linearly to keep the variance: growth above 1, or ratio above 1.
    """
    finite("growth", growth)
    finite("ratio", ratio, 0.0, open_=True)

    def size(generation: int, n: int) -> int:
        try:
            exact = n * float(generation + 1) ** growth * float(ratio) ** generation
        except OverflowError:
            exact = float("inf")
        if not 0.5 < exact < LARGEST:
            got = f"{exact:.3g} in generation {generation}"
            raise InputError("regime growing", f"1 to {LARGEST:.0e} samples", got, "change growth")
        return round(exact)

    def step(real: Real, newest: Past, *, n: int, rng: np.random.Generator) -> TrainingSet:
        return _written(real, newest, n=size(newest.generation, n), rng=rng)

    return Policy(from_real(step), promise=Promise(size=size, real=only_first))
