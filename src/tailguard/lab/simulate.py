"""A numeric run: many replicates of one recursion, in chunks of bounded memory."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np

from tailguard.engine import map_merge
from tailguard.errors import InputError
from tailguard.lab.base import Family, FitsStatistics, Model
from tailguard.lab.families import FAMILIES
from tailguard.lab.measurements import Measurement, chosen
from tailguard.lab.recursion import PATHS as WAYS
from tailguard.lab.recursion import Generation, recurse
from tailguard.lab.spread import spread
from tailguard.lab.trajectory import KEPT, Trajectory
from tailguard.mix.base import Regime
from tailguard.mix.registry import REGIMES, nearest
from tailguard.mix.samples import Floats

# Measurements taken of any family for which they are defined.
USUAL = (
    "var",
    "log_var",
    "mean_sq",
    "tail_mass_lost",
    "w2_sq",
    "survivors",
    "heterozygosity",
    "unseen_mass",
    "risk",
)
PATHS = ("auto", *WAYS)
_Shard = tuple[int, np.random.SeedSequence, int]  # replicates, seed, how many to keep in full

# Replicates run at once, and samples that they may hold (few enough for the processor's cache).
# They bound memory, and must not depend on the workers, or the seeds would.
CHUNK = 40_000
SAMPLES = 500_000
# Chunks are multiples of the first that fits, so that no group of models that read each other is
# split; the least is also what a trial takes.
MULTIPLES = (840, 60)


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
    work, shards = _shards(setting)
    return map_merge(work, shards, Run.merge, engine=engine, workers=workers, label="replicates")


def simulate_here(setting: Setting) -> Run:
    """The same run, in this process and without a progress bar: for a cell among many."""
    work, shards = _shards(setting)
    return reduce(Run.merge, map(work, shards))


def _shards(setting: Setting) -> tuple[Callable[[_Shard], Run], list[_Shard]]:
    path, size = planned(setting)
    sizes = [min(size, setting.replicates - at) for at in range(0, setting.replicates, size)]
    seeds = np.random.SeedSequence(setting.seed).spawn(len(sizes))
    kept = [max(0, KEPT - i * size) for i in range(len(sizes))]
    return partial(_chunk, setting=setting, path=path), list(zip(sizes, seeds, kept, strict=True))


def built(setting: Setting) -> tuple[Family[Any], Regime]:
    """Family and regime of a setting, checked: names, numbers, settings, those of the truth."""
    for name, low in (("n", 2), ("generations", 1), ("replicates", 1), ("seed", 0)):
        value = getattr(setting, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
            raise InputError(
                "setting", f"{name}: a whole number from {low}", f"{value!r}", f"change {name}"
            )
    if setting.path not in PATHS:
        raise InputError("setting", "path " + ", ".join(PATHS), f"'{setting.path}'", "change path")
    chosen(setting.measurements)
    family = FAMILIES.make(setting.family, **setting.family_settings)
    if not getattr(family, "replicated", False):
        raise InputError(
            f"family {setting.family}",
            "a family of many replicates",
            "one of single models",
            "run it from Python with tailguard.lab.recursion.recurse",
        )
    _check_truth(setting, family)
    return family, REGIMES.make(setting.regime, **setting.regime_settings)


def true_model(setting: Setting, family: Family[Any], replicates: int) -> Model[Any]:
    """The truth of a setting in this many replicates."""
    return _truth_of(setting, family)(replicates, **setting.truth_settings)


def _truth_of(setting: Setting, family: Family[Any]) -> Callable[..., Model[Any]]:
    source = family if setting.truth is None else FAMILIES.make(setting.truth)
    if not hasattr(source, "truth"):
        name = setting.truth or setting.family
        raise InputError(f"family {name}", "a family with a truth", "none", "choose another truth")
    return source.truth


def _check_truth(setting: Setting, family: Family[Any]) -> None:
    who = f"truth {setting.truth or setting.family}"
    defaults = truth_defaults(setting, family)
    for key, value in setting.truth_settings.items():
        if key not in defaults:
            raise InputError(who, "a known setting", f"'{key}'", nearest(key, defaults))
        number = int | float | np.number
        if isinstance(defaults[key], int | float) and not isinstance(value, number):
            raise InputError(who, f"{key} as a number", f"{value!r}", f"change {key}")
    for key, default in defaults.items():
        if default is inspect.Parameter.empty and key not in setting.truth_settings:
            raise InputError(who, f"a value of {key}", "none", f"give {key}")


def truth_defaults(setting: Setting, family: Family[Any]) -> dict[str, Any]:
    """Settings that the truth takes, and their defaults."""
    takes = inspect.signature(_truth_of(setting, family)).parameters.values()
    return {p.name: p.default for p in takes if p.name != "replicates"}


def planned(setting: Setting) -> tuple[str, int]:
    """Path of a run and replicates run at once, found by a trial of two generations.

    Raises InputError for whatever is wrong with the setting.
    """
    family, _ = built(setting)
    paths = [setting.path] if setting.path != "auto" else ["statistics", "samples"]
    if setting.path == "auto" and not isinstance(family, FitsStatistics):
        paths = ["samples"]
    for path in paths:
        # Whatever refuses statistics refuses at once.
        each = setting.n if path == "samples" else 1
        few = _whole(setting, min(MULTIPLES[-1], SAMPLES // each))
        try:
            grows, wide = _trial(setting, path, few)
        except InputError:
            if path == paths[-1]:
                raise
            continue
        if path == "samples" and grows:
            wide *= setting.generations + 1
        return path, _whole(setting, min(CHUNK, SAMPLES // wide))
    raise AssertionError(paths)


def _whole(setting: Setting, size: int) -> int:
    """At most ``size`` replicates, in whole groups where so many fit."""
    for multiple in MULTIPLES:
        if size >= multiple:
            size -= size % multiple
            break
    return max(1, min(setting.replicates, size))


def measurable(setting: Setting, names: Iterable[str] = USUAL) -> tuple[str, ...]:
    """Those of the measurements ``names`` that are defined for this setting, in their order.

    >>> measurable(Setting(), ("survivors", "var", "heterozygosity"))
    ('var',)
    """
    path, size = planned(replace(setting, measurements=()))
    few = _whole(setting, min(MULTIPLES[-1], size))
    able = []
    for m in chosen(names):
        try:
            _trial(replace(setting, measurements=(m.name,)), path, few)
        except MeasurementError:
            continue
        able.append(m.name)
    return tuple(able)


class MeasurementError(InputError):
    """A measurement is not defined for the models of a setting."""


def _trial(setting: Setting, path: str, replicates: int) -> tuple[bool, int]:
    """Whether training sets or their pools grow over two generations, and how wide they are.

    The width is how many numbers a replicate's model or first training set holds, at least 1.
    """
    family, rule = built(setting)
    truth = true_model(setting, family, replicates)
    wanted = chosen(setting.measurements)
    found: dict[str, list[Floats]] = {m.name: [] for m in wanted}
    held, wide = [], 1
    for generation in recurse(
        truth, family, rule, generations=min(2, setting.generations), n=setting.n, seed=0, path=path
    ):
        for m in wanted:
            found[m.name].append(_measured(m, generation, truth, replicates))
        pool = generation.training.pool
        held.append(generation.training.n + sum(block.samples.n for block in pool))
        wide = max(wide, _width(generation.model, replicates))
        if generation.index == 0:
            wide = max(wide, _width(generation.data, replicates))
    for name, values in found.items():
        if np.isnan(values).all():
            raise _undefined(name, "nan in all")
    return held[-1] > held[0], wide


def _width(thing: Any, replicates: int) -> int:
    """Numbers for each replicate in the largest array that a model or training data hold."""
    parts = [getattr(thing, f.name) for f in fields(thing)] if is_dataclass(thing) else [thing]
    shapes = [getattr(part, "shape", ()) for part in parts]
    return max((math.prod(s) // replicates for s in shapes if s[:1] == (replicates,)), default=1)


def _measured(m: Measurement, generation: Generation, truth: Model[Any], replicates: int) -> Floats:
    try:
        values = m.fn(generation, truth)
    except AttributeError as error:  # the model has not what it measures
        raise _undefined(m.name, " ".join(str(error).split())) from None
    if np.shape(values) != (replicates,):
        raise _undefined(m.name, f"shape {np.shape(values)} for {replicates} of them")
    return values


def _undefined(name: str, got: str) -> MeasurementError:
    expected = "a number in each replicate of this family"
    return MeasurementError(f"measurement {name}", expected, got, "choose other measurements")


def _chunk(shard: _Shard, *, setting: Setting, path: str) -> Run:
    replicates, seed, kept = shard
    family, rule = built(setting)
    truth = true_model(setting, family, replicates)
    wanted = chosen(setting.measurements)
    spreads: dict[str, list[Any]] = {m.name: [] for m in wanted}
    full: dict[str, list[Floats]] = {m.name: [] for m in wanted}
    for generation in recurse(
        truth, family, rule, generations=setting.generations, n=setting.n, seed=seed, path=path
    ):
        for m in wanted:
            values = m.fn(generation, truth)
            spreads[m.name].append(spread(values))
            full[m.name].append(np.array(values[:kept], np.float64))
    gathered = {m.name: Trajectory.gathered(spreads[m.name], full[m.name]) for m in wanted}
    return Run(setting, path, gathered)
