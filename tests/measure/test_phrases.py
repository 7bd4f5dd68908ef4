"""Pet phrases: found when one side has them, quiet when both do or length differs."""

from __future__ import annotations

import numpy as np
import pytest

from tailguard.measure.contrast import divisions
from tailguard.measure.phrases import (
    MOST_PHRASES,
    PHRASE_TOKENS,
    largest_excess,
    pet_phrase_effect,
    phrase_rates,
)
from tailguard.measure.tokens import tokenize

Documents = list[np.ndarray]


def packed(documents: Documents) -> tuple[np.ndarray, np.ndarray]:
    lengths = [len(d) for d in documents]
    return np.concatenate(documents), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def texts(n: int, length: int, *, rng: np.random.Generator) -> Documents:
    return [rng.integers(1, 2**63, length).astype(np.uint64) for _ in range(n)]


def with_phrase(documents: Documents, every: int, *, rng: np.random.Generator) -> Documents:
    phrase = np.arange(7, 27, dtype=np.uint64)
    out = []
    for i, words in enumerate(documents):
        at = int(rng.integers(len(words)))
        out.append(np.insert(words, at, phrase) if i % every == 0 else words)
    return out


def rates_of(documents: Documents, window: int = 512) -> np.ndarray:
    tokens, offsets = packed(documents)
    return phrase_rates(tokens, offsets, np.arange(len(documents)), window)


def test_only_phrases_that_enough_units_hold_are_looked_at() -> None:
    rng = np.random.default_rng(0)
    few = texts(20, 600, rng=rng)
    assert rates_of(few).shape == (20, 0)
    assert rates_of(with_phrase(few, 4, rng=rng)).shape[1] == 20 - PHRASE_TOKENS + 1


def test_a_rate_is_the_share_of_windows_that_hold_the_phrase() -> None:
    phrase = np.arange(7, 15, dtype=np.uint64)
    rng = np.random.default_rng(1)
    once = [np.concatenate([phrase, d]) for d in texts(6, 1016, rng=rng)]
    twice = [
        np.concatenate([phrase, d[:504], phrase, d[504:1008]]) for d in texts(6, 1016, rng=rng)
    ]
    rates = rates_of(once + twice)
    assert rates.shape[1] == 1
    assert rates[:6, 0].tolist() == [0.5] * 6
    assert rates[6:, 0].tolist() == [1.0] * 6


def test_a_template_in_a_twentieth_of_a_batch_stands_out_of_all_divisions() -> None:
    rng = np.random.default_rng(2)
    gold = texts(300, 600, rng=rng)
    batch = with_phrase(texts(200, 600, rng=rng), 20, rng=rng)
    members = divisions(np.arange(500) >= 300, 199, rng=rng)
    excess, which = largest_excess(rates_of(gold + batch), members)
    assert excess[0] > excess[1:].max()
    retention, lo, hi, _ = pet_phrase_effect(
        rates_of(gold + batch), members[0], int(which[0]), float(np.quantile(excess[1:], 0.95))
    )
    assert lo < retention < hi
    assert retention == pytest.approx(0.95, abs=0.02)


def test_a_phrase_that_both_sides_use_alike_stands_out_of_no_division() -> None:
    rng = np.random.default_rng(3)
    both = with_phrase(texts(400, 600, rng=rng), 5, rng=rng)
    members = divisions(rng.permutation(400) >= 250, 199, rng=rng)
    excess, _ = largest_excess(rates_of(both), members)
    assert np.mean(excess[1:] >= excess[0]) > 0.01


def test_documents_of_double_length_have_no_pet_phrase_for_that() -> None:
    rng = np.random.default_rng(4)
    gold = with_phrase(texts(240, 512, rng=rng), 3, rng=rng)
    parts = with_phrase(texts(240, 512, rng=rng), 3, rng=rng)
    batch = [np.concatenate(pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
    members = divisions(np.arange(360) >= 240, 199, rng=rng)
    excess, _ = largest_excess(rates_of(gold + batch), members)
    assert np.mean(excess[1:] >= excess[0]) > 0.01


def test_of_too_many_phrases_a_bounded_number_is_looked_at() -> None:
    rng = np.random.default_rng(5)
    common = rng.integers(1, 2**63, 3000).astype(np.uint64)
    assert rates_of([common] * 6).shape == (6, MOST_PHRASES)


def test_the_rulings_of_tables_are_no_phrases() -> None:
    ruled = "one + --- + | + ... + two | + === + | three"
    found = tokenize([ruled] * 8)
    assert phrase_rates(found.hashes, found.offsets, np.arange(8), 512).shape == (8, 0)
    said = tokenize(["one two three four, five six seven eight nine ten"] * 8)
    assert phrase_rates(said.hashes, said.offsets, np.arange(8), 512).shape[1] == 4


def test_no_text_has_no_phrases() -> None:
    tokens, offsets = np.zeros(0, np.uint64), np.zeros(4, np.int64)
    assert phrase_rates(tokens, offsets, np.arange(3), 512).shape == (3, 0)
