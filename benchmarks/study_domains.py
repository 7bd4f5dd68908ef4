"""Other domains, models' text and loops: what FOREIGN and DEGENERATE_RATE in stage.py rest on.

    python benchmarks/study_domains.py [--workers 2]

1. ``foreign`` and ``novelty`` (tailguard.measure.contrast) and the stage, for batches of gold's own
   domain, of other human domains, mixed from both, and written by models in gold's domain: 120
   documents of 600 tokens on a side, or as many as there are (at least 20).
2. Human documents that ``looped`` counts, in all human text at hand. Needs ../shared/data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
from scipy.stats import beta
from study_corpora import (
    PAIRED,
    Documents,
    arxiv_sentences,
    book,
    code,
    english,
    opening,
    pieces,
    records,
    rows_of,
    wiki_articles,
    works,
)
from study_null import ALPHAS, at_levels, fired, keep

from tailguard.engine import map_shards
from tailguard.measure.profile import profile_texts

SIDE, LEAST, TOKENS = 120, 20, 600
SPLITS = 10
MIXED = (0.1, 0.3, 0.5)
Result = dict[str, Any]
Side = list[str]


@lru_cache(maxsize=1)
def human_texts() -> dict[str, dict[str, str]]:
    """Per domain, human texts by opening, each once."""
    found: dict[str, dict[str, str]] = {}
    for path in PAIRED:
        for row in rows_of(path):
            if not int(row["label"]):
                found.setdefault(row["domain"], {}).setdefault(opening(row["text"]), row["text"])
    return found


def cut(texts: list[str], seed: int | None = 0) -> Side:
    """Texts run together, in random order unless ``seed`` is None, cut into documents."""
    if seed is not None:
        rng = np.random.default_rng(seed)
        texts = [texts[i] for i in rng.permutation(len(texts))]
    found: Documents = pieces([("", texts)], TOKENS)
    return [found.text(row) for row in found.rows]


@lru_cache(maxsize=1)
def domains() -> dict[str, Side]:
    """Documents of each human domain, those of one work or file in order."""
    found = {name: cut(list(texts.values())) for name, texts in human_texts().items()}
    found |= {name: cut([text], None) for name, text in works() if name != "wikitext2"}
    found["wikitext2"] = cut(wiki_articles())
    found["arxiv abstracts"] = cut(arxiv_sentences()[:6_000])
    for name in ("python-docs", "python-code"):
        found[name] = cut([text for _, text in records(name)])
    return {name: documents for name, documents in found.items() if len(documents) >= LEAST}


def compare(kind: str, gold: Side, batch: Side, names: tuple[str, str], seed: int = 0) -> Result:
    gold, batch = gold[:SIDE], batch[:SIDE]
    tested = at_levels(profile_texts(batch), profile_texts(gold), seed=seed)
    found, diagnosis = tested[min(ALPHAS)]
    return {
        "kind": kind, "gold": names[0], "batch": names[1], "documents": [len(gold), len(batch)],
        "foreign": found.foreign, "foreign_lo": found.foreign_lo, "novelty": found.novelty,
        "another": diagnosis.foreign,
        "stage": {str(a): d.stage for a, (_, d) in tested.items()},
        "fired": fired(diagnosis),
    }  # fmt: skip


def of_domain(name: str) -> list[Result]:
    """One domain as gold: against itself, its other parts, and all others."""
    mine = domains()[name]
    found = []
    if len(mine) >= 2 * LEAST:
        half = len(mine) // 2
        for seed in range(SPLITS):
            order = np.random.default_rng(seed).permutation(len(mine))
            a, b = ([mine[i] for i in part] for part in (order[:half], order[half:]))
            found.append(compare("same domain", a, b, (name, name), seed))
        if name in ("moby dick", "shakespeare"):
            third = len(mine) // 3
            found += [
                compare(
                    "same work, other part",
                    mine[a : a + third],
                    mine[b : b + third],
                    (f"{name}, {x}", f"{name}, {y}"),
                )
                for (x, a), (y, b) in permutations(
                    {"beginning": 0, "middle": third, "end": 2 * third}.items(), 2
                )
            ]
    for other, batch in domains().items():
        if other != name:
            found.append(compare("other human domain", mine, batch, (name, other)))
            for share in MIXED if len(mine) >= 2 * LEAST else ():
                a, b = mine[: len(mine) // 2][:SIDE], mine[len(mine) // 2 :][:SIDE]
                some = min(int(share * len(b)), len(batch))
                mixed = batch[:some] + b[some:]
                found.append(compare(f"{share:.0%} of another domain", a, mixed, (name, other)))
    return found


def models() -> Iterator[tuple[str, str, str]]:
    seen = {
        (path, row["domain"], row["generator"])
        for path in PAIRED
        for row in rows_of(path)
        if int(row["label"])
    }
    yield from sorted(seen)


def of_model(task: tuple[str, str, str]) -> list[Result]:
    """A model's texts of half the pairs against human texts of the same domain, pairs left out."""
    path, domain, generator = task
    rows = rows_of(path)
    written = {
        r["pair"]: r["text"]
        for r in rows
        if r["domain"] == domain and r["generator"] == generator and int(r["label"])
    }
    pairs = np.random.default_rng(0).permutation(sorted(written)).tolist()
    pairs = set(pairs[: len(pairs) // 2])
    out = {opening(r["text"]) for r in rows if r["pair"] in pairs and not int(r["label"])}
    gold = cut([text for start, text in human_texts()[domain].items() if start not in out])
    batch = cut([written[pair] for pair in sorted(pairs)])
    if min(len(gold), len(batch)) < LEAST:
        return []
    name = f"{path.partition('/')[0]}: {generator}"
    return [compare("written by a model", gold, batch, (domain, name))]


def looped_counts() -> list[Result]:
    """Looping documents in human text; ``below`` is a one-sided 95% bound of the rate."""
    texts = {f"{name} (whole texts)": list(t.values()) for name, t in human_texts().items()}
    texts["wikitext2 (articles)"] = wiki_articles()
    texts["moby dick (paragraphs)"] = book("books/moby_dick.txt").split("\n\n")
    texts["shakespeare (speeches)"] = book("tinyshakespeare/input.txt").split("\n\n")
    texts["arxiv abstracts (sentences)"] = arxiv_sentences()
    for name in ("python-docs", "python-code"):
        texts[f"{name} (records)"] = [text for _, text in records(name)]
    for name, documents in (("english", english()), ("python", code())):
        texts[f"{name} (2,000 tokens)"] = [documents.text(row) for row in documents.rows]
    found = []
    for name, documents in texts.items():
        for least in (1, 100):
            kept = [text for text in documents if len(text.split()) >= least]
            x, n = profile_texts(kept).table.total("looped"), len(kept)
            if n:
                below = float(beta.isf(0.05, x + 1, n - x)) if x < n else 1.0
                found.append({"corpus": name, "words": least, "n": n, "looped": x, "below": below})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    loops = looped_counts()
    for row in loops:
        print(row, file=sys.stderr)
    pairs: list[Result] = []
    for work, tasks in ((of_domain, sorted(domains())), (of_model, list(models()))):
        results = map_shards(work, tasks, workers=options.workers, label="domains")
        with closing(results):
            for task, found in zip(tasks, results, strict=True):
                pairs += found
                print(task, file=sys.stderr)
    keep("domains", pairs)
    keep("loops", loops)


if __name__ == "__main__":
    from study_domains import main as importable  # so that workers find this module by its name

    importable()
