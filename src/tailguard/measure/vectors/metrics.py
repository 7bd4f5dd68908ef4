"""Metrics of rows of numbers: of the summary, and of the sampled rows at equal size."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tailguard.errors import InputError
from tailguard.measure import geometry
from tailguard.measure.base import Axis, Floats, Reading, Topic, Worse
from tailguard.measure.divergence import (
    energy_distance,
    median_bandwidth,
    mmd2_unbiased,
    sliced_wasserstein,
)
from tailguard.measure.neighbours import PRDC, prdc
from tailguard.measure.vectors.summary import VectorProfile, demand_same

MOST_ROWS = 1024
"""Rows of either side that sample metrics are computed on."""
SEED = 20_240
"""Of directions and bandwidths: a metric has one value, whoever asks."""
GROUPS = 12
PROJECTIONS = 128
T_95 = 2.201
"""Student's t at 97.5% with eleven degrees of freedom."""


@dataclass(frozen=True)
class Pair:
    """Standardised rows of the candidate (n, d) and of gold (m, d), measured together."""

    rows: Floats
    gold: Floats

    @cached_property
    def prdc(self) -> PRDC:
        """Precision, recall, density and coverage, which cost as much as any one of them."""
        return prdc(self.gold, self.rows)


@dataclass(frozen=True, slots=True)
class VectorMetric:
    """A metric's data sheet; ``fn`` takes a pair, and ignores gold where it needs none.

    Rows are standardised by gold's mean and deviation (by their own without gold), so that
    columns of different units count alike. ``fn`` is nan where undefined.
    """

    name: str
    fn: Callable[[Pair], float]
    worse: Worse
    bounds: tuple[float, float]
    stage: Topic
    axis: Axis
    meaning: str
    cite: str
    needs_gold: bool = False


def _outer(pair: Pair) -> float:
    low, high = np.quantile(pair.gold, [0.025, 0.975], axis=0)
    return float(((pair.rows < low) | (pair.rows > high)).mean())


def _mmd2(pair: Pair) -> float:
    bandwidth = median_bandwidth(pair.gold, rng=np.random.default_rng(SEED))
    return mmd2_unbiased(pair.rows, pair.gold, bandwidth) if bandwidth > 0 else math.nan


def _sliced(pair: Pair) -> float:
    rng = np.random.default_rng(SEED)
    return sliced_wasserstein(pair.rows, pair.gold, projections=PROJECTIONS, rng=rng)


def _single(pair: Pair) -> float:
    _, times = np.unique(pair.rows, axis=0, return_counts=True)
    return float(times[times == 1].sum() / len(pair.rows))


INF = math.inf
METRICS: dict[str, VectorMetric] = {
    metric.name: metric
    for metric in (
        VectorMetric(
            "outer_share", _outer, "lower", (0, 1), "early", "T",
            "share of numbers in the outer 5% of gold's column", "empirical quantiles", True,
        ),
        VectorMetric(
            "total_variance", lambda pair: geometry.total_variance(pair.rows), "lower", (0, INF),
            "early", "S", "sum of the columns' variances, in gold's", "sample variance",
        ),
        VectorMetric(
            "effective_rank", lambda pair: geometry.effective_rank(pair.rows), "lower", (1, INF),
            "mid", "N", "effective number of directions the rows fill", "Roy & Vetterli 2007",
        ),
        VectorMetric(
            "vendi", lambda pair: geometry.vendi(pair.rows), "lower", (1, INF), "mid", "N",
            "effective number of distinct rows under cosine similarity", "Friedman & Dieng 2023",
        ),
        VectorMetric(
            "precision", lambda pair: pair.prdc.precision, "lower", (0, 1), "late", "R",
            "share of rows within gold's neighbourhoods", "Kynkäänniemi et al. 2019", True,
        ),
        VectorMetric(
            "recall", lambda pair: pair.prdc.recall, "lower", (0, 1), "mid", "N",
            "share of gold's rows within the batch's neighbourhoods", "Kynkäänniemi et al. 2019",
            True,
        ),
        VectorMetric(
            "density", lambda pair: pair.prdc.density, "both", (0, INF), "late", "R",
            "gold's neighbourhoods around a row of the batch, over five", "Naeem et al. 2020", True,
        ),
        VectorMetric(
            "coverage", lambda pair: pair.prdc.coverage, "lower", (0, 1), "mid", "N",
            "share of gold's neighbourhoods that the batch reaches", "Naeem et al. 2020", True,
        ),
        VectorMetric(
            "mmd2", _mmd2, "higher", (-INF, INF), "mid", "N",
            "squared maximum mean discrepancy, Gaussian kernel at gold's median distance",
            "Gretton et al. 2012", True,
        ),
        VectorMetric(
            "energy_distance", lambda pair: energy_distance(pair.rows, pair.gold), "higher",
            (0, INF), "mid", "N", "energy distance", "Székely & Rizzo 2013", True,
        ),
        VectorMetric(
            "sliced_wasserstein", _sliced, "higher", (0, INF), "mid", "N",
            "sliced Wasserstein distance", "Bonneel et al. 2015", True,
        ),
        VectorMetric(
            "single_rows", _single, "lower", (0, 1), "late", "R",
            "share of rows that occur once", "count",
        ),
    )
}  # fmt: skip
"""All metrics of rows by name."""


