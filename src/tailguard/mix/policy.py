"""A regime in four parts: which data, how the model is sampled, what is kept, how it weighs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tailguard.mix.base import Block, Past, Real, Regime, TrainingSet
from tailguard.mix.decoding import PLAIN, Decoding


class Filter(Protocol):
    """Makes n samples out of what a model can write: draws candidates and keeps some of them."""

    def __call__(
        self,
        draw: Callable[[int], Block],
        real: Real,
        *,
        n: int,
        rng: np.random.Generator,
    ) -> Block: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """A regime: ``pool`` says which data, the other parts act on what the newest model writes.

    ``pool`` is itself a regime. ``decoding`` is how the model is sampled, ``keep`` picks among
    its samples, ``weigh`` sets weights in the loss.
    """

    pool: Regime
    decoding: Decoding = field(default=PLAIN)
    keep: Filter | None = None
    weigh: Callable[[TrainingSet], TrainingSet] | None = None

    def __call__(
        self, real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        if history:
            newest = _Sifted(history[-1], real, self.decoding, self.keep)
            history = [*history[:-1], newest]
        made = self.pool(real, history, n=n, rng=rng)
        return made if self.weigh is None else self.weigh(made)


@dataclass(frozen=True, slots=True)
class _Sifted:
    """A past whose model is sampled and sifted as the policy says."""

    past: Past
    real: Real
    decoding: Decoding
    keep: Filter | None

    @property
    def generation(self) -> int:
        return self.past.generation

    @property
    def training(self) -> TrainingSet:
        return self.past.training

    def draw(self, n: int, *, rng: np.random.Generator, decoding: Decoding | None = None) -> Block:
        decoding = self.decoding if decoding is None else decoding
        if self.keep is None or n == 0:
            return self.past.draw(n, rng=rng, decoding=decoding)

        def candidates(m: int) -> Block:
            return self.past.draw(m, rng=rng, decoding=decoding)

        return self.keep(candidates, self.real, n=n, rng=rng)
