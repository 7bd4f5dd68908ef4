"""Known damage and known harmless changes, done to a batch of human documents.

An injection is a function (case, rng) -> documents. Documents are arrays of token numbers, or texts
where a model wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from study_corpora import Document, Documents

from tailguard.lab.families.ngram import NGram
from tailguard.measure.base import Axis

TEMPLATE_WORDS = 25
RARE = 2
"""Thinning removes tokens of words that gold has at most this often."""
LOOP_FROM = 0.3
"""Share of a document before it falls into a loop."""
PHRASE = (3, 12)
"""Tokens of the phrase it repeats, both ends included."""


@dataclass(frozen=True)
class Case:
    """One draw: disjoint documents for the batch, for gold, and to spare."""

    corpus: Documents
    batch: list[int]
    gold: list[int]
    spare: list[int]

    def rows(self, numbers: Sequence[int]) -> list[Document]:
        return [self.corpus.rows[i] for i in numbers]

    @cached_property
    def gold_counts(self) -> NDArray[np.int64]:
        return np.bincount(np.concatenate(self.rows(self.gold)), minlength=len(self.corpus.words))

    @cached_property
    def likeliest_next(self) -> NDArray[np.int64]:
        """Per word, the one that follows it most often in gold; -1 for a word gold lacks."""
        size = len(self.corpus.words)
        rows = self.rows(self.gold)
        first, second = (
            np.concatenate([row[part] for row in rows]) for part in (slice(-1), slice(1, None))
        )
        pairs, times = np.unique(first * size + second, return_counts=True)
        order = np.lexsort((times, pairs // size))
        best = np.full(size, -1)
        best[pairs[order] // size] = pairs[order] % size  # the last of a word is its commonest
        return best


Injection = Callable[[Case, np.random.Generator], list[Document] | list[str]]


def untouched(case: Case, rng: np.random.Generator) -> list[Document]:
    return case.rows(case.batch)


def rarest_deleted(share: float) -> Injection:
    """Delete the words rarest in the batch, ties at random, up to ``share`` of its tokens."""

    def inject(case: Case, rng: np.random.Generator) -> list[Document]:
        rows = case.rows(case.batch)
        counts = np.bincount(np.concatenate(rows), minlength=len(case.corpus.words))
        order = np.lexsort((rng.random(len(counts)), counts))
        gone = np.zeros(len(counts), bool)
        gone[order[np.cumsum(counts[order]) <= share * counts.sum()]] = True
        return [row[~gone[row]] for row in rows]

    return inject


def rare_thinned(share: float) -> Injection:
    """Delete each token of a word that gold has at most twice with chance ``share``."""

    def inject(case: Case, rng: np.random.Generator) -> list[Document]:
        rare = case.gold_counts <= RARE
        return [row[~(rare[row] & (rng.random(len(row)) < share))] for row in case.rows(case.batch)]

    return inject


def likeliest_instead(share: float) -> Injection:
    """Replace tokens by the likeliest one after their predecessor, with chance ``share``."""

    def inject(case: Case, rng: np.random.Generator) -> list[Document]:
        found = []
        for row in case.rows(case.batch):
            guess = case.likeliest_next[row[:-1]]
            swap = (rng.random(len(guess)) < share) & (guess >= 0)
            found.append(np.append(row[:1], np.where(swap, guess, row[1:])))
        return found

    return inject


def topics_gone(share: float) -> Injection:
    """Replace all documents of randomly chosen domains, about ``share`` of the batch, by others."""

    def inject(case: Case, rng: np.random.Generator) -> list[Document]:
        domains = np.array(case.corpus.domains)
        mine, theirs = domains[case.batch], domains[case.spare]
        gone: set[str] = set()
        lost = 0
        for domain in rng.permutation(np.unique(domains)):
            size = int((mine == domain).sum())
            if lost + size <= (share + 0.02) * len(mine):
                gone.add(domain)
                lost += size
            if lost >= (share - 0.01) * len(mine):
                break
        kept = [i for i, d in zip(case.batch, mine, strict=True) if d not in gone]
        others = [i for i, d in zip(case.spare, theirs, strict=True) if d not in gone]
        return case.rows(kept + others[: len(mine) - len(kept)])

    return inject


def copied(share: float, changed: float) -> Injection:
    """Overwrite ``share`` of the documents by copies of others, ``changed`` of their words new."""

    def inject(case: Case, rng: np.random.Generator) -> list[Document]:
        rows = case.rows(case.batch)
        order = rng.permutation(len(rows))
        for i, j in zip(order[: int(share * len(rows))], order[::-1], strict=False):
            row = rows[j].copy()
            swap = rng.random(len(row)) < changed
            row[swap] = rng.choice(row, int(swap.sum()))
            rows[i] = row
        return rows

    return inject


def template_added(share: float) -> Injection:
    """Put one phrase of 25 words, taken from gold, somewhere into ``share`` of the documents."""

    def inject(case: Case, rng: np.random.Generator) -> list[Document]:
        rows = case.rows(case.batch)
        source = case.corpus.rows[rng.choice(case.spare)]
        start = rng.integers(len(source) - TEMPLATE_WORDS)
        phrase = source[start : start + TEMPLATE_WORDS]
        for i in rng.permutation(len(rows))[: int(share * len(rows))]:
            rows[i] = np.insert(rows[i], rng.integers(len(rows[i])), phrase)
        return rows

    return inject


def looped(share: float) -> Injection:
    """Let ``share`` of the documents repeat one phrase from 30% of their length to the end."""

    def inject(case: Case, rng: np.random.Generator) -> list[Document]:
        rows = case.rows(case.batch)
        for i in rng.permutation(len(rows))[: int(share * len(rows))]:
            start = int(LOOP_FROM * len(rows[i]))
            period = int(rng.integers(PHRASE[0], PHRASE[1] + 1))
            phrase = rows[i][start - period : start]
            rows[i] = np.append(rows[i][:start], np.resize(phrase, len(rows[i]) - start))
        return rows

    return inject


def rewritten(temperature: float) -> Injection:
    """As many documents by an n-gram model trained on gold: generation 1 of a recursion."""

    def inject(case: Case, rng: np.random.Generator) -> list[str]:
        family = NGram(order=4, escape=3.0, temperature=temperature)
        texts = [case.corpus.text(row) for row in case.rows(case.gold)]
        return family.fit(texts, rng=rng).sample(len(case.batch), rng=rng)

    return inject


def halved(case: Case, rng: np.random.Generator) -> list[Document]:
    return [row[: len(row) // 2] for row in case.rows(case.batch)]


def doubled(case: Case, rng: np.random.Generator) -> list[Document]:
    rows = case.rows(case.batch)
    return [np.append(a, b) for a, b in zip(rows[::2], rows[1::2], strict=True)]


def quarter(case: Case, rng: np.random.Generator) -> list[Document]:
    return case.rows(case.batch[: len(case.batch) // 4])


def shuffled(case: Case, rng: np.random.Generator) -> list[Document]:
    return [case.corpus.rows[i] for i in rng.permutation(case.batch)]


def cut_elsewhere(case: Case, rng: np.random.Generator) -> list[Document]:
    """Run the documents together in random order and cut again, every 500 to 4,000 tokens."""
    run = np.concatenate(shuffled(case, rng))
    return np.split(run, np.cumsum(rng.integers(500, 4_001, len(run) // 2_250)))[:-1]


@dataclass(frozen=True)
class Row:
    """A row of the power matrix; ``at_least`` is the mark for its power, ``slow`` asks for few."""

    name: str
    inject: Injection
    axis: Axis | None = None
    at_least: float | None = None
    slow: bool = False


DAMAGE = (
    Row("rarest 0.5% of token mass deleted", rarest_deleted(0.005), "T", 0.95),
    Row("rarest 1% deleted", rarest_deleted(0.01), "T", 1.0),
    Row("rarest 5% deleted", rarest_deleted(0.05), "T", 1.0),
    Row("rare tokens (gold count ≤ 2) thinned by 10%", rare_thinned(0.1), "T", 0.95),
    Row("2% of tokens replaced by the likeliest next word", likeliest_instead(0.02), "S", 0.95),
    Row("topics gone, 12% of documents", topics_gone(0.12)),
    Row("topics gone, 26% of documents", topics_gone(0.26)),
    Row("near-duplicates, 5% of documents", copied(0.05, 0.02), "R", 0.95),
    Row("exact duplicates, 5% of documents", copied(0.05, 0.0), "R"),
    Row("one template in 20% of documents", template_added(0.2), "N", 0.96),
    Row("one template in 5% of documents", template_added(0.05), "N"),
    Row("loops in 5% of documents", looped(0.05), "R", 0.95),
    Row("loops in 1% of documents", looped(0.01), "R", 0.20),
    Row("generation 1 of an n-gram model, temperature 0.8", rewritten(0.8), "T", 1.0, slow=True),
    Row("generation 1 of an n-gram model, temperature 1", rewritten(1.0), "T", 1.0, slow=True),
)
BENIGN = (
    Row("nothing done", untouched),
    Row("documents of half length", halved),
    Row("documents of double length", doubled),
    Row("a quarter of the batch", quarter),
    Row("shuffled order of documents", shuffled, slow=True),
    Row("cut into documents elsewhere", cut_elsewhere),
)
