"""False alarms and power of the audit of rows, on MNIST digits and tables of known columns.

    python benchmarks/study_vectors.py [--splits 400] [--trials 60] [--workers 2]

Every split draws a fresh table (or two disjoint sets of digits), profiles both sides and examines
one against the other; every trial damages the batch before. Prints the tables of docs/vectors.md.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailguard.engine import map_shards
from tailguard.measure.vectors.contrast import examine
from tailguard.measure.vectors.summary import profile_vectors

DIGITS = Path(__file__).parents[2] / "shared" / "data" / "mnist10k"
ALPHAS = (0.01, 0.05)
NULL_ROWS, POWER_ROWS, WIDTH = 500, 1000, 8
CHUNK = 10
Rows = NDArray[np.float64]


@lru_cache(maxsize=1)
def digits() -> tuple[Rows, NDArray[np.uint8]]:
    """Pixels of 10,000 digits averaged to 14 by 14, (10000, 196), and their labels."""
    pixels = gzip.decompress((DIGITS / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((DIGITS / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    whole = np.frombuffer(pixels, np.uint8).reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return whole.reshape(-1, 196), np.frombuffer(labels, np.uint8)


def mnist(rng: np.random.Generator, n: int) -> tuple[Rows, Rows]:
    """Two disjoint sets of digits, as vectors."""
    values, _ = digits()
    chosen = rng.permutation(len(values))[: 2 * n]
    return values[chosen[:n]], values[chosen[n:]]


def table(
    draw: Callable[[np.random.Generator, tuple[int, int]], Rows],
) -> Callable[..., tuple[Rows, Rows]]:
    """Two tables of eight independent columns."""
    return lambda rng, n: (draw(rng, (n, WIDTH)), draw(rng, (n, WIDTH)))


CORPORA: dict[str, Callable[[np.random.Generator, int], tuple[Rows, Rows]]] = {
    "Gaussian table": table(lambda rng, shape: rng.standard_normal(shape)),
    "t table, 3 degrees of freedom": table(lambda rng, shape: rng.standard_t(3, shape)),
    "lognormal table": table(lambda rng, shape: np.exp(rng.standard_normal(shape))),
    "counts, Poisson of mean 3": table(lambda rng, shape: rng.poisson(3, shape).astype(float)),
    "MNIST digits": mnist,
}


def tails_cut(values: Rows, gold: Rows, rng: np.random.Generator) -> Rows:
    """Rows with a number in the outer 1% of gold's column are left out; of vectors, rows in the
    outer 1% of gold's distance from the middle."""
    if values.shape[1] > WIDTH:
        middle = gold.mean(axis=0)
        limit = np.quantile(((gold - middle) ** 2).sum(axis=1), 0.99)
        return values[((values - middle) ** 2).sum(axis=1) <= limit]
    low, high = np.quantile(gold, [0.005, 0.995], axis=0)
    return values[((values >= low) & (values <= high)).all(axis=1)]


def narrower(values: Rows, gold: Rows, rng: np.random.Generator) -> Rows:
    """Variance times 0.9 about the mean."""
    middle = values.mean(axis=0)
    return middle + (values - middle) * np.sqrt(0.9)


def copied(values: Rows, gold: Rows, rng: np.random.Generator) -> Rows:
    """One row in twenty is a copy of another."""
    out = values.copy()
    n = len(out) // 20
    out[:n] = out[-n:]
    return out


def noted(values: Rows, gold: Rows, rng: np.random.Generator) -> Rows:
    """Nothing at all: the false alarms of the power table."""
    return values


DAMAGE = {
    "none": noted,
    "outer 1% of values cut": tails_cut,
    "variance × 0.9": narrower,
    "5% copies": copied,
}


@dataclass(frozen=True)
class Work:
    """Some splits of a corpus under a damage; ``lost`` is a digit to leave out."""

    corpus: str
    damage: str
    rows: int
    seeds: tuple[int, ...]
    lost: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What the splits are counted under."""
        return self.corpus, self.damage


def run(work: Work) -> list[tuple[tuple[str, str], tuple[bool, ...], str]]:
    """Alarms at each level, and the stage at 1%."""
    found = []
    for seed in work.seeds:
        rng = np.random.default_rng(np.random.SeedSequence([seed, len(work.corpus), work.rows]))
        gold, batch = CORPORA[work.corpus](rng, work.rows)
        if work.lost is not None:
            values, labels = digits()
            chosen = rng.permutation(len(values))
            gold = values[chosen[: work.rows]]
            rest = chosen[work.rows :]
            batch = values[rest[labels[rest] != work.lost][: work.rows]]
        else:
            batch = DAMAGE[work.damage](batch, gold, rng)
        names = [f"c{i}" for i in range(WIDTH)] if gold.shape[1] == WIDTH else None
        diagnosis = examine(
            profile_vectors(batch, names), profile_vectors(gold, names),
            alpha=0.01, margin=0.02, resolution=0.25, seed=seed,
        )  # fmt: skip
        smallest = min((e.p for e in diagnosis.evidence if e.z < 0), default=1.0)
        found.append((work.key, tuple(smallest <= a for a in ALPHAS), diagnosis.stage))
    return found


def plan(splits: int, trials: int) -> list[Work]:
    """All splits and trials, in small pieces."""
    out = []

    def add(corpus: str, damage: str, rows: int, n: int, lost: int | None = None) -> None:
        for start in range(0, n, CHUNK):
            seeds = tuple(range(start, min(start + CHUNK, n)))
            out.append(Work(corpus, damage, rows, seeds, lost))

    for corpus in CORPORA:
        add(corpus, "none", NULL_ROWS, splits)
        for damage in list(DAMAGE)[1:]:
            if not (corpus.startswith("counts") and damage != "outer 1% of values cut"):
                add(corpus, damage, POWER_ROWS, trials)
    for digit in (1, 3, 8):
        add("MNIST digits", f"digit {digit} gone", POWER_ROWS, trials, digit)
    return out


def main() -> None:
    """Run the study and print two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--splits", type=int, default=400)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    results: dict[tuple[str, str], list[tuple[tuple[bool, ...], str]]] = {}
    works = plan(given.splits, given.trials)
    with closing(map_shards(run, works, workers=given.workers, label="vectors")) as done:
        for part in done:
            for key, alarms, stage in part:
                results.setdefault(key, []).append((alarms, stage))
    print("| corpus | splits | alarms at 1% | alarms at 5% | called collapse at 1% |")
    print("|---|---|---|---|---|")
    for (corpus, damage), found in results.items():
        if damage == "none":
            rates = [np.mean([alarms[i] for alarms, _ in found]) for i in range(len(ALPHAS))]
            called = np.mean([stage in ("early", "mid", "late") for _, stage in found])
            print(f"| {corpus} | {len(found)} | {rates[0]:.2%} | {rates[1]:.2%} | {called:.2%} |")
    print("\n| damage | corpus | alarm at 1% | stages |")
    print("|---|---|---|---|")
    for (corpus, damage), found in results.items():
        if damage != "none":
            power = np.mean([alarms[0] for alarms, _ in found])
            stages = [stage for _, stage in found]
            told = ", ".join(
                f"{stage} {stages.count(stage) / len(stages):.2f}" for stage in sorted(set(stages))
            )
            print(f"| {damage} | {corpus} | {power:.2f} | {told} |")


if __name__ == "__main__":
    from study_vectors import main as importable  # so that workers find this module by its name

    importable()
