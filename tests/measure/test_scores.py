"""Document scores equal their definitions in plain Python, and do not know the sides."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from tailguard.measure.scores import (
    COUNTS,
    KNOWN_CONTEXT,
    RARE,
    column,
    document_counts,
)

Words = list[int]
SIDED = ("unseen_in_gold", "unseen_in_batch", "pairs_unseen_in_gold", "pairs_unseen_in_batch")
BLIND = tuple(name for name in COUNTS if name not in SIDED)


def corpus(seed: int) -> list[Words]:
    """A dozen documents of Zipf words, some empty or short, some with a common passage."""
    rng = np.random.default_rng(seed)
    lengths = [0, 1, 3, 4, *rng.integers(50, 1_300, 8)]
    passage = list(range(100, 118))
    documents = []
    for number, length in enumerate(lengths):
        words = (rng.zipf(1.5, length) % 4_000).tolist()
        if number > 5:
            at = int(rng.integers(length))
            words[at:at] = passage
        documents.append(words)
    return documents


def packed(documents: list[Words]) -> tuple[np.ndarray, np.ndarray]:
    """Token hashes and offsets."""
    names = np.random.default_rng(99).integers(0, 2**63, 4_000).astype(np.uint64) * np.uint64(2)
    flat = np.array([word for words in documents for word in words], np.int64)
    return names[flat], np.cumsum([0, *map(len, documents)])


def sides(n: int, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, n).astype(np.int8)


def grams(words: Words, n: int) -> list[tuple[int, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def unseen(items: list, others: list[list]) -> int:
    known = {item for other in others for item in other}
    return sum(item not in known for item in items)


def expected(documents: list[Words], side: np.ndarray, d: int) -> dict[str, float]:
    """The columns of one document, from their definitions."""
    mine, rest = documents[d], [words for i, words in enumerate(documents) if i != d]
    by_side = [[w for i, w in enumerate(documents) if i != d and side[i] == s] for s in (0, 1)]
    others, own = Counter(w for words in rest for w in words), Counter(mine)
    types = len({w for words in documents for w in words})
    volume = sum(map(len, rest)) + types / 2
    pairs = Counter(pair for words in rest for pair in grams(words, 2))
    context = Counter(pair[0] for pair in pairs.elements())
    best: dict[int, int] = {}
    for (first, _), n in pairs.items():
        best[first] = max(best.get(first, 0), n)
    known = [pair for pair in grams(mine, 2) if context[pair[0]] >= KNOWN_CONTEXT]
    with_gram = Counter(gram for words in rest for gram in set(grams(words, 4)))
    fours = grams(mine, 4)
    return {
        "tokens": len(mine),
        "rare_tokens": sum(others[w] <= RARE for w in mine),
        "rare_once": sum(n == 1 and others[w] <= RARE for w, n in own.items()),
        "surprise": -sum(math.log((others[w] + 0.5) / volume) for w in mine),
        "unseen_in_gold": unseen(mine, by_side[0]),
        "unseen_in_batch": unseen(mine, by_side[1]),
        "known": len(known),
        "likeliest": sum(pairs[pair] >= best[pair[0]] for pair in known),
        "pairs": max(len(mine) - 1, 0),
        "pairs_unseen_in_gold": unseen(grams(mine, 2), [grams(w, 2) for w in by_side[0]]),
        "pairs_unseen_in_batch": unseen(grams(mine, 2), [grams(w, 2) for w in by_side[1]]),
        "grams": len(fours),
        "own_grams": sum(with_gram[gram] == 0 for gram in fours),
    }


@pytest.mark.parametrize("seed", range(4))
def test_every_column_equals_its_definition_in_plain_python(seed: int) -> None:
    documents = corpus(seed)
    side = sides(len(documents))
    found = document_counts(*packed(documents), side)
    for d in range(len(documents)):
        for name, value in expected(documents, side, d).items():
            assert column(found, name)[d] == pytest.approx(value, abs=1e-6), (name, d)


def test_the_random_corpora_exercise_every_column() -> None:
    documents = corpus(0)
    found = document_counts(*packed(documents), sides(len(documents)))
    assert all(column(found, name).sum() > 0 for name in COUNTS)
    assert 0 < column(found, "likeliest").sum() < column(found, "known").sum()


@pytest.mark.parametrize("seed", range(3))
def test_no_column_but_the_unseen_ones_depends_on_the_sides(seed: int) -> None:
    documents = corpus(seed)
    side = sides(len(documents))
    first = document_counts(*packed(documents), side)
    for other in (1 - side.clip(0), np.full_like(side, -1), np.zeros_like(side)):
        again = document_counts(*packed(documents), other)
        for name in BLIND:
            assert column(again, name).tolist() == column(first, name).tolist(), name


def test_swapping_the_sides_swaps_what_is_unseen_in_them() -> None:
    documents = corpus(1)
    side = np.arange(len(documents), dtype=np.int8) % 2
    first = document_counts(*packed(documents), side)
    again = document_counts(*packed(documents), 1 - side)
    for kind in ("", "pairs_"):
        ours, theirs = f"{kind}unseen_in_gold", f"{kind}unseen_in_batch"
        assert column(again, ours).tolist() == column(first, theirs).tolist()
        assert column(first, ours).tolist() != column(first, theirs).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_documents_does_not_matter(seed: int) -> None:
    documents = corpus(seed)
    side = sides(len(documents))
    order = np.random.default_rng(seed).permutation(len(documents))
    first = document_counts(*packed(documents), side)
    moved = document_counts(*packed([documents[i] for i in order]), side[order])
    np.testing.assert_allclose(moved, first[order], rtol=1e-12)


def test_a_corpus_without_tokens_has_counts_of_zero() -> None:
    none = np.zeros(0, np.uint64)
    found = document_counts(none, np.zeros(4, np.int64), np.zeros(3, np.int8))
    assert found.shape == (3, len(COUNTS)) and not found.any()


def test_a_lonely_document_finds_all_its_words_rare() -> None:
    words = np.array([5, 6, 6], np.uint64)
    found = document_counts(words, np.array([0, 3]), np.zeros(1, np.int8))
    assert [column(found, n)[0] for n in ("rare_tokens", "rare_once", "known")] == [3, 1, 0]
