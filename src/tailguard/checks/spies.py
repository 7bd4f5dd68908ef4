"""Real data and models that remember every sample they hand out, so that each can be traced."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tailguard.mix.base import Block, TrainingSet
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Arrays, Ints, Rows, Samples, readers, unseen

Kind = Literal["arrays", "vectors", "texts", "statistics"]


@dataclass(frozen=True, slots=True)
class Tag:
    """Where a sample comes from: the generation that wrote it (0: real), and its place there.

    ``asked``: the generation being made when it was handed out; ``call``: by which call of that
    step, below 0 for samples that are handed out again and again; ``serial``: its place in it.
    """

    generation: int
    replicate: int
    serial: int
    depth: int
    asked: int
    call: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a block of unseen samples comes from, for statistics."""

    world: int
    generation: int
    depth: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SpyStatistics:
    """Statistics that are nothing but the list of what they were made of."""

    n: int
    parts: tuple[tuple[Origin, int, tuple[int, ...]], ...]  # origin, samples, whom each reads

    @property
    def values(self) -> SpyStatistics:
        return self

    def join(self, *others: SpyStatistics) -> SpyStatistics:
        """These samples, then the others."""
        both = (self, *others)
        return SpyStatistics(
            sum(side.n for side in both), tuple(part for side in both for part in side.parts)
        )

    def take(self, rows: Ints) -> SpyStatistics:
        raise unseen("these statistics")

    def read(self, group: int, shift: int) -> SpyStatistics:
        parts = []
        for origin, n, whom in self.parts:
            order = readers(len(whom), group, shift)
            parts.append((origin, n, tuple(np.array(whom)[order].tolist())))
        return SpyStatistics(self.n, tuple(parts))

    def scaled(self, weight: float) -> SpyStatistics:
        return self


@dataclass
class World:
    """A universe of real data and models of R replicates that never writes the same sample twice.

    ``ledger`` maps a number or a text to its tag. ``now`` is the generation being made, ``calls``
    counts what was handed out for it, ``drawn`` holds what was newly drawn for each. ``shift`` is
    added to all numbers of replicate 0.
    """

    seed: int
    kind: Kind
    replicates: int
    shift: float = 0.0
    now: int = 0
    calls: int = 0
    ledger: dict[Hashable, Tag] = field(default_factory=dict)
    drawn: dict[int, set[Hashable]] = field(default_factory=dict)

    def begin(self, generation: int) -> None:
        """From now on, samples are handed out for this generation."""
        self.now, self.calls = generation, 0

    def block(
        self,
        n: int,
        generation: int,
        depth: Ints,
        *,
        rng: np.random.Generator,
        call: int | None = None,
    ) -> Block:
        """n new samples, entered in the ledger."""
        if call is None:
            self.calls += 1
            call = self.calls
        depths = np.broadcast_to(depth[..., None], (*depth.shape, n)).astype(np.int64)
        if self.kind == "statistics":
            origin = Origin(self.seed, generation, tuple(np.atleast_1d(depth).tolist()))
            whom = tuple(range(self.replicates))
            return Block(SpyStatistics(n, ((origin, n, whom),)), depths.copy())
        size = (self.replicates, n, 2) if self.kind == "vectors" else (self.replicates, n)
        numbers = rng.standard_normal(size)
        numbers[0] += self.shift
        samples: Samples = Arrays(numbers)
        if self.kind == "texts":
            # Words of its own, and words that all texts share.
            samples = Rows([f"a{abs(x)!r} said b{abs(x)!r} to {x!r}" for x in numbers[0].tolist()])
        for replicate, row in enumerate(keys_of(samples)):
            own = np.atleast_1d(depth)[replicate if depth.ndim else 0]
            for serial, key in enumerate(row):
                tag = Tag(generation, replicate, serial, int(own), self.now, call)
                self.ledger[key] = tag
                if call > 0:
                    self.drawn.setdefault(self.now, set()).add(key)
        return Block(samples, depths.copy())


