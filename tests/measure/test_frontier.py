from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import jensenshannon

from tailguard.errors import InputError
from tailguard.measure.frontier import (
    default_clusters,
    frontier_area,
    js_divergence,
    mauve_frontier,
)

counts = arrays(np.int64, 6, elements=st.integers(0, 20)).filter(np.any)


@pytest.fixture
def rng():
    return np.random.default_rng(31)


def test_disjoint_histograms_have_the_area_of_the_beta_integral():
    assert frontier_area([1, 0], [0, 1]) == pytest.approx(1 / 252, rel=2e-3)


@settings(deadline=None, max_examples=40)
@given(p=counts, q=counts, order=st.permutations(range(6)))
def test_both_divergences_are_symmetric_bounded_and_blind_to_labels(p, q, order):
    for divergence, equal in ((frontier_area, 1.0), (js_divergence, 0.0)):
        found = divergence(p, q)
        assert found == pytest.approx(divergence(q, p), abs=1e-3)
        assert found == pytest.approx(divergence(p[order], q[order]), abs=1e-12)
        assert found == pytest.approx(divergence(3 * p, q), abs=1e-12)
        assert -1e-12 <= found <= 1 + 1e-12
        assert divergence(p, p) == pytest.approx(equal, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(p=counts, q=counts)
def test_js_divergence_is_the_square_of_scipys_distance(p, q):
    assert js_divergence(p, q) == pytest.approx(jensenshannon(p, q, 2) ** 2, abs=1e-7)


def test_frontier_area_agrees_with_mauve_text(rng):
    pytest.importorskip("faiss")
    mauve = pytest.importorskip("mauve.compute_mauve")
    p, q = rng.dirichlet(np.ones(20), 2)
    curve = mauve.get_divergence_curve_for_multinomials(p, q, np.linspace(1e-6, 1 - 1e-6, 100), 5)
    x, y = curve[np.argsort(curve[:, 0], kind="stable")].T
    assert frontier_area(p, q) == pytest.approx(np.trapezoid(y, x), rel=1e-3)


def test_identical_sources_of_unequal_size_have_the_js_divergence_the_correction_takes_off(rng):
    source, n, m = rng.dirichlet(np.full(30, 3.0)), 2000, 500
    draws = [(rng.multinomial(n, source), rng.multinomial(m, source)) for _ in range(300)]
    plain = np.mean([js_divergence(p, q) for p, q in draws])
    corrected = [js_divergence(p, q, null_corrected=True) for p, q in draws]
    assert plain == pytest.approx(29 / 8 * (1 / n + 1 / m) / np.log(2), rel=0.05)
    assert abs(np.mean(corrected)) < 0.05 * plain


def test_identical_sources_score_well_above_the_usual_96_at_the_default_clusters(rng):
    x, y = rng.normal(size=(2, 1000, 10))
    by_default = mauve_frontier(x, y, rng=rng)
    usual = mauve_frontier(x, y, clusters=100, rng=rng)
    assert by_default.null_mean > 0.995 and by_default.score > 0.99
    assert usual.null_mean < 0.98 and usual.score < 0.98
    assert by_default.p_value > 0.01 and usual.p_value > 0.01


def test_p_values_of_identical_sources_are_uniform_at_unequal_sizes(rng):
    p_values = [
        mauve_frontier(
            rng.normal(size=(40, 3)), rng.normal(size=(90, 3)), clusters=8, rng=rng
        ).p_value
        for _ in range(60)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_a_lost_mode_lowers_the_score_far_below_its_null(rng):
    modes = 8 * np.eye(4)
    x = rng.normal(size=(400, 4)) + modes[np.arange(400) % 4]
    y = rng.normal(size=(400, 4)) + modes[np.arange(400) % 3]
    found = mauve_frontier(x, y, rng=rng)
    assert found.score < 0.9 < 0.98 < found.null_mean
    assert found.p_value == 0.001


def test_separate_sources_fill_separate_clusters(rng):
    x, y = rng.normal(size=(2, 200, 4)).astype(np.float32)
    found = mauve_frontier(x + 20, y - 20, rng=rng)
    assert (found.p_counts * found.q_counts == 0).all()
    assert found.p_counts.sum() == found.q_counts.sum() == 200
    assert len(found.p_counts) == default_clusters(200)
    assert found.score < 0.02
    smoothed = frontier_area(found.p_counts + 0.5, found.q_counts + 0.5)
    assert found.score == pytest.approx(smoothed, rel=1e-12)


def test_fewer_distinct_rows_than_clusters_are_still_told_apart(rng):
    x, y = np.repeat([[1.0, 0], [0, 1.0]], 20, axis=0), np.repeat([[1.0, 0]], 30, axis=0)
    found = mauve_frontier(x, y, clusters=10, rng=rng)
    assert sorted(found.p_counts)[-2:] == [20, 20] and found.q_counts.max() == 30
    constant = mauve_frontier(np.zeros((9, 2)), np.zeros((5, 2)), rng=rng)
    assert constant.p_value == 1 and constant.score == pytest.approx(constant.null_mean)


def test_the_same_seed_gives_the_same_frontier(rng):
    x, y = rng.normal(size=(2, 60, 4))
    first, again = (mauve_frontier(x, y, rng=np.random.default_rng(3)) for _ in range(2))
    assert first.score == again.score and (first.null == again.null).all()


def test_undefined_cases_are_nan(rng):
    found = mauve_frontier(np.ones((1, 3)), np.ones((5, 3)), rng=rng)
    assert np.isnan([found.score, found.null_mean, found.p_value]).all()
    for divergence in (frontier_area, js_divergence):
        assert np.isnan(divergence([0, 0], [1, 2]))
        assert np.isnan(divergence([], []))


@pytest.mark.parametrize(
    ("p", "q"), [([1, -1], [1, 1]), ([1, np.nan], [1, 1]), ([[1]], [[1]]), ([1], [1, 2])]
)
@pytest.mark.parametrize("divergence", [frontier_area, js_divergence])
def test_what_is_not_a_pair_of_histograms_is_refused(divergence, p, q):
    with pytest.raises(InputError, match=divergence.__name__):
        divergence(p, q)


def test_bad_input_is_refused(rng):
    with pytest.raises(InputError, match="clusters ≥ 2"):
        mauve_frontier(np.eye(5), np.eye(5), clusters=1, rng=rng)
    with pytest.raises(InputError, match="equally many columns"):
        mauve_frontier(np.eye(5), np.eye(4), rng=rng)
