"""How often does the audit raise an alarm where nothing is wrong? Random human/human splits.

    python benchmarks/study_null.py [--splits 400] [--workers 2] [--raw null.jsonl]

Every split draws two disjoint random sets of documents of one corpus, 200 each, profiles both and
examines one against the other. Splits that ``--raw`` already holds are not repeated. Rates go to
docs/data/null.json; benchmarks/study_tables.py puts them into docs/metrics.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta
from study_corpora import arxiv_sentences, pieces, records, wiki_articles

from tailguard.auditing import examine
from tailguard.engine import map_shards
from tailguard.measure.contrast import PERMUTATIONS, Contrast, contrast
from tailguard.measure.profile import Profile, profile_texts
from tailguard.measure.stage import (
    Diagnosis,
    degenerate_evidence,
    diagnose,
    permutation_level,
)
from tailguard.measure.units import make_units
from tailguard.report.policy import Policy

ALPHAS = (0.01, 0.05)
SIDE = 200
PIECE_TOKENS = 500
OUT = Path(__file__).parents[1] / "docs" / "data"
CHUNK = 5

CORPORA = {
    "python-docs": (SIDE, SIDE),
    "python-code": (SIDE, SIDE),
    "wikitext-2": (SIDE, SIDE),
    "arxiv sentences, batch of 200, gold of 8,000": (SIDE, 8_000),
}
"""Documents of batch and gold. The last is no mark of the issue: gold is larger than the sample of
1,024 documents that a profile keeps, and documents are single sentences."""


@lru_cache(maxsize=1)
def corpus(name: str) -> list[str]:
    if name.startswith("python"):
        return [text for _, text in records(name)]
    if name.startswith("arxiv"):
        return arxiv_sentences()
    cut = pieces((("article", [text]) for text in wiki_articles()), PIECE_TOKENS)
    return [cut.text(row) for row in cut.rows]


def at_levels(
    batch: Profile, gold: Profile, *, seed: int
) -> dict[float, tuple[Contrast, Diagnosis]]:
    """``tailguard.auditing.examine`` at several levels, for the scores of one."""
    units = make_units(gold.documents, batch.documents)
    tested = {}
    for alpha in ALPHAS:
        policy = Policy(alpha=alpha)
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        found = contrast(units, alpha=permutation_level(alpha), rng=rng, permutations=PERMUTATIONS)
        degenerate = degenerate_evidence(
            (batch.n_degenerate, max(batch.n_documents, 1)),
            (gold.n_degenerate, max(gold.n_documents, 1)),
        )
        diagnosis = diagnose(
            found,
            degenerate,
            alpha=alpha,
            margin=policy.margin,
            resolution=policy.resolution,
            documents=min(len(batch.documents), len(gold.documents)),
        )
        tested[alpha] = found, diagnosis
    return tested


def examine_at(batch: Profile, gold: Profile, *, seed: int) -> dict[float, Diagnosis]:
    return {a: diagnosis for a, (_, diagnosis) in at_levels(batch, gold, seed=seed).items()}


def same(mine: Diagnosis, audited: Diagnosis) -> bool:
    """Equal in everything that is counted (nan is not equal to itself)."""
    return repr(mine) == repr(audited)


def fired(diagnosis: Diagnosis) -> list[tuple[str, float]]:
    """What raised the alarm, the most extreme first, with corrected p."""
    return [(e.name, e.p) for e in sorted(diagnosis.alarms, key=lambda e: e.z)]


def split(task: tuple[str, int]) -> dict[str, Any]:
    name, number = task
    texts = corpus(name)
    n_batch, n_gold = CORPORA[name]
    rng = np.random.default_rng(np.random.SeedSequence(number))
    chosen = rng.permutation(len(texts))[: n_batch + n_gold]
    batch = profile_texts([texts[i] for i in chosen[:n_batch]])
    gold = profile_texts([texts[i] for i in chosen[n_batch:]])
    found = examine_at(batch, gold, seed=number)
    if number == 0:
        for alpha, mine in found.items():
            assert same(mine, examine(batch, gold, policy=Policy(alpha=alpha), seed=number))
    wide = found[max(ALPHAS)]
    return {
        "corpus": name,
        "split": number,
        "alarm": {str(a): bool(d.alarms) for a, d in found.items()},
        "stage": {str(a): d.stage for a, d in found.items()},
        "fired": fired(wide),
        "foreign": wide.foreign,
    }


def chunk(tasks: list[tuple[str, int]]) -> list[dict[str, Any]]:
    return [split(task) for task in tasks]


def interval(x: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper & Pearson's exact interval of a share (1934)."""
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, x, n - x + 1)) if x else 0.0
    high = float(beta.isf(tail, x + 1, n - x)) if x < n else 1.0
    return low, high


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for name in CORPORA:
        mine = [row for row in rows if row["corpus"] == name]
        for alpha in map(str, ALPHAS):
            if not mine:
                continue
            alarms = sum(row["alarm"][alpha] for row in mine)
            low, high = interval(alarms, len(mine))
            found.append(
                {
                    "corpus": name, "alpha": float(alpha), "splits": len(mine), "alarms": alarms,
                    "rate": alarms / len(mine), "lo": low, "hi": high,
                    "stages": Counter(row["stage"][alpha] for row in mine),
                    "fired": Counter(n for r in mine for n, p in r["fired"] if p <= float(alpha)),
                    "foreign": sum(row["foreign"] for row in mine),
                }
            )  # fmt: skip
    return found


def keep(name: str, rows: list[dict[str, Any]]) -> None:
    """Write docs/data/NAME.json, a line per row, numbers to four digits."""
    lines = [json.dumps(json.loads(json.dumps(row), parse_float=_short)) for row in rows]
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


def _short(number: str) -> float:
    return float(f"{float(number):.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--splits", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--raw", type=Path, default=Path("null.jsonl"), help="every split")
    options = parser.parse_args()
    options.raw.touch()
    rows = [json.loads(line) for line in options.raw.read_text().splitlines()]
    done = {(row["corpus"], row["split"]) for row in rows}
    tasks = [(name, i) for name in CORPORA for i in range(options.splits) if (name, i) not in done]
    chunks = [tasks[i : i + CHUNK] for i in range(0, len(tasks), CHUNK)]
    results = map_shards(chunk, chunks, workers=options.workers, label="splits")
    with options.raw.open("a") as raw, closing(results):
        for found in results:
            rows += found
            raw.writelines(json.dumps(row) + "\n" for row in found)
            raw.flush()
            last = found[-1]
            alarms = Counter(
                a
                for r in rows
                if r["corpus"] == last["corpus"]
                for a, rang in r["alarm"].items()
                if rang
            )
            print(f"{last['corpus']} {last['split'] + 1}: alarms {dict(alarms)}", file=sys.stderr)
    keep("null", summary(rows))


if __name__ == "__main__":
    from study_null import main as importable  # so that workers find this module by its name

    importable()