def choose(names: str | Iterable[str], *, compared: bool) -> list[VectorMetric]:
    """Metrics by name, stage, axis or ``all``; without gold those that need none.

    Raises :class:`InputError` for an unknown name, or one that compares where nothing is given.
    """
    found: dict[str, VectorMetric] = {}
    for name in [names] if isinstance(names, str) else names:
        group = [m for m in METRICS.values() if name in ("all", m.stage, m.axis)]
        if not group and name in METRICS:
            if METRICS[name].needs_gold and not compared:
                raise InputError(
                    name, "a second corpus to compare with", "one corpus", "pass A and B"
                )
            group = [METRICS[name]]
        if not group:
            close = difflib.get_close_matches(name, METRICS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"choose from {', '.join(METRICS)}"
            raise InputError("metrics", "names of metrics of rows", f"'{name}'", hint)
        found |= {m.name: m for m in group if compared or not m.needs_gold}
    return list(found.values())


def read_vectors(
    metrics: Sequence[VectorMetric],
    candidate: VectorProfile,
    gold: VectorProfile | None = None,
) -> list[Reading]:
    """Read metrics off the sampled rows, beside gold's at equal size.

    Missing numbers stand at gold's mean. The interval is a 95% interval from a jackknife over 12
    groups of rows; a metric that compares has no value for gold alone.
    """
    if gold is not None:
        demand_same(candidate, gold, "batch")
    ours, theirs = candidate.sample(), (gold or candidate).sample()
    n = min(len(ours), len(theirs), MOST_ROWS)
    ours, theirs = (_standardised(rows[:n], gold or candidate) for rows in (ours, theirs))
    groups = GROUPS if n >= 2 * GROUPS else 0
    parts = [Pair(np.delete(ours, np.s_[g::groups], axis=0), theirs) for g in range(groups)]
    reference = None if gold is None else Pair(theirs, theirs)
    return [_reading(metric, Pair(ours, theirs), parts, reference) for metric in metrics]


def _standardised(rows: Floats, by: VectorProfile) -> Floats:
    moments = by.moments
    deviation = np.sqrt(np.nan_to_num(moments.variance))
    centred = np.where(np.isnan(rows), 0.0, rows - moments.mean)
    return np.clip(centred / np.where(deviation > 0, deviation, 1.0), -1e50, 1e50)


def _reading(
    metric: VectorMetric, whole: Pair, parts: Sequence[Pair], reference: Pair | None
) -> Reading:
    n, nan = len(whole.rows), math.nan
    value = metric.fn(whole) if n >= 2 else nan
    if not math.isfinite(value):
        return Reading(metric.name, nan, nan, nan, n, note="undefined: too few rows, or all equal")
    low, high = metric.bounds
    lo = hi = nan
    if parts:
        values = np.array([metric.fn(part) for part in parts])
        error = math.sqrt((GROUPS - 1) ** 2 / GROUPS * float(np.var(values, ddof=1)))
        lo, hi = max(value - T_95 * error, low), min(value + T_95 * error, high)
    gold = nan if reference is None or metric.needs_gold else metric.fn(reference)
    return Reading(metric.name, value, lo, hi, n, gold)
