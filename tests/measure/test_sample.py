"""The type sample against a dictionary: exact counts, whatever the order and the merging."""

from __future__ import annotations

from collections import Counter
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.measure.base import Hashes, Ints
from tailguard.measure.sample import EVERYTHING, TypeCounter, TypeSample
from tailguard.measure.tokens import mix64

Document = tuple[int, list[int]]  # block, types
documents = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 30), max_size=12)), max_size=12
)


def spread(types: Ints | list[int]) -> Hashes:
    """Well mixed hashes of small numbers."""
    with np.errstate(over="ignore"):
        x = np.array(types, np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
        return np.array([mix64.py_func(value) for value in x], np.uint64)


def packed(corpus: list[Document]) -> tuple[Hashes, Ints, np.ndarray]:
    flat = [t for _, types in corpus for t in types]
    offsets = np.concatenate([[0], np.cumsum([len(t) for _, t in corpus])]).astype(np.int64)
    return spread(flat), offsets, np.array([b for b, _ in corpus], np.uint16)


def counted(corpus: list[Document], k: int) -> TypeSample:
    counter = TypeCounter(k)
    counter.add(*packed(corpus))
    return counter.sample()


def entries(sample: TypeSample) -> dict[tuple[int, int], int]:
    keys = zip(sample.entry_types().tolist(), sample.blocks.tolist(), strict=True)
    return dict(zip(keys, sample.counts.tolist(), strict=True))


def by_definition(corpus: list[Document], k: int) -> tuple[dict[tuple[int, int], int], int]:
    counts = Counter((int(h), b) for b, types in corpus for h in spread(types))
    kept = sorted({h for h, _ in counts})[:k]
    tau = kept[-1] if len({h for h, _ in counts}) > k else int(EVERYTHING)
    return {key: n for key, n in counts.items() if key[0] in set(kept)}, tau


def same(a: TypeSample, b: TypeSample) -> bool:
    fields = ("types", "indptr", "blocks", "counts")
    return (a.k, a.tau) == (b.k, b.tau) and all(
        getattr(a, f).tobytes() == getattr(b, f).tobytes()
        and getattr(a, f).dtype == getattr(b, f).dtype
        for f in fields
    )


@settings(deadline=None)
@given(documents, st.integers(1, 40))
def test_a_sample_is_the_dictionary_of_the_k_smallest_hashes(
    corpus: list[Document], k: int
) -> None:
    sample = counted(corpus, k)
    expected, tau = by_definition(corpus, k)
    assert entries(sample) == expected
    assert int(sample.tau) == tau
    assert (np.diff(sample.types.astype(object)) > 0).all() if len(sample.types) > 1 else True


@settings(deadline=None)
@given(documents, st.integers(1, 20), st.randoms(use_true_random=False))
def test_order_shards_and_merge_tree_leave_every_byte_alone(
    corpus: list[Document], k: int, random: object
) -> None:
    whole = counted(corpus, k)
    shuffled = list(corpus)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    parts: list[list[Document]] = [[] for _ in range(4)]
    for document in shuffled:
        parts[random.randrange(4)].append(document)  # type: ignore[attr-defined]
    samples = [counted(part, k) for part in parts]
    assert same(reduce(TypeSample.merge, samples), whole)
    assert same(reduce(lambda a, b: b.merge(a), samples), whole)
    a, b, c, d = samples
    assert same(a.merge(b).merge(c.merge(d)), whole)
    assert same(a.merge(b.merge(c.merge(d))), whole)


@settings(deadline=None)
@given(documents, st.integers(1, 20))
def test_nothing_added_changes_nothing(corpus: list[Document], k: int) -> None:
    sample, empty = counted(corpus, k), TypeSample.empty(k)
    assert same(sample.merge(empty), sample) and same(empty.merge(sample), sample)
    assert same(counted([], k), empty)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_the_table_grows_and_prunes_without_losing_a_count(k: int, seed: int) -> None:
    """Hundreds of thousands of types, many times the table's first size, fed in odd pieces."""
    rng = np.random.default_rng(seed)
    types = rng.integers(0, 2**64, 250_000, np.uint64)
    hashes = types[rng.integers(0, len(types), 600_000)]
    cuts = np.sort(rng.integers(0, len(hashes), 60))
    offsets = np.concatenate([[0], cuts, [len(hashes)]]).astype(np.int64)
    block = rng.integers(0, 16, len(offsets) - 1).astype(np.uint16)
    counter = TypeCounter(k)
    for first in range(0, len(block), 7):
        last = min(first + 7, len(block))
        piece = hashes[offsets[first] : offsets[last]]
        counter.add(piece, offsets[first : last + 1] - offsets[first], block[first:last])
    sample = counter.sample()
    expected, counts = np.unique(hashes, return_counts=True)
    assert (sample.types == expected[:k]).all()
    assert (sample.totals() == counts[:k]).all()
    chosen = np.arange(16) < 5
    there = np.repeat(block < 5, np.diff(offsets))
    inside = np.unique(np.concatenate([hashes[there], expected]), return_counts=True)[1] - 1
    assert (sample.totals_in(chosen) == inside[:k]).all()


def test_a_million_equal_tokens_are_one_type() -> None:
    counter = TypeCounter(10)
    hashes = np.full(1_000_000, 12345, np.uint64)
    counter.add(hashes, np.array([0, 1_000_000]), np.zeros(1, np.uint16))
    sample = counter.sample()
    assert sample.totals().tolist() == [1_000_000] and sample.rate == 1.0


def test_the_zero_and_the_largest_hash_are_types_like_others() -> None:
    hashes = np.array([0, 0, 2**64 - 1], np.uint64)
    counter = TypeCounter(5)
    counter.add(hashes, np.array([0, 3]), np.zeros(1, np.uint16))
    assert counter.sample().totals().tolist() == [2, 1]


def test_rate_is_the_share_of_types_kept() -> None:
    types = np.random.default_rng(3).integers(0, 2**64, 100_000, np.uint64)
    sample = TypeSample.of_entries(
        5000, EVERYTHING, types, np.zeros(len(types), np.uint16), np.ones(len(types), np.uint32)
    )
    assert sample.rate == pytest.approx(0.05, rel=0.06)  # four standard errors
    assert len(sample.types) == 5000


@settings(deadline=None)
@given(documents, st.integers(1, 20), st.integers(0, 2**64 - 1))
def test_a_restricted_sample_holds_the_types_up_to_the_threshold(
    corpus: list[Document], k: int, tau: int
) -> None:
    sample = counted(corpus, k)
    cut = sample.restrict(np.uint64(tau))
    assert entries(cut) == {key: n for key, n in entries(sample).items() if key[0] <= tau}
    assert cut.tau == min(int(sample.tau), tau)


@settings(deadline=None)
@given(documents, st.integers(1, 20))
def test_uniting_blocks_early_or_late_gives_the_same(corpus: list[Document], k: int) -> None:
    halves = np.array([0, 0, 1, 1], np.uint16)
    united = counted([(b // 2, types) for b, types in corpus], k)
    assert same(counted(corpus, k).relabel(halves), united)
    middle = len(corpus) // 2
    counter = TypeCounter(k)
    counter.add(*packed(corpus[:middle]))
    counter.relabel(halves)
    counter.add(*packed([(b // 2, types) for b, types in corpus[middle:]]))
    assert same(counter.sample(), united)


def test_gold_and_batch_keep_the_same_types() -> None:
    """Of the types both have, those kept by one and not the other lie above a threshold."""
    rng = np.random.default_rng(8)
    types = rng.integers(0, 2**64, 4000, np.uint64)
    sides = []
    for picks in (types[:3000], types[1000:]):
        counter = TypeCounter(300)
        counter.add(picks, np.array([0, len(picks)]), np.zeros(1, np.uint16))
        sides.append(counter.sample())
    tau = min(side.tau for side in sides)
    a, b = (set(side.restrict(tau).types.tolist()) for side in sides)
    common = set(types[1000:3000].tolist())
    assert a & common == b & common and len(a & b) > 100
