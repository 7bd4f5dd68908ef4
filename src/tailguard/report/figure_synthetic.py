"""The figure of the synthetic share, slice by slice.

Drawn from ``Verdict.curves["synthetic"]``: ``{"slices", "share", "lo", "hi", "state", "limit"}``,
lists of one length (null where nothing was estimated) and the policy's limit or null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tailguard.measure.base import Floats
from tailguard.report.base import Verdict
from tailguard.report.chart import WIDTH, Chart, floats, mapping, percent_axis, whisker
from tailguard.report.svg import COLOURS, FONT_SIZE, canvas, slot, svg
from tailguard.report.words import interval, one_line, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 25


def synthetic_chart(verdict: Verdict) -> Chart | None:
    """One bar a slice: what share of it is synthetic, with its interval; or that none is told."""
    given = mapping(verdict.curves.get("synthetic"))
    names = given.get("slices")
    if not isinstance(names, Sequence) or isinstance(names, str) or not names:
        return None
    columns = [floats(given.get(key)) for key in ("share", "lo", "hi")]
    if any(values is None or len(values) != len(names) for values in columns):
        return None
    labels = [one_line(str(name), 60) for name in names[:MAX_ROWS]]
    table = np.array([values[:MAX_ROWS] for values in columns if values is not None])
    limit = given.get("limit")
    alt = "Synthetic share per slice: " + "; ".join(
        f"{label} {_told(*row)}" for label, row in zip(labels, table.T, strict=True)
    )
    more = f" The first {MAX_ROWS} of {len(names)} are drawn." if len(names) > MAX_ROWS else ""
    drawn = _draw(labels, table, float(limit) if isinstance(limit, int | float) else None)
    return Chart(
        name="synthetic",
        title="How much is synthetic",
        caption="The share of synthetic documents in each slice with its 95% interval. “Not told” "
        "stands where a slice is too small, or does not match the humans that the detector was "
        f"calibrated on.{more}",
        alt=alt,
        svg=svg(drawn, "synthetic", alt, labels),
        columns=("slice", "synthetic share", "interval"),
        rows=tuple(
            (label, percent(share) if np.isfinite(share) else "not told", interval(lo, hi))
            for label, (share, lo, hi) in zip(labels, table.T.tolist(), strict=True)
        ),
    )


def _told(share: float, lo: float, hi: float) -> str:
    return f"{percent(share)} ({interval(lo, hi)})" if np.isfinite(share) else "not told"


def _draw(labels: Sequence[str], table: Floats, limit: float | None) -> Figure:
    left = 30 + 6.2 * max(len(one_line(label, 28)) for label in labels)
    figure, plot = canvas(WIDTH, 80 + 30 * len(labels), left=left, right=30, bottom=48)
    for row, (share, lo, hi) in enumerate(table.T.tolist()):
        if np.isfinite(share):
            whisker(plot, row, share, lo, hi, COLOURS["batch"])
        else:
            plot.text(1.0, row, "not told", va="center", ha="right", color=COLOURS["soft"],
                      size=FONT_SIZE)  # fmt: skip
    if limit is not None:
        plot.axvline(limit, color=COLOURS["ink"], linewidth=1.2, linestyle=(0, (3, 2)))
        plot.text(limit, 1.02, "limit", transform=plot.get_xaxis_transform(), ha="center",
                  va="bottom", color=COLOURS["soft"], size=FONT_SIZE)  # fmt: skip
    plot.set_yticks(range(len(labels)), [slot(i) for i in range(len(labels))])
    plot.tick_params(axis="y", labelcolor=COLOURS["ink"])
    plot.set_ylim(len(labels) - 0.5, -0.5)
    percent_axis(plot, "x", 0.0)
    plot.grid(axis="x", color=COLOURS["grid"], linewidth=0.8)
    plot.set_xlabel("synthetic share", color=COLOURS["soft"], size=FONT_SIZE, labelpad=6)
    return figure
