"""Write the tables of docs/metrics.md from docs/data and the metrics' data sheets.

    python benchmarks/study_tables.py [--check]

A table stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; the words around it are
written by hand. ``--check`` changes nothing and fails when the page is not up to date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta

from tailguard.measure.base import AXIS_NAMES
from tailguard.measure.readings import METRICS

DOCS = Path(__file__).parents[1] / "docs"
MARKS = {0.01: 0.02, 0.05: 0.07}
STAGES = ("healthy", "insufficient", "shifted", "early", "mid", "late")
COLLAPSE = STAGES[3:]
POWERS = {
    "rarest 0.5% of token mass deleted": "≥ .95",
    "rarest 1% deleted": "1.0",
    "rarest 5% deleted": "1.0",
    "rare tokens (gold count ≤ 2) thinned by 10%": "≥ .95",
    "2% of tokens replaced by the likeliest next word": "≥ .95",
    "near-duplicates, 5% of documents": "≥ .95",
    "one template in 20% of documents": "≥ .96",
    "loops in 5% of documents": "≥ .95",
    "loops in 1% of documents": "> .20",
    "generation 1 of an n-gram model, temperature 0.8": "flagged",
    "generation 1 of an n-gram model, temperature 1": "flagged",
}
"""The marks that were set beforehand, for the power at nominal 5%."""
BENIGN = (
    "nothing done",
    "documents of half length",
    "documents of double length",
    "a quarter of the batch",
    "shuffled order of documents",
    "cut into documents elsewhere",
    "other human texts of the same data set",
)
BRIEF = {
    "rarest 0.5% of token mass deleted": "tail .5%",
    "rarest 1% deleted": "tail 1%",
    "rare tokens (gold count ≤ 2) thinned by 10%": "thin 10%",
    "2% of tokens replaced by the likeliest next word": "likeliest 2%",
    "topics gone, 12% of documents": "topics 12%",
    "topics gone, 26% of documents": "topics 26%",
    "near-duplicates, 5% of documents": "copies 5%",
    "one template in 20% of documents": "template 20%",
    "loops in 5% of documents": "loops 5%",
    "loops in 1% of documents": "loops 1%",
    "generation 1 of an n-gram model, temperature 0.8": "n-gram",
    "documents of half length": "*half length*",
    "documents of double length": "*double length*",
    "a quarter of the batch": "*a quarter*",
}
"""Columns of the table of single metrics; harmless changes are in italics."""
Row = dict[str, Any]


def load(name: str) -> list[Row]:
    path = DOCS / "data" / f"{name}.json"
    found: list[Row] = json.loads(path.read_text("utf-8")) if path.exists() else []
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def named(statistics: Iterable[str]) -> str:
    """Names as code; the bar in ``rare_words|topic`` would end a cell."""
    return ", ".join(f"`{name}`".replace("|", "\\|") for name in statistics)


def percent(value: float) -> str:
    return f"{100 * value:.2f}%".replace(".00%", "%")


def share(x: int, n: int) -> str:
    """A share with Clopper and Pearson's 95% interval."""
    low = float(beta.ppf(0.025, x, n - x + 1)) if x else 0.0
    high = float(beta.isf(0.025, x + 1, n - x)) if x < n else 1.0
    return f"{x / n:.2f} ({low:.2f}–{high:.2f})"


def staged(stages: dict[str, int], n: int) -> str:
    return ", ".join(f"{s} {stages[s] / n:.0%}" for s in STAGES if stages.get(s))


def null() -> str:
    rows = []
    for r in load("null"):
        called = sum(r["stages"].get(stage, 0) for stage in COLLAPSE)
        rows.append(
            (
                r["corpus"], percent(r["alpha"]), f"{r['alarms']}/{r['splits']}",
                f"**{percent(r['rate'])}**", f"{percent(r['lo'])}–{percent(r['hi'])}",
                f"≤ {percent(MARKS[r['alpha']])}", called,
                ", ".join(f"{s} {r['stages'][s]}" for s in STAGES if r["stages"].get(s)),
            )
        )  # fmt: skip
    head = ("corpus", "nominal", "alarms", "rate", "95% interval", "mark", "collapse", "stages")
    return table(head, rows)


def _power(size: int, names: Callable[[str], bool]) -> str:
    rows = []
    for r in load("power"):
        if r["gold"] != size or not names(r["row"]):
            continue
        n, alarm, called = r["n"], r["alarm"], r["called"]
        rows.append(
            (
                r["row"], r["corpus"], n, share(alarm["0.05"], n), share(alarm["0.01"], n),
                POWERS.get(r["row"], ""), f"{called['0.05'] / n:.2f} / {called['0.01'] / n:.2f}",
                staged(r["stages"]["0.01"], n),
                f"{r['retention']:.2f}" if np.isfinite(r["retention"]) else "",
                named(list(r["fired"])[:2]),
            )
        )  # fmt: skip
    rows.sort(key=lambda row: _order(str(row[0])))
    head = (
        "change", "corpus", "n", "alarm at 5%", "alarm at 1%", "mark", "collapse at 5% / 1%",
        "stages at 1%", "retention", "fired most",
    )  # fmt: skip
    return table(head, rows)


def _order(name: str) -> int:
    names = [r["row"] for r in load("power")]
    return names.index(name)


def power() -> str:
    return _power(450, lambda name: name not in BENIGN)


