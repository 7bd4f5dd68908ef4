"""Loops, repeated n-grams and near-duplicates: planted ones found, plain definitions as oracles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.errors import InputError
from tailguard.measure.base import Hashes, Ints
from tailguard.measure.repetition import (
    LONGEST_PERIOD,
    minhash,
    near_duplicate_rate,
    near_duplicates,
    repetition,
)

Document = Sequence[int]


def tokens(documents: Sequence[Document]) -> tuple[Hashes, Ints]:
    flat = np.array([word for document in documents for word in document], np.uint64)
    lengths = [len(document) for document in documents]
    return flat, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)


def loop_by_definition(document: Document) -> tuple[int, int]:
    """Every stretch, every period: the longest, then the shortest period."""
    best, period = 0, 0
    for p in range(1, LONGEST_PERIOD + 1):
        for lo in range(len(document)):
            hi = lo + p
            while hi < len(document) and document[hi] == document[hi - p]:
                hi += 1
            if hi <= len(document) and hi - lo >= 3 * p and hi - lo > best:
                best, period = hi - lo, p
    return best, period


@given(
    st.lists(
        st.one_of(
            st.lists(st.integers(0, 3), max_size=40),
            # Loops with a tail and a head, whose period comes up by chance too rarely.
            st.builds(
                lambda head, unit, times, tail: head + unit * times + tail,
                st.lists(st.integers(0, 2), max_size=7),
                st.lists(st.integers(0, 5), min_size=1, max_size=9),
                st.integers(2, 5),
                st.lists(st.integers(0, 2), max_size=7),
            ),
        ),
        max_size=5,
    ),
    st.integers(1, 4),
    st.integers(1, 9),
)
@settings(max_examples=300, deadline=None)
def test_repetition_equals_its_plain_definition(
    documents: list[list[int]], n: int, window: int
) -> None:
    got = repetition(*tokens(documents), n, window)
    for d, document in enumerate(documents):
        grams = [tuple(document[i : i + n]) for i in range(len(document) - n + 1)]
        near = [gram in grams[max(i - window, 0) : i] for i, gram in enumerate(grams)]
        if grams:
            assert got.seq_rep[d] == pytest.approx(1 - len(set(grams)) / len(grams))
            assert got.windowed[d] == pytest.approx(sum(near) / len(grams))
        else:
            assert math.isnan(got.seq_rep[d]) and math.isnan(got.windowed[d])
        assert (got.loop_tokens[d], got.loop_period[d]) == loop_by_definition(document)


@pytest.mark.parametrize("period", [1, 2, 7, 31, 63, 64])
@pytest.mark.parametrize("start", [0, 1, 50, 333])
def test_a_planted_loop_is_found_with_its_length_and_period(period: int, start: int) -> None:
    unit = list(range(1000, 1000 + period))
    document = [*range(start), *(unit * 5)[: 4 * period + period // 2], *range(500, 600)]
    got = repetition(*tokens([[1, 2, 3], document]))
    assert got.loop_tokens.tolist() == [0, 4 * period + period // 2]
    assert got.loop_period.tolist() == [0, period]


def test_two_repeats_or_a_longer_unit_are_no_loop() -> None:
    twice, long = [*range(10), *range(10)], list(range(LONGEST_PERIOD + 1)) * 4
    assert repetition(*tokens([twice, long])).loop_tokens.tolist() == [0, 0]


def test_a_loop_ends_at_the_document_border() -> None:
    assert repetition(*tokens([[1, 1], [1, 1], [1]])).loop_tokens.tolist() == [0, 0, 0]


def test_the_windowed_share_does_not_grow_with_length_as_seq_rep_does() -> None:
    rng = np.random.default_rng(3)
    documents = [rng.zipf(1.3, size).clip(max=5000).tolist() for size in (1000, 50_000)]
    short, long = repetition(*tokens(documents), 2).seq_rep
    short_near, long_near = repetition(*tokens(documents), 2).windowed
    assert long > 1.4 * short
    assert long_near == pytest.approx(short_near, abs=0.05)


def test_repetition_refuses_a_window_without_tokens() -> None:
    with pytest.raises(InputError, match="window: expected at least 1"):
        repetition(*tokens([[1, 2]]), window=0)


def test_minhash_estimates_jaccard_similarity_without_bias() -> None:
    # 4000 pairs of sets of few words, so that most of the 64 bins are empty and borrow.
    rng = np.random.default_rng(11)
    shared, own, pairs = 12, 6, 4000
    words = rng.integers(1, 2**63, (pairs, shared + 2 * own), dtype=np.uint64)
    left, right = words[:, : shared + own], np.delete(words, range(shared, shared + own), axis=1)
    flat = np.stack([left, right], axis=1).ravel()
    offsets = np.arange(2 * pairs + 1) * (shared + own)
    rows = minhash(flat, offsets, n=1)
    estimates = (rows[::2] == rows[1::2]).mean(axis=1)
    error = estimates.std() / math.sqrt(pairs)
    assert abs(estimates.mean() - shared / (shared + 2 * own)) < 4 * error
    assert error < 0.004


def test_minhash_error_is_the_binomial_one_on_long_documents() -> None:
    rng = np.random.default_rng(12)
    words = rng.integers(1, 2**63, (300, 1500), dtype=np.uint64)
    flat = np.stack([words[:, :1000], words[:, 500:]], axis=1).ravel()
    rows = minhash(flat, np.arange(601) * 1000, n=1)
    estimates = (rows[::2] == rows[1::2]).mean(axis=1)
    assert estimates.mean() == pytest.approx(1 / 3, abs=4 * math.sqrt(2 / 9 / 64 / 300))
    assert estimates.std() < 1.2 * math.sqrt(2 / 9 / 64)


def test_minhash_sees_sets_of_ngrams_and_not_their_counts() -> None:
    rows = minhash(*tokens([[1, 2, 3] * 2, [1, 2, 3] * 9, [3, 2, 1] * 2]), n=2)
    assert (rows[0] == rows[1]).all() and not (rows[0] == rows[2]).any()


def test_short_documents_are_one_ngram_and_empty_ones_are_no_duplicates() -> None:
    rows = minhash(*tokens([[1, 2], [], [1, 2], [], [2, 1]]))
    pairs, similarity = near_duplicates(rows)
    assert pairs.tolist() == [[0, 2], [2, 0]] and similarity.tolist() == [1, 1]
    assert near_duplicate_rate(rows) == pytest.approx(2 / 3)


@given(
    st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([1, 5, 8, 64]), st.floats(0.05, 1)
)
@settings(max_examples=100, deadline=None)
def test_no_near_duplicate_is_missed_or_invented(
    seed: int, documents: int, width: int, threshold: float
) -> None:
    rng = np.random.default_rng(seed)
    signatures = rng.integers(0, rng.integers(2, 6), (documents, width)).astype(np.uint32)
    alike = (signatures[:, None] == signatures[None]).mean(axis=2) >= threshold - 1e-9
    np.fill_diagonal(alike, False)
    expected = [[d, int(row.argmax())] for d, row in enumerate(alike) if row.any()]
    pairs, similarity = near_duplicates(signatures, threshold=threshold)
    assert pairs.tolist() == expected
    assert (similarity >= threshold - 1e-9).all()


def test_the_rate_is_the_planted_share_whatever_the_order_of_documents() -> None:
    rng = np.random.default_rng(5)
    documents = [rng.integers(0, 10**6, 200).tolist() for _ in range(95)]
    for d in range(5):  # five copies with one word changed, so ten documents of a hundred
        documents.append([*documents[d][:100], -d % 97, *documents[d][101:]])
    for order in (range(100), rng.permutation(100)):
        rows = minhash(*tokens([documents[d] for d in order]))
        assert near_duplicate_rate(rows, threshold=0.8) == pytest.approx(0.1)


def test_fewer_than_two_documents_have_no_rate() -> None:
    assert math.isnan(near_duplicate_rate(minhash(*tokens([[1, 2, 3], []]))))
    assert math.isnan(near_duplicate_rate(minhash(*tokens([]))))


@pytest.mark.parametrize("threshold", [0.0, 1.1, float("nan")])
def test_a_threshold_that_is_no_similarity_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="threshold: expected a similarity"):
        near_duplicates(np.zeros((2, 4), np.uint32), threshold=threshold)
