"""Results of the laboratory on the terminal: tables for people, JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from tailguard.cli.show import console, figure, print_json
from tailguard.lab.families import FAMILIES
from tailguard.lab.measurements import measurements
from tailguard.lab.overlay import Overlay, overlays
from tailguard.lab.phase import phases
from tailguard.lab.reproductions import reproductions
from tailguard.lab.settings import identifier, setting_dict
from tailguard.lab.simulate import Setting
from tailguard.lab.solve import Answer
from tailguard.lab.store import NUMBERS, StoredRun
from tailguard.lab.sweep import StoredSweep
from tailguard.lab.target import parse_target
from tailguard.mix.registry import REGIMES
from tailguard.report.lab import wording
from tailguard.report.lab.phase_figures import edge_rows
from tailguard.report.lab.study import Study

UNDECIDED = 3


def show_list(*, as_json: bool) -> None:
    """Everything that the laboratory knows by name."""
    sheets = {"families": FAMILIES, "regimes": REGIMES}
    found: dict[str, list[dict[str, Any]]] = {
        kind: [
            {"name": s.name, "meaning": s.meaning, "settings": s.settings, "cite": s.cite}
            for s in registry  # type: ignore[attr-defined]
        ]
        for kind, registry in sheets.items()
    }
    found["measurements"] = [
        {"name": m.name, "meaning": m.meaning, "unit": m.unit, "worse": m.worse, "cite": m.cite}
        for m in measurements().values()
    ]
    found["reproductions"] = [
        {"name": str(r.row), "meaning": r.title, "setting": r.setting, "cite": r.cite}
        for r in reproductions().values()
    ]
    if as_json:
        print_json(found)
        return
    out = console()
    for kind, rows in found.items():
        out.print(f"{kind}", style="bold")
        wide = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            settings = ", ".join(f"{k}={_typed(v)}" for k, v in row.get("settings", {}).items())
            settings = f"  [{settings}]" if settings else ""
            out.print(f"  {row['name']:<{wide}}  {row['meaning']}{settings}")
        out.print("")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    return table


def _typed(value: Any) -> str:
    return "none" if value is None else str(value)


def show_run(run: StoredRun, folder: Path | None, *, as_json: bool) -> None:
    """Where each measurement went, and what theory says."""
    found = overlays(run)
    if as_json:
        print_json(_run_json(run, folder, found))
        return
    out, setting = console(), run.setting
    out.print(
        f"{setting.family}, {setting.regime}: n = {setting.n:,}, {setting.generations:,} "
        f"generations, {setting.replicates:,} replicates, path {run.path}",
        style="bold",
    )
    last = setting.generations
    steps = np.unique([0, 1, round((last + 1) ** 0.5), last // 2, last])
    table = _table("measurement", "", *(f"g = {t}" for t in steps), "5%", "95%")
    for name, summary in run.summaries.items():
        values = wording.centre(name, summary)
        cells = [figure(wording.at_start(values) if t == 0 else float(values[t]), 3) for t in steps]
        low, high = (figure(float(summary.quantile(q)[-1]), 3) for q in (0.05, 0.95))
        table.add_row(name, wording.statistic_of(name), *cells, low, high)
    out.print(table)
    for overlay in found:
        off = wording.flags_words(overlay.outside)
        mark, style = ("✘ leaves", "red") if off else ("✔", "green")
        if not overlay.checked.size:
            mark, style = "·", "dim"
        value = figure(float(overlay.value[-1]), 3)
        law = f"{overlay.law.name}, {overlay.law.kind}, {value} at the end ({overlay.law.cite})"
        out.print(f"{mark} {law}" + (f" at generations {off}" if off else ""), style=style)
    if not found:
        out.print("no closed form speaks of this setting", style="dim")
    if folder is not None:
        out.print(f"run: {folder}; next: tailguard lab report {folder}")


def _run_json(run: StoredRun, folder: Path | None, found: list[Overlay]) -> dict[str, Any]:
    last = {
        name: dict(zip(NUMBERS, [float(x[-1]) for x in (s.mean, s.se, s.skewness, *s.quantiles)],
                       strict=True))
        | {"statistic": wording.statistic_of(name)}
        for name, s in run.summaries.items()
    }  # fmt: skip
    theory = [
        {
            "law": o.law.name,
            "measurement": o.law.quantity,
            "kind": o.law.kind,
            "cite": o.law.cite,
            "value": float(o.value[-1]),
            "flagged": o.flagged,
            "outside": o.outside,
            "compared": o.how,
        }
        for o in found
    ]
    return {
        "id": identifier(run.setting),
        "folder": None if folder is None else str(folder),
        "setting": setting_dict(run.setting),
        "path": run.path,
        "last": last,
        "theory": theory,
    }


def show_sweep(stored: StoredSweep, folder: Path, *, as_json: bool) -> None:
    """How many cells there are, and from where on the target is met."""
    target = parse_target(stored.sweep.target) if stored.sweep.target else None
    found = phases(stored, target) if target else []
    if as_json:
        rows = [
            {"held": dict(p.held), "row": row, "edge": e, "theory": None if a is None else a.value}
            for p in found
            for row, e, a in zip(
                p.y.values if p.y else (None,), p.edges, p.theory, strict=bool(p.edges)
            )
        ]
        cells = [identifier(cell) for cell in stored.sweep.cells()]
        print_json({"folder": str(folder), "cells": cells, "target": target, "edges": rows})
        return
    out = console()
    axes = " × ".join(f"{key} ({len(values)})" for key, values in stored.sweep.axes) or "one cell"
    out.print(f"{stored.done:,} cells: {axes}", style="bold")
    for phase in found:
        if not phase.edges:
            continue
        head = ", ".join(f"{wording.named(k)} {wording.value_words(v)}" for k, v in phase.held)
        out.print(f"{phase.target}" + (f" at {head}" if head else ""))
        least = f"least {wording.named(phase.x.key)}"
        table = _table(wording.named(phase.y.key) if phase.y else "", least, "theory, exact")
        for row in edge_rows(phase):
            table.add_row(*row)
        out.print(table)
    out.print(f"sweep: {folder}; next: tailguard lab report {folder}")


def show_page(study: Study, page: Path, *, as_json: bool) -> None:
    """Where the page is, and its headline."""
    badge, words, text = wording.theory_words(study)
    if as_json:
        print_json(
            {
                "report": str(page),
                "headline": wording.headline(study),
                "theory": words,
                "runs": len(study.cases),
                "missing": study.missing,
                "leaves_theory": [case.label for case in study.flagged],
            }
        )
        return
    out = console()
    out.print(wording.headline(study), style="bold")
    out.print(f"{words}: {text}", style={"pass": "green", "fail": "red"}.get(badge, "dim"))
    out.print(f"report: {page}")


def show_answer(answer: Answer, setting: Setting, *, as_json: bool) -> int:
    """The answer in words; exit code 3 when it stayed open."""
    code = UNDECIDED if answer.status == "undecided" else 0
    if as_json:
        law = answer.law
        print_json(
            {
                "target": str(answer.target),
                "parameter": answer.parameter,
                "status": answer.status,
                "value": answer.value,
                "lo": answer.lo,
                "hi": answer.hi,
                "level": answer.level,
                "method": answer.method,
                "statistic": answer.statistic,
                "generation": answer.generation,
                "replicates": answer.replicates,
                "total_replicates": answer.total,
                "law": law.name if law else None,
                "cite": law.cite if law else None,
                "note": answer.note,
                "setting": setting_dict(setting),
            }
        )
        return code
    out = console()
    for text, style in _answer_lines(answer, setting):
        out.print(text, style=style)
    return code


def _answer_lines(answer: Answer, setting: Setting) -> list[tuple[str, str]]:
    name, value = answer.parameter, figure(answer.value)
    goal = f"{answer.target} ({answer.statistic}) at generation {answer.generation}"
    head = {
        "found": f"{name} = {value} is the least that meets {goal}",
        "least suffices": f"{name} = {value} suffices, the least there is: {goal} is met anyway",
        "largest fails": f"even {name} = {figure(answer.largest)} does not meet {goal}",
        "undecided": f"no {name} up to {figure(answer.largest)} surely meets {goal}",
    }[answer.status]
    lines = [(head, "bold")]
    if name == "real_frac" and answer.status == "found":
        lines.append((f"that is {round(answer.value * setting.n)} of {setting.n} samples", ""))
    if answer.method == "theory" and answer.law is not None:
        lines.append((f"exact, from theory: {answer.law.name} ({answer.law.cite})", "dim"))
    else:
        span = f"{figure(answer.lo)} – {figure(answer.hi)}"
        interval = f"{answer.level:.0%} interval {span}; " if answer.status == "found" else ""
        text = f"{interval}simulated, at most {answer.replicates:,} replicates a decision"
        lines.append((f"{text}, {answer.total:,} in all", "dim"))
    if answer.note:
        lines.append((f"note: {answer.note}", "dim"))
    return lines
