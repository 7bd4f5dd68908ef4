from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from tailguard.errors import InputError
from tailguard.measure import neighbours
from tailguard.measure.neighbours import PRDC, centred, distance_tiles, nearest_cosine, prdc

tables = st.integers(3, 12).flatmap(
    lambda n: arrays(np.float64, (n, 3), elements=st.integers(-4, 4).map(float))
)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(neighbours, "TILE", 16)


def prdc_by_definition(real: np.ndarray, fake: np.ndarray, k: int) -> PRDC:
    """Written out from the papers on integer coordinates, where squared distances are exact."""

    def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return ((a[:, None] - b[None]) ** 2).sum(axis=2)

    real_radii = np.sort(squared(real, real), axis=1)[:, k]
    fake_radii = np.sort(squared(fake, fake), axis=1)[:, k]
    between = squared(real, fake)
    in_real = between < real_radii[:, None]
    in_fake = between < fake_radii[None]
    return PRDC(
        in_real.any(axis=0).mean(),
        in_fake.any(axis=1).mean(),
        in_real.sum(axis=0).mean() / k,
        in_real.any(axis=1).mean(),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(deadline=None, max_examples=80)
@given(real=tables, fake=tables, k=st.integers(1, 2))
def test_prdc_is_the_definition_even_among_ties_and_copies(dtype, real, fake, k):
    found = prdc(real.astype(dtype), fake.astype(dtype), k)
    assert found == pytest.approx(prdc_by_definition(real, fake, k), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m", "k"), [(200, 200, 5), (150, 310, 3), (300, 60, 1)])
def test_prdc_agrees_exactly_with_the_prdc_package(rng, small_tiles, dtype, n, m, k):
    peer = pytest.importorskip("prdc")
    real = rng.normal(0, 1, (n, 16)).astype(dtype)
    fake = rng.normal(0.2, 0.9, (m, 16)).astype(dtype)
    expected = peer.compute_prdc(real, fake, nearest_k=k)
    assert prdc(real, fake, k)._asdict() == pytest.approx(expected, rel=1e-12)


def test_a_sample_against_its_own_copy_scores_one_everywhere(rng):
    x = rng.normal(size=(300, 20)).astype(np.float32)
    assert prdc(x, x.copy()) == PRDC(1.0, 1.0, 1.0, 1.0)


def test_copies_on_the_edge_of_a_ball_are_neither_recalled_nor_precise(rng):
    twins = rng.normal(size=(101, 37)).astype(np.float32)
    loners = twins + rng.normal(0, 0.05, twins.shape).astype(np.float32)
    owners = np.vstack([loners, twins, twins])  # a loner's ball ends at its twin, a twin's is empty
    assert prdc(np.vstack([twins, twins]), owners, k=1).recall == 0
    assert prdc(owners, np.vstack([twins, twins]), k=1).precision == 0


def test_distant_samples_share_nothing(rng):
    x = rng.normal(size=(50, 4))
    assert prdc(x, x + 1000) == PRDC(0.0, 0.0, 0.0, 0.0)


def test_coverage_of_an_identical_source_tends_to_what_the_paper_gives(rng):
    found = prdc(rng.normal(size=(2000, 8)), rng.normal(size=(2000, 8)), k=3)
    assert found.coverage == pytest.approx(1 - 2**-3, abs=0.03)
    assert found.density == pytest.approx(1, abs=0.05)


def test_a_lost_mode_lowers_recall_and_coverage_but_not_precision(rng):
    modes = 20 * np.eye(4)
    real = rng.normal(size=(400, 4)) + modes[np.arange(400) % 4]
    fake = rng.normal(size=(400, 4)) + modes[np.arange(400) % 3]
    whole = prdc(real, rng.normal(size=(400, 4)) + modes[np.arange(400) % 4])
    narrowed = prdc(real, fake)
    assert narrowed.recall < whole.recall - 0.15 and narrowed.coverage < whole.coverage - 0.15
    assert narrowed.precision > whole.precision - 0.05


def test_a_smaller_fake_sample_covers_less_of_the_same_source(rng):
    real, fake = rng.normal(size=(1000, 6)), rng.normal(size=(1000, 6))
    assert prdc(real, fake[:200]).coverage < prdc(real, fake).coverage - 0.3


def test_an_offset_or_an_extreme_unit_changes_no_neighbour(rng):
    real, fake = rng.normal(size=(2, 150, 8)).astype(np.float32)
    base = prdc(real, fake)
    assert prdc(real * np.float32(1e30), fake * np.float32(1e30)) == base
    assert prdc(real * np.float32(1e-30), fake * np.float32(1e-30)) == base
    far = prdc(real.astype(float) + 1e6, fake.astype(float) + 1e6)
    assert far == pytest.approx(base, abs=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-10)])
def test_tiles_put_together_are_the_distance_matrix(rng, small_tiles, dtype, tolerance):
    x, y = rng.normal(3, 1, (37, 5)).astype(dtype), rng.normal(3, 1, (50, 5)).astype(dtype)
    (a, b), unit = centred(x, y)
    whole, upper = np.full((37, 50), np.nan), np.full((50, 50), np.nan)
    for rows, columns, tile in distance_tiles(a, b):
        whole[rows, columns] = tile
    for rows, columns, tile in distance_tiles(b):
        upper[rows, columns] = tile
    assert unit * np.sqrt(whole) == pytest.approx(cdist(x, y), rel=tolerance)
    above = np.triu_indices(50, k=1)
    assert unit * np.sqrt(upper[above]) == pytest.approx(cdist(y, y)[above], rel=tolerance)
    assert (np.diag(upper) == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_cosine_agrees_with_the_full_cosine_matrix(rng, small_tiles, dtype):
    x = rng.normal(0.5, 1, (70, 6)).astype(dtype)
    cosines = 1 - cdist(x, x, "cosine")
    np.fill_diagonal(cosines, -2)
    assert nearest_cosine(x) == pytest.approx(cosines.max(axis=1), abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(x=tables, seed=st.integers(0, 2**32))
def test_nearest_cosine_follows_the_rows_and_is_one_once_they_are_doubled(x, seed):
    order = np.random.default_rng(seed).permutation(len(x))
    found = nearest_cosine(x)
    np.testing.assert_allclose(nearest_cosine(x[order]), found[order], atol=1e-12)
    doubled = nearest_cosine(np.vstack([x, 2 * x]))
    zero = ~np.vstack([x, x]).any(axis=1)
    assert np.isnan(doubled[zero]).all() and (doubled[~zero] == 1).all()
    assert (np.isnan(found) | (abs(found) <= 1)).all()


def test_undefined_cases_are_nan():
    x = np.arange(12.0).reshape(6, 2)
    assert np.isnan(prdc(x[:5], x, k=5)).all()
    assert np.isnan(prdc(x, np.empty((0, 2)), k=5)).all()
    assert np.isnan(nearest_cosine([[1.0, 2.0]])).all()
    assert nearest_cosine(np.empty((0, 2))).shape == (0,)
    np.testing.assert_array_equal(nearest_cosine([[0.0], [1.0], [3.0]]), [np.nan, 1, 1])


def test_bad_input_is_refused():
    x = np.eye(6)
    with pytest.raises(InputError, match="k ≥ 1"):
        prdc(x, x, k=0)
    with pytest.raises(InputError, match="equally many columns, got 6 and 5"):
        prdc(x, x[:, :5])
    with pytest.raises(InputError, match="finite"):
        nearest_cosine([[np.nan]])
