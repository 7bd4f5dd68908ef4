"""The figures of a report, each with a caption, a text for those who cannot see it, and its data.

They are drawn from ``Verdict.axes``, ``Verdict.slices``, and these ``Verdict.curves``:

- ``rarefaction``: ``{"batch" | "gold": {"m", "value", "lo", "hi"}}``, types found against size;
- ``rank_frequency``: ``{"batch" | "gold": {"rank", "freq"}}``;
- ``tail_recall``: ``{"bands", "batch", "lo", "hi", "expected"}``, shares by count in gold;
- ``synthetic``: see ``figure_synthetic.py``.

A figure whose numbers are missing or do not fit together is left out. Nothing here touches pyplot
or any other global state, and Matplotlib is imported only when a figure is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tailguard.measure.base import AXES, AXIS_NAMES, Axis, Floats, Ints
from tailguard.report.base import SliceResult, Verdict
from tailguard.report.chart import (
    WIDTH,
    Chart,
    finish,
    floats,
    mapping,
    percent_axis,
    whisker,
)
from tailguard.report.figure_synthetic import synthetic_chart
from tailguard.report.svg import COLOURS, FONT_SIZE, canvas, slot, svg
from tailguard.report.words import interval, number, one_line, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 200  # of one curve, drawn and listed
MAX_SLICES = 25  # rows of the slice figure; the table of the report lists them all
SIDES = (("batch", "solid"), ("gold", "dashed"))
AXIS_STYLES: dict[Axis, tuple[str, str]] = {
    "T": ("batch", "o"),
    "S": ("gold", "s"),
    "N": ("green", "^"),
    "R": ("purple", "D"),
}


def charts(verdict: Verdict) -> list[Chart]:
    """Every figure that the verdict's numbers allow, in the order of the report."""
    makers: tuple[Callable[[Verdict], Chart | None], ...] = (
        retention_chart,
        rarefaction_chart,
        rank_frequency_chart,
        tail_recall_chart,
        slice_chart,
        synthetic_chart,
    )
    return [chart for make in makers if (chart := make(verdict)) is not None]


def retention_chart(verdict: Verdict) -> Chart | None:
    """Four bars: what each axis retains, with its interval and the line of the margin."""
    axes_ = [a for a in verdict.axes if math.isfinite(a.retention)]
    if not axes_:
        return None
    margin = margin_of(verdict)
    figure, plot = canvas(WIDTH, 62 + 36 * len(axes_), left=104, right=64, top=30, bottom=32)
    rows = range(len(axes_))
    for row, axis in zip(rows, axes_, strict=True):
        colour = COLOURS["gold" if axis.alarm and axis.beyond else "batch"]
        plot.barh(row, axis.retention, height=0.46, color=colour, alpha=0.35)
        whisker(plot, row, axis.retention, axis.lo, axis.hi, colour)
        plot.text(
            1.03, row, percent(axis.retention), va="center", color=COLOURS["ink"], size=FONT_SIZE
        )
    line = 1 - margin
    plot.axvline(line, color=COLOURS["ink"], linewidth=1.2, linestyle=(0, (3, 2)))
    plot.text(
        line,
        1.03,
        f"{percent(margin)} margin",
        transform=plot.get_xaxis_transform(),
        ha="right",
        va="bottom",
        color=COLOURS["soft"],
        size=FONT_SIZE,
    )
    plot.set_yticks(list(rows), [f"{AXIS_NAMES[a.axis].capitalize()} ({a.axis})" for a in axes_])
    plot.tick_params(axis="y", labelcolor=COLOURS["ink"])
    plot.set_ylim(len(axes_) - 0.5, -0.5)
    percent_axis(plot, "x", 0.0)
    plot.set_xlim(0, 1)
    plot.spines["left"].set_visible(False)
    shown = "; ".join(f"{AXIS_NAMES[a.axis]} {percent(a.retention)}" for a in axes_)
    return Chart(
        name="retention",
        title="What the batch keeps",
        caption="Retention is the batch's value over gold's at equal size; 100% means nothing was "
        "lost. The thin bar is the interval. Damage is called only where evidence is strong and "
        "the whole interval lies left of the dashed line.",
        alt=f"Bars of retention per axis: {shown}. The margin line is at {percent(line)}.",
        svg=svg(figure, "retention", f"Retention per axis: {shown}. Margin at {percent(line)}."),
        columns=("axis", "retention", "interval"),
        rows=tuple((AXIS_NAMES[a.axis], percent(a.retention), interval(a.lo, a.hi)) for a in axes_),
    )


