"""What does the audit see, and what does it leave alone? Known changes to human documents.

    python benchmarks/study_power.py [--replicates 60] [--workers 2] [--raw power.jsonl]

Every replicate draws a batch of 200 documents of 2,000 tokens and gold of 450 others, changes the
batch in every way of benchmarks/injections.py, and examines each result at nominal 1% and 5%. Two
corpora: English prose of many domains, and Python's standard library. The first ``--few``
replicates also examine against the first 200 documents of gold only and train models, the first
``--singles`` also read metrics one by one. What ``--raw`` already holds is not repeated.
Needs ../shared/data. Counts go to docs/data/power.json and docs/data/singles.json.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from injections import BENIGN, DAMAGE, Case, Row
from study_corpora import Documents, code, english, paired_texts, pieces
from study_null import ALPHAS, examine_at, fired, keep

from tailguard.engine import map_shards
from tailguard.measure.profile import Profile, profile_texts
from tailguard.measure.readings import METRICS, evaluate
from tailguard.measure.stage import Diagnosis
from tailguard.measure.view import View, at_equal_size

CORPORA = {"english": english, "python": code}
BATCH = 200
GOLDS = (450, 200)
COLLAPSE = ("early", "mid", "late")
ROWS = {row.name: row for row in (*DAMAGE, *BENIGN)}
PAIRED = {"basemodel_pairs/squad", "basemodel_pairs/writing", "basemodel_pairs/xsum"}
BASE_MODELS = "base models (GPT-2 XL, Neo, OPT) continuing other prompts"
PAIRED_HUMANS = "other human texts of the same data set"
SINGLE = (
    "missing_mass", "hill_0", "hill_0_at_coverage", "unseen_mass", "rare_mass", "rare_recall",
    "zipf_slope_spectrum_mle", "hill_1", "hill_2", "cross_entropy", "cross_entropy_bigrams",
    "distinct_2_pooled", "distinct_4_pooled", "self_repetition", "shared_phrases",
    "word_stream_compression", "vendi", "spread", "nearest_cosine", "knn_recall", "knn_coverage",
    "frontier", "mmd2", "energy", "sliced_wasserstein", "repeated_4grams_128",
    "repeating_beyond_gold", "loop_tokens", "near_duplicate_rate",
)  # fmt: skip
"""Metrics read by themselves: the cheaper ones of every kind."""

Result = dict[str, Any]


def draw(corpus: Documents, replicate: int) -> tuple[Case, np.random.Generator]:
    rng = np.random.default_rng(np.random.SeedSequence(replicate))
    order = rng.permutation(len(corpus.rows)).tolist()
    cut = BATCH + max(GOLDS)
    return Case(corpus, order[:BATCH], order[BATCH:cut], order[cut:]), rng


def outcome(diagnosis: dict[float, Diagnosis]) -> Result:
    wide = diagnosis[max(ALPHAS)]
    return {
        "alarm": {str(a): bool(d.alarms) for a, d in diagnosis.items()},
        "stage": {str(a): d.stage for a, d in diagnosis.items()},
        "retention": {axis.axis: axis.retention for axis in wide.axes},
        "fired": fired(wide),
    }


def changed(case: Case, row: Row, replicate: int) -> Profile:
    # Every row has a stream of its own, so that rows can be added or left out.
    stream = np.random.SeedSequence([replicate, list(ROWS).index(row.name)])
    documents = row.inject(case, np.random.default_rng(stream))
    return profile_texts([d if isinstance(d, str) else case.corpus.text(d) for d in documents])


def replicate(task: tuple[str, int, bool, bool]) -> list[Result]:
    name, number, full, singles = task
    case, _ = draw(CORPORA[name](), number)
    texts = [case.corpus.text(row) for row in case.rows(case.gold)]
    golds = {size: profile_texts(texts[:size]) for size in GOLDS}
    found = []
    for row in ROWS.values():
        if row.slow and not full:
            continue
        batch = changed(case, row, number)
        for size in GOLDS if full else GOLDS[:1]:
            result = outcome(examine_at(batch, golds[size], seed=number))
            found.append({"corpus": name, "row": row.name, "gold": size, **result})
            if size == GOLDS[0] and (singles or row.name == "nothing done"):
                found[-1]["metrics"] = read_all(batch, golds[size])
    if name == "english":
        found += base_models(number)
    return [{**result, "replicate": number} for result in found]


def read_all(batch: Profile, gold: Profile) -> dict[str, float]:
    ours, theirs = at_equal_size(View.whole(batch), View.whole(gold))
    return {name: evaluate(METRICS[name], ours, theirs) for name in SINGLE}


def base_models(number: int) -> list[Result]:
    """Human texts of some pairs as gold; texts of the other pairs, by machines and by humans."""
    rng = np.random.default_rng(np.random.SeedSequence([number, len(ROWS)]))
    streams: dict[str, list[tuple[str, list[str]]]] = {"gold": [], "M": [], "H": []}
    for key in sorted(PAIRED):
        sides = paired_texts()[key]
        pairs = rng.permutation(sorted({pair for pair, _ in sides["M"]}))
        ours = set(pairs[: len(pairs) // 3].tolist())
        for side in ("H", "M"):
            texts = list({pair: text for pair, text in sides[side] if pair in ours}.values())
            streams[side].append((key, [texts[i] for i in rng.permutation(len(texts))]))
        streams["gold"].append((key, [text for pair, text in sides["H"] if pair not in ours]))
    profiles = {}
    for side, parts in streams.items():
        cut = pieces(parts, 600)
        profiles[side] = profile_texts([cut.text(row) for row in cut.rows])
    gold = profiles["gold"]
    return [
        {
            "corpus": "english", "row": row, "gold": GOLDS[0],
            "documents": profiles[side].n_documents,
            **outcome(examine_at(profiles[side], gold, seed=number)),
        }
        for row, side in ((BASE_MODELS, "M"), (PAIRED_HUMANS, "H"))
    ]  # fmt: skip


def summary(results: list[Result]) -> list[Result]:
    found = []
    for name in CORPORA:
        for row in (*ROWS, BASE_MODELS, PAIRED_HUMANS):
            for size in GOLDS:
                mine = [
                    r for r in results if (r["corpus"], r["row"], r["gold"]) == (name, row, size)
                ]
                if mine:
                    found.append(_counted(name, row, size, mine))
    return found


def _counted(name: str, row: str, size: int, mine: list[Result]) -> Result:
    axis = ROWS[row].axis if row in ROWS else "T"
    names = Counter(n for r in mine for n, p in r["fired"])
    return {
        "corpus": name, "row": row, "gold": size, "n": len(mine),
        "alarm": {str(a): sum(r["alarm"][str(a)] for r in mine) for a in ALPHAS},
        "called": {str(a): sum(r["stage"][str(a)] in COLLAPSE for r in mine) for a in ALPHAS},
        "stages": {str(a): Counter(r["stage"][str(a)] for r in mine) for a in ALPHAS},
        "retention": float(np.median([r["retention"][axis] for r in mine])) if axis else math.nan,
        "fired": dict(names.most_common(3)),
    }  # fmt: skip


def single_powers(results: list[Result]) -> list[Result]:
    """Share of replicates beyond the 5% limit of what untouched batches read, by metric."""
    found = []
    for name in CORPORA:
        mine = [r for r in results if r["corpus"] == name and "metrics" in r]
        null = {
            m: np.array([r["metrics"][m] for r in mine if r["row"] == "nothing done"])
            for m in SINGLE
        }
        for row in ROWS:
            read = [r["metrics"] for r in mine if r["row"] == row]
            if row != "nothing done" and read:
                powers = {m: _power(m, np.array([r[m] for r in read]), null[m]) for m in SINGLE}
                found.append({"corpus": name, "row": row, "n": len(read), "power": powers})
    return found


def _power(metric: str, values: np.ndarray, null: np.ndarray) -> float:
    low, high = np.nanquantile(null, 0.05), np.nanquantile(null, 0.95)
    worse = METRICS[metric].worse
    if worse == "both":
        low, high = np.nanquantile(null, 0.025), np.nanquantile(null, 0.975)
        return float(np.mean((values < low - 1e-12) | (values > high + 1e-12)))
    return float(np.mean(values < low - 1e-12 if worse == "lower" else values > high + 1e-12))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=60)
    parser.add_argument("--few", type=int, default=12)
    parser.add_argument("--singles", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--raw", type=Path, default=Path("power.jsonl"), help="every result")
    options = parser.parse_args()
    options.raw.touch()
    results: list[Result] = [json.loads(line) for line in options.raw.read_text().splitlines()]
    done = {(result["corpus"], result["replicate"]) for result in results}
    tasks = [
        (name, i, i < options.few, i < options.singles)
        for i in range(options.replicates)
        for name in CORPORA
        if (name, i) not in done
    ]
    found = map_shards(replicate, tasks, workers=options.workers, label="replicates")
    with options.raw.open("a") as raw, closing(found):
        for task, rows in zip(tasks, found, strict=True):
            results += rows
            raw.writelines(json.dumps(row) + "\n" for row in rows)
            raw.flush()
            print(f"{task[0]} replicate {task[1] + 1} of {options.replicates}", file=sys.stderr)
            # After every replicate, so that a study that is cut short has its tables too.
            keep("power", summary(results))
            keep("singles", single_powers(results))


if __name__ == "__main__":
    from study_power import main as importable  # so that workers find this module by its name

    importable()
