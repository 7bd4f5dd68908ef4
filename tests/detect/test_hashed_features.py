"""Compiled features against plain Python: buckets, order, saturation, and evidence."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.detect.canonical import canonical, word_counts
from tailguard.detect.detectors.base import Prepared
from tailguard.detect.detectors.hashed import (
    LOG,
    counts_matrix,
    linear_evidence,
    linear_scores,
    weigh,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
WORDS = st.lists(st.sampled_from(["a", "b", "C", "don't", "é", "漢", "?"]), max_size=12)
SPACE = re.compile("[\x00- \x7f-\xa0\xad\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]+")
MARKS = "ab \n\x00\x1f\x7f\x80\xa0\xadé漢😀‘’“”"
MARKS += "\u2000\u200f\u2010\u2028\u202f\u205f\u2061\u3000\ufeff"
GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def mixed(x: int) -> int:
    """The last step of splitmix64, in Python."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def word_grams(clean: Prepared, row: int, bits: int) -> list[tuple[int, str]]:
    """Bucket and text of every word of a text, then of every pair."""
    at = clean.tokens.offsets
    places = range(int(at[row]), int(at[row + 1]))
    hashes = {k: int(clean.tokens.hashes[k]) for k in places}
    one = [(mixed(hashes[k]), clean.tokens.text(k)) for k in places]
    two = [
        (mixed((hashes[k - 1] * GOLDEN & MASK) + hashes[k] & MASK), clean.tokens.text(k - 1, k + 1))
        for k in places[1:]
    ]
    return [(value >> (64 - bits), name) for value, name in one + two]


def character_grams(clean: Prepared, row: int, bits: int) -> list[int]:
    """Bucket of every character 3- and 4-gram of a text."""
    packed = [int.from_bytes(letter.encode(), "big") for letter in clean.texts[row].as_py()]
    out = []
    for i in range(2, len(packed)):
        b, c, d = packed[i - 2 : i + 1]
        three = (b * GOLDEN + c) * 0xC2B2AE3D27D4EB4F + d & MASK
        out.append(mixed(three))
        if i > 2:
            out.append(mixed(three + (packed[i - 3] + 1) * 0xD6E8FEB86659FD93 & MASK))
    return [(1 << bits) + (value >> (64 - bits)) for value in out]


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.sampled_from([4, 5, 9, 18, 24]))
def test_the_matrix_is_what_plain_python_counts(given_texts: list[str], bits: int) -> None:
    clean = Prepared.of(given_texts)
    found = counts_matrix(clean, bits)
    for row in range(len(clean)):
        grams = [bucket for bucket, _ in word_grams(clean, row, bits)]
        wanted, counts = np.unique(grams + character_grams(clean, row, bits), return_counts=True)
        part = slice(found.indptr[row], found.indptr[row + 1])
        assert found.indices[part].tolist() == wanted.tolist()
        assert np.allclose(found.data[part], 1 + np.log(counts), rtol=1e-15)


def test_buckets_are_the_same_on_every_machine() -> None:
    found = counts_matrix(Prepared.of(["Die Katze schläft. 猫"]), 18)
    words = found.indices[found.indices < 1 << 18]
    assert words.tolist() == [21933, 27616, 33157, 110165, 126509, 151689, 175501, 222622, 238624]
    assert len(found.indices) - len(words) == 35
    assert int(found.indices.astype(np.int64).sum()) == 14_857_196


def test_a_bucket_stops_counting_at_255_hits() -> None:
    for times in (254, 255, 256, 1000):
        found = counts_matrix(Prepared.of(["go " * times]), 20)
        assert found.data.max() == LOG[min(times, 255)]
        assert np.count_nonzero(found.data == found.data.max()) >= 1


