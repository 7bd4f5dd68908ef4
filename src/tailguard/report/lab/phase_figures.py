"""Phase diagrams as inline SVG: a heat map, the line of the target, and theory's."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tailguard.lab.phase import Axis, Phase
from tailguard.lab.solve import Answer
from tailguard.mix.samples import Floats
from tailguard.report.lab.figures import Figure, Key
from tailguard.report.lab.wording import (
    answer_words,
    edge_words,
    named,
    noun,
    sheet_of,
    value_words,
)
from tailguard.report.svg import COLOURS, FONT_SIZE, canvas, slot, svg
from tailguard.report.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

WIDTH = 640.0
ROW, LEAST_HEIGHT, MOST_HEIGHT = 38.0, 150.0, 480.0
MOST_LABELLED = 100  # cells whose value is written into them
MOST_TICKS = 12
LIGHT, DARK = "#ffffff", "#101010"


def phase_figure(phase: Phase, index: int) -> Figure:
    """A heat map of a phase diagram; of a single row, a line."""
    name = f"phase-{index}"
    draw = _map if phase.y is not None else _line
    labels: list[str] = []
    figure = draw(phase, labels)
    legend = _legend(phase)
    alt = _alt(phase)
    return Figure(
        name=name,
        title=_title(phase),
        caption=_caption(phase),
        alt=alt,
        svg=svg(figure, name, alt, labels),
        columns=(named(phase.y.key) if phase.y else "", named(phase.x.key), phase.measurement),
        rows=_rows(phase),
        legend=legend,
    )


def edge_rows(phase: Phase) -> list[tuple[str, str, str]]:
    """A table of the line of the target: the row, from where it is safe, and theory's answer."""
    if not phase.edges:
        return []
    values = phase.y.values if phase.y else ("",)
    return [
        (value_words(value), edge_words(edge), answer_words(answer))
        for value, edge, answer in zip(values, phase.edges, phase.theory, strict=True)
    ]


def _title(phase: Phase) -> str:
    held = ", ".join(f"{named(key)} {value_words(value)}" for key, value in phase.held)
    axes = named(phase.x.key) + (f" and {named(phase.y.key)}" if phase.y else "")
    what = noun(phase.measurement)
    return what[:1].upper() + what[1:] + f" by {axes}" + (f", at {held}" if held else "")


def _caption(phase: Phase) -> str:
    sheet = sheet_of(phase.measurement)
    when = "the last generation" if phase.generation is None else f"generation {phase.generation}"
    text = f"{sheet.meaning if sheet else phase.measurement} The {phase.statistic} over replicates"
    text += f" at {when}; every cell is a run of its own."
    if phase.target is not None and phase.edges:
        side = "below" if phase.target.side == "<" else "above"
        text += f" Right of the line it is {side} {number(phase.target.value)}."
    if np.isnan(phase.values).any():
        text += " Empty cells are not run yet, or undefined."
    return text


def _alt(phase: Phase) -> str:
    known = phase.values[np.isfinite(phase.values)]
    span = (
        f" from {number(float(known.min()))} to {number(float(known.max()))}" if known.size else ""
    )
    rows = [f"{row}: {edge}" for row, edge, _ in edge_rows(phase)]
    text = f"{_title(phase)}{span}."
    return text + (f" Target met from {'; '.join(rows)}." if rows else "")


def _legend(phase: Phase) -> tuple[Key, ...]:
    if phase.target is None:
        return ()
    if not phase.edges:
        return (Key("line", "ink", f"between cells with and without {phase.target}"),)
    legend = [Key("line", "ink", f"{phase.target}: interpolated between cells")]
    if any(answer is not None for answer in phase.theory):
        law = next(answer.law for answer in phase.theory if answer is not None)
        legend.append(Key("dash", "ink", f"theory, exact ({law.name if law else ''})"))
    return tuple(legend)