def rarefaction_chart(verdict: Verdict) -> Chart | None:
    """Richness expected in a sample of growing size, batch against gold, with bands."""
    sides = _sides(verdict, "rarefaction", ("m", "value"), ("lo", "hi"))
    if not sides:
        return None
    figure, plot = canvas(WIDTH, 300, left=58, bottom=48)
    for name, dash in SIDES:
        if (side := sides.get(name)) is None:
            continue
        colour = COLOURS[name]
        plot.fill_between(side["m"], side["lo"], side["hi"], color=colour, alpha=0.22, linewidth=0)
        plot.plot(side["m"], side["value"], color=colour, linestyle=dash, linewidth=2, label=name)
    _short_numbers(plot)
    finish(plot, "sample size", "different types found")
    ends = {name: _last(side["value"]) for name, side in sides.items()}
    alt = "Rarefaction curves. " + " ".join(
        f"{name.capitalize()} ends at {number(end)} types." for name, end in ends.items()
    )
    return Chart(
        name="rarefaction",
        title="How much variety a sample holds",
        caption="Rarefaction: the number of different types expected in samples of each size, with "
        "the interval as a band. Read it at one size, never at the ends of curves of different "
        "length: a batch below gold holds less variety.",
        alt=alt,
        svg=svg(figure, "rarefaction", alt),
        columns=("corpus", "sample size", "types", "low", "high"),
        rows=_side_rows(sides, ("m", "value", "lo", "hi")),
    )


def rank_frequency_chart(verdict: Verdict) -> Chart | None:
    """Frequency against rank on logarithmic axes, batch against gold."""
    sides = _sides(verdict, "rank_frequency", ("rank", "freq"), ())
    # Logarithms need positive numbers.
    drawable = (((s["rank"] > 0) & (s["freq"] > 0)).any() for s in sides.values())
    if not sides or not all(drawable):
        return None
    figure, plot = canvas(WIDTH, 300, left=58, bottom=48)
    plot.set_xscale("log")
    plot.set_yscale("log")
    for name, dash in SIDES:
        if (side := sides.get(name)) is not None:
            plot.plot(
                side["rank"],
                side["freq"],
                color=COLOURS[name],
                linestyle=dash,
                linewidth=2,
                label=name,
            )
    plot.minorticks_off()
    _short_numbers(plot)
    finish(plot, "rank, from commonest to rarest", "frequency")
    ends = " ".join(
        f"{n.capitalize()} reaches rank {number(_last(s['rank']))}." for n, s in sides.items()
    )
    alt = f"Rank against frequency on logarithmic axes. {ends}"
    return Chart(
        name="rank-frequency",
        title="Common and rare",
        caption="Rank and frequency of types on logarithmic axes. A batch that forgets its tail "
        "ends early or bends down at the right; one that favours common choices is steeper.",
        alt=alt,
        svg=svg(figure, "rank-frequency", alt),
        columns=("corpus", "rank", "frequency"),
        rows=_side_rows(sides, ("rank", "freq")),
    )


def tail_recall_chart(verdict: Verdict) -> Chart | None:
    """Share of gold's types found in the batch, by how rare they are in gold."""
    curve = mapping(verdict.curves.get("tail_recall"))
    bands = curve.get("bands")
    if not isinstance(bands, Sequence) or isinstance(bands, str) or not bands:
        return None
    bands = [one_line(str(band), 12) for band in bands[:MAX_POINTS]]
    data = {
        key: values
        for key in ("batch", "lo", "hi", "expected")
        if (values := floats(curve.get(key))) is not None and len(values) == len(bands)
    }
    if "batch" not in data or not np.isfinite(data["batch"]).any():
        return None
    undefined = np.full(len(bands), np.nan)
    lo, hi, expected = (data.get(key, undefined) for key in ("lo", "hi", "expected"))
    figure, plot = canvas(WIDTH, 300, left=58, bottom=48)
    at = np.arange(len(bands))
    plot.vlines(at, lo, hi, color=COLOURS["batch"], linewidth=3, alpha=0.45)
    plot.plot(at, data["batch"], "o", color=COLOURS["batch"], markersize=8, label="batch")
    if np.isfinite(expected).any():
        plot.plot(
            at,
            expected,
            "_",
            color=COLOURS["gold"],
            markersize=20,
            markeredgewidth=2.5,
            label="expected of an undamaged batch",
        )
    plot.set_xticks(at, [slot(i) for i in range(len(bands))])
    plot.set_xlim(-0.5, len(bands) - 0.5)
    tops = np.concatenate([data["batch"], hi, expected])
    percent_axis(plot, "y", 0.0)
    plot.set_ylim(0, max(0.05, 1.08 * float(np.nanmax(tops))))
    finish(plot, "times seen in gold", "found again in the batch")
    shown = "; ".join(f"{b}: {percent(v)}" for b, v in zip(bands, data["batch"], strict=True))
    alt = f"Share of gold's types found in the batch, by their count in gold: {shown}."
    return Chart(
        name="tail-recall",
        title="Is the rare still there?",
        caption="Of gold's types seen so many times, the share that the batch holds too, beside "
        "what an undamaged batch of this size would hold. Damage shows first at the left.",
        alt=alt,
        svg=svg(figure, "tail-recall", alt, bands),
        columns=("count in gold", "found", "low", "high", "expected"),
        rows=tuple(
            (band, *(percent(float(v)) for v in values))
            for band, *values in zip(bands, data["batch"], lo, hi, expected, strict=True)
        ),
    )


