"""The regimes of the literature: which data the next generation is trained on.

A regime is a function of settings, each with a default, that returns a rule; the rule makes a
training set out of real data and the past. To add one, write such a function in a module here and
register it; docs/regimes.md shows how.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from tailguard.errors import InputError
from tailguard.mix.base import Block, Past, Real, Regime, TrainingSet


class Step(Protocol):
    """Makes the training set that follows the newest model."""

    def __call__(
        self, real: Real, newest: Past, *, n: int, rng: np.random.Generator
    ) -> TrainingSet: ...


def from_real(step: Step, *, fixed: Callable[[int], int] = lambda n: 0) -> Regime:
    """A regime that starts on n real samples and goes on as step says.

    ``fixed(n)`` of the first samples are those that `Real.fixed` gives later.
    """

    def pool(
        real: Real, history: Sequence[Past], *, n: int, rng: np.random.Generator
    ) -> TrainingSet:
        if not history:
            return real.start(n, fixed=fixed(n))
        return step(real, history[-1], n=n, rng=rng)

    return pool


def together(*parts: tuple[int, Callable[[int], Block]]) -> TrainingSet:
    """Blocks of these sizes, each from its source; empty ones are left out."""
    return TrainingSet(tuple(source(size) for size, source in parts if size))


def writer(newest: Past, *, rng: np.random.Generator) -> Callable[[int], Block]:
    """What the newest model writes, as a source for `together`."""
    return lambda n: newest.draw(n, rng=rng)


def bare(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The same samples without weights, which each training set sets anew."""
    return tuple(Block(block.samples, block.depth) for block in blocks)


def share(name: str, value: float) -> float:
    """value if it lies in [0, 1]; else InputError.

    >>> share("real_frac", 0.5)
    0.5
    """
    if not 0.0 <= value <= 1.0:
        raise InputError("regime", f"{name} in [0, 1]", f"{value:g}", f"change {name}")
    return value


def least(name: str, value: int, low: int) -> int:
    """value if it is at least low; else InputError.

    >>> least("width", 3, 1)
    3
    """
    if value < low:
        raise InputError("regime", f"{name} at least {low}", f"{value}", f"change {name}")
    return value


def finite(name: str, value: float, low: float = -math.inf, *, open_: bool = False) -> float:
    """value if it is finite and at least low (above it, if open_); else InputError.

    >>> finite("strength", 2.0, 0.0)
    2.0
    """
    if not math.isfinite(value) or value < low or (open_ and value == low):
        limit = "" if low == -math.inf else f" {'above' if open_ else 'from'} {low:g}"
        raise InputError("regime", f"a finite {name}{limit}", f"{value:g}", f"change {name}")
    return value
