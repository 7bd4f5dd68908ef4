"""Self-BLEU and self-repetition: hand-worked values, and the quadratic definitions as oracles."""

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.errors import InputError
from tailguard.measure import grams as grams_module
from tailguard.measure import overlap
from tailguard.measure.base import Hashes, Ints
from tailguard.measure.overlap import (
    document_frequency,
    ngram_hashes,
    self_bleu,
    self_bleu_per_document,
    self_repetition,
    self_repetition_per_document,
    tally,
)

Document = Sequence[int]

CORPORA = st.lists(st.lists(st.integers(0, 4), max_size=12), max_size=7)


def tokens(documents: Sequence[Document]) -> tuple[Hashes, Ints]:
    flat = np.array([word for document in documents for word in document], np.uint64)
    lengths = [len(document) for document in documents]
    return flat, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)


def grams(document: Document, n: int) -> list[tuple[int, ...]]:
    return [tuple(document[i : i + n]) for i in range(len(document) - n + 1)]


def bleu_by_definition(
    documents: Sequence[Document], d: int, max_n: int, weights: Sequence[float], epsilon: float
) -> float:
    own = documents[d]
    others = [other for e, other in enumerate(documents) if e != d and other]
    if len(own) < max_n or not others:
        return math.nan
    precisions = []
    for n in range(1, max_n + 1):
        references = [Counter(grams(other, n)) for other in others]
        matched = sum(
            min(count, max(reference[gram] for reference in references))
            for gram, count in Counter(grams(own, n)).items()
        )
        if n == 1 and matched == 0:
            return 0.0
        precisions.append((matched or epsilon) / len(grams(own, n)))
    if not all(p for p, w in zip(precisions, weights, strict=True) if w):
        return 0.0
    nearest = min((len(other) for other in others), key=lambda r: (abs(r - len(own)), r))
    penalty = 1.0 if len(own) > nearest else math.exp(1 - nearest / len(own))
    logs = [w * math.log(p) for p, w in zip(precisions, weights, strict=True) if w]
    return penalty * math.exp(sum(logs))


def repetition_by_definition(documents: Sequence[Document], d: int, n: int) -> float:
    sets = [set(grams(document, n)) for document in documents]
    if not sets[d] or sum(map(bool, sets)) < 2:
        return math.nan
    return math.log(1 + sum(g in s for g in sets[d] for e, s in enumerate(sets) if e != d))


