"""A regime in four parts: which data, how the model is sampled, what is kept, how it weighs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tailguard.errors import InputError
from tailguard.mix.base import Block, Past, Real, Regime, TrainingSet
from tailguard.mix.decoding import PLAIN, Decoding

Count = Callable[[int, int], int]


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


def as_asked(generation: int, n: int) -> int:
    """The size of most training sets: n in every generation.

    >>> as_asked(7, 100)
    100
    """
    return n


@dataclass(frozen=True, slots=True)
class Promise:
    """What a regime keeps in every generation; `tailguard.checks.check_regime` holds it to this.

    ``size(generation, n)`` is the number of samples when n are asked for, ``real(generation, n)``
    how many of them are real; None: not fixed beforehand. ``group``: replicates that may read each
    other, in groups of so many. ``alters``: samples may be changed, so that none can be traced.
    """

    size: Count = as_asked
    real: Count | None = None
    group: int = 1
    alters: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A regime: ``pool`` says which data, the other parts act on what the newest model writes.

    ``pool`` is itself a regime, so policies nest: the inner one's filter sees what the outer one's
    has kept. ``decoding`` is how the model is sampled (one of the nested policies may say so),
    ``keep`` picks among its samples, ``weigh`` sets weights in the loss. ``promise`` is what the
    regime keeps, by default what its pool keeps.
    """

    pool: Regime
    decoding: Decoding = field(default=PLAIN)
    keep: Filter | None = None
    weigh: Callable[[TrainingSet], TrainingSet] | None = None
    promise: Promise | None = None

    def __call__(
        self, real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        if history:
            newest = _Sifted(history[-1], real, self.decoding, self.keep)
            history = [*history[:-1], newest]
        made = self.pool(real, history, n=n, rng=rng)
        return made if self.weigh is None else self.weigh(made)


def promise_of(regime: Regime) -> Promise | None:
    """What a regime promises: its attribute ``promise``, or that of its pool, or None."""
    promise = getattr(regime, "promise", None)
    if isinstance(promise, Promise):
        return promise
    return promise_of(regime.pool) if isinstance(regime, Policy) else None


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
        if decoding is None or decoding == PLAIN:
            decoding = None if self.decoding == PLAIN else self.decoding
        elif self.decoding not in (PLAIN, decoding):
            raise InputError("policy", "one decoding", "two, one inside the other", "leave one out")
        if self.keep is None or n == 0:
            return self.past.draw(n, rng=rng, decoding=decoding)

        def candidates(m: int) -> Block:
            return self.past.draw(m, rng=rng, decoding=decoding)

        kept = self.keep(candidates, self.real, n=n, rng=rng)
        if kept.samples.n != n:
            got = f"{kept.samples.n}"
            raise InputError("filter", f"{n} samples kept", got, "mend the filter")
        return kept