def benign() -> str:
    rows = [
        (
            r["row"], r["corpus"], r["gold"], r["n"], share(r["alarm"]["0.05"], r["n"]),
            share(r["alarm"]["0.01"], r["n"]), r["called"]["0.05"], r["called"]["0.01"],
            staged(r["stages"]["0.01"], r["n"]),
        )
        for r in load("power")
        if r["row"] in BENIGN
    ]  # fmt: skip
    head = (
        "change", "corpus", "gold", "n", "alarm at 5%", "alarm at 1%", "collapse at 5%",
        "collapse at 1%", "stages at 1%",
    )  # fmt: skip
    return table(head, rows)


def _singles(corpus: str) -> str:
    mine = {r["row"]: r for r in load("singles") if r["corpus"] == corpus}
    columns = {row: r["power"] for row, r in mine.items()}
    kept = [row for row in BRIEF if row in columns]
    rows = [("replicates", "", *(str(mine[row]["n"]) for row in kept))]
    for metric in next(iter(columns.values()), ()):
        powers = [columns[row][metric] for row in kept]
        cells = [f"**{p:.2f}**" if p >= 0.8 else f"{p:.2f}" for p in powers]
        rows.append((f"`{metric}`", METRICS[metric].axis, *cells))
    return table(("metric", "axis", *(BRIEF[row] for row in kept)), rows)


def domains() -> str:
    pairs = load("domains")
    rows = []
    for kind in dict.fromkeys(r["kind"] for r in pairs):
        mine = [r for r in pairs if r["kind"] == kind]
        n = len(mine)
        lows = sorted(r["foreign_lo"] for r in mine)
        news = sorted(r["novelty"] for r in mine)
        foreign = sum(r["another"] for r in mine)
        rows.append(
            (
                kind, n, f"{lows[0]:.2f} / {np.median(lows):.2f} / {lows[-1]:.2f}",
                f"{news[0]:.2f} / {np.median(news):.2f} / {news[-1]:.2f}", f"{foreign}/{n}",
                staged(Counter(r["stage"]["0.01"] for r in mine), n),
                staged(Counter(r["stage"]["0.05"] for r in mine), n),
            )
        )  # fmt: skip
    head = (
        "batch", "pairs", "`foreign_lo` min / median / max", "`novelty` min / median / max",
        "another domain", "stages at 1%", "stages at 5%",
    )  # fmt: skip
    return table(head, rows)


def models() -> str:
    """Model-written batches one by one."""
    rows = [
        (
            r["gold"], r["batch"], f"{r['documents'][0]} / {r['documents'][1]}",
            f"{r['foreign']:.2f}", f"{r['foreign_lo']:.2f}", f"{r['novelty']:.2f}",
            r["stage"]["0.01"], named(name for name, _ in r["fired"][:3]),
        )
        for r in sorted(load("domains"), key=lambda r: r["foreign_lo"])
        if r["kind"] == "written by a model"
    ]  # fmt: skip
    head = (
        "gold", "batch", "documents", "`foreign`", "`foreign_lo`", "`novelty`", "stage at 1%",
        "fired",
    )  # fmt: skip
    return table(head, rows)


def loops() -> str:
    found = load("loops")
    rows = []
    for name in dict.fromkeys(r["corpus"] for r in found):
        both = {r["words"]: r for r in found if r["corpus"] == name}
        cells = [
            f"{r['looped']}/{r['n']} | {percent(r['below'])}" if r else "– | –"
            for r in (both.get(1), both.get(100))
        ]
        rows.append((name, *cells))
    # Pieces of 2,000 tokens are the same texts again, and not counted twice.
    for least in (1, 100):
        mine = [r for r in found if r["words"] == least and "2,000" not in r["corpus"]]
        x, n = sum(r["looped"] for r in mine), sum(r["n"] for r in mine)
        cell = f"{x}/{n} | {percent(float(beta.isf(0.05, x + 1, n - x)))}"
        total = ["– | –", "– | –"]
        total[least == 100] = cell
        rows.append((f"**all whole texts, {least} words or more**", *total))
    head = (
        "human text", "looping, all lengths", "below (95%)", "looping, from 100 words",
        "below (95%)",
    )  # fmt: skip
    return table(head, rows)


def metrics() -> str:
    rows = []
    for m in METRICS.values():
        low, high = (str(b).replace("inf", "∞") for b in m.bounds)
        rows.append(
            (
                f"`{m.name}`", f"{m.axis} ({AXIS_NAMES[m.axis]})", m.stage, m.meaning, m.unit,
                f"{low} … {high}", m.worse, "yes" if m.needs_gold else "", m.min_n, m.cite,
            )
        )  # fmt: skip
    head = (
        "metric", "axis", "stage", "what it is", "unit", "range", "damage", "needs gold",
        "least documents", "source",
    )  # fmt: skip
    return table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "null": null,
    "power": power,
    "benign": benign,
    "singles_english": lambda: _singles("english"),
    "singles_python": lambda: _singles("python"),
    "domains": domains,
    "models": models,
    "loops": loops,
    "metrics": metrics,
}


def filled(page: str) -> str:
    for name, make in TABLES.items():
        block = re.compile(f"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not block.search(page):
            raise SystemExit(f"docs/metrics.md: expected a table '{name}', got none; add its marks")
        text = make()
        page = block.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail if the page is not up to date")
    path = DOCS / "metrics.md"
    page = path.read_text("utf-8")
    new = filled(page)
    if not parser.parse_args().check:
        path.write_text(new, "utf-8")
    elif new != page:
        sys.exit("docs/metrics.md: expected current tables; run python benchmarks/study_tables.py")


if __name__ == "__main__":
    main()
