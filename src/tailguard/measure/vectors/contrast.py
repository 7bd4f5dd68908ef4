"""Does a batch of rows differ from gold by more than gold differs from itself?

The exact permutation test of ``tailguard.measure.contrast`` on the scores of rows, with four
statistics of whole groups: the modes they reach, their effective rank, and how far they moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact, norm

from tailguard.measure.base import Axis, Floats
from tailguard.measure.contrast import (
    PERMUTATIONS,
    Contrast,
    Effect,
    Evidence,
    difference,
    discrepancy,
    divisions,
    enough,
    judge,
    log_effect,
    share_effect,
    with_interval,
)
from tailguard.measure.geometry import Features
from tailguard.measure.neighbours import centred, distance_tiles
from tailguard.measure.stage import RULE_SHARE, Diagnosis, diagnose, permutation_level
from tailguard.measure.vectors.summary import VectorProfile
from tailguard.measure.vectors.units import SCORES, VectorUnits, make_units

HEADLINE: dict[Axis, str] = {"T": "outer_5", "S": "spread", "N": "modes", "R": "not_a_copy"}
"""What an axis shows when none of its statistics fired."""
GROUPS = 20
FEWEST = 8
"""Rows on a side below which nothing is tested."""
MOST_NEIGHBOURS = 4096
UNKNOWN: Effect = (math.nan, math.nan, math.nan, math.nan)
Members = NDArray[np.bool_]


def examine(
    batch: VectorProfile,
    gold: VectorProfile,
    *,
    alpha: float,
    margin: float,
    resolution: float,
    seed: int = 0,
) -> Diagnosis:
    """The statistical part of an audit of rows: evidence, axes and stage from two profiles."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    units = make_units(gold, batch, rng=rng)
    level = permutation_level(alpha)
    found = contrast(units, alpha=level, rng=rng, permutations=enough(level))
    return diagnose(
        found,
        copies_evidence(batch, gold),
        alpha=alpha,
        margin=margin,
        resolution=resolution,
        documents=int(min(units.batch.sum(), (~units.batch).sum())),
        headline=HEADLINE,
    )


def contrast(
    units: VectorUnits, *, alpha: float, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> Contrast:
    """Test batch against gold. Fewer than eight rows on a side give no evidence at all."""
    ours = units.batch
    sizes = int((~ours).sum()), int(ours.sum())
    if min(sizes) < FEWEST:
        return Contrast((), math.inf, math.nan, math.nan, math.nan, sizes)
    members = divisions(ours, permutations, rng=rng)
    names = [*(name for name, _, _ in SCORES), *GROUPED]
    axes: list[Axis | None] = [axis for _, axis, _ in SCORES]
    axes += ["N"] * len(GROUPED)
    parts = [difference(units.scores, members)]
    parts += [statistic(units, members)[:, None] for statistic in GROUPED.values()]
    effects = [_row_effect(units, j) for j in range(len(SCORES))]
    effects += [_group_effect(units, statistic) for statistic in GROUPED.values()]
    moved = {
        "same_middle": _lengths(difference(units.white, members)),
        "same_places": discrepancy(units.points, members, rng=rng),
    }
    if units.missing.size:
        moved["same_missing"] = _lengths(difference(units.missing, members))
    for name, distance in moved.items():
        names.append(name)
        axes.append(None)
        parts.append(-distance[:, None])
        effects.append(UNKNOWN)
    evidence, critical = judge(names, axes, np.column_stack(parts), effects, alpha)
    return Contrast(evidence, critical, *_foreign(units, rng=rng), sizes)


def _in_clusters(units: VectorUnits, members: Members) -> Floats:
    """Rows of each division in each pooled cluster, (P, k)."""
    k = int(units.cluster.max()) + 1
    return np.asarray(members.astype(np.float64) @ np.eye(k)[units.cluster])


def _modes(units: VectorUnits, members: Members) -> Floats:
    """Log ratio of the effective numbers of pooled clusters that batch and gold reach (Hill
    numbers of order 1, corrected for their sizes by Miller 1955)."""
    logs = []
    for side in (members, ~members):
        counts, n = _in_clusters(units, side), side.sum(axis=1)
        logs.append(_entropy(counts / n[:, None]) + ((counts > 0).sum(axis=1) - 1) / (2 * n))
    return np.asarray(logs[0] - logs[1])


def _reached(units: VectorUnits, members: Members) -> Floats:
    """KL(batch | gold) - KL(gold | batch) over pooled clusters.

    A batch that merely weighs clusters otherwise than gold gives about 0, since the divergences
    agree to second order; one that leaves clusters out gives a negative number.
    """
    ours, theirs = (_in_clusters(units, side) + 0.5 for side in (members, ~members))
    p = ours / ours.sum(axis=1, keepdims=True)
    q = theirs / theirs.sum(axis=1, keepdims=True)
    return np.asarray(((p + q) * np.log(p / q)).sum(axis=1))


def _rank(units: VectorUnits, members: Members) -> Floats:
    """Log ratio of the effective ranks of the two covariances (Roy & Vetterli 2007)."""
    points = units.points
    k = points.shape[1]
    i, j = np.triu_indices(k)
    logs = []
    for side in (members, ~members):
        n = side.sum(axis=1)[:, None]
        inside = side.astype(np.float64)
        mean = inside @ points / n
        covariance = np.zeros((len(side), k, k))
        covariance[:, i, j] = inside @ (points[:, i] * points[:, j]) / n - mean[:, i] * mean[:, j]
        covariance[:, j, i] = covariance[:, i, j]
        sizes = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0.0))
        logs.append(_entropy(sizes / np.maximum(sizes.sum(axis=1, keepdims=True), 1e-300)))
    return np.asarray(logs[0] - logs[1])