@given(CORPORA, st.integers(1, 4), st.sampled_from(["epsilon", "none"]))
@settings(max_examples=200, deadline=None)
def test_self_bleu_equals_its_quadratic_definition(
    documents: list[list[int]], max_n: int, smoothing: overlap.Smoothing
) -> None:
    epsilon = 0.1 if smoothing == "epsilon" else 0.0
    weights = [1 / max_n] * max_n
    expected = [
        bleu_by_definition(documents, d, max_n, weights, epsilon) for d in range(len(documents))
    ]
    got = self_bleu_per_document(*tokens(documents), max_n=max_n, smoothing=smoothing)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@given(CORPORA, st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_self_repetition_equals_its_quadratic_definition(
    documents: list[list[int]], n: int
) -> None:
    expected = [repetition_by_definition(documents, d, n) for d in range(len(documents))]
    got = self_repetition_per_document(*tokens(documents), n)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@given(CORPORA, st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_tally_counts_types_documents_and_distinct_ngrams(
    documents: list[list[int]], n: int
) -> None:
    found = tally(*ngram_hashes(*tokens(documents), n))
    pooled = Counter(gram for document in documents for gram in grams(document, n))
    holders = Counter(gram for document in documents for gram in set(grams(document, n)))
    assert sorted(found.counts) == sorted(pooled.values())
    assert sorted(zip(found.counts, found.documents, strict=True)) == sorted(
        (pooled[gram], holders[gram]) for gram in pooled
    )
    assert found.distinct.tolist() == [len(set(grams(document, n))) for document in documents]


def test_a_corpus_of_many_partitions_and_threads_equals_the_definition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Zipf's law over 300 words, 40 documents of very unequal length.
    rng = np.random.default_rng(7)
    documents = [rng.zipf(1.3, size).clip(max=300).tolist() for size in rng.integers(0, 120, 40)]
    expected = [bleu_by_definition(documents, d, 4, [0.25] * 4, 0.1) for d in range(40)]
    for module in (overlap, grams_module):
        monkeypatch.setattr(module, "PARTITION", 8)
    for threads in (1, 3):
        monkeypatch.setattr(grams_module.config, "NUMBA_NUM_THREADS", threads)
        got = self_bleu_per_document(*tokens(documents))
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_self_bleu_of_a_hand_worked_corpus() -> None:
    # "a b c", "a b d", "e": p1 = 2/3, p2 = 1/2 twice; "e" is shorter than two tokens.
    documents = [[1, 2, 3], [1, 2, 4], [5]]
    assert self_bleu(*tokens(documents), max_n=2) == pytest.approx(math.sqrt(1 / 3))


def test_matches_are_clipped_at_the_most_any_one_other_document_has() -> None:
    # "a a a a" against "a a b b" and "a b b b": two of four match, never 2 + 1.
    got = self_bleu_per_document(*tokens([[1, 1, 1, 1], [1, 1, 2, 2], [1, 2, 2, 2]]), max_n=1)
    assert got.tolist() == pytest.approx([0.5, 1.0, 0.75])


def test_the_brevity_penalty_takes_the_nearest_length_and_the_shorter_of_two() -> None:
    # Length 3 between 2 and 4: the shorter is nearest, so no penalty; 2 pays exp(1 - 3/2).
    got = self_bleu_per_document(*tokens([[1] * 2, [1] * 3, [1] * 4]), max_n=1)
    assert got.tolist() == pytest.approx([math.exp(-1 / 2), 1.0, 3 / 4])


def test_weights_choose_the_orders() -> None:
    corpus = tokens([[1, 2, 3], [1, 2, 4]])
    assert self_bleu(*corpus, max_n=2, weights=[1, 0]) == pytest.approx(2 / 3)
    assert self_bleu(*corpus, max_n=2, weights=[0, 1]) == pytest.approx(1 / 2)


def test_smoothing_credits_a_tenth_of_a_match_and_none_credits_nothing() -> None:
    corpus = tokens([[1, 2, 3], [3, 2, 1]])  # all words shared, no bigram
    assert self_bleu(*corpus, max_n=2) == pytest.approx(math.sqrt(0.1 / 2))
    assert self_bleu(*corpus, max_n=2, smoothing="none") == 0


def test_self_repetition_of_a_hand_worked_corpus() -> None:
    # Bigrams ab bc | ab ab(again) | xy: 1, 1 and 0 other documents; the repeat counts once.
    documents = [[1, 2, 3], [1, 2, 1, 2], [8, 9]]
    expected = [math.log(2), math.log(2), 0.0]
    assert self_repetition_per_document(*tokens(documents), 2).tolist() == pytest.approx(expected)


def test_disjoint_documents_score_zero_and_identical_ones_the_most() -> None:
    disjoint, same = tokens([[1, 2, 3, 4], [5, 6, 7, 8]]), tokens([[1, 2, 3, 4]] * 3)
    assert self_bleu(*disjoint) == 0 and self_repetition(*disjoint) == 0
    assert self_bleu(*same) == 1 and self_repetition(*same) == pytest.approx(math.log(3))


def test_ngrams_never_cross_a_document_border() -> None:
    joined, split = tokens([[1, 2, 3, 4]]), tokens([[1, 2], [3, 4]])
    assert ngram_hashes(*joined, 2)[0].size == 3
    within, at = ngram_hashes(*split, 2)
    assert at.tolist() == [0, 1, 2]
    assert within.tolist() == ngram_hashes(*joined, 2)[0][[0, 2]].tolist()
    # "b c" exists only across the border of the first two, so the third repeats nothing.
    assert self_repetition(*tokens([[1, 2], [3, 4], [2, 3]]), 2) == 0


def test_ngram_hashes_tell_order_apart_and_use_all_their_bits() -> None:
    pairs = np.array([word for a in range(300) for b in range(300) for word in (a, b)], np.uint64)
    hashed, _ = ngram_hashes(pairs, np.arange(0, pairs.size + 1, 2), 2)
    assert np.unique(hashed).size == 300 * 300
    for shift in (0, 8, 24, 40, 56):
        buckets = np.bincount(((hashed >> np.uint64(shift)) & np.uint64(255)).astype(np.int64))
        chi2 = float(((buckets - hashed.size / 256) ** 2).sum() / (hashed.size / 256))
        assert 255 - 6 * math.sqrt(510) < chi2 < 255 + 6 * math.sqrt(510)


@given(CORPORA, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_documents_does_not_matter(documents: list[list[int]], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(documents, len(documents))
    for measure in (self_bleu, self_repetition):
        np.testing.assert_allclose(
            measure(*tokens(documents)), measure(*tokens(shuffled)), rtol=1e-12
        )


@given(CORPORA)
@settings(max_examples=50, deadline=None)
def test_empty_documents_change_nothing(documents: list[list[int]]) -> None:
    padded = [[], *documents, [], []]
    for measure in (self_bleu, self_repetition):
        np.testing.assert_allclose(measure(*tokens(documents)), measure(*tokens(padded)))


def test_documents_shorter_than_n_are_left_out_but_stay_references() -> None:
    scores = self_bleu_per_document(*tokens([[1, 2], [1, 2, 3, 4], [1, 2, 3, 9]]), max_n=3)
    assert math.isnan(scores[0]) and scores[1] == pytest.approx((3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3))
    only_short = self_bleu_per_document(*tokens([[1, 2], [1, 2, 3]]), max_n=3)
    assert math.isnan(only_short[0]) and only_short[1] == pytest.approx((2 / 3 / 2 / 10) ** (1 / 3))


@pytest.mark.parametrize("documents", [[], [[]], [[1, 2, 3, 4, 5]], [[1], [2], [1, 2, 3]]])
def test_without_two_documents_to_compare_the_measures_are_nan(documents: list[list[int]]) -> None:
    assert math.isnan(self_bleu(*tokens(documents)))
    assert math.isnan(self_repetition(*tokens(documents)))


def test_document_frequency_counts_documents_and_not_occurrences() -> None:
    words, offsets = tokens([[3, 3, 3], [3, 5], []])
    types, documents = document_frequency(words, offsets)
    assert types.tolist() == [3, 5] and documents.tolist() == [2, 1]


def test_bad_input_is_refused_in_one_line() -> None:
    words, offsets = tokens([[1, 2], [3]])
    with pytest.raises(InputError, match="hashes: expected uint64"):
        self_bleu(words.astype(np.int64), offsets)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="offsets: expected 0 first"):
        self_repetition(words, np.array([0, 3, 2, 3]))
    with pytest.raises(InputError, match="offsets: expected"):
        self_repetition(words, np.array([0, 9]))
    with pytest.raises(InputError, match="n: expected an n-gram order"):
        self_repetition(words, offsets, 0)
    with pytest.raises(InputError, match="weights: expected 2 shares"):
        self_bleu(words, offsets, max_n=2, weights=[1.0])
    with pytest.raises(InputError, match="smoothing: expected"):
        self_bleu(words, offsets, smoothing="floor")  # type: ignore[arg-type]


TEXTS = [
    "the cat sat on the mat and the dog sat on the log",
    "the cat sat on the mat while it rained and rained",
    "on the mat and the dog there was nothing left to see",
    "a dog sat on the log while the cat sat on the mat",
]


def words_of(texts: Sequence[str]) -> tuple[Hashes, Ints]:
    numbers: dict[str, int] = {}
    return tokens([[numbers.setdefault(w, len(numbers)) for w in text.split()] for text in texts])


def test_self_repetition_agrees_with_the_diversity_package() -> None:
    pytest.importorskip("nltk")
    spec = importlib.util.find_spec("diversity")
    if spec is None or spec.origin is None:
        pytest.skip("could not find 'diversity'")
    # Its file alone: the package imports language models.
    source = Path(spec.origin).with_name("self_repetition.py")
    file_spec = importlib.util.spec_from_file_location("diversity_self_repetition", source)
    assert file_spec is not None and file_spec.loader is not None
    peer = importlib.util.module_from_spec(file_spec)
    file_spec.loader.exec_module(peer)
    assert self_repetition(*words_of(TEXTS)) == pytest.approx(
        peer.self_repetition_score(TEXTS, verbose=False)
    )


def test_self_bleu_agrees_with_nltk() -> None:
    nltk = pytest.importorskip("nltk.translate.bleu_score")
    method = nltk.SmoothingFunction(epsilon=0.1).method1
    split = [text.split() for text in TEXTS]
    expected = [
        nltk.sentence_bleu(split[:d] + split[d + 1 :], split[d], smoothing_function=method)
        for d in range(len(split))
    ]
    assert self_bleu_per_document(*words_of(TEXTS)).tolist() == pytest.approx(expected)
