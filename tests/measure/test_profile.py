"""Profiles are a monoid: shards merged are the whole, to the byte, whatever the cut."""

from __future__ import annotations

import time
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.measure.blocks import BlockTable, block_bits, block_of
from tailguard.measure.categories import KEEP_VALUES, OTHER, Categories
from tailguard.measure.profile import Profile, ProfileBuilder, profile_texts
from tailguard.measure.store import dump_profile

SMALL = {"keep_types": 300, "keep_documents": 12}
VOCABULARY = ["tail", "the", "of", "risk.", "model", "Don't", "été", "数据", "run", "run", "!"]
texts = st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join), max_size=20)


def small(corpus: list[str]) -> Profile:
    return profile_texts(corpus, **SMALL)


def zipf_documents(n: int, words: int, seed: int) -> list[str]:
    rows = np.random.default_rng(seed).zipf(1.3, (n, words)) % 30_000
    return [" ".join(f"w{x}" for x in row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(texts, st.randoms(use_true_random=False))
def test_merged_shards_are_the_whole_to_the_byte(corpus: list[str], random: object) -> None:
    whole = dump_profile(small(corpus))
    parts: list[list[str]] = [[], [], []]
    for text in random.sample(corpus, len(corpus)):  # type: ignore[attr-defined]
        parts[random.randrange(3)].append(text)  # type: ignore[attr-defined]
    a, b, c = map(small, parts)
    assert dump_profile(a.merge(b).merge(c)) == whole
    assert dump_profile(c.merge(b.merge(a))) == whole
    assert dump_profile(a.merge(Profile.empty(**SMALL)).merge(c.merge(b))) == whole


def test_a_corpus_larger_than_its_sample_merges_to_the_byte_too() -> None:
    corpus = zipf_documents(700, 60, 0)
    sizes = {"keep_types": 900, "keep_documents": 40}
    whole = profile_texts(corpus, **sizes)
    assert whole.grams[0].rate < 1 and len(whole.documents) == 40
    rng = np.random.default_rng(1)
    for _ in range(3):
        side = rng.integers(0, 4, len(corpus))
        order = rng.permutation(len(corpus))
        parts = [
            profile_texts([corpus[i] for i in order if side[i] == s], **sizes) for s in range(4)
        ]
        assert dump_profile(reduce(Profile.merge, parts)) == dump_profile(whole)


@pytest.mark.parametrize("documents", [1023, 1024, 1025, 16_384, 16_385])
def test_blocks_grow_coarser_alike_for_streams_batches_and_merges(documents: int) -> None:
    """At 1,024 and 16,384 documents blocks are united; when it happens must not show."""
    corpus = [f"w{i % 97} w{i % 89} w{i}" for i in range(documents)]
    sizes = {"keep_types": 500, "keep_documents": 8}
    whole = profile_texts(corpus, **sizes)
    assert whole.table.bits == block_bits(documents)
    builder = ProfileBuilder(**sizes)
    for start in range(0, documents, 999):
        builder.add(pa.array(corpus[start : start + 999]))
    assert dump_profile(builder.finish()) == dump_profile(whole)
    cut = documents // 3
    merged = profile_texts(corpus[:cut], **sizes).merge(profile_texts(corpus[cut:], **sizes))
    assert dump_profile(merged) == dump_profile(whole)


def test_totals_are_those_of_the_documents() -> None:
    corpus = ["the cat sat.", "", "cats, dogs", "Ünïcödé", "the cat sat."]
    found = profile_texts(corpus)
    assert found.n_documents == 5 and found.table.total("empty") == 1
    assert found.n_bytes == sum(len(text.encode()) for text in corpus)
    assert found.n_tokens == 4 + 0 + 3 + 1 + 4
    assert [int(sample.totals().sum()) for sample in found.grams] == [12, 8, 5, 2]
    assert [found.table.total(name) for name in ("triples", "grams")] == [5, 2]
    assert found.table.total("unfinished") == 2
    assert found.categories.counts["language"] == {"unknown": 5}
    assert found.names.of_hashes(found.grams[0].types).count("cat") == 1
    assert len(found.fingerprint()) == 64


def test_a_word_has_one_name_whichever_shard_met_it_first() -> None:
    long = "x" * 60 + "a’tb"
    for a, b in [("CAT don’t ----", "cat don't -"), (long, long.replace("’", "'"))]:
        one, other = profile_texts([a]).names, profile_texts([b]).names
        assert dict(zip(one.hashes, one.texts, strict=True)) == dict(
            zip(other.hashes, other.texts, strict=True)
        )


def test_quantiles_of_length_are_right_to_a_quarter_octave() -> None:
    lengths = [1, 4, 4, 9, 33, 200, 5000]
    found = profile_texts([" ".join(["w"] * n) for n in lengths])
    for q, expected in ((0.0, 1), (0.5, 9), (0.7, 33), (1.0, 5000)):
        assert found.length_quantile(q) == pytest.approx(expected, rel=0.2)
    later = profile_texts(["a b c d e f g h"] * 3)
    assert later.length_quantile(0.0) == pytest.approx(8, rel=0.2)
    assert np.isnan(Profile.empty().length_quantile(0.5))


def test_a_million_empty_documents_take_seconds() -> None:
    started = time.perf_counter()
    found = profile_texts(pa.array([""]).take(pa.array(np.zeros(1_000_000, np.int64))))
    assert found.n_documents == found.table.total("empty") == 1_000_000
    assert time.perf_counter() - started < 20


def test_a_block_holds_whole_documents() -> None:
    """The counts of a block are those of its documents, so leaving it out leaves them out."""
    corpus = zipf_documents(300, 30, 2)
    found = profile_texts(corpus)
    chosen = np.zeros(1 << found.table.bits, bool)
    chosen[::2] = True
    inside = [t for t in corpus if profile_texts([t]).table.scalars[chosen, 0].sum()]
    assert 100 < len(inside) < 200
    part = profile_texts(inside)
    for order in range(4):
        totals = found.grams[order].totals_in(chosen)
        assert totals[totals > 0].tolist() == part.grams[order].totals().tolist()
    assert (found.table.scalars[chosen] == part.table.scalars[chosen]).all()


def test_documents_spread_evenly_over_blocks() -> None:
    content = np.random.default_rng(0).integers(0, 2**64, 40_960, np.uint64)
    counts = np.bincount(block_of(content, 8), minlength=256)
    assert counts.min() > 160 - 5 * np.sqrt(160) and counts.max() < 160 + 5 * np.sqrt(160)


@settings(deadline=None)
@given(st.integers(0, 40_000), st.integers(0, 40_000))
def test_a_larger_corpus_never_has_finer_blocks(a: int, b: int) -> None:
    assert block_bits(a + b) <= min(block_bits(a), block_bits(b))


def test_uniting_blocks_keeps_every_sum() -> None:
    table = profile_texts(zipf_documents(200, 20, 3)).table
    for bits in (10, 8):
        coarse = table.coarsen(bits)
        assert coarse.bits == bits
        assert (coarse.scalars.sum(0) == table.scalars.sum(0)).all()
        assert (coarse.repeats.sum(0) == table.repeats.sum(0)).all()
    assert BlockTable.empty().merge(table).documents == 200


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3 * KEEP_VALUES), min_size=1, max_size=4), st.integers(0, 2))
def test_categories_stay_bounded_and_merge_in_any_order(starts: list[int], gap: int) -> None:
    parts = [
        Categories({"source": {f"s{i:06d}": 1 + i % 3 for i in range(s, s + 2500 * gap + 9)}})
        for s in starts
    ]
    ahead = reduce(Categories.merge, parts, Categories.empty())
    back = reduce(lambda a, b: b.merge(a), parts, Categories.empty())
    assert ahead.counts == back.counts
    counts = ahead.counts["source"]
    assert len(counts) <= KEEP_VALUES + 1
    assert sum(counts.values()) == sum(sum(p.counts["source"].values()) for p in parts)
    plain = sorted({key for p in parts for key in p.counts["source"]})
    assert [key for key in counts if key != OTHER] == plain[:KEEP_VALUES]
