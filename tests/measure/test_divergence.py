from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from tailguard.errors import InputError
from tailguard.measure import divergence, neighbours
from tailguard.measure.divergence import (
    energy_distance,
    frechet_distance,
    median_bandwidth,
    mmd2_random_features,
    mmd2_unbiased,
    sliced_wasserstein,
)


def mmd2(x, y):
    return mmd2_unbiased(x, y, 2.0)


def mmd2_by_features(x, y):
    return mmd2_random_features(x, y, n_features=32, bandwidth=2.0, rng=np.random.default_rng(5))


def sliced(x, y):
    return sliced_wasserstein(x, y, projections=16, rng=np.random.default_rng(5))


ALL = [mmd2, mmd2_by_features, energy_distance, sliced, frechet_distance]

samples = st.integers(2, 10).flatmap(
    lambda n: arrays(np.float64, (n, 3), elements=st.integers(-4, 4).map(float))
)


@pytest.fixture
def rng():
    return np.random.default_rng(23)


@pytest.mark.parametrize("distance", ALL)
@settings(deadline=None, max_examples=30)
@given(x=samples, y=samples, seed=st.integers(0, 2**32))
def test_neither_the_order_of_rows_nor_that_of_samples_matters(distance, x, y, seed):
    shuffle = np.random.default_rng(seed).permutation
    expected = pytest.approx(distance(x, y), rel=1e-6, abs=1e-6)
    assert distance(shuffle(x), shuffle(y)) == expected
    assert distance(y, x) == expected


@pytest.mark.parametrize("distance", [energy_distance, sliced])
@settings(deadline=None, max_examples=30)
@given(x=samples, y=samples)
def test_distances_between_samples_as_they_stand_ignore_duplication(distance, x, y):
    assert distance(np.vstack([x, x]), y) == pytest.approx(distance(x, y), rel=1e-9, abs=1e-9)
    assert distance(x, np.vstack([x, x, x])) == pytest.approx(0, abs=1e-9)
    assert distance(x, y) >= -1e-9


@settings(deadline=None, max_examples=30)
@given(x=samples, y=samples)
def test_duplicating_both_samples_moves_mmd_by_the_copies_that_become_pairs(x, y):
    def within(a):  # the U-statistic after doubling, from the one before
        n = len(a)
        gram = np.exp(-cdist(a, a, "sqeuclidean") / 8)
        return (gram.sum() - n) / (n * (n - 1)), (4 * gram.sum() - 2 * n) / (2 * n * (2 * n - 1))

    gained = sum(after - before for before, after in map(within, (x, y)))
    doubled = mmd2(np.vstack([x, x]), np.vstack([y, y]))
    assert doubled == pytest.approx(mmd2(x, y) + gained, abs=1e-9)


@pytest.mark.parametrize("distance", [mmd2, energy_distance])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-10)])
def test_tiled_sums_agree_with_sums_over_the_distance_matrix(
    rng, monkeypatch, distance, dtype, tolerance
):
    monkeypatch.setattr(neighbours, "TILE", 16)
    x = rng.normal(50, 1, (41, 5)).astype(dtype)
    y = rng.normal(51, 2, (67, 5)).astype(dtype)
    if distance is energy_distance:
        expected = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    else:
        expected = (
            np.exp(-(pdist(x) ** 2) / 8).mean()
            + np.exp(-(pdist(y) ** 2) / 8).mean()
            - 2 * np.exp(-(cdist(x, y) ** 2) / 8).mean()
        )
    assert distance(x, y) == pytest.approx(expected, abs=tolerance)


def gaussian_mmd2(shift, d, bandwidth, s, t):
    """MMD² between N(0, s²I) and N(shift, t²I) under the Gaussian kernel, in closed form."""

    def mean_kernel(variance, gap):
        ratio = bandwidth**2 / (bandwidth**2 + variance)
        return ratio ** (d / 2) * np.exp(-(gap**2) / (2 * (bandwidth**2 + variance)))

    within = mean_kernel(2 * s**2, 0) + mean_kernel(2 * t**2, 0)
    return within - 2 * mean_kernel(s**2 + t**2, shift)


