"""Does batch differ from gold by more than gold differs from itself? An exact permutation test.

Labels "gold" and "batch" are exchanged at random among the units. If batch is one more draw of
gold, the observed labels are one of these equally likely divisions, so the share of divisions
with a larger maximum statistic is a p-value, for all statistics together and whatever they are
correlated by (Westfall & Young 1993).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from tailguard.measure.base import Axis, Floats
from tailguard.measure.phrases import largest_excess, pet_phrase_effect
from tailguard.measure.units import ADJUSTED, SCORES, Units

PERMUTATIONS = 999
FREQUENCIES = 256
"""Random Fourier features of the Gaussian kernel."""
Effect = tuple[float, float, float, float]
"""Retention, the ends of its 90% interval, and the standard error of its logarithm."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One statistic of the test: how far batch lies from gold, in what unit, how surely.

    ``z`` is the difference in standard deviations of its permutation distribution, negative for
    damage; ``p`` is corrected for all statistics. ``retention`` is batch over gold at equal size
    with its 90% interval: an interval beyond the margin at 90% is a one-sided test at 5%, as in
    equivalence testing (Schuirmann 1987). ``se`` is the standard error of log retention.
    """

    name: str
    axis: Axis | None
    z: float
    p: float
    retention: float
    lo: float
    hi: float
    se: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """All evidence, the critical value of -z at the level asked for, and how foreign batch is.

    ``foreign`` is the mass of the batch's words that gold lacks over the mass that as much other
    text of the batch lacks, with a 95% lower bound ``foreign_lo``: 1 for another draw of gold,
    above 1 for another domain. A narrowed batch can reach that too, by having little that is new
    to itself; but then ``novelty``, what gold lacks of the batch over what gold lacks of gold, is
    below 1.
    """

    evidence: tuple[Evidence, ...]
    critical: float
    foreign: float
    foreign_lo: float
    novelty: float
    units: tuple[int, int]


def contrast(
    units: Units, *, alpha: float, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> Contrast:
    """Test batch against gold. Fewer than three units on a side give no evidence at all."""
    n_batch, n_gold = int(units.batch.sum()), int((~units.batch).sum())
    foreign, foreign_lo = _foreign(units)
    if min(n_batch, n_gold) < 3:
        return Contrast((), math.inf, foreign, foreign_lo, units.novelty, (n_gold, n_batch))
    members = divisions(units.batch, permutations, rng=rng)
    names, axes, values = _statistics(units, members, rng=rng)
    effects = [_effect(units, name) for name in names]
    if units.phrases.shape[1]:
        excess, which = largest_excess(units.phrases, members)
        names, axes = [*names, "no_pet_phrase"], [*axes, "N"]
        values = np.column_stack([values, -excess])
        reach = float(np.quantile(excess[1:], 0.95))
        effects.append(pet_phrase_effect(units.phrases, units.batch, int(which[0]), reach))
    evidence, critical = judge(names, axes, values, effects, alpha)
    return Contrast(evidence, critical, foreign, foreign_lo, units.novelty, (n_gold, n_batch))


def enough(alpha: float) -> int:
    """Divisions that a test at level ``alpha`` takes: no p-value is below 1 / (divisions + 1).

    >>> enough(0.01), enough(0.0001)
    (999, 20000)
    """
    return max(PERMUTATIONS, math.ceil(2 / alpha))


def divisions(
    batch: NDArray[np.bool_], permutations: int, *, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Who is batch: as observed, then in random divisions of the same sizes, (P + 1, U)."""
    members = np.zeros((permutations + 1, len(batch)), bool)
    members[0] = batch
    for row in members[1:]:
        row[rng.permutation(len(row))[: int(batch.sum())]] = True
    return members


def judge(
    names: Sequence[str],
    axes: Sequence[Axis | None],
    values: Floats,
    effects: Sequence[Effect],
    alpha: float,
) -> tuple[tuple[Evidence, ...], float]:
    """Evidence on every statistic and the critical value of -z, from ``values: (P + 1, k)``.

    Row 0 is what was observed, the others are divisions; lower is damage. Westfall & Young 1993.
    """
    null = values[1:]
    spread = null.std(axis=0)
    safe = np.where(spread > 1e-12, spread, np.inf)
    z = (values - null.mean(axis=0)) / safe
    worst = (-z).max(axis=1)
    ranks = np.array([np.sum(worst[1:] >= -value - 1e-12) for value in z[0]])
    p = (1 + ranks) / len(values)
    evidence = tuple(
        Evidence(name, axis, float(z[0, j]), float(p[j]), *effects[j])
        for j, (name, axis) in enumerate(zip(names, axes, strict=True))
    )
    return evidence, float(np.quantile(worst[1:], 1 - alpha))


def difference(values: Floats, members: NDArray[np.bool_]) -> Floats:
    """Mean over batch minus mean over gold for every division, shape (P + 1, k)."""
    weights = members / members.sum(axis=1, keepdims=True)
    weights = weights - ~members / (~members).sum(axis=1, keepdims=True)
    return np.asarray(weights @ values)


def _residuals(values: Floats, topics: Floats) -> Floats:
    """What topic does not explain, by least squares; labels play no part in it."""
    design = np.column_stack([np.ones(len(values)), topics])
    return np.asarray(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])