def slice_chart(verdict: Verdict) -> Chart | None:
    """One row a slice, one mark an axis: where in the batch the damage sits."""
    found = [s for s in verdict.slices if any(math.isfinite(r[0]) for r in s.retention.values())]
    shown = sorted(found, key=_worst)[:MAX_SLICES]
    if not shown:
        return None
    labels = [f"{s.by} = {s.value}" for s in shown]
    more = f" The {len(shown)} worst of {len(found)} are drawn." if len(found) > len(shown) else ""
    alt = f"Retention per slice and axis. Worst: {labels[0]}, {percent(_worst(shown[0]))}."
    return Chart(
        name="slices",
        title="Where it sits",
        caption="Retention in each slice of the batch, worst first, with intervals and the margin "
        f"as a dashed line. The scale need not start at zero.{more}",
        alt=alt,
        svg=svg(_draw_slices(shown, labels, margin_of(verdict)), "slices", alt, labels),
        columns=("slice", *(AXIS_NAMES[a] for a in AXES)),
        rows=tuple(
            (one_line(label, 80), *(percent(s.retention.get(a, (math.nan,))[0]) for a in AXES))
            for label, s in zip(labels, shown, strict=True)
        ),
    )


def _draw_slices(shown: Sequence[SliceResult], labels: Sequence[str], margin: float) -> Figure:
    left = 30 + 6.2 * max(len(one_line(label, 28)) for label in labels)
    figure, plot = canvas(WIDTH, 92 + 34 * len(shown), left=left, bottom=48)
    for offset, axis in enumerate(AXES):
        role, marker = AXIS_STYLES[axis]
        points = [(s.retention[axis], i) for i, s in enumerate(shown) if axis in s.retention]
        if not points:
            continue
        heights = [i + 0.17 * (offset - 1.5) for _, i in points]
        values = np.asarray([p for p, _ in points], dtype=float)
        plot.hlines(heights, values[:, 1], values[:, 2], color=COLOURS[role], alpha=0.4)
        plot.plot(
            values[:, 0], heights, marker, color=COLOURS[role], markersize=5, label=AXIS_NAMES[axis]
        )
    plot.axvline(1 - margin, color=COLOURS["ink"], linewidth=1.2, linestyle=(0, (3, 2)))
    plot.set_yticks(range(len(shown)), [slot(i) for i in range(len(shown))])
    plot.set_ylim(len(shown) - 0.5, -0.5)
    lowest = min(x for s in shown for r in s.retention.values() for x in r if math.isfinite(x))
    percent_axis(plot, "x", max(0.0, min(0.9, math.floor(lowest * 10 - 0.2) / 10)))
    finish(plot, "retention", "", grid="x", legend_at=-left / (WIDTH - left - 14))
    plot.tick_params(axis="y", labelcolor=COLOURS["ink"])
    return figure


def margin_of(verdict: Verdict) -> float:
    """The practical margin of the policy that was applied, as a share."""
    margin = verdict.policy.get("margin", 0.02)
    return float(margin) if isinstance(margin, (int, float)) else 0.02


def _worst(part: SliceResult) -> float:
    return min(r[0] for r in part.retention.values() if math.isfinite(r[0]))


def _sides(
    verdict: Verdict, curve: str, needed: tuple[str, str], optional: tuple[str, ...]
) -> dict[str, dict[str, Floats]]:
    """The usable sides of a curve, thinned; optional columns are nan where they are missing."""
    sides = {}
    for name, _ in SIDES:
        given = mapping(mapping(verdict.curves.get(curve)).get(name))
        read = {key: floats(given.get(key)) for key in needed + optional}
        x, y = read[needed[0]], read[needed[1]]
        if x is None or y is None or x.size != y.size or np.isnan(x + y).all():
            continue
        columns = {k: v for k, v in read.items() if v is not None and v.size == x.size}
        keep = _thinned(x.size)
        undefined = np.full(x.size, np.nan)
        sides[name] = {key: columns.get(key, undefined)[keep] for key in needed + optional}
    return sides


def _thinned(size: int) -> Ints:
    """Indices of at most MAX_POINTS points, denser at the start, both ends kept."""
    if size <= MAX_POINTS:
        return np.arange(size)
    return np.unique(np.geomspace(1, size, MAX_POINTS).astype(np.int64)) - 1


def _side_rows(
    sides: Mapping[str, Mapping[str, Floats]], keys: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (name, *(number(float(v)) for v in values))
        for name, side in sides.items()
        for values in zip(*(side[key] for key in keys), strict=True)
    )


def _last(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else math.nan


def _short_numbers(plot: Axes) -> None:
    from matplotlib.ticker import EngFormatter

    for axis in (plot.xaxis, plot.yaxis):
        axis.set_major_formatter(EngFormatter(sep="", usetex=False))
