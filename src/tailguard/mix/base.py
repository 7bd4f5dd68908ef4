"""The nouns of regimes: a training set made of blocks, the real data, the past, the rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats, Ints, Samples


@dataclass(frozen=True, slots=True)
class Block:
    """Samples that came together, with the generation depth of each.

    ``depth``, shape (n,) or (R, n): 0 is real, g was written by a model whose training data had
    depth at most g - 1. ``weights`` in the loss, shape (n,), (R, n), or () for one weight of all.
    """

    samples: Samples
    depth: Ints
    weights: Floats | None = None

    def take(self, rows: Ints) -> Block:
        """Samples by position, ``rows`` (m,) or (R, m), with their depths and weights."""
        weights = self.weights
        if weights is not None and weights.ndim:
            weights = _pick(weights, rows)
        if self.depth.ndim == 1 and self.depth.size and (self.depth == self.depth[0]).all():
            # One depth of all needs no copy for each replicate.
            return Block(self.samples.take(rows), np.full(rows.shape[-1], self.depth[0]), weights)
        return Block(self.samples.take(rows), _pick(self.depth, rows), weights)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What one model is fitted on: blocks, oldest first.

    ``pool`` is what this generation did not train on and the next may still draw from.
    """

    blocks: tuple[Block, ...]
    pool: tuple[Block, ...] = ()

    @property
    def n(self) -> int:
        """Samples in each replicate."""
        return sum(block.samples.n for block in self.blocks)

    @property
    def depth(self) -> Ints:
        """Generation depth of every sample, shape (n,), or (R, n) where replicates differ."""
        depths = [block.depth for block in self.blocks]
        if any(depth.ndim == 2 for depth in depths):
            replicates = max(len(depth) for depth in depths if depth.ndim == 2)
            depths = [np.broadcast_to(d, (replicates, d.shape[-1])) for d in depths]
        return np.concatenate(depths, axis=-1)

    @property
    def real_frac(self) -> float | Floats:
        """Exact share of real samples: a number, or one for each replicate, shape (R,)."""
        share = (self.depth == 0).mean(axis=-1)
        return float(share) if share.ndim == 0 else share

    @property
    def samples(self) -> Samples:
        """All samples as one."""
        first, *others = (block.samples for block in self.blocks)
        return first.join(*others) if others else first

    @property
    def data(self) -> Any:
        """What a family is fitted on: a list, an array (n, ...) or (R, n, ...), or statistics."""
        values = self.samples.values
        # Draws may be kept as a promise of an array; nobody outside has to know.
        return np.asarray(values) if hasattr(values, "__array__") else values

    def merged(self) -> TrainingSet:
        """The same with one block; joins cost time only once. Weights must be absent."""
        assert all(block.weights is None for block in self.blocks)
        return TrainingSet((Block(self.samples, self.depth),))


class Real(Protocol):
    """Where real data come from."""

    def start(self, n: int, *, fixed: int = 0) -> TrainingSet:
        """Generation 0: n real samples, of which ``fixed(fixed)`` are a block of their own."""

    def fixed(self, n: int) -> Block:
        """The same n real samples whenever asked."""

    def fresh(self, n: int, *, rng: np.random.Generator) -> Block:
        """n real samples never used before."""


class Past(Protocol):
    """A finished generation: what its model was fitted on, and that model, ready to write."""

    @property
    def generation(self) -> int: ...
    @property
    def training(self) -> TrainingSet: ...
    def draw(self, n: int, *, rng: np.random.Generator, decoding: Decoding | None = None) -> Block:
        """n new samples of its model, drawn as ``decoding`` says."""


class Regime(Protocol):
    """Makes the training set of the next generation out of real data and the past.

    ``history`` is empty for generation 0, which must be real; else its last entry is the newest
    model. The set has exactly ``n`` samples, or as many as the regime's own rule says.
    """

    def __call__(
        self, real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet: ...


def _pick(along: Any, rows: Ints) -> Any:
    if along.ndim == 1:
        return along[rows]
    return along[:, rows] if rows.ndim == 1 else np.take_along_axis(along, rows, axis=1)