def test_a_text_that_fills_every_bucket_stays_in_bounds() -> None:
    rng = np.random.default_rng(0)
    text = " ".join(str(n) for n in rng.integers(0, 10**6, 3_000))
    found = counts_matrix(Prepared.of([text, "a b", text]), 4)
    assert np.diff(found.indptr).tolist()[::2] == [32, 32]
    assert found.indices[:32].tolist() == list(range(32))


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(0, 9))
def test_each_block_of_a_weighed_row_has_unit_length(given_texts: list[str], seed: int) -> None:
    counts = counts_matrix(Prepared.of(given_texts), 9)
    idf = np.random.default_rng(seed).random(1024) + 1
    dense, plain = weigh(counts, idf).toarray(), counts.toarray() * idf
    for block in (slice(0, 512), slice(512, 1024)):
        norms = np.linalg.norm(plain[:, block], axis=1, keepdims=True)
        assert np.allclose(dense[:, block], plain[:, block] / np.where(norms > 0, norms, 1))


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(0, 9), st.integers(0, 6))
def test_evidence_is_the_strongest_word_grams(
    given_: list[list[str]], seed: int, most: int
) -> None:
    rng = np.random.default_rng(seed)
    clean = Prepared.of([" ".join(words) for words in given_])
    bits = 16
    idf, weights = rng.random(2 << bits) + 1, rng.normal(size=2 << bits)
    told = linear_evidence(clean, bits, idf, weights, np.arange(len(clean)), most)
    parts = weigh(counts_matrix(clean, bits), idf).toarray() * weights
    for row, found in enumerate(told):
        names: dict[int, str] = {}
        for bucket, name in word_grams(clean, row, bits):
            names.setdefault(bucket, name)
        best = sorted(names, key=lambda b: -abs(parts[row, b]))[:most]
        assert [name for name, _ in found[:-1]] == [names[bucket] for bucket in best]
        assert [part for _, part in found[:-1]] == pytest.approx([parts[row, b] for b in best])
        if not names:
            assert found == []
        else:
            assert found[-1] == ("(characters)", pytest.approx(parts[row, 1 << bits :].sum()))


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(0, 9))
def test_all_evidence_and_the_bias_sum_to_the_score(given_texts: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    clean = Prepared.of(given_texts)
    idf, weights = rng.random(2 << 8) + 1, rng.normal(size=2 << 8)
    told = linear_evidence(clean, 8, idf, weights, np.arange(len(clean)), 10**9)
    scores = linear_scores(clean, 8, idf, weights, 0.25)
    for found, score in zip(told, scores.tolist(), strict=True):
        if found:
            assert sum(part for _, part in found) + 0.25 == pytest.approx(score, abs=1e-9)
        else:
            assert np.isnan(score)


def test_evidence_of_a_row_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(1)
    clean = Prepared.of(["the cat sat on the mat", "", "x", "a dog, a dog; a dog", "y " * 500])
    idf, weights = rng.random(2 << 12) + 1, rng.normal(size=2 << 12)
    alone = [linear_evidence(clean, 12, idf, weights, np.array([row]), 3)[0] for row in range(5)]
    rows = np.array([4, 3, 0, 0, 1, 2])
    together = linear_evidence(clean, 12, idf, weights, rows, 3)
    assert together == [alone[row] for row in rows.tolist()]
    assert linear_evidence(clean, 12, idf, weights, np.zeros(0, np.int64), 3) == []


def test_weights_of_zero_give_no_error_and_no_nan() -> None:
    clean, nothing = Prepared.of(["the cat sat on the mat"]), np.zeros(2 << 8)
    found = linear_evidence(clean, 8, nothing, nothing, np.array([0]), 3)[0]
    assert len(found) == 4 and all(part == 0.0 for _, part in found)
    assert linear_scores(clean, 8, nothing, nothing, 0.5).tolist() == [0.5]
    assert not weigh(counts_matrix(clean, 8), nothing).data.any()


@settings(deadline=None)
@given(st.lists(TEXT, max_size=5))
def test_counted_words_are_those_between_spaces(given_texts: list[str]) -> None:
    clean = canonical(given_texts)
    words = [len([w for w in text.split(" ") if w]) for text in clean.to_pylist()]
    assert word_counts(clean).tolist() == words
    assert word_counts(clean[1:]).tolist() == words[1:]


@settings(deadline=None)
@given(st.lists(st.text(MARKS, max_size=20), max_size=4))
def test_the_canonical_text_is_what_plain_python_writes(given_texts: list[str]) -> None:
    quotes = str.maketrans("‘’“”", "''\"\"")
    wanted = [SPACE.sub(" ", text).strip(" ").translate(quotes) for text in given_texts]
    assert canonical(given_texts).to_pylist() == wanted
