"""The stage of every generation of a numeric run, as the audit names it: early, mid, late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailguard.lab.simulate import Run
from tailguard.mix.samples import Floats

MARGIN = 0.02
"""Loss of the tail below this does not matter in practice (the audit's margin)."""
NARROW = 0.5
"""Variance, or the chance that two draws differ, below this share of the true one is mid stage."""
DEGENERATE = 0.01
"""The same, for late stage; so is a model of which one type or one point is left."""
STRANGE = 0.01
"""Mass where the truth has next to none, beyond which the single sample is no longer sound."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Per generation, shape (T+1,): the stage, and whether it is structural or functional.

    ``structural``: diversity between samples is lost. ``functional``: single samples are wrong.
    nan-like ``unknown`` where the run does not measure what is needed.
    """

    stage: tuple[str, ...]
    structural: tuple[bool, ...]
    functional: tuple[bool, ...]


def stages(run: Run) -> Stages:
    """Stages from the medians over replicates of what the run measures.

    Early: `tail_mass_lost` beyond 2%. Mid: variance (`var`), or for types `heterozygosity`, below
    half of the true one. Late: below 1% of it, or `absorbed` in half of the replicates. Medians,
    since the means of these are heavy-tailed.

    >>> from tailguard.lab.simulate import Setting, simulate
    >>> wanted = ("var", "tail_mass_lost")
    >>> found = stages(simulate(Setting(n=10, generations=80, measurements=wanted)))
    >>> found.stage[0], found.stage[10], found.stage[-1]
    ('healthy', 'mid', 'late')
    """
    size = run.setting.generations + 1
    lost = _median(run, "tail_mass_lost", size)
    spread = _median(run, "heterozygosity", size)
    if np.isnan(spread).all():
        spread = _median(run, "var", size)
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = spread / spread[0]
    gone = _median(run, "absorbed", size)
    strange = _median(run, "hallucinated_mass", size)
    names: list[str] = []
    for t in range(size):
        if kept[t] < DEGENERATE or gone[t] >= 0.5:
            names.append("late")
        elif kept[t] < NARROW:
            names.append("mid")
        elif lost[t] > MARGIN:
            names.append("early")
        else:
            names.append("healthy" if np.isfinite([lost[t], kept[t]]).any() else "unknown")
    structural = tuple(name in ("early", "mid", "late") for name in names)
    return Stages(tuple(names), structural, tuple((strange > STRANGE).tolist()))


def _median(run: Run, name: str, size: int) -> Floats:
    trajectory: Any = run.trajectories.get(name)
    return np.full(size, np.nan) if trajectory is None else trajectory.median
