"""Whether a regime makes the training sets that it promises, out of nothing but what it may see."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from tailguard.checks.spies import (
    Kind,
    SpyPast,
    SpyReal,
    SpyStatistics,
    Tag,
    World,
    chance_elsewhere,
    copied,
    frozen_copy,
    keys_of,
    same_block,
    same_training,
)
from tailguard.errors import InputError
from tailguard.mix.base import Block, Regime, TrainingSet
from tailguard.mix.policy import Promise, promise_of
from tailguard.mix.samples import Arrays, Rows

GENERATIONS = 6
N, ODD = 12, 17
HELD: dict[Kind, type] = {
    "arrays": Arrays,
    "vectors": Arrays,
    "texts": Rows,
    "statistics": SpyStatistics,
}
# What a refusal may cost: a trial run of two generations shows it.
TRIAL = 2


def check_regime(regime: Regime, *, promise: Promise | None = None) -> None:
    """Check that a regime keeps the laws of regimes; a second at most.

    It is run on real data and models whose every sample can be traced: numbers and vectors of
    several replicates, texts, and statistics. What it cannot use it refuses with an `InputError`
    within two generations; one kind it must take. Then:

    - Generation 0 is real. Sizes, numbers of real samples and depths are as promised and as
      traced; every sample was written by real data or by models of this run up to now, for this
      replicate (or its group).
    - The same generator gives the same bytes, another gives other draws, each replicate its own;
      no other source of chance is touched.
    - What it is given is left unchanged, and it remembers nothing between calls.

    ``promise`` is by default the regime's own (`tailguard.mix.policy.promise_of`). A regime
    without one must make n samples, and train on every real sample that it asks for.

    Raises ``AssertionError`` with one sentence.

    >>> from tailguard.mix.registry import REGIMES
    >>> check_regime(REGIMES.make("fixed-real", real_frac=0.5))
    """
    stated = promise_of(regime) if promise is None else promise
    refusals = []
    for kind in HELD:
        case = _Case(regime, stated or Promise(), kind, trains_on_all=stated is None)
        try:
            sets = case.run(_Seeds(1, 1), N, trial=True)
        except _RefusedError as refusal:
            refusals.append(str(refusal))
            continue
        case.check(sets)
    assert len(refusals) < len(HELD), f"the regime refuses all samples: {refusals[0]}"


class _RefusedError(Exception):
    """The regime cannot use this kind of samples, and says so."""


@dataclass(frozen=True, slots=True)
class _Seeds:
    world: int
    rng: int
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class _Case:
    """A regime on one kind of samples."""

    regime: Regime
    promise: Promise
    kind: Kind
    trains_on_all: bool

    @property
    def replicates(self) -> int:
        group = self.promise.group
        return 1 if self.kind == "texts" else group * max(2, -(-4 // group))

    def check(self, sets: _Sets) -> None:
        """The laws that compare one run with another."""
        self._past_is_past(sets)
        again = self.run(_Seeds(1, 1), N)
        same = all(same_training(a, b) for a, b in zip(sets.made, again.made, strict=True))
        assert same, f"the regime makes other sets of {self.kind} with the same generator"
        if self.kind == "statistics":
            return
        other, elsewhere = self.run(_Seeds(1, 2), N), self.run(_Seeds(2, 3), N)
        self._draws_follow_the_generator(sets, other)
        self._choices_follow_the_generator(sets, other, elsewhere)
        if self.kind == "arrays":
            self.run(_Seeds(3, 4), ODD)
            if self.promise.alters:
                self._replicates_are_apart(sets)

    def run(self, seeds: _Seeds, n: int, *, trial: bool = False) -> _Sets:
        """All generations, each checked by itself."""
        n = n + 1 if n == self.replicates else n
        world = World(seeds.world, self.kind, self.replicates, seeds.shift)
        real = SpyReal(world)
        sets = _Sets(world, real, n, seeds.rng, [], [])
        for generation in range(GENERATIONS + 1):
            history = sets.pasts[-1:]
            made = self.step(sets, history, generation, may_refuse=trial and generation < TRIAL)
            self._is_sound(sets, made, generation)
            sets.made.append(frozen_copy(made))
            sets.pasts.append(SpyPast(world, generation + 1, made))
        return sets

    def step(
        self, sets: _Sets, history: list[SpyPast], generation: int, *, may_refuse: bool = False
    ) -> TrainingSet:
        """One training set; what the regime was given must stay as it was."""
        where = f"on {self.kind} in generation {generation}"
        sets.world.begin(generation)
        rng = np.random.default_rng([sets.rng, generation])
        old = [frozen_copy(past.training) for past in history]
        held = [(block, copied(block)) for block in sets.real.held]
        given, chance = list(history), chance_elsewhere()
        try:
            made = self.regime(sets.real, given, n=sets.n, rng=rng)
        except InputError as error:
            if may_refuse:
                raise _RefusedError(str(error)) from error
            raise AssertionError(f"the regime refuses {where}, but not before: {error}") from error
        except Exception as error:
            kind = type(error).__name__
            raise AssertionError(f"the regime raises {kind} {where}: {error}") from error
        assert chance_elsewhere() == chance, f"the regime draws from a global generator {where}"
        same = len(given) == len(history) and all(
            a is b and same_training(a.training, copy)
            for a, b, copy in zip(given, history, old, strict=False)
        )
        assert same, f"the regime changes the past that it is given {where}"
        intact = all(same_block(block, copy) for block, copy in held)
        assert intact, f"the regime changes the real data {where}"
        return made

    def _is_sound(self, sets: _Sets, made: TrainingSet, generation: int) -> None:
        where = f"in generation {generation} on {self.kind}"
        assert isinstance(made, TrainingSet) and made.blocks, f"the regime makes no set {where}"
        for block in (*made.blocks, *made.pool):
            assert isinstance(block.samples, HELD[self.kind]), (
                f"the regime turns samples into {type(block.samples).__name__} {where}"
            )
            _shapes_fit(block, self.replicates, where)
        found, promised = made.n, self.promise.size(generation, sets.n)
        assert found == promised, f"the regime makes {found} samples, not {promised}, {where}"
        self._origins_are_right(sets, made, generation)

    def _origins_are_right(self, sets: _Sets, made: TrainingSet, generation: int) -> None:
        where = f"in generation {generation} on {self.kind}"
        real = np.zeros(self.replicates, np.int64)
        for block in (*made.blocks, *made.pool):
            labels = np.broadcast_to(block.depth, (self.replicates, block.samples.n))
            for replicate, tags in enumerate(_tags(block, sets.world, self.replicates)):
                for tag, label in zip(tags, labels[replicate].tolist(), strict=True):
                    self._belongs(tag, label, replicate, generation, where)
        for block in made.blocks:
            for replicate, tags in enumerate(_tags(block, sets.world, self.replicates)):
                real[replicate] += sum(tag is not None and tag.generation == 0 for tag in tags)
        if generation == 0:
            assert (real == made.n).all(), f"the regime starts on samples that are not real {where}"
        if self.promise.real is not None:
            wanted = self.promise.real(generation, sets.n)
            few = int(real[real != wanted][0]) if (real != wanted).any() else wanted
            assert few == wanted, f"the regime holds {few} real samples, not {wanted}, {where}"
        if self.trains_on_all:
            self._no_real_sample_is_dropped(sets, made, generation, where)

    def _belongs(
        self, tag: Tag | None, label: int, replicate: int, generation: int, where: str
    ) -> None:
        if tag is None:
            assert self.promise.alters, (
                f"the regime holds samples that nobody in this run has written {where}"
            )
            assert label > 0, f"the regime labels changed samples as real {where}"
            return
        group = self.promise.group
        assert tag.replicate // group == replicate // group, (
            f"the regime trains replicate {replicate} on samples of replicate {tag.replicate} "
            f"{where}"
        )
        assert tag.generation <= generation and tag.asked <= generation, (
            f"the regime leaks the future: a sample of generation {tag.generation} {where}"
        )
        real = "real" if tag.depth == 0 else f"of depth {tag.depth}"
        assert label == tag.depth, (
            f"the regime labels a sample {real} as {'real' if label == 0 else f'depth {label}'} "
            f"{where}"
        )

    def _no_real_sample_is_dropped(
        self, sets: _Sets, made: TrainingSet, generation: int, where: str
    ) -> None:
        if self.kind == "statistics" or generation == 0:
            return
        held = [
            {key for block in made.blocks for key in keys_of(block.samples)[replicate]}
            for replicate in range(self.replicates)
        ]
        for asked, block in sets.real.asked:
            for mine, keys in zip(held, keys_of(block.samples), strict=True):
                dropped = sum(key not in mine for key in keys) if asked == generation else 0
                assert not dropped, (
                    f"the regime drops {dropped} real samples that it asked for {where}"
                )

    def _past_is_past(self, sets: _Sets) -> None:
        """Generation 1 once more, after all others."""
        made = self.step(sets, sets.pasts[:1], 1)
        self._is_sound(sets, made, 1)
        same = same_training(made, sets.made[1])
        assert same, f"the regime remembers earlier calls: generation 1 of {self.kind} has changed"

    def _draws_follow_the_generator(self, sets: _Sets, other: _Sets) -> None:
        for generation in range(1, GENERATIONS + 1):
            drawn = [_drawn(run, generation) for run in (sets, other)]
            assert not drawn[0] & drawn[1], (
                f"the regime draws the same {self.kind} in generation {generation} "
                "with another generator"
            )

    def _choices_follow_the_generator(self, *runs: _Sets) -> None:
        for generation in range(1, GENERATIONS + 1):
            first, second, third = (_places(run, generation) for run in runs)
            alike = len(set(first)) == len(set(second)) == 1 < self.replicates
            where = f"from {self.kind} in generation {generation}"
            assert not (alike and first != second), (
                f"the regime chooses the same places in all replicates {where}"
            )
            settled = first == second == third
            assert not settled or (len(set(first)) == 1 and _is_regular(first[0])), (
                f"the regime chooses without its generator {where}"
            )

    def _replicates_are_apart(self, sets: _Sets) -> None:
        """Changed samples have no tag: so replicate 0 is moved, and the others must not notice."""
        moved = self.run(_Seeds(1, 1, shift=1.0), N)
        for generation, (a, b) in enumerate(zip(sets.made, moved.made, strict=True)):
            for left, right in zip(a.blocks, b.blocks, strict=True):
                rest = slice(self.promise.group, None)
                same = np.array_equal(left.samples.values[rest], right.samples.values[rest])
                assert same, f"the regime mixes replicates of arrays in generation {generation}"


@dataclass(slots=True)
class _Sets:
    """A run: its world, and what was made in it."""

    world: World
    real: SpyReal
    n: int
    rng: int
    made: list[TrainingSet]
    pasts: list[SpyPast]


def _shapes_fit(block: Block, replicates: int, where: str) -> None:
    n = block.samples.n
    if isinstance(block.samples, Arrays):
        found = len(block.samples.values)
        assert found == replicates, (
            f"the regime makes {found} replicates of {replicates} {where}: axis 0 counts replicates"
        )
    allowed = ((n,), (replicates, n))
    assert block.depth.shape in allowed, (
        f"the regime labels {n} samples with depths of shape {block.depth.shape} {where}"
    )
    whole = np.issubdtype(block.depth.dtype, np.integer)
    assert whole, f"the regime labels samples with {block.depth.dtype} depths {where}"
    if block.weights is not None:
        weights = np.asarray(block.weights)
        assert weights.shape in ((), *allowed), (
            f"the regime gives {n} samples weights of shape {weights.shape} {where}"
        )
        assert (np.isfinite(weights) & (weights >= 0)).all(), (
            f"the regime gives weights that are negative or not finite {where}"
        )


def _tags(block: Block, world: World, replicates: int) -> list[list[Tag | None]]:
    """The origin of every sample of each replicate."""
    samples = block.samples
    if not isinstance(samples, SpyStatistics):
        return [[world.ledger.get(key) for key in row] for row in keys_of(samples)]
    rows: list[list[Tag | None]] = [[] for _ in range(replicates)]
    for origin, n, whom in samples.parts:
        for replicate, row in enumerate(rows):
            who = whom[replicate]
            depth = origin.depth[who if len(origin.depth) > 1 else 0]
            own = origin.world == world.seed
            tag = Tag(origin.generation, who, 0, depth, origin.generation, 0)
            row += [tag if own else None] * n
    return rows


def _drawn(sets: _Sets, generation: int) -> set[Hashable]:
    """Samples of a training set that were newly drawn while it was made."""
    rows = (row for block in sets.made[generation].blocks for row in keys_of(block.samples))
    return {key for row in rows for key in row} & sets.world.drawn.get(generation, set())


Place = tuple[int, int, int]


def _places(sets: _Sets, generation: int) -> list[tuple[Place, ...]]:
    """For each replicate, which samples its training set consists of, by their place of origin."""
    rows: list[list[Place]] = [[] for _ in range(sets.world.replicates)]
    for block in sets.made[generation].blocks:
        for row, tags in zip(rows, _tags(block, sets.world, len(rows)), strict=True):
            row += [(tag.asked, tag.call, tag.serial) if tag else (0, 0, 0) for tag in tags]
    return [tuple(row) for row in rows]


def _is_regular(places: tuple[Place, ...]) -> bool:
    """Whether all, the first, the last or every k-th of each block was taken: no chance at work."""
    blocks: dict[tuple[int, int], list[int]] = {}
    for asked, call, serial in places:
        blocks.setdefault((asked, call), []).append(serial)
    return all(len(set(np.diff(sorted(serials)).tolist())) <= 1 for serials in blocks.values())
