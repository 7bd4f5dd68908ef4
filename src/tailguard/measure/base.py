"""The nouns of measurement: a metric's data sheet, and a reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tailguard.measure.view import View

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

Axis = Literal["T", "S", "N", "R"]
Stage = Literal["healthy", "early", "mid", "late", "shifted", "insufficient"]
Topic = Literal["early", "mid", "late"]
Worse = Literal["lower", "higher", "both"]

AXES: tuple[Axis, ...] = ("T", "S", "N", "R")
AXIS_NAMES: dict[Axis, str] = {
    "T": "tail",
    "S": "sharpening",
    "N": "narrowing",
    "R": "repetition",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's data sheet.

    ``fn(candidate, gold)`` is pure and takes two views of profiles; metrics of one corpus ignore
    ``gold``, which is then ``None``. ``bounds`` are the values it can take, ``worse`` the
    direction of damage, ``min_n`` the fewest documents it is defined for, ``needs_gold`` whether
    it compares. It returns ``nan`` where it is undefined.
    """

    name: str
    fn: Callable[[View, View | None], float]
    unit: str
    worse: Worse
    bounds: tuple[float, float]
    min_n: int
    stage: Topic
    axis: Axis
    meaning: str
    cite: str
    needs_gold: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric's value with its interval; ``value`` is nan when undefined and ``note`` says why.

    ``gold`` is the same metric on gold at equal size, ``null_p`` the p-value of the difference
    under gold's own splits (nan where it was not computed).
    """

    metric: str
    value: float
    lo: float
    hi: float
    n: int
    gold: float = float("nan")
    null_p: float = float("nan")
    note: str = ""


@dataclass(frozen=True, slots=True)
class AxisResult:
    """Retention on one axis of damage: batch over gold at equal size, in [0, 1].

    ``p`` is the corrected p-value of the axis, ``alarm`` whether it fired, ``beyond`` whether the
    whole interval lies beyond the practical margin, ``detectable`` the smallest loss that this
    much data would have shown with power .8, ``metric`` the metric that decided.
    """

    axis: Axis
    retention: float
    lo: float
    hi: float
    p: float
    alarm: bool
    beyond: bool
    detectable: float
    metric: str
