"""Trajectories with bands and theory, and phase diagrams, as inline SVG.

Colours of lines follow the page (light, dark, print); those of phase diagrams are cividis, made
for colour-blind readers (Nuñez, Anderton & Renslow 2018, PLoS ONE 13:e0199239).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tailguard.lab.overlay import Overlay, trusted
from tailguard.lab.store import Summary
from tailguard.mix.samples import Floats, Ints
from tailguard.report.chart import Chart
from tailguard.report.lab.study import Case
from tailguard.report.lab.wording import (
    ROUNDING,
    centre,
    flags_words,
    noun,
    sentence,
    sheet_of,
    statistic_of,
)
from tailguard.report.svg import COLOURS, FONT_SIZE, canvas, slot, svg
from tailguard.report.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 460.0, 290.0
MAX_POINTS = 200
MAX_LINES = 6
MAX_BANDS = 3  # lines with a band; more would hide each other
DECADES = 1.3  # a positive quantity that spans more is drawn on a logarithmic axis
LINES = ("batch", "gold", "green", "purple", "ink", "soft")
DASHED, DOTTED = (0, (5, 3)), (0, (1.5, 2.5))


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend: what it looks like (line, dash, dots, band, cross), colour, text."""

    look: str
    colour: str
    text: str


@dataclass(frozen=True, slots=True)
class Figure(Chart):
    """A chart whose legend is text of the page, so that it wraps and reads aloud."""

    legend: tuple[Key, ...] = ()


def trajectory(case: Case, name: str, index: int = 0) -> Figure:
    """One measurement of one run: median or mean, bands of replicates, and every law."""
    summary = case.run.summaries[name]
    found = [overlay for overlay in case.overlays if overlay.law.quantity == name]
    at = thinned(len(summary.mean))
    figure, plot = canvas(WIDTH, HEIGHT, left=62, top=12, bottom=48)
    lo, hi = summary.quantile(0.05)[at], summary.quantile(0.95)[at]
    low, high = summary.quantile(0.25)[at], summary.quantile(0.75)[at]
    middle = centre(name, summary)[at]
    blue = COLOURS["batch"]
    for a, b, alpha in ((lo, hi, 0.16), (low, high, 0.22)):
        plot.fill_between(at, _finite(a), _finite(b), color=blue, alpha=alpha, linewidth=0)
    plot.plot(at, _finite(middle), color=blue, linewidth=2.2)
    legend = [
        Key("line", "batch", f"{statistic_of(name)} of {case.run.setting.replicates:,} replicates"),
        Key("band", "batch", "25–75% and 5–95% of replicates"),
    ]
    if statistic_of(name) == "median" and found:
        legend += _mean_dots(plot, summary, case.run.setting.replicates, at)
    for overlay in found:
        legend += _draw_law(plot, overlay, at)
    legend += _flags(plot, summary, found)
    _scale(plot)
    _finish(plot)
    sheet = sheet_of(name)
    text = _alt(name, middle, found)
    return Figure(
        name=f"trajectory-{index}",
        title=sentence(noun(name)).rstrip("."),
        caption=f"{sheet.meaning if sheet else name} {_tail_words(name, found)}".strip(),
        alt=text,
        svg=svg(figure, f"trajectory-{index}", text, [unit_of(name)]),
        columns=("generation", "mean", "standard error", "5%", "median", "95%",
                 *(overlay.law.name for overlay in found)),
        rows=_rows(summary, found, at),
        legend=tuple(legend),
    )  # fmt: skip


def comparison(cases: Sequence[Case], name: str, index: int = 0, about: str = "") -> Figure:
    """One measurement of several runs: a line each, with an exact law dashed in its colour."""
    figure, plot = canvas(WIDTH, HEIGHT, left=62, top=12, bottom=48)
    legend, drawn = [], False
    shown = list(cases[:MAX_LINES])
    use = _statistic(shown, name)
    rows: list[tuple[str, ...]] = []
    for case, colour in zip(shown, LINES, strict=False):
        summary = case.run.summaries[name]
        at = thinned(len(summary.mean))
        middle = _finite(summary.mean if use == "mean" else summary.median)[at]
        plot.plot(at, middle, color=COLOURS[colour], linewidth=2)
        if len(shown) <= MAX_BANDS:
            low, high = (_finite(summary.quantile(q)[at]) for q in (0.05, 0.95))
            plot.fill_between(at, low, high, color=COLOURS[colour], alpha=0.1, linewidth=0)
        legend.append(Key("line", colour, case.label))
        rows += [
            (case.label, number(int(t)), number(float(v))) for t, v in zip(at, middle, strict=True)
        ]
        for overlay in case.overlays:
            # Theory speaks of the mean; beside medians it would only confuse.
            if use == "mean" and overlay.law.quantity == name and overlay.law.kind == "exact":
                plot.plot(at, _finite(overlay.value[at]), color=COLOURS[colour], linestyle=DASHED,
                          linewidth=1.3)  # fmt: skip
                drawn = True
    if len(shown) <= MAX_BANDS:
        legend.append(Key("band", "soft", "5–95% of replicates, in the colour of their run"))
    if drawn:
        legend.append(Key("dash", "soft", "theory of the mean, in the colour of its run"))
    _scale(plot)
    _finish(plot)
    alt = f"{sentence(noun(name))} {len(shown)} runs."
    sheet = sheet_of(name)
    return Figure(
        name=f"comparison-{index}",
        title=sentence(noun(name)).rstrip("."),
        caption=f"{sheet.meaning if sheet else name} The {use} over replicates"
        f"{', ' + about if about else ''}.",
        alt=alt,
        svg=svg(figure, f"comparison-{index}", alt, [unit_of(name)]),
        columns=("run", "generation", use),
        rows=tuple(rows),
        legend=tuple(legend),
    )


