"""The demonstration: a model trained on its own output, audited at every generation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tailguard.auditing import audit
from tailguard.cli.show import MARKS, console, figure, print_json
from tailguard.corpus import open_corpus
from tailguard.lab.families.ngram import NGram
from tailguard.lab.recursion import recurse
from tailguard.measure.profile import Profile, profile_texts
from tailguard.measure.readings import METRICS, evaluate
from tailguard.measure.view import View, at_equal_size
from tailguard.report.base import Verdict
from tailguard.report.render import write_report

TEXT = "builtin:python-docs"
MODEL = NGram(order=4, escape=3.0, temperature=0.8)
"""A word model with back-off and an ordinary sampling temperature."""
LEAST_WORDS, MOST_CHARACTERS = 100, 6_000


def real_documents(*, rng: np.random.Generator) -> list[str]:
    """Sections of Python's documentation in random order, long ones cut to 6,000 characters."""
    corpus = open_corpus(TEXT)
    texts = [
        text[:MOST_CHARACTERS]
        for batch in corpus.batches()
        for text in batch.column("text").to_pylist()
        if len(text.split()) >= LEAST_WORDS
    ]
    return [texts[i] for i in rng.permutation(len(texts))]


def _relative(batch: Profile, base: Profile, metric: str) -> float:
    """A metric of ``batch`` over that of ``base``, at equal size."""
    ours, theirs = at_equal_size(View.whole(batch), View.whole(base))
    sheet = METRICS[metric]
    value, reference = evaluate(sheet, ours, None), evaluate(sheet, theirs, None)
    if sheet.worse == "higher":
        value, reference = 1 - value, 1 - reference
    return value / reference if reference else math.nan


def run_demo(folder: Path, *, generations: int, seed: int, as_json: bool) -> None:
    """Audit a held-out human batch and every generation; reports go to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    split, chain = np.random.SeedSequence(seed).spawn(2)
    documents = real_documents(rng=np.random.default_rng(split))
    half = len(documents) // 2
    gold, human = documents[:half], documents[half:]
    base = profile_texts(human)
    batches: list[tuple[str, list[str]]] = [("held-out human", human)]
    rows: list[dict[str, Any]] = []
    runs = recurse(gold, MODEL, generations=generations, seed=int(chain.generate_state(1)[0]))
    next(runs)  # generation 0 is gold itself
    out = console()
    if not as_json:
        out.print(
            f"Gold: {len(gold)} sections of Python's documentation. Audited against it: as many "
            "others, then text of a word model trained on gold, on its own text, and so on.\n"
        )
        out.print(_HEAD, style="bold")
    for number in range(generations + 1):
        if number:
            batches.append((f"generation {number}", list(next(runs).data)))
        name, texts = batches[-1]
        verdict = _named(audit(texts, gold, engine="serial", seed=seed), name)
        path = folder / (name.replace(" ", "-") + ".html")
        write_report(verdict, path)
        rows.append(_row(name, verdict, profile_texts(texts), base, path))
        if not as_json:
            _print_row(rows[-1])
    if as_json:
        print_json(rows)
        return
    out.print(f"\nReports: {rows[0]['report']} … {rows[-1]['report']}")
    out.print(
        "Vocabulary, uniqueness and quality are relative to held-out human text of equal size:"
    )
    out.print("distinct words, distinct 4-word phrases, and text not repeated within 128 words.")


def _named(verdict: Verdict, name: str) -> Verdict:
    """The verdict with names for what were lists in memory."""
    gold = replace(verdict.gold, name="gold: Python's documentation")
    return replace(verdict, batch=replace(verdict.batch, name=name), gold=gold)


_HEAD = (
    f"{'batch':<16}{'verdict':<10}{'stage':<14}{'score':>7}{'T':>7}{'S':>7}{'N':>7}{'R':>7}"
    f"{'vocabulary':>13}{'uniqueness':>12}{'quality':>9}"
)


def _row(name: str, verdict: Verdict, batch: Profile, base: Profile, path: Path) -> dict[str, Any]:
    return {
        "batch": name,
        "verdict": verdict.status,
        "stage": verdict.stage,
        "score": verdict.score,
        "retention": {axis.axis: axis.retention for axis in verdict.axes},
        "vocabulary": _relative(batch, base, "hill_0"),
        "uniqueness": _relative(batch, base, "distinct_4_pooled"),
        "quality": _relative(batch, base, "repeated_4grams_128"),
        "report": str(path),
    }


def _print_row(row: dict[str, Any]) -> None:
    mark, colour = MARKS.get(row["verdict"], ("?", "blue"))
    kept = "".join(f"{figure(value, 2):>7}" for value in row["retention"].values())
    console().print(
        f"{row['batch']:<16}{mark + ' ' + row['verdict']:<10}{row['stage']:<14}"
        f"{figure(row['score'], 2):>7}{kept}{figure(row['vocabulary'], 3):>13}"
        f"{figure(row['uniqueness'], 3):>12}{figure(row['quality'], 3):>9}",
        style=colour,
    )
