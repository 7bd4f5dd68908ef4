"""What every figure of a report is made of: the chart, and the house style of its axes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tailguard.measure.base import Floats
from tailguard.report.svg import COLOURS, FONT_SIZE
from tailguard.report.words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 460.0
MAX_VALUE = 1e15  # anything beyond is no count or share, and overflows the drawing


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure: inline SVG, its caption, its alternative text, and the table behind it."""

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def floats(values: Any) -> Floats | None:
    """A list of numbers as an array, null as nan; None when it is no such list."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if array.ndim != 1:
        return None
    return np.where(np.abs(array) < MAX_VALUE, array, np.nan)


def whisker(plot: Axes, row: float, at: float, lo: float, hi: float, colour: str) -> None:
    """An interval as a thick bar, and the value as a mark on it."""
    if math.isfinite(lo) and math.isfinite(hi):
        plot.plot([lo, hi], [row, row], color=colour, linewidth=3, solid_capstyle="butt")
    plot.plot([at], [row], "|", color=colour, markersize=15, markeredgewidth=3)


def percent_axis(plot: Axes, which: str, low: float) -> None:
    """Ticks in percent on the axis ``which``, from ``low``."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = plot.xaxis if which == "x" else plot.yaxis
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: percent(value) if value else "0"))
    (plot.set_xlim if which == "x" else plot.set_ylim)(low, 1.01)


def finish(
    plot: Axes, x: str, y: str, *, grid: Literal["x", "y"] = "y", legend_at: float = -0.02
) -> None:
    """Grid, axis labels and legend in the house style."""
    plot.grid(axis=grid, color=COLOURS["grid"], linewidth=0.8)
    plot.set_xlabel(x, color=COLOURS["soft"], size=FONT_SIZE, labelpad=6)
    plot.set_ylabel(y, color=COLOURS["soft"], size=FONT_SIZE, labelpad=6)
    plot.legend(
        loc="lower left",
        bbox_to_anchor=(legend_at, 1.0),
        ncols=4,
        frameon=False,
        fontsize=FONT_SIZE,
        labelcolor=COLOURS["ink"],
        handlelength=1.8,
        handletextpad=0.5,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
