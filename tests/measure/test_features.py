"""Document features: hashed TF-IDF by definition, and a projection that is the same every time."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.measure.features import BUCKETS, FeatureMap, term_frequencies
from tailguard.measure.tokens import Tokens, tokenize


def topical(n: int, seed: int) -> list[str]:
    """Documents of two topics in turn, without a common word."""
    rng = np.random.default_rng(seed)
    return [" ".join(f"{'xy'[d % 2]}{i}" for i in rng.integers(0, 60, 40)) for d in range(n)]


def fitted(tokens: Tokens, dimensions: int = 64) -> FeatureMap:
    return FeatureMap.fit(tokens.hashes, tokens.offsets, dimensions)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=9), min_size=1, max_size=6))
def test_term_frequencies_are_damped_counts_per_bucket(rows: list[list[int]]) -> None:
    hashes = np.array([h for row in rows for h in row], np.uint64)
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    before = offsets.copy()
    found = term_frequencies(hashes, offsets).toarray()
    expected = np.zeros((len(rows), BUCKETS))
    for d, row in enumerate(rows):
        for bucket, count in Counter(h >> 51 for h in row).items():
            expected[d, bucket] = 1 + math.log(count)
    assert np.allclose(found, expected)
    assert (offsets == before).all()


def test_the_same_documents_give_the_same_features_to_the_bit() -> None:
    tokens = tokenize(topical(60, 0))
    first, again = (fitted(tokens).transform(tokens.hashes, tokens.offsets) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert first.shape == (60, 59)


def test_topics_lie_apart_and_their_documents_together() -> None:
    tokens = tokenize(topical(80, 1))
    x = fitted(tokens, 8).transform(tokens.hashes, tokens.offsets)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosine = x @ x.T
    alike = np.add.outer(np.arange(80), np.arange(80)) % 2 == 0
    assert np.median(cosine[alike]) > 0.6 and cosine[alike].min() > 0.1
    assert abs(cosine[~alike]).max() < 0.05


def test_features_are_projections_of_unit_vectors() -> None:
    tokens = tokenize([*topical(30, 2), "x1", "x1 x1 x1 x2"])
    found = fitted(tokens)
    lengths = np.linalg.norm(found.transform(tokens.hashes, tokens.offsets), axis=1)
    assert (lengths <= 1 + 1e-9).all() and (lengths > 0.95).all()
    assert np.allclose(found.basis.T @ found.basis, np.eye(found.basis.shape[1]), atol=1e-8)
    strange = tokenize(["nothing of this was seen before"])
    assert np.linalg.norm(found.transform(strange.hashes, strange.offsets)) < 0.5


def test_rare_words_weigh_more_than_common_ones() -> None:
    tokens = tokenize([f"common rare{i}" for i in range(20)])
    idf = fitted(tokens).idf
    common, rare = (int(h >> np.uint64(51)) for h in tokenize(["common rare0"]).hashes)
    assert idf[rare] - idf[common] == pytest.approx(math.log(21 / 2))


@pytest.mark.parametrize("corpus", [[], ["alone"]])
def test_fewer_than_two_documents_have_no_features(corpus: list[str]) -> None:
    tokens = tokenize(corpus)
    assert fitted(tokens).transform(tokens.hashes, tokens.offsets).shape == (len(corpus), 0)


@pytest.mark.parametrize("copies", [2, 3, 40, 200])
def test_equal_documents_have_equal_finite_features(copies: int) -> None:
    tokens = tokenize(["the very same words"] * copies)
    x = fitted(tokens).transform(tokens.hashes, tokens.offsets)
    assert np.isfinite(x).all() and np.allclose(x, x[0])
    assert np.linalg.norm(x[0]) == pytest.approx(1)
