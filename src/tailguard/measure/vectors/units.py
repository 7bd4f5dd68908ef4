"""Rows of gold and batch side by side, on one scale, each scored against all others.

Nothing here looks at which side a row is from: scores are exchangeable when batch is one more
draw of gold, whatever the columns are distributed like.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from tailguard.measure.base import Axis, Floats, Ints
from tailguard.measure.neighbours import _smallest_squared_distances, centred
from tailguard.measure.vectors.summary import Shape, VectorProfile, hash_rows

COMPONENTS = 24
"""Principal components that rows are compared in, at most one per dozen rows."""
NEIGHBOUR = 5
CLUSTERS = 64
ROWS_A_CLUSTER = 20
ROUNDS = 12
NEAR = 0.1
"""A near-copy lies at less than this part of the median distance between neighbours."""
MANY = 0.05
"""From this share of distinct values on, a column counts as continuous."""

SCORES: tuple[tuple[str, Axis, bool], ...] = (
    # name, axis, whether it is a logarithm (else a share or a mean of squares)
    ("outer_1", "T", False),
    ("outer_5", "T", False),
    ("far_1", "T", False),
    ("far_5", "T", False),
    ("spread", "S", False),
    ("room", "S", True),
    ("own_values", "R", False),
    ("not_a_copy", "R", False),
    ("not_a_near_copy", "R", False),
)
"""Scores of a row, all oriented so that lower is damage."""


@dataclass(frozen=True, slots=True)
class VectorUnits:
    """Scored rows: ``batch: (N,)`` marks the batch's, ``scores: (N, len(SCORES))``.

    ``points: (N, c)`` are principal components of all columns, ``white`` the same at unit
    variance; ``cluster: (N,)`` is the pooled cluster of a row; ``missing: (N, m)`` marks missing
    numbers in the columns that have any.
    """

    batch: NDArray[np.bool_]
    scores: Floats
    white: Floats
    points: Floats
    cluster: Ints
    missing: Floats

    def without(self, rows: Ints) -> VectorUnits:
        """The units but for some rows."""
        held = (getattr(self, field.name) for field in fields(self))
        return VectorUnits(*(np.delete(array, rows, axis=0) for array in held))


def normal_scores(values: Floats) -> Floats:
    """Every column by its pooled ranks as a standard Gaussian; ties share their middle rank, and
    a missing value stands at 0.

    >>> normal_scores(np.array([[10.0], [1e9], [np.nan], [-3.0]])).round(2).ravel().tolist()
    [0.0, 1.15, 0.0, -1.15]
    """
    ranks = rankdata(_filled(values), axis=0)
    return np.where(np.isnan(values), 0.0, ndtri((ranks - 0.5) / len(values)))


def principal(values: Floats) -> tuple[Floats, Floats]:
    """Leading principal components (n, c) at their own scale, and their variances (c,).

    None where nothing varies; a constant column is no direction, whatever rounding leaves of it.
    """
    n, d = values.shape
    off = np.where(np.ptp(values, axis=0) > 0, values - values.mean(axis=0), 0.0)
    if d <= n:
        variances, directions = np.linalg.eigh(off.T @ off / n)
        along = off @ directions[:, ::-1][:, :COMPONENTS]
    else:
        variances, directions = np.linalg.eigh(off @ off.T / n)
        along = (directions * np.sqrt(np.maximum(variances * n, 0.0)))[:, ::-1][:, :COMPONENTS]
    variances = variances[::-1][:COMPONENTS]
    if not off.any():
        return along[:, :0], variances[:0]
    keep = variances > 1e-9 * variances[0]
    keep &= np.arange(len(variances)) < max(1, n // 12)
    return along[:, keep], variances[keep]


def coordinates(values: Floats, shape: Shape) -> tuple[Floats, Floats]:
    """Rows on one scale: for ranks (N, m), and for distances, where each column counts alike.

    A number is taken by its normal score; a vector by its principal components, with the largest
    at unit variance in distances: its geometry is its own, and no single entry matters.
    """
    ranked, placed = [], []
    at = 0
    if not np.ptp(_filled(values), axis=0).any():
        nowhere = np.zeros((len(values), 1))
        return nowhere, nowhere
    for _, width in shape:
        block = values[:, at : at + width]
        at += width
        if width == 1:
            score = normal_scores(block)
            ranked.append(score)
            placed.append(score)
            continue
        along, variances = principal(_filled(block))
        ranked.append(normal_scores(along))
        placed.append(along / np.sqrt(variances[0]) if len(variances) else along)
    return np.hstack(ranked), np.hstack(placed)


def _filled(values: Floats) -> Floats:
    """The values with their column's median where they are missing; 0 where all are."""
    gone = np.isnan(values)
    middle = np.nanmedian(np.where(gone.all(axis=0), 0.0, values), axis=0)
    return np.where(gone, middle, values)


