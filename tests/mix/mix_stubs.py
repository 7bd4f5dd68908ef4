"""Real data and a model of known values, for tests of filters and policies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tailguard.mix.base import Block, TrainingSet
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Arrays, Rows

Write = Callable[[int, np.random.Generator], Any]


def held(values: Any, *, replicated: bool = True, depth: int = 0) -> Block:
    """Values as a block, all of one depth."""
    samples = Arrays(np.asarray(values)) if replicated else Rows(values)
    return Block(samples, np.full(samples.n, depth, np.int64))


@dataclass
class StubReal:
    """Real data written by a function; `fixed` starts its stream anew each time."""

    write: Write
    replicated: bool = True

    def start(self, n: int, *, fixed: int = 0) -> TrainingSet:
        return TrainingSet((self.fixed(n),))

    def fixed(self, n: int) -> Block:
        return held(self.write(n, np.random.default_rng(99)), replicated=self.replicated)

    def fresh(self, n: int, *, rng: np.random.Generator) -> Block:
        return held(self.write(n, rng), replicated=self.replicated)


@dataclass
class StubPast:
    """The model of generation 1, which writes by a function and notes how it was asked."""

    write: Write
    replicated: bool = True
    generation: int = 1
    training: TrainingSet = field(default_factory=lambda: TrainingSet((held([[0.0]]),)))
    decodings: list[Decoding | None] = field(default_factory=list)

    def draw(self, n: int, *, rng: np.random.Generator, decoding: Decoding | None = None) -> Block:
        self.decodings.append(decoding)
        return held(self.write(n, rng), replicated=self.replicated, depth=1)
