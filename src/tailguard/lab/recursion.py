"""Recursion: each generation is trained on what the ones before it wrote, as a regime says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.base import (
    Decodes,
    ExpectsStatistics,
    Family,
    FitsStatistics,
    Model,
    WritesStatistics,
)
from tailguard.lab.reality import Corpus, Truth
from tailguard.mix.base import Block, Real, Regime, TrainingSet
from tailguard.mix.decoding import PLAIN, Decoding
from tailguard.mix.registry import REGIMES
from tailguard.mix.samples import Arrays, Floats, Rows, Samples

PATHS = ("samples", "statistics", "expected")
"""Draw samples, draw their sufficient statistics, or take these at their expectation."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation: the model that wrote its synthetic part, and the next model's training set.

    Generation 0 is real; its ``model`` is the truth where that is known, else None. The model of
    generation g was fitted on the training set of generation g - 1.
    """

    index: int
    training: TrainingSet
    model: Model[Any] | None

    @property
    def data(self) -> Any:
        """Its records: a list, an array, or the statistics that stand for them."""
        return self.training.data

    @property
    def real_frac(self) -> float | Floats:
        """Exact share of real records."""
        return self.training.real_frac


def recurse(
    real: Any,
    family: Family[Any],
    regime: Regime | str = "replace",
    *,
    generations: int,
    n: int | None = None,
    seed: int | np.random.SeedSequence,
    path: str = "samples",
) -> Iterator[Generation]:
    """Train on real data, then on models' output, again and again.

    ``real`` is a list of texts, an array whose first axis counts samples (for a family with
    replicates: a `Arrays` of shape (R, n, ...)), or a model that is the truth and writes as much
    as is asked for (then ``n`` is needed). ``regime`` makes every training set; a name stands for
    the regime with its defaults. ``path`` "statistics" steps on sufficient statistics, for models
    that can write them and regimes that need no single samples: the same law, far fewer draws.
    "expected" takes them at their expectation: what is left without the chance of finite samples.

    Yields generation 0, then generations 1 … ``generations``. Same seed, same bytes, however many
    generations follow.

    Raises InputError, on the first step, for arguments out of range, or when the regime asks for
    more real records than there are.

    >>> from tailguard.lab.families.ngram import NGram
    >>> runs = recurse(["to be or not to be"] * 4, NGram(order=2), generations=2, seed=0)
    >>> [(g.index, len(g.data), g.real_frac) for g in runs]
    [(0, 4, 1.0), (1, 4, 0.0), (2, 4, 0.0)]

    Source: Shumailov et al. 2024 (replace), Alemohammad et al. 2023 (fixed real share).
    """
    rule = REGIMES.make(regime) if isinstance(regime, str) else regime
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    _check(generations, n, path)
    keep_seed, *seeds = root.spawn(generations + 1)
    source, size, truth = _reality(real, family, n, path, keep_seed)

    # A stream of its own: the source draws from that of keep_seed, and spawns its child 0.
    own = np.random.SeedSequence(keep_seed.entropy, spawn_key=(*keep_seed.spawn_key, 1))
    training = rule(source, [], n=size, rng=np.random.default_rng(own))
    yield Generation(0, training, truth)
    for index, generation_seed in enumerate(seeds, start=1):
        fit_rng, draw_rng = map(np.random.default_rng, generation_seed.spawn(2))
        model = fitted(family, training, rng=fit_rng)
        past = _Past(index, training, model, path)
        training = rule(source, [past], n=size, rng=draw_rng)
        yield Generation(index, training, model)


def fitted(family: Family[Any], training: TrainingSet, *, rng: np.random.Generator) -> Model[Any]:
    """The family fitted on a training set, its weights included."""
    blocks = training.blocks
    if isinstance(blocks[0].samples, (Arrays, Rows)):
        if all(block.weights is None for block in blocks):
            lazy = getattr(family, "takes_unstored", False)
            return family.fit(training.samples.values if lazy else training.data, rng=rng)
        parts = [_weights(block) for block in blocks]
        depth = max(part.ndim for part in parts)
        if depth == 2:
            replicates = max(len(part) for part in parts if part.ndim == 2)
            parts = [np.broadcast_to(part, (replicates, part.shape[-1])) for part in parts]
        weights = np.concatenate(parts, axis=-1)
        if "weights" not in inspect.signature(family.fit).parameters:
            raise InputError(
                "regime",
                "a family that can weigh samples",
                type(family).__name__,
                "choose a regime without weights",
            )
        return family.fit(training.data, rng=rng, weights=weights)  # type: ignore[call-arg]
    if not isinstance(family, FitsStatistics):
        kind = type(family).__name__
        raise InputError(
            "path statistics", "a family fitted on statistics", kind, "use path samples"
        )
    parts_ = [
        block.samples if block.weights is None else block.samples.scaled(float(block.weights))  # type: ignore[attr-defined]
        for block in blocks
    ]
    return family.fit_statistics(parts_[0].join(*parts_[1:]), rng=rng)


def _weights(block: Block) -> Floats:
    if block.weights is None:
        return np.ones(block.samples.n)
    if block.weights.ndim == 0:
        return np.full(block.samples.n, block.weights)
    return block.weights


@dataclass(frozen=True, slots=True)
class _Past:
    """A finished generation whose model can be asked to write."""

    generation: int
    training: TrainingSet
    model: Model[Any]
    path: str

    def draw(self, n: int, *, rng: np.random.Generator, decoding: Decoding | None = None) -> Block:
        depth = self.training.depth.max(axis=-1) + 1  # () or (R,)
        model = self.model
        if decoding is not None and decoding != PLAIN:
            if not isinstance(model, Decodes):
                kind = type(model).__name__
                raise InputError(
                    "regime", "a model that can be sampled in other ways", kind, "sample it plainly"
                )
            model = model.decoded(decoding)
        samples = written(model, n, self.path, self.training.blocks[0].samples, rng=rng)
        return Block(samples, np.repeat(depth[..., None], n, axis=-1))


def written(
    model: Model[Any], n: int, path: str, like: Samples | None, *, rng: np.random.Generator
) -> Samples:
    """n samples of a model, or the statistics of n, held as ``like`` is."""
    if path == "statistics":
        if not isinstance(model, WritesStatistics):
            kind = type(model).__name__
            raise InputError(
                "path statistics", "a model with sufficient statistics", kind, "use path samples"
            )
        return model.statistics(n, rng=rng)
    if path == "expected":
        if not isinstance(model, ExpectsStatistics):
            kind = type(model).__name__
            raise InputError(
                "path expected", "a model with expected statistics", kind, "use path samples"
            )
        return model.expected_statistics(n)
    values = getattr(model, "unstored", model.sample)(n, rng=rng)
    found = len(values) if isinstance(like, Rows) else values.shape[1]
    if found != n:
        raise InputError(type(model).__name__, f"{n} samples", f"{found}", "mend its sample()")
    return Rows(values) if isinstance(like, Rows) else Arrays(values)


def _check(generations: int, n: int | None, path: str) -> None:
    for ok, expected, got in (
        (generations >= 0, "generations at least 0", f"{generations}"),
        (n is None or n >= 1, "n at least 1", f"{n}"),
        (path in PATHS, "path " + ", ".join(PATHS), f"'{path}'"),
    ):
        if not ok:
            raise InputError("recurse", expected, got, f"change {expected.split()[0]}")


def _reality(
    real: Any, family: Family[Any], n: int | None, path: str, seed: np.random.SeedSequence
) -> tuple[Real, int, Model[Any] | None]:
    """Where real data come from, how many a generation has, and the truth if it is known."""
    if hasattr(real, "sample"):
        if n is None:
            raise InputError("recurse", "n beside a true model", "none", "say how many samples")

        def draw(n: int, *, rng: np.random.Generator) -> Samples:
            return written(real, n, path, None, rng=rng)

        return Truth(draw, seed=seed), n, real
    if path != "samples":
        raise InputError(f"path {path}", "a true model", "samples", "use path samples")
    if isinstance(real, Sequence | np.ndarray):
        replicated = isinstance(real, np.ndarray) and getattr(family, "replicated", False)
        real = Arrays(np.asarray(real)[None]) if replicated else Rows(real)
    return Corpus(real, seed=seed), real.n if n is None else n, None
