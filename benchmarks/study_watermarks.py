"""Null and power of watermark detection: the tables of docs/watermarks.md.

    python benchmarks/study_watermarks.py [--sequences 1000000] [--documents 100]

1. Null: unmarked sequences of Zipf tokens with copied phrases, 5 to 120 tokens; the law of the
   p-values with a fresh key for each sequence (what is claimed), and with one key for all of them
   (what a deployment has). Beside them, as a negative control, the z-test that counts repeats.
2. Windows: the corrected p-value of the best window, sequences of 400 tokens, fresh keys.
3. Power: the n-gram model of builtin:python-docs writes 800 tokens; detection at a false-positive
   rate of 1e-4 on their first 25 … 800, after substituting a share of the words. Then again for
   exp and synthid with two tokens of context instead of four, and for ten layers instead of 30.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.stats import binom, kstest, norm

from tailguard.corpus import open_corpus
from tailguard.detect.watermark import SCHEMES, Scheme, WatermarkKey, word_ids
from tailguard.detect.watermark.nulls import p_values, randomised
from tailguard.detect.watermark.tokens import flatten
from tailguard.detect.watermark.units import Units, collect, collect_with
from tailguard.detect.watermark.windows import best_window
from tailguard.lab.families.ngram import NGram, tokenize
from tailguard.lab.watermarked import WatermarkedNGram

LEVELS = (1e-2, 1e-3, 1e-4)
ALPHA = 1e-4
LENGTHS = (25, 50, 100, 200, 400, 800)
EDITS = (0.0, 0.1, 0.3, 0.5)
TYPES, SHORTEST, LONGEST = 5_000, 5, 120
CHUNK = 100_000
KEYS = 10
OTHERS = [Scheme("exp", width=2), Scheme("synthid", width=2), Scheme("synthid", layers=10)]
FIXED_KEYS = 20
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]


@njit(cache=True)
def _sequences(words: Words, ends: Ints, copies: Any, places: Any) -> None:
    """Overwrite parts of each sequence with phrases of up to 12 tokens from earlier in it."""
    begin = 0
    for end in ends:
        i = begin + 4
        while i < end:
            if copies[i] < 0.08:
                size = 3 + int(places[i] * 10)
                source = begin + int(places[i] * 7919.0 % 1.0 * (i - begin))
                for k in range(min(size, end - i)):
                    words[i + k] = words[source + k]
                i += size
            else:
                i += 1
        begin = end


def sequences(n: int, rng: np.random.Generator, length: int = 0) -> tuple[Words, Ints]:
    """``n`` unmarked sequences: Zipf tokens, about half of them inside copied phrases."""
    sizes = np.full(n, length) if length else rng.integers(SHORTEST, LONGEST + 1, n)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    share = 1.0 / np.arange(1, TYPES + 1)
    law = np.cumsum(share) / share.sum()
    total = int(offsets[-1])
    words = np.searchsorted(law, rng.random(total)).astype(np.uint64)
    _sequences(words, offsets[1:], rng.random(total), rng.random(total))
    return words, offsets


def naive(units: Units, tokens: Words, offsets: Ints, scheme: Scheme, words: Words) -> Any:
    """The z-test over every position, repeats counted: what must not be done."""
    lone = np.zeros(len(tokens))
    # Scored token by token, as documents of one unit each, nothing is ever a repeat.
    w = scheme.context
    at = np.concatenate([np.arange(a + w, b) for a, b in pairwise(offsets) if b > a + w])
    flat = tokens[at[:, None] + np.arange(-w, 1)].ravel()
    bounds = np.arange(len(at) + 1) * (w + 1)
    which = np.searchsorted(offsets, at, side="right") - 1
    lone[at] = collect_with(flat, bounds, scheme, words[which]).scores()
    n = np.maximum(np.diff(offsets) - w, 1)
    green = np.add.reduceat(lone, offsets[:-1])
    return norm.sf((green - scheme.gamma * n) / np.sqrt(n * scheme.gamma * (1 - scheme.gamma)))


def null_rows(n: int, seed: np.random.SeedSequence) -> None:
    print("| scheme | keys | sequences | KS p | p ≤ 1e-2 | p ≤ 1e-3 | p ≤ 1e-4 | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for scheme in map(Scheme, SCHEMES):
        for fresh in (True, False):
            rng = np.random.default_rng(seed.spawn(1)[0])
            exact, decided, seconds = [], [], 0.0
            one = rng.integers(0, 2**64, (1, 4), np.uint64)
            for _ in range(0, n, CHUNK):
                tokens, offsets = sequences(min(n, CHUNK), rng)
                count = len(offsets) - 1
                words = rng.integers(0, 2**64, (count, 4), np.uint64) if fresh else one
                begun = time.perf_counter()
                units = collect_with(tokens, offsets, scheme, words)
                some = units.counts > 0
                n_units, sums = units.counts[some], units.sums()[some]
                decided.append(p_values(scheme, n_units, sums))
                seconds += time.perf_counter() - begun
                exact.append(randomised(scheme, n_units, sums, rng=rng))
            report(scheme.name, "fresh" if fresh else "one", exact, decided, seconds)
    scheme = Scheme("kgw")
    rng = np.random.default_rng(seed.spawn(1)[0])
    tokens, offsets = sequences(min(n, CHUNK), rng)
    words = rng.integers(0, 2**64, (len(offsets) - 1, 4), np.uint64)
    p = naive(collect_with(tokens, offsets, scheme, words), tokens, offsets, scheme, words)
    report("kgw, z-test, repeats counted (control)", "fresh", [p], [p], 0.0)


def report(name: str, keys: str, exact: Any, decided: Any, seconds: float) -> None:
    p = np.concatenate(decided)
    shown = []
    for level in LEVELS:
        count = int((p <= level).sum())
        chance = binom.sf(count - 1, len(p), level)
        shown.append(f"{count / len(p):.2e} ({chance:.2g})")
    ks = kstest(np.concatenate(exact), "uniform").pvalue
    cells = " | ".join(shown)
    print(f"| {name} | {keys} | {len(p):,} | {ks:.2g} | {cells} | {seconds:.0f} |", flush=True)


def fixed_rows(n: int, seed: np.random.SeedSequence) -> None:
    """The realised rate at 1e-3 of single keys, each over the same sequences."""
    rng = np.random.default_rng(seed)
    tokens, offsets = sequences(n, rng)
    print(f"\n| scheme | rate at 1e-3 over {FIXED_KEYS} single keys: least | median | most |")
    print("|---|---|---|---|")
    for scheme in map(Scheme, SCHEMES):
        rates = []
        for _ in range(FIXED_KEYS):
            units = collect(tokens, offsets, scheme, WatermarkKey(rng.bytes(32)))
            rates.append(np.nanmean(p_values(scheme, units.counts, units.sums()) <= 1e-3))
        low, mid, high = np.min(rates), np.median(rates), np.max(rates)
        print(f"| {scheme.name} | {low:.1e} | {mid:.1e} | {high:.1e} |", flush=True)


def window_rows(n: int, seed: np.random.SeedSequence) -> None:
    print("\n| scheme | sequences | p ≤ 1e-1 | p ≤ 1e-2 | p ≤ 1e-3 |")
    print("|---|---|---|---|---|")
    for scheme in map(Scheme, SCHEMES):
        rng = np.random.default_rng(seed.spawn(1)[0])
        tokens, offsets = sequences(n, rng, length=400)
        words = rng.integers(0, 2**64, (n, 4), np.uint64)
        units = collect_with(tokens, offsets, scheme, words)
        scores, ends = units.scores(), units.offsets
        found = [best_window(scheme, scores[a:b]) for a, b in pairwise(ends)]
        p = np.array([w.p for w in found if w is not None])
        rates = " | ".join(f"{(p <= level).mean():.1e}" for level in (1e-1, 1e-2, 1e-3))
        print(f"| {scheme.name} | {len(p):,} | {rates} |", flush=True)


def edited(words: Words, share: float, pool: Words, rng: np.random.Generator) -> Words:
    """Each token replaced with chance ``share`` by one drawn from the training text."""
    change = rng.random(len(words)) < share
    return np.where(change, rng.choice(pool, len(words)), words)


def power_rows(schemes: list[Scheme], documents: int, seed: np.random.SeedSequence) -> None:
    rng = np.random.default_rng(seed)
    batches = open_corpus("builtin:python-docs").batches()
    texts = [text for batch in batches for text in batch.column("text").to_pylist()]
    model = NGram(order=4).fit(texts, rng=rng)
    pool = word_ids([token for text in texts for token in tokenize(text)])
    plain = model.sample(documents, rng=rng)
    print(f"\nUnmarked samples: {np.nanmean(model.log_prob(plain)):.2f} nats a token")
    print("\n| scheme | nats a token | edits | " + " | ".join(map(str, LENGTHS)) + " |")
    print("|---|---|---" + "|---" * len(LENGTHS) + "|")
    for scheme in schemes:
        named = scheme.name if scheme == Scheme(scheme.name) else scheme.id
        drawn, likely = [], []
        for _ in range(KEYS):
            key = WatermarkKey(rng.bytes(32))
            n = max(documents // KEYS, 1)
            lengths = np.full(n, LENGTHS[-1])
            out = WatermarkedNGram(model, scheme, key).sample(n, rng=rng, lengths=lengths)
            drawn += [(key, word_ids(tokenize(text))) for text in out]
            likely.append(model.log_prob(out).mean())
        for share in EDITS:
            hits = np.zeros(len(LENGTHS))
            for key, words in drawn:
                changed = edited(words, share, pool, rng)
                tokens, offsets = flatten([changed[:length] for length in LENGTHS])
                units = collect(tokens, offsets, scheme, key)
                hits += p_values(scheme, units.counts, units.sums()) <= ALPHA
            cells = " | ".join(f"{hit / len(drawn):.2f}" for hit in hits)
            nats = f"{np.mean(likely):.2f}"
            print(f"| {named} | {nats} | {share:.0%} | {cells} |", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=1_000_000)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--windowed", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    null, fixed, windowed, power, narrow = np.random.SeedSequence(given.seed).spawn(5)
    null_rows(given.sequences, null)
    fixed_rows(min(given.sequences, CHUNK), fixed)
    window_rows(given.windowed, windowed)
    power_rows([Scheme(name) for name in SCHEMES], given.documents, power)
    power_rows(OTHERS, given.documents, narrow)


if __name__ == "__main__":
    main()
