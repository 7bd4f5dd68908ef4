"""Readings: metrics with intervals, at equal size, and their null from gold's own splits."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.stats import t as student

from tailguard.engine.progress import progress
from tailguard.errors import InputError
from tailguard.measure import degenerate, modes, tails
from tailguard.measure.base import Floats, Metric, Reading
from tailguard.measure.profile import Profile
from tailguard.measure.view import View, at_equal_size

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*tails.METRICS, *modes.METRICS, *degenerate.METRICS)
}
"""All metrics by name; to add one, add its sheet to a topic's METRICS."""

GROUPS = 12
"""Groups of document blocks left out in turn to get a standard error."""


def choose(names: str | Iterable[str], *, compared: bool) -> list[Metric]:
    """Metrics by name, stage (``early``, ``mid``, ``late``), axis (``T``, ...) or ``all``.

    Without gold to compare with, those that need none. Raises :class:`InputError` for a name that
    is unknown, or that of a metric that compares where there is nothing to compare with.

    >>> [metric.name for metric in choose("late", compared=False)][:2]
    ['repeated_4grams_128', 'loop_tokens']
    """
    wanted = [names] if isinstance(names, str) else list(names)
    found: dict[str, Metric] = {}
    for name in wanted:
        group = [m for m in METRICS.values() if name in ("all", m.stage, m.axis)]
        if not group and name in METRICS:
            if METRICS[name].needs_gold and not compared:
                raise InputError(
                    name, "a second corpus to compare with", "one corpus", "pass A and B"
                )
            group = [METRICS[name]]
        if not group:
            close = difflib.get_close_matches(name, METRICS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else "see: tailguard metrics list"
            raise InputError("metrics", "names of metrics", f"'{name}'", hint)
        found |= {m.name: m for m in group if compared or not m.needs_gold}
    return list(found.values())


def evaluate(metric: Metric, candidate: View, gold: View | None) -> float:
    """The metric's value, nan below its least number of documents."""
    if candidate.n_documents < metric.min_n:
        return float("nan")
    if metric.needs_gold and (gold is None or gold.n_documents < metric.min_n):
        return float("nan")
    return metric.fn(candidate, gold)


def leave_outs(view: View, groups: int = GROUPS) -> list[View]:
    """The view without each of ``groups`` groups of blocks in turn; none with fewer than three."""
    g = min(groups, len(view.blocks))
    return [view.without_group(i, g) for i in range(g)] if g >= 3 else []


def jackknife(parts: Sequence[View], value: Callable[[View], float]) -> float:
    """Delete-a-group standard error of a value, from its values on ``leave_outs``; nan without any.

    se² = (g - 1)/g · sum_i (v_i - v̄)², v_i the value without the i-th group of blocks. Blocks are
    whole documents, so dependence within a document is accounted for. A token bootstrap would be
    biased for type counts, since resampling with replacement can only lose types.
    Source: Efron & Stein 1981; Wolter 2007, ch. 4.
    """
    values = np.array([value(part) for part in parts])
    if not len(values) or not np.isfinite(values).all():
        return float("nan")
    g = len(values)
    return float(math.sqrt((g - 1) / g * np.sum((values - values.mean()) ** 2)))


def read(
    metrics: Sequence[Metric],
    candidate: Profile,
    gold: Profile | None = None,
    *,
    confidence: float = 0.95,
    splits: int = 0,
    seed: int = 0,
) -> list[Reading]:
    """Read metrics off a profile, beside gold at equal size when gold is given.

    The interval is a t interval on the jackknife error, cut to the metric's bounds; both ends are
    nan where there are too few documents for one. ``splits`` random pairs of disjoint parts of
    gold, of the batch's size or half of gold's if that is smaller, give ``null_p``: the share of
    pairs (plus one) at least as extreme as as much of the batch against as much of gold; 0 leaves
    it nan.
    """
    ours, theirs = View.whole(candidate), None
    nulls: dict[str, float] = {}
    if gold is not None:
        all_gold = View.whole(gold)
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        nulls = _null_p(metrics, ours, all_gold, splits, rng=rng)
        ours, theirs = at_equal_size(ours, all_gold)
    parts = leave_outs(ours)
    found = []
    with progress("reading metrics", len(metrics), in_bytes=False) as advance:
        for metric in metrics:
            null_p = nulls.get(metric.name, float("nan"))
            found.append(_reading(metric, ours, theirs, parts, null_p, confidence))
            advance(1)
    return found


def _reading(
    metric: Metric,
    ours: View,
    theirs: View | None,
    parts: Sequence[View],
    null_p: float,
    confidence: float,
) -> Reading:
    value = evaluate(metric, ours, theirs)
    if not math.isfinite(value):
        note = f"undefined: needs {metric.min_n} documents with text, or more variety"
        return Reading(
            metric.name, float("nan"), float("nan"), float("nan"), ours.n_documents, note=note
        )
    error = jackknife(parts, lambda part: evaluate(metric, part, theirs))
    low, high = metric.bounds
    lo = hi = reference = float("nan")
    if math.isfinite(error):
        reach = float(student.ppf((1 + confidence) / 2, len(parts) - 1)) * error
        lo, hi = max(value - reach, low), min(value + reach, high)
    note = "" if math.isfinite(error) else "too few documents for an interval"
    if theirs is not None and not metric.needs_gold:
        reference = evaluate(metric, theirs, ours)
    return Reading(metric.name, value, lo, hi, ours.n_documents, reference, null_p, note)


def _p_value(value: float, null: Floats, worse: str) -> float:
    below = (1 + int(np.sum(null <= value))) / (1 + len(null))
    above = (1 + int(np.sum(null >= value))) / (1 + len(null))
    if worse == "both":
        return min(1.0, 2 * min(below, above))
    return below if worse == "lower" else above


def _null_p(
    metrics: Sequence[Metric], ours: View, gold: View, splits: int, *, rng: np.random.Generator
) -> dict[str, float]:
    """How rarely a part of gold is as extreme against another part as the batch is, by metric."""
    if splits == 0 or len(gold.blocks) < 4:
        return {}
    size = min(ours.tokens, gold.tokens // 2)
    pairs = [(ours.leading_part(size), gold.leading_part(size))]
    for _ in range(splits):
        part = gold.random_part(size, rng=rng)
        pairs.append((part, gold.part(~part.chosen).random_part(size, rng=rng)))
    found: dict[str, float] = {}
    for metric in metrics:
        value, *null = (evaluate(metric, a, b) for a, b in pairs)
        finite = np.array([v for v in null if math.isfinite(v)])
        if math.isfinite(value) and len(finite):
            found[metric.name] = _p_value(value, finite, metric.worse)
    return found
