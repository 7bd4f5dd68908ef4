"""The regimes of the literature: which data the next generation is trained on.

A regime is a function of settings that returns a rule; the rule makes a training set out of real
data and the past. To add one, write such a function here and register it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailguard.errors import InputError
from tailguard.mix.base import Block, Past, Real, Regime, TrainingSet
from tailguard.mix.policy import Policy
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Arrays


def share(name: str, value: float) -> float:
    """``value`` if it lies in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise InputError("regime", f"{name} in [0, 1]", f"{value:g}", f"change {name}")
    return value


def least(name: str, value: int, low: int) -> int:
    """``value`` if it is at least ``low``."""
    if value < low:
        raise InputError("regime", f"{name} at least {low}", f"{value}", f"change {name}")
    return value


def subsample(block: Block, n: int, *, rng: np.random.Generator) -> Block:
    """n samples of a block without replacement, drawn anew in each replicate."""
    values = block.samples.values
    if isinstance(block.samples, Arrays):
        keys = rng.random((len(values), block.samples.n))
        return block.take(np.sort(np.argpartition(keys, n - 1, axis=1)[:, :n], axis=1))
    return block.take(np.sort(rng.choice(block.samples.n, n, replace=False)))


@REGIMES.register("replace", cite="Shumailov et al. 2024, Nature 631:755")
def replace() -> Regime:
    """Each generation is trained only on what the one before it wrote."""

    def pool(
        real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        if not history:
            return real.start(n)
        return TrainingSet((history[-1].draw(n, rng=rng),))

    return Policy(pool)


@REGIMES.register("accumulate", cite="Gerstgrasser et al. 2024, arXiv:2404.01413")
def accumulate() -> Regime:
    """All data so far and n new samples: real data stay, their share falls to 1/(g+1)."""

    def pool(
        real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        if not history:
            return real.start(n)
        old = history[-1].training
        return TrainingSet((*old.blocks, history[-1].draw(n, rng=rng))).merged()

    return Policy(pool)


@REGIMES.register("accumulate-subsample", cite="Kazdan et al. 2024, arXiv:2410.16713")
def accumulate_subsample() -> Regime:
    """n samples drawn without replacement from all data so far: a fixed budget."""

    def pool(
        real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        if not history:
            made = real.start(n)
            return TrainingSet(made.blocks, pool=made.blocks)
        newest = history[-1].draw(n, rng=rng)
        pool = TrainingSet((*history[-1].training.pool, newest)).merged().blocks
        return TrainingSet((subsample(pool[0], n, rng=rng),), pool=pool)

    return Policy(pool)


@REGIMES.register("window", cite="Kazdan et al. 2024, arXiv:2410.16713")
def window(*, width: int = 5) -> Regime:
    """What the last ``width`` generations wrote, n samples each; real data leave the window."""
    least("width", width, 1)

    def pool(
        real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        if not history:
            return real.start(n)
        blocks = (*history[-1].training.blocks, history[-1].draw(n, rng=rng))
        return TrainingSet(blocks[-width:])

    return Policy(pool)


@REGIMES.register("fixed-real", cite="Alemohammad et al. 2023, arXiv:2307.01850")
def fixed_real(*, real_frac: float = 0.1) -> Regime:
    """The same round(real_frac·n) real samples every generation; the model writes the rest."""
    share("real_frac", real_frac)

    def pool(
        real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        kept = round(real_frac * n)
        if not history:
            return real.start(n, fixed=kept)
        return TrainingSet((real.fixed(kept), history[-1].draw(n - kept, rng=rng)))

    return Policy(pool)


@REGIMES.register("fresh-real", cite="Alemohammad et al. 2023, arXiv:2307.01850")
def fresh_real(*, real_frac: float = 0.1) -> Regime:
    """round(real_frac·n) new real samples every generation; the model writes the rest."""
    share("real_frac", real_frac)

    def pool(
        real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        if not history:
            return real.start(n)
        kept = round(real_frac * n)
        fresh = real.fresh(kept, rng=rng)
        return TrainingSet((fresh, history[-1].draw(n - kept, rng=rng)))

    return Policy(pool)
