"""A view is measured as if its documents were a corpus of their own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.measure.profile import Profile, profile_texts
from tailguard.measure.readings import METRICS, evaluate
from tailguard.measure.view import View, at_equal_size

WHOLE_CORPUS = {"source_diversity", "language_diversity", "month_diversity"}


def documents(n: int, words: int, seed: int) -> list[str]:
    rows = np.random.default_rng(seed).zipf(1.4, (n, words)) % 5000
    return [" ".join(f"w{x}" for x in row) + "." for row in rows]


CORPUS = [*documents(90, 40, 0), "", "the end", "loop loop loop loop loop loop loop loop loop"]
PROFILE = profile_texts(CORPUS)
GOLD = View.whole(profile_texts(documents(80, 40, 1)))


def halves() -> tuple[View, View]:
    """Some of the blocks, and a profile of only their documents."""
    whole = View.whole(PROFILE)
    view = whole.random_part(whole.tokens // 2, rng=np.random.default_rng(5))
    inside = [t for t in CORPUS if profile_texts([t]).table.scalars[view.chosen, 0].any()]
    assert 20 < len(inside) < 80
    return view, View.whole(profile_texts(inside))


@pytest.mark.parametrize("name", sorted(METRICS.keys() - WHOLE_CORPUS))
def test_part_of_a_profile_measures_as_a_profile_of_the_part(name: str) -> None:
    view, alone = halves()
    metric = METRICS[name]
    # Sums over types may be taken in another order.
    expected = pytest.approx(evaluate(metric, alone, GOLD), rel=1e-12, abs=1e-12)
    assert evaluate(metric, view, GOLD) == expected
    if metric.needs_gold:
        expected = pytest.approx(evaluate(metric, GOLD, alone), rel=1e-12, abs=1e-12)
        assert evaluate(metric, GOLD, view) == expected


def test_counts_of_a_view_are_sums_over_its_documents() -> None:
    view, alone = halves()
    assert (view.tokens, view.n_documents) == (alone.tokens, alone.n_documents)
    for order in (1, 2, 3, 4):
        assert view.n_grams(order) == alone.n_grams(order) == int(alone.counts(order).sum())
        assert sorted(view.counts(order)[view.counts(order) > 0]) == sorted(alone.counts(order))
    assert view.ratio("empty", "documents") == alone.ratio("empty", "documents")
    assert math.isnan(View.whole(Profile.empty()).ratio("empty", "documents"))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 8000), st.integers(0, 2**32))
def test_parts_hold_the_tokens_asked_for_to_half_a_block(tokens: int, seed: int) -> None:
    whole = View.whole(PROFILE)
    largest = PROFILE.table.column("tokens").max()
    rng = np.random.default_rng(seed)
    for part in (whole.leading_part(tokens), whole.random_part(tokens, rng=rng)):
        assert abs(part.tokens - min(tokens, whole.tokens)) <= largest
        assert not (part.chosen & ~whole.chosen).any()


def test_at_equal_size_only_the_larger_is_cut() -> None:
    small = View.whole(PROFILE)
    big = View.whole(profile_texts(documents(400, 40, 3)))
    a, b = at_equal_size(small, big)
    assert (a.chosen == small.chosen).all()
    assert b.tokens == pytest.approx(small.tokens, rel=0.02)
    b, a = at_equal_size(big, small)
    assert (a.chosen == small.chosen).all() and b.tokens < big.tokens


def test_groups_left_out_are_disjoint_and_cover_the_view() -> None:
    view, _ = halves()
    out = [view.chosen & ~view.without_group(i, 7).chosen for i in range(7)]
    assert (np.sum(out, axis=0) == view.chosen).all()
    sizes = [group.sum() for group in out]
    assert max(sizes) - min(sizes) <= 1


def test_a_sample_of_types_estimates_what_all_types_give() -> None:
    corpus = documents(1500, 60, 9)
    every, some = profile_texts(corpus), profile_texts(corpus, keep_types=1500)
    assert some.grams[0].rate < 0.7 and some.grams[2].rate < 0.1
    for name in ("hill_0", "missing_mass", "chao1", "distinct_3_pooled", "distinct_4_pooled"):
        exact = evaluate(METRICS[name], View.whole(every), None)
        estimate = evaluate(METRICS[name], View.whole(some), None)
        assert estimate == pytest.approx(exact, rel=0.12), name


def test_many_one_word_documents_do_not_hide_the_grams_of_the_others() -> None:
    """Tokens less three per document would be below the number of 4-grams there are."""
    corpus = ["word"] * 3000 + documents(200, 40, 4) + ["round and " * 300]
    every, some = profile_texts(corpus), profile_texts(corpus, keep_types=400)
    for order in (2, 3, 4):
        exact = every.grams[order - 1].totals().sum()
        assert View.whole(some).n_grams(order) == exact
        name = f"distinct_{order}_pooled"
        value = evaluate(METRICS[name], View.whole(some), None)
        assert value == pytest.approx(evaluate(METRICS[name], View.whole(every), None), rel=0.15)


def test_copies_stand_in_a_view_as_often_as_in_the_corpus_up_to_64_times() -> None:
    tokens, offsets = View.whole(profile_texts(["a b"] * 3 + ["c"] * 100)).document_tokens
    assert sorted(np.diff(offsets).tolist()) == [1] * 64 + [2] * 3
    assert len(tokens) == 70