class SpyReal:
    """Real data of a world: the same samples for the same world, whatever is asked first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._fixed: dict[int, Block] = {}
        self.asked: list[tuple[int, Block]] = []

    def start(self, n: int, *, fixed: int = 0) -> TrainingSet:
        """n samples; the first ``fixed`` are those that `fixed` gives."""
        blocks = [self._same(fixed)] if fixed else []
        if n > fixed:
            blocks.append(self._same(n) if not fixed else self._new(n - fixed, rng=self._rng(-n)))
        return TrainingSet(tuple(blocks))

    def fixed(self, n: int) -> Block:
        """The same n samples whenever asked."""
        block = self._same(n)
        self.asked.append((self._world.now, block))
        return block

    def fresh(self, n: int, *, rng: np.random.Generator) -> Block:
        """n new samples."""
        block = self._new(n, rng=rng)
        self.asked.append((self._world.now, block))
        return block

    @property
    def held(self) -> Iterator[Block]:
        """The fixed blocks, which nothing may change."""
        return iter(self._fixed.values())

    def _rng(self, key: int) -> np.random.Generator:
        return np.random.default_rng([self._world.seed, 7, abs(key), int(key < 0)])

    def _same(self, n: int) -> Block:
        if n not in self._fixed:
            real = np.zeros((), np.int64)
            self._fixed[n] = self._world.block(n, 0, real, rng=self._rng(n), call=-n)
        return self._fixed[n]

    def _new(self, n: int, *, rng: np.random.Generator) -> Block:
        return self._world.block(n, 0, np.zeros((), np.int64), rng=rng)


@dataclass(frozen=True, slots=True)
class SpyPast:
    """A finished generation of a world; its model writes samples that are entered in the ledger."""

    world: World
    generation: int
    training: TrainingSet

    def draw(self, n: int, *, rng: np.random.Generator, decoding: Decoding | None = None) -> Block:
        """n samples; the decoding changes nothing that a regime could see."""
        depth = np.asarray(self.training.depth.max(axis=-1) + 1)
        return self.world.block(n, self.generation, depth, rng=rng)


def keys_of(samples: Samples) -> list[list[Hashable]]:
    """The ledger's key of every sample of each replicate: a number, a pair of them, or a text."""
    values = samples.values
    if not isinstance(values, np.ndarray):
        return [list(values)]
    rows = (values if isinstance(samples, Arrays) else values[None]).tolist()
    return [[tuple(key) if isinstance(key, list) else key for key in row] for row in rows]


def frozen_copy(training: TrainingSet) -> TrainingSet:
    """A training set that shares nothing with this one."""
    return TrainingSet(
        tuple(copied(block) for block in training.blocks),
        tuple(copied(block) for block in training.pool),
    )


def copied(block: Block) -> Block:
    """A block that shares nothing with this one."""
    samples: Any = block.samples
    if isinstance(samples, Arrays):
        samples = Arrays(samples.values.copy())
    elif isinstance(samples, Rows):
        samples = Rows(copy(samples.values))
    weights = None if block.weights is None else np.array(block.weights)
    return Block(samples, np.array(block.depth), weights)


def same_block(a: Block, b: Block) -> bool:
    """Whether two blocks are equal to the bit."""
    if (a.weights is None) != (b.weights is None) or type(a.samples) is not type(b.samples):
        return False
    if isinstance(a.samples, SpyStatistics) and a.samples != b.samples:
        return False
    equal = isinstance(a.samples, SpyStatistics) or np.array_equal(
        np.asarray(a.samples.values), np.asarray(b.samples.values)
    )
    weights = a.weights is None or np.array_equal(a.weights, np.asarray(b.weights))
    return bool(equal and weights and np.array_equal(a.depth, b.depth))


def same_training(a: TrainingSet, b: TrainingSet) -> bool:
    """Whether two training sets are equal to the bit, what they keep for later included."""
    pairs = list(zip((*a.blocks, *a.pool), (*b.blocks, *b.pool), strict=False))
    sizes = len(a.blocks) == len(b.blocks) and len(a.pool) == len(b.pool)
    return sizes and all(same_block(x, y) for x, y in pairs)


def chance_elsewhere() -> tuple[object, ...]:
    """The state of the global generators, which nothing may touch."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    assert isinstance(state, dict)
    inner = state["state"]
    return inner["key"].tobytes(), inner["pos"], state["gauss"], random.getstate()
