"""A numeric run: many replicates of one recursion, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tailguard.engine import map_merge
from tailguard.errors import InputError
from tailguard.lab.base import Family, FitsStatistics, Model
from tailguard.lab.families import FAMILIES
from tailguard.lab.measurements import chosen
from tailguard.lab.recursion import recurse
from tailguard.lab.trajectory import Trajectory
from tailguard.mix.registry import REGIMES

# Numbers a chunk may hold at once: it bounds memory, and it must not depend on the workers.
CHUNK = 4_000_000


@dataclass(frozen=True)
class Setting:
    """Everything that decides a run's numbers. Same setting, same bytes.

    ``family``, ``regime`` and ``truth`` are names with settings; the truth is by default the
    family's own. ``path`` is "statistics", "samples", or "auto": statistics where family and
    regime allow it.
    """

    family: str = "gaussian"
    family_settings: Mapping[str, Any] = field(default_factory=dict)
    regime: str = "replace"
    regime_settings: Mapping[str, Any] = field(default_factory=dict)
    truth: str | None = None
    truth_settings: Mapping[str, Any] = field(default_factory=dict)
    n: int = 100
    generations: int = 100
    replicates: int = 1_000
    measurements: tuple[str, ...] = ("var", "log_var", "mean_sq")
    seed: int = 0
    path: str = "auto"


@dataclass(frozen=True, slots=True)
class Run:
    """A setting and what came of it: a trajectory for each measurement."""

    setting: Setting
    path: str
    trajectories: dict[str, Trajectory]

    def merge(self, other: Run) -> Run:
        """Both runs' replicates, this one's first."""
        both = {name: t.merge(other.trajectories[name]) for name, t in self.trajectories.items()}
        return Run(self.setting, self.path, both)


def simulate(setting: Setting, *, engine: str = "local", workers: int | None = None) -> Run:
    """Run a setting; the result does not depend on engine or workers.

    >>> run = simulate(Setting(n=10, generations=3, replicates=2_000), engine="serial")
    >>> run.trajectories["var"].mean.round(1).tolist()
    [1.0, 0.9, 0.8, 0.7]

    Raises InputError for unknown names, settings out of range, or too few samples.
    """
    family, _ = built(setting)
    path = _path(setting, family)
    size = chunk_size(setting, path)
    count = -(-setting.replicates // size)
    seeds = np.random.SeedSequence(setting.seed).spawn(count)
    sizes = [min(size, setting.replicates - i * size) for i in range(count)]
    work = partial(_chunk, setting=setting, path=path)
    shards = list(zip(sizes, seeds, strict=True))
    return map_merge(work, shards, Run.merge, engine=engine, workers=workers, label="replicates")


def built(setting: Setting) -> tuple[Family[Any], Any]:
    """Family and regime of a setting, checked."""
    for name, low in (("n", 1), ("generations", 1), ("replicates", 1)):
        if getattr(setting, name) < low:
            got = f"{getattr(setting, name)}"
            raise InputError("setting", f"{name} at least {low}", got, f"change {name}")
    chosen(setting.measurements)
    family = FAMILIES.make(setting.family, **setting.family_settings)
    return family, REGIMES.make(setting.regime, **setting.regime_settings)


def true_model(setting: Setting, family: Family[Any], replicates: int) -> Model[Any]:
    """The truth of a setting in this many replicates."""
    source = family if setting.truth is None else FAMILIES.make(setting.truth)
    return source.truth(replicates, **setting.truth_settings)  # type: ignore[attr-defined]


def chunk_size(setting: Setting, path: str) -> int:
    """Replicates run at once."""
    each = 1 if path == "statistics" else setting.n
    return max(1, min(setting.replicates, CHUNK // (each * 8)))


def _path(setting: Setting, family: Family[Any]) -> str:
    if setting.path != "auto":
        return setting.path
    if not isinstance(family, FitsStatistics):
        return "samples"
    try:  # two replicates, one step: whatever refuses statistics refuses at once
        _chunk((2, np.random.SeedSequence(0)), setting=setting, path="statistics", generations=2)
    except InputError:
        return "samples"
    return "statistics"


def _chunk(
    shard: tuple[int, np.random.SeedSequence],
    *,
    setting: Setting,
    path: str,
    generations: int | None = None,
) -> Run:
    replicates, seed = shard
    family, rule = built(setting)
    truth = true_model(setting, family, replicates)
    steps = setting.generations if generations is None else min(generations, setting.generations)
    wanted = chosen(setting.measurements)
    values = {m.name: np.empty((replicates, steps + 1)) for m in wanted}
    for generation in recurse(
        truth, family, rule, generations=steps, n=setting.n, seed=seed, path=path
    ):
        for m in wanted:
            values[m.name][:, generation.index] = m.fn(generation, truth)
    return Run(setting, path, {name: Trajectory.of(v) for name, v in values.items()})


def as_json(setting: Setting) -> dict[str, Any]:
    """A setting as plain data."""
    return asdict(setting)
