"""Phase diagrams: a measurement over two swept settings, and the line beyond which it is safe."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.measurements import chosen
from tailguard.lab.solve import PARAMETERS, Answer, candidates, from_theory
from tailguard.lab.store import StoredRun
from tailguard.lab.sweep import StoredSweep
from tailguard.lab.target import Target
from tailguard.mix.samples import Floats
from tailguard.theory.base import every_law

MOST_DIAGRAMS = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """A swept key and its values, in rising order where they are numbers."""

    key: str
    values: tuple[Any, ...]

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values)


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a row of a diagram becomes safe: between the last unsafe value and the first safe one.

    ``value`` is interpolated between them. nan: no swept value is safe; ``lo`` -inf: all are.
    """

    lo: float
    value: float
    hi: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A measurement at one generation over two axes; ``values`` has shape (len(y), len(x)).

    ``y`` is None where only one axis has several values; then there is one row. ``held``: values
    of the other axes. ``edges``: one a row, where there is a target and ``x`` is a real share, a
    number of samples or the like, of which more is safer.
    ``theory``: the same from an exact law, None where there is none.
    """

    measurement: str
    statistic: str
    generation: int | None
    x: Axis
    y: Axis | None
    held: tuple[tuple[str, Any], ...]
    values: Floats
    target: Target | None
    edges: tuple[Edge, ...]
    theory: tuple[Answer | None, ...]


def phases(
    stored: StoredSweep,
    target: Target | None = None,
    *,
    measurement: str | None = None,
    generation: int | None = None,
) -> list[Phase]:
    """The diagrams of a sweep: one for each combination of the axes that are not drawn, at most 6.

    ``measurement`` defaults to the target's, or the first. Each cell shows its last generation, or
    ``generation``; the median over replicates of a heavy-tailed measurement, else the mean, which
    is also what an exact law speaks of. No axis with two values: no diagram.
    """
    name = measurement or (target.measurement if target else stored.sweep.base.measurements[0])
    if target is not None and target.measurement != name:
        raise InputError("phase diagram", f"a target of {name}", str(target), "change one of them")
    sheet = chosen([name])[0]
    axes = [Axis(key, values) for key, values in stored.sweep.axes]
    drawn = _drawn(axes)
    if generation is not None and generation < 1:
        raise InputError("phase diagram", "a generation from 1", f"{generation}", "change it")
    if not drawn:
        return []
    shape = tuple(len(axis.values) for axis in axes)
    runs = np.empty(len(stored.runs), object)
    runs[:] = stored.runs
    grid = np.moveaxis(runs.reshape(shape), drawn[::-1], range(-len(drawn), 0))
    x, y = axes[drawn[0]], axes[drawn[1]] if len(drawn) > 1 else None
    others = [axis for i, axis in enumerate(axes) if i not in drawn]
    found = []
    for place in itertools.islice(np.ndindex(*grid.shape[: len(others)]), MOST_DIAGRAMS):
        held = tuple((axis.key, axis.values[i]) for axis, i in zip(others, place, strict=True))
        part = _Part(x, y, held, np.atleast_2d(grid[place]))
        found.append(_phase(part, name, sheet.heavy_tailed, target, generation))
    return found


@dataclass(frozen=True, slots=True)
class _Part:
    """The runs of one diagram, shape (len(y), len(x)), with numeric axes in rising order."""

    x: Axis
    y: Axis | None
    held: tuple[tuple[str, Any], ...]
    runs: Any

    def ordered(self) -> _Part:
        columns, rows = _order(self.x), _order(self.y) if self.y is not None else [0]
        return _Part(
            Axis(self.x.key, tuple(self.x.values[i] for i in columns)),
            None if self.y is None else Axis(self.y.key, tuple(self.y.values[i] for i in rows)),
            self.held,
            self.runs[np.ix_(rows, columns)],
        )


def _phase(
    part: _Part, name: str, heavy_tailed: bool, target: Target | None, generation: int | None
) -> Phase:
    part = part.ordered()
    theory = tuple(_theory(row, target, part.x.key, generation) for row in part.runs)
    exact = any(answer is not None for answer in theory)
    statistic = "median" if heavy_tailed and not exact else "mean"
    values = np.array([[_cell(run, name, statistic, generation) for run in r] for r in part.runs])
    edges: tuple[Edge, ...] = ()
    # Of other settings, more is not known to be safer.
    if target is not None and part.x.key.rpartition(".")[2] in PARAMETERS:
        edges = tuple(_edge(np.array(part.x.values, float), row, target) for row in values)
    return Phase(
        name, statistic, generation, part.x, part.y, part.held, values, target, edges, theory
    )


def _drawn(axes: Sequence[Axis]) -> list[int]:
    """Which axes are x and y: the parameter that keeps a run safe, then n, then any."""
    wide = [i for i, axis in enumerate(axes) if len(axis.values) > 1 and axis.key != "seed"]

    def rank(i: int) -> int:
        name = axes[i].key.rpartition(".")[2]
        return PARAMETERS.index(name) if name in PARAMETERS else len(PARAMETERS)

    ordered = sorted(wide, key=lambda i: (not axes[i].numeric, rank(i), i))
    return ordered[:2]


def _cell(run: StoredRun | None, name: str, statistic: str, generation: int | None) -> float:
    if run is None or name not in run.summaries:
        return math.nan
    summary = run.summaries[name]
    values = summary.median if statistic == "median" else summary.mean
    at = len(values) - 1 if generation is None else generation
    return float(values[at]) if 0 <= at < len(values) else math.nan


def _theory(row: Any, target: Target | None, key: str, generation: int | None) -> Answer | None:
    """What an exact law says of a row, all of whose cells ask the same question."""
    run = next((run for run in row if run is not None), None)
    name = key.rpartition(".")[2]
    if run is None or target is None or name not in PARAMETERS:
        return None
    setting = run.setting if generation is None else replace(run.setting, generations=generation)
    try:
        return from_theory(candidates(setting, name), target, every_law())
    except InputError:
        return None


def _order(axis: Axis) -> list[int]:
    indices = range(len(axis.values))
    return sorted(indices, key=lambda i: axis.values[i]) if axis.numeric else list(indices)


def _edge(x: Floats, row: Floats, target: Target) -> Edge:
    """Where a row becomes safe and stays so."""
    safe = target.met(row)
    bad = np.flatnonzero(~safe)
    if not bad.size:
        return Edge(-math.inf, float(x[0]), float(x[0]))
    last = int(bad[-1])
    if last == len(x) - 1:
        return Edge(float(x[-1]), math.nan, math.inf)
    lo, hi = float(x[last]), float(x[last + 1])
    if not np.isfinite(row[last]):
        return Edge(lo, hi, hi)
    share = (target.value - row[last]) / (row[last + 1] - row[last])
    return Edge(lo, lo + float(share) * (hi - lo), hi)