@pytest.mark.parametrize(("shift", "t"), [(0.0, 1.0), (1.0, 1.0), (0.0, 1.5)])
def test_mmd_is_unbiased_for_gaussians_at_unequal_sizes(rng, shift, t):
    d, bandwidth, draws = 3, 2.0, 300
    exact, by_features = np.empty(draws), np.empty(draws)
    for i in range(draws):
        x, y = rng.normal(size=(12, d)), t * rng.normal(size=(30, d))
        y[:, 0] += shift
        exact[i] = mmd2_unbiased(x, y, bandwidth)
        by_features[i] = mmd2_random_features(x, y, n_features=8, bandwidth=bandwidth, rng=rng)
    truth = gaussian_mmd2(shift, d, bandwidth, 1.0, t)
    for found in (exact, by_features):
        assert abs(found.mean() - truth) < 4 * found.std() / np.sqrt(draws)


def test_random_features_come_closer_to_the_exact_mmd_as_they_grow(rng):
    x, y = rng.normal(size=(200, 8)), rng.normal(0.5, 1, size=(150, 8))
    exact = mmd2_unbiased(x, y, 3.0)

    def typical_error(n_features):
        return np.mean(
            [
                abs(
                    mmd2_random_features(x, y, n_features=n_features, bandwidth=3.0, rng=rng)
                    - exact
                )
                for _ in range(12)
            ]
        )

    assert typical_error(512) < typical_error(8) / 4  # theory: 8
    assert typical_error(512) < 0.15 * exact


def test_energy_distance_is_the_square_of_scipys_in_one_dimension(rng):
    x, y = rng.normal(size=80), rng.normal(1, 2, size=55)
    found = energy_distance(x[:, None], y[:, None])
    assert found == pytest.approx(stats.energy_distance(x, y) ** 2, rel=1e-9)


def test_energy_distance_of_gaussians_is_the_closed_form_plus_the_bias_of_its_size(rng):
    n, m, shift, draws = 60, 150, 1.0, 200

    def mean_gap(mean, sd):  # E|N(mean, sd²)|
        return sd * np.sqrt(2 / np.pi) * np.exp(-(mean**2) / (2 * sd**2)) + mean * (
            1 - 2 * stats.norm.cdf(-mean / sd)
        )

    alone = mean_gap(0, np.sqrt(2))
    truth = 2 * mean_gap(shift, np.sqrt(2)) - 2 * alone + alone * (1 / n + 1 / m)
    found = [
        energy_distance(rng.normal(size=(n, 1)), rng.normal(shift, 1, size=(m, 1)))
        for _ in range(draws)
    ]
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / np.sqrt(draws)


@pytest.mark.parametrize(("n", "m"), [(60, 60), (60, 37), (1, 10), (12, 18)])
def test_sliced_wasserstein_of_order_one_is_scipys_in_one_dimension(rng, n, m):
    x, y = rng.normal(size=n), rng.normal(1, 2, size=m)
    found = sliced_wasserstein(x[:, None], y[:, None], projections=3, rng=rng, p=1)
    assert found == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-9)


def test_wasserstein_of_two_gaussian_quantile_samples_is_the_closed_form(rng):
    x = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    y = 3 + 2 * stats.norm.ppf((np.arange(3000) + 0.5) / 3000)
    found = sliced_wasserstein(x[:, None], y[:, None], projections=1, rng=rng)
    assert found == pytest.approx(np.hypot(3, 2 - 1), rel=1e-3)


def test_sliced_wasserstein_of_a_shift_is_the_shift_over_root_d(rng):
    x = rng.normal(size=(500, 6))
    shift = np.array([3.0, 0, 0, 4, 0, 0])
    found = sliced_wasserstein(x, x + shift, projections=20_000, rng=rng)
    assert found == pytest.approx(5 / np.sqrt(6), rel=0.02)