GROUPED: dict[str, Callable[[VectorUnits, Members], Floats]] = {
    "modes": _modes,
    "reached": _reached,
    "effective_rank": _rank,
}
"""Statistics of whole groups, each a log ratio of batch and gold, on the axis N."""


def _entropy(share: Floats) -> Floats:
    return np.asarray(-(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1))


def _row_effect(units: VectorUnits, column: int) -> Effect:
    values, ours = units.scores[:, column], units.batch
    effect = log_effect if SCORES[column][2] else share_effect
    log, se = effect(values[ours], values[~ours])
    return with_interval(log, se, int(min(ours.sum(), (~ours).sum())))


def _group_effect(
    units: VectorUnits, statistic: Callable[[VectorUnits, Members], Floats]
) -> Effect:
    """The observed log ratio, with a jackknife error over groups of rows of either side."""
    variance = 0.0
    for side in (units.batch, ~units.batch):
        rows = np.flatnonzero(side)
        groups = min(GROUPS, len(rows))
        left = []
        for g in range(groups):
            part = units.without(rows[g::groups])
            left.append(float(statistic(part, part.batch[None])[0]))
        variance += (groups - 1) ** 2 / groups * float(np.var(left, ddof=1))
    observed = float(statistic(units, units.batch[None])[0])
    return with_interval(observed, math.sqrt(variance), GROUPS)


def copies_evidence(batch: VectorProfile, gold: VectorProfile) -> Evidence:
    """Rows that occur more than once, in the part of all possible rows that both profiles hold.

    Fisher's exact test: of the rows that have an equal anywhere on either side, are more in the
    batch than its size explains? Exact for rows drawn independently, however many repeat.
    """
    limit = np.uint64(min(batch.contents.limit, gold.contents.limit))
    (ours, x), (theirs, y) = (
        (c.keys[c.keys <= limit], c.counts[c.keys <= limit])
        for c in (batch.contents, gold.contents)
    )
    in_gold, in_batch = np.isin(ours, theirs), np.isin(theirs, ours)
    copied = int(x[(x > 1) | in_gold].sum()), int(y[(y > 1) | in_batch].sum())
    n, m = int(x.sum()), int(y.sum())
    if not n or not m:
        return Evidence("no_copies", "R", 0.0, 1.0, 1.0, 1.0, 1.0, 0.0)
    table = np.array([[copied[0], n - copied[0]], [copied[1], m - copied[1]]])
    p = float(fisher_exact(table, alternative="greater").pvalue)
    flags = [
        np.repeat([0.0, 1.0], [bad, size - bad]) for bad, size in zip(copied, (n, m), strict=True)
    ]
    effect: Effect = (1.0, 0.0, math.inf, math.inf)
    if min(n, m) > 1:
        effect = with_interval(*share_effect(flags[0], flags[1]), min(n, m))
    z = -float(norm.isf(min(max(p, 1e-300), 1 - 1e-12)))
    return Evidence("no_copies", "R", z, min(1.0, p / RULE_SHARE), *effect)


def _foreign(units: VectorUnits, *, rng: np.random.Generator) -> tuple[float, float, float]:
    """Whether batch lies beside gold: odds that a row's nearest other row is of its own side, the
    lower 95% bound of these, and the distance from batch to gold over that within gold.

    At equal sizes the odds are 1 for another draw of gold (Henze 1988). Where a batch is only
    narrower than gold, its rows are near each other too, but they lie closer to gold than gold.
    """
    sides = [np.flatnonzero(units.batch), np.flatnonzero(~units.batch)]
    n = min(len(sides[0]), len(sides[1]), MOST_NEIGHBOURS)
    ours, theirs = ((units.points[rng.permutation(side)[:n]]) for side in sides)
    (a, b), _ = centred(ours, theirs)
    to_own, to_gold, gold_own = _nearest(a, None), _nearest(a, b), _nearest(b, None)
    own = float((to_own < to_gold).mean() + 0.5 * (to_own == to_gold).mean())
    low = own - float(norm.ppf(0.95)) * math.sqrt(max(own * (1 - own), 0.25 / n) / n)
    novelty = float(np.sqrt(to_gold).mean() / max(np.sqrt(gold_own).mean(), 1e-300))
    return own / max(1 - own, 0.5 / n), low / max(1 - low, 0.5 / n), novelty


def _lengths(rows: Floats) -> Floats:
    return np.sqrt((rows**2).sum(axis=1))


def _nearest(a: Features, b: Features | None) -> Floats:
    """Squared distance from each row of ``a`` to the nearest of ``b``, or to another of ``a``."""
    best = np.full(len(a), np.inf)
    for rows, columns, tile in distance_tiles(a, b):
        if b is None and rows == columns:
            np.fill_diagonal(tile, np.inf)
        best[rows] = np.minimum(best[rows], tile.min(axis=1))
        if b is None and rows != columns:
            best[columns] = np.minimum(best[columns], tile.min(axis=0))
    return best
