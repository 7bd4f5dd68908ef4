"""From evidence to axes, stage and collapse score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, fisher_exact, norm

from tailguard.measure.base import AXES, Axis, AxisResult, Stage
from tailguard.measure.contrast import Contrast, Evidence

HEADLINE: dict[Axis, str] = {
    "T": "rare_words",
    "S": "next_word_variety",
    "N": "own_phrases",
    "R": "no_repeats",
}
"""What an axis shows when none of its statistics fired."""
PLAIN_IN_ANY_DOMAIN = ("no_loops", "not_a_copy", "degenerate_documents", "no_copies")
"""Damage that no change of domain explains."""
FOREIGN = 1.25
"""The batch is another domain than gold when the lower bound of ``Contrast.foreign`` is above this
and ``novelty`` above 1 ..."""
NEW_WORDS, LEAST_FOREIGN = 1.5, 0.75
"""... or when it brings half as many new words again as gold brings to itself, without repeating
them among its own documents (``foreign`` not far below 1). The table is in docs/metrics.md."""
DEGENERATE_RATE = 0.0005
"""Share of documents, at most, that loop in human text: see docs/metrics.md."""
RULE_SHARE = 0.2
"""Part of the false-alarm budget given to the rule on degenerate documents."""
POWER = 0.8
MOST_TIMES = 1_000
"""More text than this many times what is there is no advice."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Stage, axes and collapse score, with the evidence that raised an alarm."""

    stage: Stage
    axes: tuple[AxisResult, ...]
    alarms: tuple[Evidence, ...]
    evidence: tuple[Evidence, ...]
    foreign: bool
    score: float
    score_lo: float
    score_hi: float
    functional: bool
    structural: bool
    documents_needed: int | None


def permutation_level(alpha: float) -> float:
    """The level left for the permutation test.

    >>> permutation_level(0.01)
    0.008
    """
    return alpha * (1 - RULE_SHARE)


def degenerate_evidence(batch: tuple[int, int], gold: tuple[int, int]) -> Evidence:
    """Looping or empty documents against what human text has: a test that needs no pair in gold.

    ``batch`` and ``gold`` are (degenerate documents, documents). Human text hardly ever loops, so
    two looping documents in two hundred are evidence although gold's own splits could never show
    it: p = P(Binomial(n, 0.0005) >= x). Where gold itself contradicts that rate (p < .05), Fisher's
    exact test of batch against gold is used instead.
    """
    (x, n), (y, m) = batch, gold
    if binom.sf(y - 1, m, DEGENERATE_RATE) < 0.05:
        p = float(fisher_exact(np.array([[x, n - x], [y, m - y]]), alternative="greater").pvalue)
    else:
        p = float(binom.sf(x - 1, n, DEGENERATE_RATE))
    ours, theirs = 1 - x / n, max(1 - y / m, 1e-9)
    low, high = _wilson(x, n)
    se = (high - low) / 2 / 1.645 / max(1 - x / n, 1e-9)
    z = -float(norm.isf(min(max(p, 1e-300), 1 - 1e-12)))
    return Evidence(
        "degenerate_documents", "R", z, min(1.0, p / RULE_SHARE), ours / theirs,
        max(0.0, 1 - high) / theirs, (1 - low) / theirs, se,
    )  # fmt: skip