def _statistics(
    units: Units, members: NDArray[np.bool_], *, rng: np.random.Generator
) -> tuple[list[str], list[Axis | None], Floats]:
    names: list[str] = [name for name, _, _ in SCORES]
    axes: list[Axis | None] = [axis for _, axis, _ in SCORES]
    parts = [difference(units.scores, members)]
    if units.topics.shape[1]:
        columns = [names.index(name) for name in ADJUSTED]
        parts.append(difference(_residuals(units.scores[:, columns], units.topics), members))
        names += [f"{name}|topic" for name in ADJUSTED]
        axes += [axes[c] for c in columns]
        parts.append(_spread_log_ratio(units.topics, members)[:, None])
        parts.append(-discrepancy(_unit_rows(units.topics), members, rng=rng)[:, None])
        names += ["topic_spread", "same_topics"]
        # Narrower topics alone do not tell lost modes from text that mixes them: see
        # docs/decisions/0005. They count as a shift.
        axes += [None, None]
    return names, axes, np.column_stack(parts)


def _mean_distance(unit: Floats, members: NDArray[np.bool_]) -> Floats:
    """Mean cosine distance between the units of each group, from sums of unit vectors."""
    n = members.sum(axis=1)
    sums = members.astype(np.float64) @ unit
    return np.asarray(1 - ((sums**2).sum(axis=1) - n) / (n * (n - 1)))


def _unit_rows(topics: Floats) -> Floats:
    return np.asarray(topics / np.maximum(np.linalg.norm(topics, axis=1, keepdims=True), 1e-12))


def _spread_log_ratio(topics: Floats, members: NDArray[np.bool_]) -> Floats:
    unit = _unit_rows(topics)
    ours, theirs = _mean_distance(unit, members), _mean_distance(unit, ~members)
    return np.log(np.maximum(ours, 1e-6) / np.maximum(theirs, 1e-6))


def discrepancy(points: Floats, members: NDArray[np.bool_], *, rng: np.random.Generator) -> Floats:
    """Root of the maximum mean discrepancy of points, Gaussian kernel at the median distance."""
    i, j = rng.integers(len(points), size=(2, 2000))
    apart = np.linalg.norm(points[i] - points[j], axis=1)
    bandwidth = float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
    phase = points @ (rng.standard_normal((points.shape[1], FREQUENCIES)) / bandwidth)
    waves = np.hstack([np.cos(phase), np.sin(phase)]) / math.sqrt(FREQUENCIES)
    return np.linalg.norm(difference(waves, members), axis=1)


def _effect(units: Units, name: str) -> Effect:
    """Retention with its 90% interval, and the standard error of its logarithm."""
    score, _, adjusted = name.partition("|")
    ours, theirs = units.batch, ~units.batch
    if score == "topic_spread":
        log, se = _spread_effect(units)
    elif score == "same_topics":
        return math.nan, math.nan, math.nan, math.nan
    else:
        column = [n for n, _, _ in SCORES].index(score)
        values = units.scores[:, column]
        if adjusted:
            design = np.column_stack([np.ones(len(values)), units.topics, ours])
            fit = np.linalg.lstsq(design, values, rcond=None)[0]
            values = values - design[:, 1:-1] @ fit[1:-1]
        effect = log_effect if SCORES[column][2] else share_effect
        log, se = effect(values[ours], values[theirs])
    return with_interval(log, se, min(int(ours.sum()), int(theirs.sum())))


def with_interval(log: float, se: float, n: int) -> Effect:
    """Retention with its 90% interval, from log retention, its error, and the smaller side."""
    reach = float(student.ppf(0.95, max(n - 1, 1))) * se
    return math.exp(log), math.exp(log - reach), math.exp(log + reach), se


def log_effect(a: Floats, b: Floats) -> tuple[float, float]:
    """Difference of two mean logarithms, with its standard error."""
    se = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return float(a.mean() - b.mean()), se


def share_effect(a: Floats, b: Floats) -> tuple[float, float]:
    """Log ratio of two mean shares; the variance of a share is never taken for zero.

    Agresti & Coull 1998: two more cases on either side keep the interval of a rare event honest,
    and a share is never taken for less than two of those cases: log 0 would know nothing.
    """
    n, m = len(a), len(b)
    x, y = max(a.mean(), 2 / (n + 4)), max(b.mean(), 2 / (m + 4))
    se = math.sqrt(
        (a.var(ddof=1) + _least(a)) / (n * x * x) + (b.var(ddof=1) + _least(b)) / (m * y * y)
    )
    return math.log(x / y), se


def _least(values: Floats) -> float:
    if not np.isin(values, (0.0, 1.0)).all():
        return 0.0
    p = (values.sum() + 2) / (len(values) + 4)
    return max(0.0, float(p * (1 - p) - values.var(ddof=1)))


def _spread_effect(units: Units) -> tuple[float, float]:
    """Log ratio of topic spreads, with a jackknife error over units."""
    unit = _unit_rows(units.topics)
    logs, variance = [], 0.0
    for side in (units.batch, ~units.batch):
        rows = unit[side]
        n, total = len(rows), rows.sum(axis=0)
        whole = 1 - (total @ total - n) / (n * (n - 1))
        without = total - rows
        left = 1 - ((without**2).sum(axis=1) - (n - 1)) / max((n - 1) * (n - 2), 1)
        logs.append(math.log(max(whole, 1e-6)))
        values = np.log(np.maximum(left, 1e-6))
        variance += (n - 1) / n * float(((values - values.mean()) ** 2).sum())
    return logs[0] - logs[1], math.sqrt(variance)


def _foreign(units: Units) -> tuple[float, float]:
    """Ratio of what gold lacks to what the batch itself lacks, and its 95% lower bound."""
    rows = units.foreign[units.batch]
    rows = rows[rows.sum(axis=1) > 0]
    if len(rows) < 3:
        return math.nan, math.nan
    absent, own = rows[:, 0] + 0.5, rows[:, 1] + 0.5
    ratio = float(absent.sum() / own.sum())
    se = float(np.std(absent - ratio * own, ddof=1)) * math.sqrt(len(rows)) / float(own.sum())
    return ratio, ratio - float(norm.ppf(0.95)) * se
