"""The watermark test speaks as other detectors do, and needs no calibration to be valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from watermark_cases import KEY, KEYS, OTHER

from tailguard.detect.calibration import Target, threshold
from tailguard.detect.watermark import Scheme, WatermarkError, word_ids
from tailguard.detect.watermark.detector import WatermarkDetector
from tailguard.detect.watermark.logits import mark_logits

VOCABULARY = [f"w{i}" for i in range(60)]


def split(texts: Sequence[str]) -> list[Any]:
    return [word_ids(text.split()) for text in texts]


def written(n: int, rng: np.random.Generator, words: int = 80) -> list[str]:
    return [" ".join(rng.choice(VOCABULARY, words).tolist()) for _ in range(n)]


def marked(n: int, rng: np.random.Generator, words: int = 80) -> list[str]:
    """Texts over places of the vocabulary as token ids, marked step by step."""
    ids = rng.integers(0, 60, (n, 1))
    for _ in range(words):
        law = np.exp(mark_logits(Scheme("kgw", delta=4.0), KEY, ids, np.zeros((n, 60))))
        drawn = [rng.choice(60, p=row / row.sum()) for row in law]
        ids = np.column_stack([ids, drawn])
    return [" ".join(str(i) for i in row) for row in ids.tolist()]


def places(texts: Sequence[str]) -> list[Any]:
    return [np.array([int(word) for word in text.split()], np.int64) for text in texts]


def test_scores_of_unmarked_texts_are_bounded_by_their_law() -> None:
    rng = np.random.default_rng(0)
    texts = written(20, rng)
    scores = np.concatenate(
        [WatermarkDetector(Scheme("kgw"), [key], split).score(texts) for key in KEYS[:200]]
    )
    for t in (1.0, 2.0, 4.0):
        spread = np.sqrt(np.exp(-t) / len(KEYS[:200]))  # texts of one key depend on each other
        assert (scores > t).mean() <= np.exp(-t) + 3 * spread


def test_marked_texts_score_above_a_calibrated_threshold() -> None:
    rng = np.random.default_rng(1)
    detector = WatermarkDetector(Scheme("kgw"), [KEY, OTHER], places)
    plain = [" ".join(map(str, row)) for row in rng.integers(0, 60, (120, 81)).tolist()]
    limit = threshold(detector.score(plain), Target(0.05))
    assert (detector.score(marked(20, rng)) > limit).all()
    assert detector.fit(plain, plain) is detector


def test_a_text_scores_the_same_in_any_company() -> None:
    rng = np.random.default_rng(2)
    detector = WatermarkDetector(Scheme("unigram"), [KEY], split)
    texts = [*written(5, rng), "", "one"]
    together = detector.score(texts)
    alone = [float(detector.score([text])[0]) for text in texts]
    assert np.array_equal(together, alone, equal_nan=True)
    assert np.isnan(together[5])


def test_a_detector_without_a_key_is_refused() -> None:
    with pytest.raises(WatermarkError):
        WatermarkDetector(Scheme("kgw"), [], split)