def unit_of(name: str) -> str:
    """What the vertical axis of a measurement says: its unit, or its name."""
    sheet = sheet_of(name)
    return sheet.unit if sheet and sheet.unit else name.replace("_", " ")


def _statistic(cases: Sequence[Case], name: str) -> str:
    """The mean where theory, which speaks of it, is drawn beside every run."""
    laws = [any(o.law.quantity == name for o in case.overlays) for case in cases]
    return "mean" if all(laws) else statistic_of(name)


def thinned(size: int) -> Ints:
    """Indices of at most 200 of so many generations, denser at the start, both ends kept.

    >>> thinned(3).tolist(), len(thinned(100_000)) <= 200
    ([0, 1, 2], True)
    """
    if size <= MAX_POINTS:
        return np.arange(size)
    return np.unique(np.geomspace(1, size, MAX_POINTS).astype(np.int64)) - 1


def _mean_dots(plot: Axes, summary: Summary, replicates: int, at: Ints) -> list[Key]:
    """The mean of a heavy-tailed measurement, as far as it can be trusted."""
    sure = trusted(summary, replicates)
    some = at[sure[at]]
    some = some[:: max(1, len(some) // 16)]
    if len(some) < 2:
        return []
    plot.plot(some, _finite(summary.mean[some]), "o", color=COLOURS["green"], markersize=4.5)
    text = (
        "mean" if sure.all() else f"mean, trusted at {int(sure.sum())} of {len(sure)} generations"
    )
    return [Key("dots", "green", text)]


def _draw_law(plot: Axes, overlay: Overlay, at: Ints) -> list[Key]:
    law, ink = overlay.law, COLOURS["gold"]
    plot.plot(at, _finite(overlay.value[at]), color=ink, linestyle=DASHED, linewidth=1.8)
    kind = {"exact": "theory of the mean", "bound": f"bound {law.note}"}.get(law.kind, law.kind)
    legend = [Key("dash", "gold", f"{kind} ({law.name})")]
    few = np.unique(at[np.linspace(0, len(at) - 1, min(len(at), 40)).astype(np.int64)])
    band = overlay.band(few)
    if band is not None:
        for side in band:
            plot.plot(few, _finite(side), color=ink, linestyle=DOTTED, linewidth=1.5)
        legend.append(Key("dots", "gold", "theory of 5% and 95% of replicates"))
    return legend


def _flags(plot: Axes, summary: Summary, found: Sequence[Overlay]) -> list[Key]:
    off = np.unique(np.concatenate([np.empty(0, np.int64), *(o.outside for o in found)]))
    if not off.size:
        return []
    some = off[:: max(1, len(off) // 20)]
    plot.plot(some, _finite(summary.mean[some]), "x", color=COLOURS["ink"], markersize=8,
              markeredgewidth=2)  # fmt: skip
    return [Key("cross", "ink", f"leaves theory at {flags_words(off)}")]


def _finite(values: Any) -> Floats:
    """Values fit to draw: no infinity, and the truth without rounding errors."""
    array = np.asarray(values, np.float64)
    array = np.where(np.abs(array) < 1e300, array, np.nan)
    if array.size and abs(array[0]) < ROUNDING:
        array[0] = 0.0
    return array


def _scale(plot: Axes) -> None:
    """Limits that hold all that is drawn (clipping is lost in the page), and a fitting scale."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    low, high = plot.dataLim.intervaly
    if not (np.isfinite(low) and np.isfinite(high)):
        low, high = 0.0, 1.0
    if low > 0 and np.log10(high / low) > DECADES:
        plot.set_yscale("log")
        plot.set_ylim(low / (high / low) ** 0.03, high * (high / low) ** 0.05)
        plot.yaxis.set_minor_formatter(NullFormatter())
        plot.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(float(f"{value:g}"))))
    else:
        room = 0.05 * (high - low) or 0.05 * max(abs(high), 1e-12)
        plot.set_ylim(0.0 if 0 <= low < 0.5 * high else low - room, high + room)
        plot.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    last = max(1.0, float(np.nan_to_num(plot.dataLim.intervalx[1], posinf=1.0, neginf=1.0)))
    plot.set_xlim(-0.015 * last, 1.015 * last)
    plot.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))


def _finish(plot: Axes) -> None:
    plot.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
    plot.set_xlabel("generation", color=COLOURS["soft"], size=FONT_SIZE, labelpad=6)
    # A slot, for what comes from a saved run must not be read as mathematics.
    plot.set_ylabel(slot(0), color=COLOURS["soft"], size=FONT_SIZE, labelpad=6)


def _tail_words(name: str, found: Sequence[Overlay]) -> str:
    if statistic_of(name) == "mean":
        return "The mean over replicates is shown."
    text = "Few replicates carry its mean, so the median is shown"
    return f"{text}; theory speaks of the mean." if found else f"{text}."


def _alt(name: str, middle: Floats, found: Sequence[Overlay]) -> str:
    ends = f"{noun(name)}: {statistic_of(name)} from {number(float(middle[0]))}"
    laws = f" Theory: {', '.join(o.law.name for o in found)}." if found else ""
    return sentence(f"{ends} to {number(float(middle[-1]))}") + laws


def _rows(summary: Summary, found: Sequence[Overlay], at: Ints) -> tuple[tuple[str, ...], ...]:
    columns = [summary.mean, summary.se, *(summary.quantile(q) for q in (0.05, 0.5, 0.95))]
    columns += [overlay.value for overlay in found]
    return tuple((number(int(t)), *(number(float(c[t])) for c in columns)) for t in at)
