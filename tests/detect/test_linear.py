"""Features and the linear detector."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from detect_texts import texts
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Prepared
from tailguard.detect.detectors.hashed import counts_matrix, linear_scores, weigh
from tailguard.detect.detectors.linear import LinearDetector
from tailguard.detect.leaks import auroc

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4))
def test_every_gram_of_a_text_is_counted_once(given_texts: list[str]) -> None:
    clean = Prepared.of(given_texts)
    counts = counts_matrix(clean, bits=20)
    undamped = np.round(np.exp(counts.data - 1)).astype(int)
    words = [int(n) for n in clean.tokens.lengths]
    for row, (text, n) in enumerate(zip(clean.texts.to_pylist(), words, strict=True)):
        part = slice(counts.indptr[row], counts.indptr[row + 1])
        characters = max(0, len(text) - 2) + max(0, len(text) - 3)
        assert undamped[part].sum() == n + max(0, n - 1) + characters
        grams = Counter(text[i : i + k] for k in (3, 4) for i in range(len(text) - k + 1))
        in_block = counts.indices[part] >= 1 << 20
        expected = sorted(grams.values())
        if len(expected) == in_block.sum():  # no two grams share a bucket
            assert sorted(undamped[part][in_block].tolist()) == expected


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(0, 9))
def test_compiled_scores_equal_the_matrix_product(given_texts: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, idf = rng.normal(size=2 << 8), rng.random(2 << 8) + 1
    clean = Prepared.of(given_texts)
    scores = linear_scores(clean, 8, idf, weights, 0.5)
    product = weigh(counts_matrix(clean, 8), idf) @ weights + 0.5
    some = clean.tokens.lengths > 0
    assert np.allclose(scores[some], product[some], atol=1e-9)
    assert np.isnan(scores[~some]).all()


@pytest.fixture(scope="module")
def fitted() -> LinearDetector:
    rng = np.random.default_rng(1)
    return LinearDetector(bits=14).fit(texts("human", 200, rng), texts("machine", 200, rng))


def test_higher_scores_mean_more_likely_synthetic(fitted: LinearDetector) -> None:
    rng = np.random.default_rng(2)
    human, machine = (fitted.score(texts(kind, 200, rng)) for kind in ("human", "machine"))
    assert auroc(human, machine) > 0.9
    assert np.median(human) < 0 < np.median(machine)


def test_a_score_does_not_depend_on_its_neighbours(fitted: LinearDetector) -> None:
    rng = np.random.default_rng(3)
    batch = [*texts("human", 5, rng), "", "x", "y" * 100_000]
    alone = np.concatenate([fitted.score([text]) for text in batch])
    assert np.array_equal(fitted.score(batch), alone, equal_nan=True)
    assert np.isnan(alone[5]) and np.isfinite(alone[[0, 6, 7]]).all()


def test_fitting_twice_gives_the_same_weights(fitted: LinearDetector) -> None:
    rng = np.random.default_rng(1)
    again = LinearDetector(bits=14).fit(texts("human", 200, rng), texts("machine", 200, rng))
    assert np.array_equal(again.weights, fitted.weights)


def test_evidence_names_the_words_that_decided(fitted: LinearDetector) -> None:
    text = " ".join(["word1"] * 10 + ["delve3", "delve4"] + ["word2"] * 10)
    evidence = fitted.evidence(text, most=4)
    assert any("delve" in word for word, _ in evidence)
    whole = fitted.evidence(text, most=10_000)
    total = sum(nats for _, nats in whole) + fitted.bias
    assert total == pytest.approx(float(fitted.score([text])[0]), abs=1e-6)


def test_only_the_window_of_a_text_is_scored() -> None:
    rng = np.random.default_rng(4)
    detector = LinearDetector(Window(20), bits=12)
    detector.fit(texts("human", 60, rng), texts("machine", 60, rng))
    end = " ".join(["word1 word2"] * 10)
    same = detector.score([end, "delve1 " * 50 + end])
    assert same[0] == same[1]


def test_bad_training_sets_are_one_clear_line() -> None:
    rng = np.random.default_rng(5)
    human = texts("human", 30, rng)
    for one, two in ((human, []), ([], human), (human, ["", " "] * 30), (human[:3], human[3:6])):
        with pytest.raises(DetectorError, match="at least 20"):
            LinearDetector(bits=10).fit(one, two)
    with pytest.raises(DetectorError, match="two different classes"):
        LinearDetector(bits=10).fit(human, human)
    with pytest.raises(DetectorError, match="fitted"):
        LinearDetector().score(["text"])
