"""Compression ratio, distinct n-grams and n-gram entropy."""

from __future__ import annotations

import gzip
import importlib.util
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from tailguard.errors import InputError
from tailguard.measure.base import Hashes, Ints
from tailguard.measure.compression import (
    compression_ratio,
    distinct_n_per_document,
    distinct_n_pooled,
    ngram_diversity_score,
    ngram_entropy_bits,
)
from tailguard.measure.grams import ngram_hashes


def tokens(documents: Sequence[Sequence[int]]) -> tuple[Hashes, Ints]:
    flat = np.array([word for document in documents for word in document], np.uint64)
    lengths = [len(document) for document in documents]
    return flat, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=12), max_size=6),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
@settings(max_examples=100, deadline=None)
def test_pooled_measures_equal_their_definitions_in_any_order(
    documents: list[list[int]],
    n: int,
    random,  # type: ignore[no-untyped-def]
) -> None:
    counts = Counter(tuple(d[i : i + n]) for d in documents for i in range(len(d) - n + 1))
    grams, _ = ngram_hashes(*tokens(documents), n)
    shuffled, _ = ngram_hashes(*tokens(random.sample(documents, len(documents))), n)
    if not counts:
        assert math.isnan(distinct_n_pooled(grams)) and math.isnan(ngram_entropy_bits(grams))
        return
    assert distinct_n_pooled(grams) == len(counts) / counts.total()
    assert ngram_entropy_bits(grams) == pytest.approx(entropy(list(counts.values()), base=2))
    assert ngram_entropy_bits(grams) == ngram_entropy_bits(shuffled)


def test_distinct_n_of_a_hand_worked_corpus_pooled_and_per_document() -> None:
    # Bigrams: aa aa | ab | none | none. Pooled 2 of 3; per document 1/2 and 1.
    grams, at = ngram_hashes(*tokens([[1, 1, 1], [1, 2], [7], []]), 2)
    assert distinct_n_pooled(grams) == pytest.approx(2 / 3)
    per_document = distinct_n_per_document(grams, at)
    assert per_document[:2].tolist() == [0.5, 1.0] and np.isnan(per_document[2:]).all()


def test_ngram_diversity_stops_at_document_borders() -> None:
    # Words 2/4, bigrams 1/2. Joined first, as some packages do, bigrams would be ab ba ab: 2/3.
    assert ngram_diversity_score(*tokens([[1, 2], [1, 2]]), max_n=2) == pytest.approx(1.0)


def test_ngram_diversity_is_nan_when_no_document_has_an_ngram_of_some_order() -> None:
    assert math.isnan(ngram_diversity_score(*tokens([[1, 2], [3]]), max_n=3))


@pytest.mark.parametrize("codec", ["zlib", "zstd"])
def test_repeating_text_compresses_better_and_the_same_bytes_always_alike(codec: str) -> None:
    rng = np.random.default_rng(2)
    fresh = [rng.bytes(400) for _ in range(50)]
    level = 6
    ratio = compression_ratio(fresh, codec=codec, level=level)  # type: ignore[arg-type]
    again = compression_ratio(fresh[:1] * 50, codec=codec, level=level)  # type: ignore[arg-type]
    assert 0.9 < ratio < 1 and again > 20
    joined = compression_ratio(b"\n".join(fresh), codec=codec, level=level)  # type: ignore[arg-type]
    assert ratio == joined


def test_the_default_is_gzip_up_to_its_twelve_more_bytes_of_framing() -> None:
    text = b"tails are forgotten first, then modes narrow. " * 9
    assert len(text) / compression_ratio(text) == len(gzip.compress(text)) - 12


def test_documents_are_joined_by_one_newline() -> None:
    assert compression_ratio([b"\n" * 500] * 2) == compression_ratio(b"\n" * 1001)


def test_nothing_has_no_compression_ratio() -> None:
    assert math.isnan(compression_ratio(b"")) and math.isnan(compression_ratio([]))


def test_an_unknown_codec_or_level_is_refused() -> None:
    with pytest.raises(InputError, match="codec: expected 'zlib' or 'zstd'"):
        compression_ratio(b"a", codec="lzma")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="level: expected 1 to 9 for zlib, got 22"):
        compression_ratio(b"a", level=22)


def test_compression_agrees_with_the_diversity_package_but_for_its_second_gzip() -> None:
    spec = importlib.util.find_spec("diversity")
    if spec is None or spec.origin is None:
        pytest.skip("could not find 'diversity'")
    source = Path(spec.origin).with_name("compression.py")
    file_spec = importlib.util.spec_from_file_location("diversity_compression", source)
    assert file_spec is not None and file_spec.loader is not None
    peer = importlib.util.module_from_spec(file_spec)
    file_spec.loader.exec_module(peer)
    rng = np.random.default_rng(4)
    text = " ".join(map(str, rng.zipf(1.5, 40_000)))
    assert compression_ratio(text.encode()) == pytest.approx(
        peer.compression_ratio([text]), rel=0.003
    )