def _rows(phase: Phase) -> tuple[tuple[str, ...], ...]:
    ys = phase.y.values if phase.y else ("",)
    return tuple(
        (value_words(y), value_words(x), number(float(phase.values[i, j])))
        for i, y in enumerate(ys)
        for j, x in enumerate(phase.x.values)
    )


def _map(phase: Phase, labels: list[str]) -> Drawing:
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    assert phase.y is not None
    rows, columns = phase.values.shape
    height = min(MOST_HEIGHT, max(LEAST_HEIGHT, ROW * rows))
    left = 44 + 7.0 * min(20, max(len(value_words(value)) for value in phase.y.values))
    figure, plot = canvas(WIDTH, height + 60, left=left, right=96, top=12, bottom=48)
    known = phase.values[np.isfinite(phase.values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    scale = Normalize(low, high if high > low else low + 1)
    colours = colormaps["cividis"]
    for i in range(rows):
        for j in range(columns):
            value = phase.values[i, j]
            if np.isfinite(value):
                face = colours(scale(value))
                plot.fill_between([j - 0.5, j + 0.5], i - 0.5, i + 0.5, color=face, linewidth=0.4)
                if rows * columns <= MOST_LABELLED:
                    tint = DARK if _bright(face) else LIGHT
                    plot.text(j, i, _short(value), color=tint, ha="center", va="center",
                              size=FONT_SIZE - 1)  # fmt: skip
    _ticks(plot, phase.x, phase.y, labels)
    # Matplotlib would place the title by the slots, not by what fills them.
    plot.yaxis.set_label_coords((14 - left) / (WIDTH - left - 96), 0.5)
    _edges(plot, phase)
    plot.set_xlim(-0.5, columns - 0.5)
    plot.set_ylim(-0.5, rows - 0.5)
    _bar(figure, colours, scale, phase)
    return figure


def _bright(face: Any) -> bool:
    red, green, blue = face[:3]
    return bool(0.299 * red + 0.587 * green + 0.114 * blue > 0.5)


def _short(value: float) -> str:
    return number(float(f"{value:.2g}"))


def _ticks(plot: Axes, x: Axis, y: Axis, labels: list[str]) -> None:
    for axis, values, title in ((plot.xaxis, x, named(x.key)), (plot.yaxis, y, named(y.key))):
        step = -(-len(values.values) // MOST_TICKS)
        at = list(range(0, len(values.values), step))
        marks = []
        for i in at:
            marks.append(slot(len(labels)))
            labels.append(value_words(values.values[i]))
        axis.set_ticks(at, marks)
        axis.set_label_text(slot(len(labels)), color=COLOURS["soft"], size=FONT_SIZE)
        labels.append(title)
    plot.spines[["left", "bottom"]].set_visible(False)
    plot.xaxis.labelpad = 6


def _edges(plot: Axes, phase: Phase) -> None:
    """The line of the target through the rows, and theory's."""
    if not phase.edges:
        if phase.target is not None:
            _borders(plot, phase.target.met(phase.values), np.isfinite(phase.values))
        return
    at = np.array(phase.x.values, float)
    found = np.array([edge.value for edge in phase.edges])
    none = np.array([math.isnan(edge.value) for edge in phase.edges])
    simulated = np.where(none, math.inf, found)
    all_safe = np.array([math.isinf(edge.lo) for edge in phase.edges])
    simulated = np.where(all_safe, -math.inf, simulated)
    _stair(plot, _place(at, simulated), "solid")
    laws = [_law_edge(answer) for answer in phase.theory]
    if any(answer is not None for answer in phase.theory):
        _stair(plot, _place(at, np.array(laws)), (0, (4, 2.5)))


def _borders(plot: Axes, met: Any, known: Any) -> None:
    """Lines between neighbouring cells of which one meets the target and the other does not."""
    beside = (met[:, :-1] != met[:, 1:]) & known[:, :-1] & known[:, 1:]
    above = (met[:-1] != met[1:]) & known[:-1] & known[1:]
    pieces = [((j + 0.5, j + 0.5), (i - 0.5, i + 0.5)) for i, j in np.argwhere(beside)]
    pieces += [((j - 0.5, j + 0.5), (i + 0.5, i + 0.5)) for i, j in np.argwhere(above)]
    for colour, width in ((DARK, 5.0), (LIGHT, 2.4)):
        for x_ends, y_ends in pieces:
            plot.plot(x_ends, y_ends, color=colour, linewidth=width, solid_capstyle="projecting")


def _law_edge(answer: Answer | None) -> float:
    if answer is None:
        return math.nan
    return {"largest fails": math.inf, "least suffices": -math.inf}.get(answer.status, answer.value)


def _place(at: Floats, values: Floats) -> Floats:
    """Where values lie among columns that stand at 0, 1, 2, …; beyond the ends at the border."""
    inside = np.interp(values, at, np.arange(len(at)))
    inside = np.where(values > at[-1], len(at) - 0.5, inside)
    return np.where(values < at[0], -0.5, np.where(np.isnan(values), np.nan, inside))


def _stair(plot: Axes, place: Floats, dash: Any) -> None:
    """A vertical piece in each row, joined between rows, readable on light and dark cells."""
    x = np.repeat(place, 2)
    y = np.ravel([(i - 0.5, i + 0.5) for i in range(len(place))])
    for colour, width in ((DARK, 5.0), (LIGHT, 2.4)):
        plot.plot(x, y, color=colour, linewidth=width, linestyle="solid" if width > 3 else dash,
                  solid_capstyle="butt", solid_joinstyle="miter")  # fmt: skip


def _bar(figure: Drawing, colours: Any, scale: Any, phase: Phase) -> None:
    """What the colours mean."""
    side = figure.add_axes((0.895, 0.3, 0.022, 0.6))
    steps = np.linspace(scale.vmin, scale.vmax, 65)
    for a, b in pairwise(steps):
        side.fill_between([0, 1], a, b, color=colours(scale(a)), linewidth=0.4)
    side.set_xlim(0, 1)
    side.set_ylim(scale.vmin, scale.vmax)
    side.set_xticks([])
    side.yaxis.tick_right()
    marks = np.linspace(scale.vmin, scale.vmax, 3)
    side.set_yticks(marks, [_short(float(m)) for m in marks])
    side.tick_params(length=0, labelcolor=COLOURS["soft"], labelsize=FONT_SIZE - 1, pad=4)
    side.spines[:].set_visible(False)
    if phase.target is not None and scale.vmin <= phase.target.value <= scale.vmax:
        side.plot([0, 1], [phase.target.value] * 2, color=DARK, linewidth=3)
        side.plot([0, 1], [phase.target.value] * 2, color=LIGHT, linewidth=1.4)


def _line(phase: Phase, labels: list[str]) -> Drawing:
    """One row: the measurement against the only axis, with the target as a line."""
    figure, plot = canvas(WIDTH, 300, left=78, right=30, top=12, bottom=48)
    at = np.arange(len(phase.x.values))
    plot.plot(at, phase.values[0], "o-", color=COLOURS["batch"], linewidth=2, markersize=6)
    if phase.target is not None:
        plot.axhline(phase.target.value, color=COLOURS["ink"], linewidth=1.4)
        for answer in phase.theory if phase.x.numeric else ():
            edge = _place(np.array(phase.x.values, float), np.array([_law_edge(answer)]))
            plot.axvline(float(edge[0]), color=COLOURS["ink"], linewidth=1.4, linestyle=(0, (4, 3)))
    marks = []
    for value in phase.x.values:
        marks.append(slot(len(labels)))
        labels.append(value_words(value))
    plot.set_xticks(at, marks)
    plot.set_xlabel(slot(len(labels)), color=COLOURS["soft"], size=FONT_SIZE, labelpad=6)
    labels.append(named(phase.x.key))
    plot.set_ylabel(slot(len(labels)), color=COLOURS["soft"], size=FONT_SIZE, labelpad=6)
    labels.append(phase.measurement.replace("_", " "))
    plot.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
    plot.set_xlim(-0.6, len(at) - 0.4)
    return figure
