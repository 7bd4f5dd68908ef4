"""Real data for a recursion: a finite corpus, or a distribution that never runs out."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tailguard.errors import InputError
from tailguard.mix.base import Block, TrainingSet
from tailguard.mix.samples import Samples


class Draw(Protocol):
    """Writes n samples."""

    def __call__(self, n: int, *, rng: np.random.Generator) -> Samples: ...


class Corpus:
    """A finite set of real samples. Fixed ones repeat; fresh ones are handed out once."""

    def __init__(self, samples: Samples, *, seed: np.random.SeedSequence) -> None:
        self._samples = samples
        self._seed = seed
        self._unread = np.empty(0, np.int64)

    def start(self, n: int, *, fixed: int = 0) -> TrainingSet:
        """All samples; or, if there are more than ``n``, a random n of them in their order."""
        self._enough(fixed)
        rng = np.random.default_rng(self._seed.spawn(1)[0])
        order = rng.permutation(self._samples.n)
        rows, self._unread = np.sort(order[:n]), order[n:]
        return TrainingSet((self._block(rows),))

    def fixed(self, n: int) -> Block:
        """The same random n of all samples, in their order."""
        self._enough(n)
        rows = np.random.default_rng(self._seed).choice(self._samples.n, n, replace=False)
        return self._block(np.sort(rows))

    def fresh(self, n: int, *, rng: np.random.Generator) -> Block:
        """n samples that generation 0 did not hold and that were never handed out."""
        if n > len(self._unread):
            raise InputError(
                "real data",
                f"{n} more fresh samples",
                f"{len(self._unread)} left of {self._samples.n}",
                "give more real data, fewer generations or a smaller n",
            )
        rows, self._unread = self._unread[:n], self._unread[n:]
        return self._block(rows)

    def _enough(self, n: int) -> None:
        if n > self._samples.n:
            raise InputError(
                "recurse",
                f"at most {self._samples.n} real records in a generation",
                f"{n}",
                "lower n or real_frac, or give more real records",
            )

    def _block(self, rows: np.ndarray) -> Block:
        return Block(self._samples.take(rows), np.zeros(len(rows), np.int64))


class Truth:
    """A distribution that writes as many real samples as are asked for."""

    def __init__(
        self,
        draw: Draw,
        *,
        seed: np.random.SeedSequence,
    ) -> None:
        self._draw = draw
        self._rng = np.random.default_rng(seed)
        self._fixed: dict[int, Block] = {}

    def start(self, n: int, *, fixed: int = 0) -> TrainingSet:
        """n samples; the first ``fixed`` are a block, and the one that ``fixed`` gives later."""
        blocks = [self.fixed(fixed)] if fixed else []
        if n > fixed:
            blocks.append(self.fixed(n) if not fixed else self.fresh(n - fixed, rng=self._rng))
        return TrainingSet(tuple(blocks))

    def fixed(self, n: int) -> Block:
        """The same n samples whenever asked."""
        if n not in self._fixed:
            self._fixed[n] = self.fresh(n, rng=self._rng)
        return self._fixed[n]

    def fresh(self, n: int, *, rng: np.random.Generator) -> Block:
        """n new samples."""
        return Block(self._draw(n, rng=rng), np.zeros(n, np.int64))