def clusters(points: Floats, *, rng: np.random.Generator) -> Ints:
    """The k-means cluster of each point, one for every 20 points, at most 64 (Lloyd 1982)."""
    k = int(np.clip(len(points) // ROWS_A_CLUSTER, 1, CLUSTERS))
    centres = points[rng.choice(len(points), k, replace=False)]
    nearest = np.zeros(len(points), np.int64)
    for _ in range(ROUNDS):
        apart = (centres**2).sum(axis=1) - 2 * points @ centres.T
        nearest = apart.argmin(axis=1)
        size = np.bincount(nearest, minlength=k)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        centres = np.where(size[:, None] > 0, sums / np.maximum(size, 1)[:, None], centres)
    return nearest


def make_units(
    gold: VectorProfile, batch: VectorProfile, *, rng: np.random.Generator
) -> VectorUnits:
    """Score the sampled rows of gold and batch against each other."""
    sides = gold.sample(), batch.sample()
    values = np.concatenate(sides)
    side = np.arange(len(values)) >= len(sides[0])
    gone = np.isnan(values)
    missing = gone[:, gone.any(axis=0)].astype(np.float64)
    if len(values) < 2:
        none = np.zeros((len(values), 1))
        return VectorUnits(
            side, np.ones((len(values), len(SCORES))), none, none, none[:, 0].astype(int), missing
        )
    ranked, placed = coordinates(values, gold.shape)
    points, variances = principal(placed)
    if not len(variances):
        points, variances = np.zeros((len(values), 1)), np.ones(1)
    white = points / np.sqrt(variances)
    numbers = values[:, [i for i, name in enumerate(gold.names) if not name.endswith("]")]]
    return VectorUnits(
        side, _scores(values, numbers, ranked, points, white), white, points,
        clusters(points, rng=rng), missing,
    )  # fmt: skip


def _scores(
    values: Floats, numbers: Floats, normal: Floats, points: Floats, white: Floats
) -> Floats:
    """The scores of ``SCORES``, in order."""
    away = (white**2).sum(axis=1)
    near = np.sqrt(_nearest(points))
    positive = near[near > 0]
    unit = float(np.median(positive)) if len(positive) else 1.0
    content = hash_rows(values, np.zeros(len(values), np.uint64))
    _, which, times = np.unique(content, return_inverse=True, return_counts=True)
    closest = near[:, 0]
    typical = float(np.median(closest))
    return np.stack(
        [
            (np.abs(normal) > -ndtri(0.005)).mean(axis=1),
            (np.abs(normal) > -ndtri(0.025)).mean(axis=1),
            away > np.quantile(away, 0.99),
            away > np.quantile(away, 0.95),
            (normal**2).mean(axis=1),
            np.log(np.maximum(near[:, -1], 1e-3 * unit)),
            _own_values(numbers),
            times[which] == 1,
            closest >= NEAR * typical,
        ],
        axis=1,
    ).astype(np.float64)


def _nearest(points: Floats) -> Floats:
    (scaled,), unit = centred(points)
    k = min(NEIGHBOUR, len(points) - 1)
    return np.asarray(_smallest_squared_distances(scaled, k), np.float64) * unit**2


def _own_values(values: Floats) -> Floats:
    """Share of a row's numbers that are not their column's favourite, over continuous columns."""
    total, columns = np.zeros(len(values)), 0
    for column in values.T:
        found, which, times = np.unique(column, return_inverse=True, return_counts=True)
        if len(found) >= MANY * len(values):
            total += which != times.argmax()
            columns += 1
    return total / columns if columns else np.ones(len(values))
