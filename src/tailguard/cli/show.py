"""Results on the terminal: tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tailguard.measure.base import AXIS_NAMES, Reading
from tailguard.measure.profile import Profile
from tailguard.report.base import Verdict
from tailguard.report.words import clean

MARKS = {"pass": ("✔", "green"), "warn": ("!", "yellow"), "fail": ("✘", "red")}
EXAMPLES = 3


def console() -> Console:
    """A console that leaves text alone: what comes from data is never markup."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def figure(value: float, digits: int = 4) -> str:
    """A number with ``digits`` significant digits; nan is a dash.

    >>> figure(0.123456), figure(12345.6), figure(float("nan"))
    ('0.1235', '12,346', '–')
    """
    if math.isnan(value):
        return "–"
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:,.{digits}g}" if abs(value) < 1e4 else f"{value:,.0f}"


def print_json(value: Any) -> None:
    """Print JSON in which what is not a number is null."""
    from tailguard.report.codec import plain

    print(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def show_verdict(verdict: Verdict, written: Sequence[Path]) -> None:
    """The verdict, its axes and findings, and where the reports are."""
    out = console()
    mark, colour = MARKS.get(verdict.status, ("?", "blue"))
    out.print(f"{mark} {verdict.status.upper()}", style=f"bold {colour}", end="  ")
    out.print(verdict.headline)
    table = _table("axis", "retention", "90% interval", "corrected p", "decided by")
    for axis in verdict.axes:
        flag = " ◀" if axis.alarm and axis.beyond else ""
        table.add_row(
            f"{axis.axis} {AXIS_NAMES[axis.axis]}{flag}",
            figure(axis.retention, 3),
            f"{figure(axis.lo, 3)} – {figure(axis.hi, 3)}",
            figure(axis.p, 2),
            axis.metric,
        )
    out.print(table)
    if verdict.slices:
        out.print(_slice_table(verdict))
    for finding in verdict.findings:
        out.print(f"\n{finding.severity}: {clean(finding.title)}", style="bold")
        out.print(f"  {clean(finding.detail)}")
        for example in finding.examples[:EXAMPLES]:
            out.print(f"  · {clean(' '.join(example.split()))}", style="dim")
    for line in verdict.caveats:
        out.print(f"\nnote: {clean(line)}", style="dim")
    out.print("\nnext: " + " ".join(verdict.todo))
    sides = (("batch", verdict.batch), ("gold", verdict.gold))
    read = "; ".join(
        f"{name}: {s.documents:,} documents, {s.tokens:,} tokens"
        + (f", {s.quarantined:,} rows quarantined" if s.quarantined else "")
        for name, s in sides
    )
    out.print(f"{read}. Rule: {verdict.rule}.", style="dim")
    for path in written:
        out.print(f"report: {path}")


def _slice_table(verdict: Verdict) -> Table:
    table = _table("slice", "documents", "stage", *(f"{a.axis}" for a in verdict.axes))
    for part in verdict.slices:
        kept = (figure(part.retention[a.axis][0], 2) for a in verdict.axes)
        name = clean(f"{part.by} {part.value}")
        table.add_row(name, f"{part.documents:,}", part.stage, *kept)
    return table


def show_readings(readings: Sequence[Reading], *, as_json: bool) -> None:
    """Readings as a table or as JSON."""
    if as_json:
        print_json(list(readings))
        return
    table = _table("metric", "value", "95% interval", "gold", "p", "note")
    for r in readings:
        interval = "–" if math.isnan(r.lo) else f"{figure(r.lo)} – {figure(r.hi)}"
        table.add_row(
            r.metric, figure(r.value), interval, figure(r.gold), figure(r.null_p, 2), r.note
        )
    console().print(table)


def show_metrics(*, as_json: bool) -> None:
    """Every metric's data sheet."""
    from tailguard.measure.readings import METRICS

    if as_json:
        keys = ("name", "axis", "stage", "worse", "unit", "bounds", "min_n", "needs_gold",
                "meaning", "cite")  # fmt: skip
        print_json([{key: getattr(m, key) for key in keys} for m in METRICS.values()])
        return
    table = _table("metric", "axis", "stage", "worse", "unit", "meaning")
    for column in table.columns:
        column.justify = "left"
    for m in METRICS.values():
        table.add_row(m.name, m.axis, m.stage, m.worse, m.unit, m.meaning)
    console().print(table)


def show_profile(profile: Profile, name: str, *, as_json: bool) -> None:
    """Counts, lengths and categories of a corpus."""
    facts: dict[str, Any] = {
        "name": name,
        "documents": profile.n_documents,
        "tokens": profile.n_tokens,
        "bytes": profile.n_bytes,
        "quarantined": profile.quarantined,
        "empty": profile.table.total("empty"),
        "tokens per document, median": profile.length_quantile(0.5),
        "tokens per document, 95%": profile.length_quantile(0.95),
        "fingerprint": profile.fingerprint(),
    }
    if as_json:
        slices = {f"{by}={value}": part.n_documents for (by, value), part in profile.slices.items()}
        print_json(facts | {"categories": profile.categories.counts, "slices": slices})
        return
    table = _table("", "")
    for key, value in facts.items():
        table.add_row(key, clean(str(value)) if isinstance(value, str) else f"{value:,.0f}")
    for category, counts in profile.categories.counts.items():
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]
        table.add_row(category, clean(", ".join(f"{v} {n:,}" for v, n in top)))
    console().print(table)
