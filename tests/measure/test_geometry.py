from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tailguard.errors import InputError
from tailguard.measure import geometry
from tailguard.measure.geometry import (
    effective_rank,
    participation_ratio,
    spread,
    total_variance,
    vendi,
)

ALL = [vendi, effective_rank, participation_ratio, total_variance, spread]
ORDERS = [0.0, 0.5, 1.0, 2.0, 10.0, np.inf]

tables = st.integers(2, 12).flatmap(
    lambda n: st.integers(1, 6).flatmap(
        lambda d: arrays(np.float64, (n, d), elements=st.integers(-8, 8).map(float))
    )
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("metric", ALL)
@settings(deadline=None, max_examples=40)
@given(x=tables, seed=st.integers(0, 2**32))
def test_the_order_of_the_rows_does_not_matter(metric, x, seed):
    shuffled = np.random.default_rng(seed).permutation(x)
    assert metric(shuffled) == pytest.approx(metric(x), rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("metric", [vendi, effective_rank, participation_ratio])
@settings(deadline=None, max_examples=40)
@given(x=tables)
def test_duplicating_every_row_leaves_effective_numbers_unchanged(metric, x):
    assert metric(np.vstack([x, x])) == pytest.approx(metric(x), rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("metric", [total_variance, spread])
@settings(deadline=None, max_examples=40)
@given(x=tables)
def test_duplicating_every_row_shrinks_unbiased_means_by_the_known_factor(metric, x):
    n = len(x)
    expected = metric(x) * (2 * n - 2) / (2 * n - 1)
    assert metric(np.vstack([x, x])) == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(x=tables, factor=st.floats(1e-3, 1e3))
def test_scaling_moves_the_variance_by_the_square_and_nothing_else(x, factor):
    assert total_variance(factor * x) == pytest.approx(factor**2 * total_variance(x))
    for metric in (vendi, effective_rank, participation_ratio, spread):
        assert metric(factor * x) == pytest.approx(metric(x), rel=1e-6, abs=1e-9, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(x=tables)
def test_effective_numbers_stay_between_one_and_the_rank_and_fall_with_the_order(x):
    n, d = x.shape
    if x.any(axis=1).all():
        scores = [vendi(x, q) for q in ORDERS]
        assert all(a >= b * (1 - 1e-9) for a, b in pairwise(scores))
        assert scores[-1] >= 1 - 1e-9
        assert scores[0] == pytest.approx(np.linalg.matrix_rank(x))
    if np.ptp(x, axis=0).any():
        for metric in (effective_rank, participation_ratio):
            assert 1 - 1e-9 <= metric(x) <= min(n - 1, d) + 1e-9


@pytest.mark.parametrize("q", ORDERS)
def test_m_orthogonal_groups_of_equal_size_are_m_effective_rows_at_every_order(q):
    assert vendi(np.repeat(np.eye(5), 3, axis=0), q) == pytest.approx(5)
    assert vendi(np.repeat(np.eye(5, 40), 3, axis=0), q) == pytest.approx(5)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
@pytest.mark.parametrize("q", [0.5, 1, 2])
def test_vendi_agrees_with_the_hill_number_of_the_full_kernel(rng, shape, q):
    x = rng.normal(1, 1, shape)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    weights = np.linalg.eigvalsh(unit @ unit.T / len(x)).clip(1e-15)
    entropy = -(weights * np.log(weights)).sum()
    expected = np.exp(entropy) if q == 1 else (weights**q).sum() ** (1 / (1 - q))
    assert vendi(x, q) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("q", [1, 2, 0.5])
def test_vendi_agrees_with_the_dual_of_vendi_score(rng, q):
    peer = pytest.importorskip("vendi_score.vendi")
    x = rng.normal(1, 1, (200, 12))
    assert vendi(x, q) == pytest.approx(peer.score_dual(x, q=q), rel=1e-9)


def test_vendi_agrees_with_score_x_of_vendi_score_at_order_one_only(rng):
    peer = pytest.importorskip("vendi_score.vendi")
    x = rng.normal(1, 1, (12, 60))
    peer_scores = {}
    for q in (1, 2):
        try:
            peer_scores[q] = peer.score_X(x, q=q)
        except AttributeError:  # it looks for a SciPy namespace that is gone
            pytest.skip("this vendi-score does not run on this SciPy")
    assert vendi(x, 1) == pytest.approx(peer_scores[1], rel=1e-9)
    assert peer_scores[2] == peer_scores[1]  # the peer ignores q; the day it does not, drop this
    assert vendi(x, 2) < vendi(x, 1)


def test_single_precision_does_not_invent_small_eigenvalues(rng):
    low_rank = (rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 200))).astype(np.float32)
    assert vendi(low_rank, 0.5) == pytest.approx(vendi(low_rank.astype(float), 0.5), rel=1e-9)
    assert effective_rank(low_rank) < 3.001
    assert vendi(low_rank, 0.5) < 3.01


def test_more_rows_than_one_block_give_the_same_values_as_one_block(rng, monkeypatch):
    x = rng.normal(2, 1, (100, 5))
    whole = [metric(x) for metric in ALL]
    monkeypatch.setattr(geometry, "BLOCK_ROWS", 7)
    assert [metric(x) for metric in ALL] == pytest.approx(whole, rel=1e-12)


def test_isotropic_gaussians_have_the_participation_ratio_theory_gives(rng):
    n, d = 4000, 40
    expected = d / (1 + d / n)  # E (tr S)² / E tr S² to first order for a Wishart matrix
    assert participation_ratio(rng.normal(size=(n, d))) == pytest.approx(expected, rel=0.01)


def test_an_offset_moves_no_centred_measure_even_when_it_dwarfs_the_variance(rng):
    x = rng.normal(size=(300, 6))
    for metric in (effective_rank, participation_ratio, total_variance):
        assert metric(x + 1e6) == pytest.approx(metric(x), rel=1e-6)
        assert metric((x + 100).astype(np.float32)) == pytest.approx(metric(x), rel=1e-4)


def test_ranks_of_wide_and_tall_tables_agree(rng):
    tall = rng.normal(size=(30, 10))
    wide = np.hstack([tall, np.zeros((30, 90))])
    for metric in (effective_rank, participation_ratio, total_variance, vendi):
        assert metric(wide) == pytest.approx(metric(tall), rel=1e-9)


def test_spread_agrees_with_the_mean_over_all_pairs(rng):
    x = rng.normal(0.3, 1, (40, 9))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[~np.eye(40, dtype=bool)]
    assert spread(x) == pytest.approx(1 - cosines.mean(), rel=1e-12)


def test_undefined_cases_are_nan():
    empty, one, same = np.empty((0, 3)), np.ones((1, 3)), np.ones((5, 3))
    assert all(np.isnan(metric(empty)) for metric in ALL)
    assert all(np.isnan(metric(one)) for metric in ALL if metric is not vendi)
    assert vendi(one) == pytest.approx(1)
    assert np.isnan(effective_rank(same)) and np.isnan(participation_ratio(same))
    assert total_variance(same) == 0 and spread(same) == pytest.approx(0)
    with_zero_row = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert np.isnan(vendi(with_zero_row)) and np.isnan(spread(with_zero_row))


@pytest.mark.parametrize(
    "bad",
    [
        [[1.0, np.nan]],
        [[1.0, np.inf]],
        [[1e200, 0.0]],
        [1.0, 2.0],
        np.empty((3, 0)),
        [["a", "b"]],
        [[1.0], [1.0, 2.0]],
        [[1j]],
        None,
    ],
    ids=str,
)
@pytest.mark.parametrize("metric", ALL)
def test_what_is_not_a_finite_table_is_refused_in_one_line(metric, bad):
    with pytest.raises(InputError, match=f"{metric.__name__}: expected") as caught:
        metric(bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("q", [-1.0, np.nan])
def test_an_impossible_order_is_refused(q):
    with pytest.raises(InputError, match="order q"):
        vendi(np.eye(2), q)