def _wilson(x: int, n: int, z: float = 1.645) -> tuple[float, float]:
    """Wilson's 90% interval of a share (1927)."""
    p = x / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def diagnose(
    found: Contrast,
    degenerate: Evidence,
    *,
    alpha: float,
    margin: float,
    resolution: float,
    documents: int,
    headline: Mapping[Axis, str] = HEADLINE,
) -> Diagnosis:
    """Decide. An axis counts as damaged when its evidence is significant and its loss material.

    Late if R is damaged, else mid if N, else early if T or S. In another domain than gold's only
    what is plain in any domain counts (loops, copies); the rest is ``shifted``. Without damage,
    ``insufficient`` when a loss above ``resolution`` could have been missed on some axis.
    ``headline`` names the statistic of each axis by which that is judged.
    """
    share = 1 - RULE_SHARE
    corrected = [
        Evidence(e.name, e.axis, e.z, min(1.0, e.p / share), e.retention, e.lo, e.hi, e.se)
        for e in found.evidence
    ]
    evidence = (*corrected, degenerate)
    alarms = tuple(e for e in evidence if e.p <= alpha and e.z < 0)
    foreign = _is_foreign(found)
    axes = tuple(
        _axis(axis, headline[axis], evidence, alarms, found.critical, margin, foreign)
        for axis in AXES
    )
    damaged = {state.axis for state in axes if state.alarm and state.beyond}
    moved = foreign or any(e.axis is None for e in alarms)
    worst_blind = max((state.detectable for state in axes), default=1.0)
    needed = None
    stage: Stage
    if "R" in damaged:
        stage = "late"
    elif "N" in damaged:
        stage = "mid"
    elif damaged:
        stage = "early"
    elif moved and alarms:
        stage = "shifted"
    elif not found.evidence or worst_blind > resolution:
        stage = "insufficient"
        needed = _needed(axes, resolution, documents) if found.evidence else None
    else:
        stage = "healthy"
    score, low, high = _score(axes)
    return Diagnosis(
        stage, axes, alarms, evidence, foreign, score, low, high,
        bool(damaged & {"R"}), bool(damaged & {"T", "S", "N"}), needed,
    )  # fmt: skip


def _is_foreign(found: Contrast) -> bool:
    own_vocabulary = found.foreign_lo > FOREIGN and found.novelty > 1
    return own_vocabulary or (found.foreign_lo > LEAST_FOREIGN and found.novelty > NEW_WORDS)


def _axis(
    axis: Axis,
    shown_by: str,
    evidence: Iterable[Evidence],
    alarms: Iterable[Evidence],
    critical: float,
    margin: float,
    foreign: bool,
) -> AxisResult:
    mine = [e for e in evidence if e.axis == axis]
    fired = [e for e in alarms if e.axis == axis]
    if foreign:
        fired = [e for e in fired if e.name in PLAIN_IN_ANY_DOMAIN]
    headline = [e for e in mine if e.name.partition("|")[0] == shown_by]
    if not headline:
        return AxisResult(axis, math.nan, math.nan, math.nan, 1.0, False, False, 1.0, "none")
    shown = min(fired, key=lambda e: e.hi) if fired else headline[-1]
    steady = min(headline, key=lambda e: e.se)
    reach = (critical + float(norm.ppf(POWER))) * steady.se
    detectable = 1 - math.exp(-reach) if math.isfinite(reach) else 1.0
    retention, lo, hi = np.clip([shown.retention, shown.lo, shown.hi], 0.0, 1.0).tolist()
    return AxisResult(
        axis, retention, lo, hi, min(e.p for e in fired or mine), bool(fired),
        bool(fired) and shown.hi < 1 - margin, detectable, shown.name,
    )  # fmt: skip


def _score(axes: Iterable[AxisResult]) -> tuple[float, float, float]:
    """Collapse score 1 - min retention, with the interval of the axis that decides it."""
    known = [state for state in axes if math.isfinite(state.retention)]
    if not known:
        return math.nan, math.nan, math.nan
    worst = min(known, key=lambda state: state.retention)
    return 1 - worst.retention, 1 - worst.hi, 1 - worst.lo


def _needed(axes: Iterable[AxisResult], resolution: float, documents: int) -> int | None:
    """Documents for every axis to see a loss of ``resolution``: errors shrink as 1/sqrt(n)."""
    wanted = -math.log(1 - resolution)
    reaches = [-math.log(1 - min(s.detectable, 1 - 1e-9)) for s in axes]
    factor = (max(reaches) / wanted) ** 2
    return math.ceil(documents * factor) if factor < MOST_TIMES else None
