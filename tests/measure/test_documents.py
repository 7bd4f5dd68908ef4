"""The document sample against a plain sort, and what its keys are for: copies enter together."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.measure.base import Floats, Hashes
from tailguard.measure.documents import KEEP_TOKENS, DocumentSample, fingerprint, gather
from tailguard.measure.grams import ngram_hashes
from tailguard.measure.tokens import Tokens, tokenize

texts = st.lists(st.text("ab .", max_size=16), max_size=14)


def marked(corpus: list[str]) -> tuple[Tokens, Hashes, Floats]:
    tokens = tokenize(corpus)
    grams = ngram_hashes(tokens.hashes, tokens.offsets, 4)
    return tokens, *fingerprint(tokens.hashes, tokens.offsets, *grams)


def sampled(corpus: list[str], k: int) -> DocumentSample:
    if not corpus:
        return DocumentSample.empty(k)
    tokens, content, keys = marked(corpus)
    return DocumentSample.of(k, tokens.hashes, tokens.offsets, content, keys, below=float("inf"))


def same(a: DocumentSample, b: DocumentSample) -> bool:
    fields = ("keys", "content", "copies", "lengths", "tokens", "offsets")
    return a.k == b.k and all(
        getattr(a, f).tobytes() == getattr(b, f).tobytes()
        and getattr(a, f).dtype == getattr(b, f).dtype
        for f in fields
    )


@settings(deadline=None)
@given(texts, st.integers(1, 9))
def test_a_sample_is_the_distinct_documents_of_smallest_key(corpus: list[str], k: int) -> None:
    sample = sampled(corpus, k)
    if not corpus:
        assert len(sample) == 0
        return
    tokens, content, keys = marked(corpus)
    present = [d for d in range(len(corpus)) if tokens.lengths[d]]
    ranked = sorted({(keys[d], int(content[d])) for d in present})[:k]
    copies = Counter(int(content[d]) for d in present)
    first = {int(content[d]): d for d in reversed(present)}
    assert list(zip(sample.keys.tolist(), sample.content.tolist(), strict=True)) == ranked
    assert sample.copies.tolist() == [copies[c] for _, c in ranked]
    for row, (_, c) in enumerate(ranked):
        lo, hi = tokens.offsets[first[c] : first[c] + 2]
        kept = sample.tokens[sample.offsets[row] : sample.offsets[row + 1]]
        assert kept.tolist() == tokens.hashes[lo:hi].tolist()


@settings(deadline=None)
@given(texts, st.integers(1, 9), st.randoms(use_true_random=False))
def test_order_shards_and_merge_tree_leave_every_byte_alone(
    corpus: list[str], k: int, random: object
) -> None:
    whole = sampled(corpus, k)
    parts: list[list[str]] = [[], [], []]
    for text in random.sample(corpus, len(corpus)):  # type: ignore[attr-defined]
        parts[random.randrange(3)].append(text)  # type: ignore[attr-defined]
    a, b, c = (sampled(part, k) for part in parts)
    assert same(a.merge(b).merge(c), whole)
    assert same(a.merge(c.merge(b)), whole)
    assert same(c.merge(b.merge(a)), whole)
    assert same(whole.merge(DocumentSample.empty(k)), whole)
    assert same(DocumentSample.empty(k).merge(whole), whole)


def test_copies_are_counted_exactly_however_late_they_come() -> None:
    rng = np.random.default_rng(0)
    pool = [" ".join(f"w{n}" for n in row) for row in rng.integers(0, 900, (400, 12))]
    corpus = [pool[i] for i in rng.integers(0, len(pool), 4000)]
    parts = [sampled(corpus[i : i + 100], 20) for i in range(0, 4000, 100)]
    sample = reduce(DocumentSample.merge, parts)
    of_content = dict(zip(marked(pool)[1].tolist(), pool, strict=True))
    expected = Counter(corpus)
    assert [expected[of_content[c]] for c in sample.content.tolist()] == sample.copies.tolist()
    assert len(sample) == 20


def test_order_of_words_makes_another_document() -> None:
    content = marked(["a b", "b a", "a b"])[1]
    assert content[0] == content[2] != content[1]


def test_long_documents_are_cut_but_keep_their_length() -> None:
    sample = sampled([" ".join(f"w{i}" for i in range(KEEP_TOKENS + 7)), "short one"], 5)
    assert sorted(np.diff(sample.offsets).tolist()) == [2, KEEP_TOKENS]
    assert sorted(sample.lengths.tolist()) == [2, KEEP_TOKENS + 7]


def test_length_does_not_decide_who_is_sampled() -> None:
    """Keys of short and of long documents have one distribution: exponential of mean one."""
    rng = np.random.default_rng(1)
    for length in (2, 5, 40, 300):
        rows = rng.integers(0, 10**6, (2000, length))
        keys = marked([" ".join(f"w{n}" for n in row) for row in rows])[2]
        assert keys.mean() == pytest.approx(1, abs=4 / np.sqrt(2000))
        assert np.median(keys) == pytest.approx(np.log(2), abs=4 / np.sqrt(2000))


def test_near_copies_enter_together_more_often_than_strangers() -> None:
    """Of a sample of 5%, a document with one word changed of a hundred is mostly in too."""
    rng = np.random.default_rng(2)
    rows = [[f"w{n}" for n in row] for row in rng.integers(0, 10**6, (2000, 100))]
    edited = [list(row) for row in rows]
    for row in edited:
        row[int(rng.integers(100))] = "changed"
    corpus = [" ".join(row) for row in rows + edited]
    keys = marked(corpus)[2]
    inside = keys <= np.quantile(keys, 0.05)
    together = (inside[:2000] & inside[2000:]).sum() / inside[:2000].sum()
    assert together > 0.85


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), max_size=8),
    st.one_of(st.none(), st.integers(0, 5)),
)
def test_gathering_rows_is_indexing_a_list_of_lists(
    rows: list[list[int]], picks: list[int], limit: int | None
) -> None:
    values = np.array([v for row in rows for v in row], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    wanted = np.array([p % len(rows) for p in picks], np.int64)
    got, at = gather(values, offsets, wanted, limit)
    expected = [rows[i][:limit] for i in wanted]
    assert [got[a:b].tolist() for a, b in pairwise(at)] == expected