def test_single_precision_survives_an_offset_that_dwarfs_the_difference(rng):
    x, y = rng.normal(size=(200, 8)), rng.normal(1, 1, size=(200, 8))
    near = np.array([distance(x, y) for distance in ALL])
    far = [distance((x + 1000).astype("f4"), (y + 1000).astype("f4")) for distance in ALL]
    assert far == pytest.approx(near, rel=2e-3)
    assert divergence.median_bandwidth((x + 1000).astype("f4"), rng=rng) == pytest.approx(
        np.median(pdist(x)), rel=1e-3
    )


def test_frechet_of_samples_with_given_moments_is_the_closed_form(rng):
    white = np.linalg.qr(rng.normal(size=(200, 5)))[0]
    white -= white.mean(axis=0)
    white = np.linalg.qr(white)[0] * np.sqrt(199)  # mean 0 and covariance exactly I
    s, t, shift = np.array([1, 2, 3, 0.5, 0.0]), np.array([2, 2, 1, 1, 1.0]), np.arange(5.0)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    expected = (shift**2).sum() + ((s - t) ** 2).sum()
    found = frechet_distance(white * s @ turn, (white * t + shift) @ turn)
    assert found == pytest.approx(expected, rel=1e-7)
    assert frechet_distance(white, white) == pytest.approx(0, abs=1e-9)


def test_frechet_is_biased_upwards_by_what_the_docstring_says(rng):
    n, m, d = 1000, 2000, 20
    found = [frechet_distance(rng.normal(size=(n, d)), rng.normal(size=(m, d))) for _ in range(20)]
    assert np.mean(found) == pytest.approx(d * (d + 5) / 4 * (1 / n + 1 / m), rel=0.1)


def test_median_bandwidth_is_the_median_distance(rng):
    x = rng.normal(size=(100, 4))
    assert median_bandwidth(x, rng=rng) == pytest.approx(np.median(pdist(x)), rel=1e-9)
    many = rng.normal(size=(5000, 4))
    assert median_bandwidth(many, rng=rng) == pytest.approx(np.median(pdist(many)), rel=0.02)


def test_the_same_seed_gives_the_same_value_and_another_seed_another(rng):
    x, y = rng.normal(size=(2, 50, 4))

    def both(seed):
        draw = np.random.default_rng(seed)
        return (
            mmd2_random_features(x, y, n_features=8, bandwidth=1.0, rng=draw),
            sliced_wasserstein(x, y, projections=8, rng=draw),
        )

    assert both(1) == both(1)
    assert both(1) != both(2)


def test_undefined_cases_are_nan(rng):
    x, one, empty = rng.normal(size=(5, 3)), np.ones((1, 3)), np.empty((0, 3))
    assert all(np.isnan(distance(x, empty)) for distance in ALL)
    assert all(np.isnan(distance(empty, x)) for distance in ALL)
    assert all(np.isnan(distance(x, one)) for distance in (mmd2, mmd2_by_features))
    assert np.isnan(frechet_distance(x, one))
    assert np.isnan(mmd2_unbiased(x, x, np.nan))
    assert np.isnan(median_bandwidth(one, rng=rng))
    assert np.isnan(median_bandwidth(np.ones((9, 3)), rng=rng))


def test_bad_input_is_refused(rng):
    x = rng.normal(size=(5, 3))
    for distance in ALL:
        with pytest.raises(InputError, match="equally many columns"):
            distance(x, x[:, :2])
        with pytest.raises(InputError, match="finite"):
            distance(x, np.full((2, 3), np.nan))
    with pytest.raises(InputError, match="bandwidth > 0"):
        mmd2_unbiased(x, x, 0.0)
    with pytest.raises(InputError, match="bandwidth > 0"):
        mmd2_random_features(x, x, n_features=4, bandwidth=-1.0, rng=rng)
    with pytest.raises(InputError, match="n_features ≥ 1"):
        mmd2_random_features(x, x, n_features=0, bandwidth=1.0, rng=rng)
    with pytest.raises(InputError, match="projections ≥ 1"):
        sliced_wasserstein(x, x, projections=0, rng=rng)
    with pytest.raises(InputError, match="p ≥ 1"):
        sliced_wasserstein(x, x, projections=1, rng=rng, p=0.5)
