"""What a text that is not marked looks like: exact laws over the random key."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, gamma, kstest
from watermark_cases import KEY, KEYS, reference_siphash, repetitive

from tailguard.detect.watermark import SCHEMES, Scheme, WatermarkKey
from tailguard.detect.watermark.nulls import attainable, holm, p_values, randomised
from tailguard.detect.watermark.prf import siphash
from tailguard.detect.watermark.tokens import flatten
from tailguard.detect.watermark.units import collect, collect_with, unit_scores
from tailguard.detect.watermark.windows import best_window

ALL = [Scheme(name) for name in SCHEMES]
N = 20_000


def test_the_reference_function_gives_the_published_siphash_vectors() -> None:
    # Aumasson & Bernstein's test key 00..0f; messages 00..(n-1) of SipHash-2-4.
    words = [0x0706050403020100, 0x0F0E0D0C0B0A0908]
    assert reference_siphash(words, [], 2, 4) == 0x726FDB47DD0E0E31
    assert reference_siphash(words, words[:1], 2, 4) == 0x93F5F5799A932462
    assert reference_siphash(words, words, 2, 4) == 0x3F2ACC7F57C29BDB
    assert reference_siphash(words, [], 1, 3) == 0xABAC0158050FC4DC


@given(st.lists(st.integers(0, 2**64 - 1), max_size=6), st.tuples(*[st.integers(0, 2**64 - 1)] * 2))
@settings(max_examples=60, deadline=None)
def test_the_compiled_function_is_siphash_one_three(words: list[int], key: tuple[int, int]) -> None:
    compiled = siphash(np.array(key, np.uint64), np.array(words, np.uint64))
    assert int(compiled) == reference_siphash(list(key), words, 1, 3)


def test_values_of_a_text_are_the_function_of_context_and_token() -> None:
    tokens, offsets = flatten([[5, 6, 7, 8, 9, 10]])
    scheme = Scheme("synthid")
    units, words = collect(tokens, offsets, scheme, KEY), KEY.words(scheme)
    expected = [reference_siphash([int(w) for w in words[:2]], list(range(i, i + 5)), 1, 3)
                for i in (5, 6)]  # fmt: skip
    assert units.values.tolist() == expected
    assert units.places.tolist() == [4, 5]


def test_self_hash_scores_the_pair_that_wins_and_no_other_context_token() -> None:
    scheme = Scheme("kgw-self")
    words = [int(w) for w in KEY.words(scheme)]
    context, token = [11, 12, 13], 14
    pairs = [[14, 14], [13, 14], [12, 14], [11, 14]]
    least = min(reference_siphash(words[:2], pair, 1, 3) for pair in pairs)
    units = collect(*flatten([[*context, token]]), scheme, KEY)
    assert units.values.tolist() == [reference_siphash(words[2:], [least], 1, 3)]


@pytest.mark.parametrize("scheme", ALL, ids=SCHEMES)
def test_p_values_of_repetitive_text_are_uniform_over_keys(scheme: Scheme) -> None:
    rng = np.random.default_rng(SCHEMES.index(scheme.name))
    tokens, offsets = repetitive(N, rng)
    units = collect_with(tokens, offsets, scheme, rng.integers(0, 2**64, (N, 4), np.uint64))
    some = units.counts > 0
    n, sums = units.counts[some], units.sums()[some]
    assert kstest(randomised(scheme, n, sums, rng=rng), "uniform").pvalue > 0.001
    p = p_values(scheme, n, sums)
    for level in (0.1, 0.01, 0.001):
        # More hits than this come with a chance of one in a million.
        assert (p <= level).sum() <= binom.isf(1e-6, len(p), level)


def test_counting_repeats_as_fresh_evidence_breaks_the_null() -> None:
    # The negative control: the same words counted as often as they are said.
    scheme, rng = Scheme("kgw"), np.random.default_rng(0)
    phrase = rng.integers(0, 50, (2_000, 6))
    lone = phrase[:, np.tile(np.arange(6), 10)]
    words = rng.integers(0, 2**64, (2_000, 4), np.uint64)
    units = collect_with(*flatten(list(lone)), scheme, words)
    right = p_values(scheme, units.counts, units.sums())
    wrong = p_values(scheme, 10 * units.counts, 10 * units.sums())
    assert (right <= 0.01).mean() <= 0.02 < 0.05 < (wrong <= 0.01).mean()


@pytest.mark.parametrize("scheme", ALL, ids=SCHEMES)
def test_repeating_a_text_adds_at_most_the_seam(scheme: Scheme) -> None:
    text = np.random.default_rng(3).integers(0, 30, 80).tolist()
    units = collect(*flatten([text, text * 5]), scheme, KEY)
    once, often = units.counts
    assert once <= often <= once + scheme.context
    assert set(units.values[:once].tolist()) <= set(units.values[once:].tolist())


def test_unigram_counts_types_and_its_null_is_binomial_over_them() -> None:
    scheme = Scheme("unigram", gamma=0.5)
    text = [1, 1, 1, 2, 2, 3] * 50
    greens = [collect(*flatten([text]), scheme, key).sums()[0] for key in KEYS]
    assert collect(*flatten([text]), scheme, KEY).counts.tolist() == [3]
    shares = np.bincount(np.array(greens, int), minlength=4) / len(KEYS)
    assert np.abs(shares - binom.pmf(range(4), 3, 0.5)).max() < 4 * math.sqrt(0.25 / len(KEYS))


def test_binomial_nulls_match_every_colouring_counted_by_hand() -> None:
    for share in (0.25, 0.5):
        for least in range(6):
            chance = sum(
                share ** sum(way) * (1 - share) ** (5 - sum(way))
                for way in itertools.product((0, 1), repeat=5)
                if sum(way) >= least
            )
            assert p_values(Scheme("kgw", gamma=share), 5, least) == pytest.approx(chance)


def test_p_values_agree_with_the_published_laws_deep_in_the_tail() -> None:
    n = np.array([1, 40, 900])
    for name, law, sums in (
        ("kgw", lambda s: binom.sf(s - 1, n, 0.25), [1, 35, 600]),
        ("synthid", lambda s: binom.sf(s - 1, n * 30, 0.5), [30, 900, 15_000]),
        ("exp", lambda s: gamma.sf(s, n), [30.0, 120.0, 1_500.0]),
    ):
        found = p_values(Scheme(name), n, sums)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, law(np.array(sums)), rtol=1e-8)
        assert found.min() > 0


def test_no_units_mean_no_p_value_and_certain_sums_mean_one() -> None:
    for scheme in ALL:
        assert np.isnan(p_values(scheme, 0, 0.0)) and np.isnan(attainable(scheme, 0))
        assert p_values(scheme, 7, 0.0) == 1.0
    assert p_values(Scheme("kgw"), 3, 4) < 1e-300


def test_scores_under_the_null_have_the_moments_of_their_law() -> None:
    values = np.random.default_rng(1).integers(0, 2**64, 200_000, np.uint64)
    for scheme, mean, var in (
        (Scheme("kgw", gamma=0.3), 0.3, 0.21),
        (Scheme("exp"), 1.0, 1.0),
        (Scheme("synthid", layers=64), 32.0, 16.0),
        (Scheme("synthid", layers=1), 0.5, 0.25),
    ):
        scores = unit_scores(scheme, values)
        assert abs(scores.mean() - mean) < 5 * math.sqrt(var / len(values))
        assert scores.var() == pytest.approx(var, rel=0.03)
        assert np.isfinite(scores).all()
    extremes = unit_scores(Scheme("exp"), np.array([0, 2**64 - 1], np.uint64))
    assert 0 < extremes[0] < 1e-15 and 36 < extremes[1] < 38


@pytest.mark.parametrize("name", ["kgw", "exp"])
def test_the_best_window_keeps_its_rate_however_many_windows(name: str) -> None:
    scheme, rng = Scheme(name), np.random.default_rng(8)  # type: ignore[arg-type]
    p, raw = [], []
    for _ in range(1_500):
        scores = unit_scores(scheme, rng.integers(0, 2**64, 300, np.uint64))
        window = best_window(scheme, scores)
        assert window is not None
        p.append(window.p)
        raw.append(window.p_raw)
    assert (np.array(p) <= 0.05).sum() <= binom.isf(1e-6, len(p), 0.05)
    assert (np.array(raw) <= 0.05).mean() > 0.2  # uncorrected, the search would be a fraud
    assert (np.array(p) <= 0.3).mean() > 0.02  # nor is the correction a way never to find


@given(st.integers(1, 3_000))
@settings(max_examples=40, deadline=None)
def test_every_window_lies_inside_the_document(n: int) -> None:
    scores = np.zeros(n)
    scores[-min(n, 30) :] = 1
    found = best_window(Scheme("kgw"), scores)
    assert found is not None
    assert 0 <= found.first < found.stop <= n and found.p_raw <= found.p <= 1
    assert best_window(Scheme("kgw"), np.zeros(0)) is None


def test_holm_keeps_the_familywise_rate_and_lets_nan_be() -> None:
    rng = np.random.default_rng(2)
    p = holm(rng.random((20_000, 5)))
    assert (p.min(axis=1) <= 0.05).sum() <= binom.isf(1e-6, 20_000, 0.05)
    assert (p.min(axis=1) <= 0.05).mean() > 0.04
    kept = holm([0.2, math.nan, 0.01])
    assert math.isnan(kept[1]) and kept[[0, 2]].tolist() == [0.2, 0.02]


def test_schemes_and_settings_of_one_secret_share_nothing() -> None:
    schemes = [*ALL, Scheme("kgw", gamma=0.5), Scheme("kgw", width=2), Scheme("synthid", layers=9)]
    words = [tuple(KEY.words(scheme).tolist()) for scheme in schemes]
    assert len(set(words)) == len(schemes)
    assert (KEY.words(Scheme("kgw", delta=9.0)) == KEY.words(Scheme("kgw"))).all()
    assert (WatermarkKey(bytes(31) + b"\1").words(ALL[0]) != KEY.words(ALL[0])).all()
