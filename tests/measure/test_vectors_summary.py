"""The vector profile is a monoid, its sketch keeps its error, its moments are the textbook's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tailguard.errors import InputError
from tailguard.measure.vectors.sketch import BottomK, Moments, Sketch
from tailguard.measure.vectors.store import dump_vector_profile
from tailguard.measure.vectors.summary import (
    VectorBuilder,
    VectorProfile,
    keep_rows,
    profile_vectors,
)

SHAPE = (("a", 1), ("v", 2))
rows = st.lists(
    st.tuples(*[st.floats(width=32, allow_nan=True, allow_infinity=True)] * 3), max_size=12
)


def profile_of(values: list[tuple[float, ...]], first: int = 0) -> VectorProfile:
    builder = VectorBuilder(SHAPE)
    matrix = np.array(values, np.float64).reshape(-1, 3)
    builder.add(matrix, np.arange(first, first + len(matrix), dtype=np.uint64), 8 * matrix.size)
    return builder.finish()


def exact(profile: VectorProfile) -> tuple[object, ...]:
    sample = profile.rows.values
    return (
        profile.fingerprint(),
        profile.n_bytes,
        profile.rows.keys.tolist(),
        profile.rows.counts.tolist(),
        np.nan_to_num(sample, nan=-1e99).tolist(),
        *(getattr(profile.moments, name).tolist() for name in ("n", "missing", "infinite")),
        *(getattr(profile.moments, name).tolist() for name in ("low", "high")),
    )


@settings(max_examples=60, deadline=None)
@given(rows, rows, rows)
def test_merging_is_associative_commutative_and_has_a_neutral_element(
    a: list[tuple[float, ...]], b: list[tuple[float, ...]], c: list[tuple[float, ...]]
) -> None:
    x, y, z = profile_of(a), profile_of(b, 100), profile_of(c, 200)
    assert exact(x.merge(y).merge(z)) == exact(x.merge(y.merge(z)))
    assert exact(x.merge(y)) == exact(y.merge(x))
    assert exact(x.merge(VectorProfile.empty(SHAPE))) == exact(x)


@pytest.mark.parametrize("cuts", [(1, 2), (10, 990), (333, 666)])
def test_moments_of_the_parts_are_those_of_the_whole(cuts: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.standard_normal((1000, 3))) + np.array([0, 1e6, -1e3])
    values[rng.random(values.shape) < 0.1] = np.nan
    none = np.zeros(3, np.int64)
    parts = [Moments.of(part, none) for part in np.split(values, cuts)]
    whole = Moments.of(values, none)
    for merged in (
        parts[0].merge(parts[1]).merge(parts[2]),
        parts[0].merge(parts[1].merge(parts[2])),
        parts[2].merge(parts[0]).merge(parts[1]),
    ):
        for name in ("mean", "variance", "skewness", "kurtosis"):
            ours, theirs = getattr(merged, name), getattr(whole, name)
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, err_msg=name)


def test_moments_are_those_of_the_textbook() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=(500, 1))
    found = profile_vectors(values).moments
    column = values[:, 0]
    assert found.mean[0] == pytest.approx(column.mean(), rel=1e-12)
    assert found.variance[0] == pytest.approx(column.var(ddof=1), rel=1e-12)
    assert found.skewness[0] == pytest.approx(stats.skew(column), rel=1e-12)
    assert found.kurtosis[0] == pytest.approx(stats.kurtosis(column, fisher=False), rel=1e-12)
    assert (found.low[0], found.high[0]) == (column.min(), column.max())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1e60, 1e60).filter(lambda x: x == 0 or abs(x) > 1e-300), min_size=1),
    st.floats(0, 1),
)
def test_every_quantile_is_within_one_part_in_sixty_four(values: list[float], q: float) -> None:
    found = profile_vectors(values).sketch.quantile(0, q)
    ordered = sorted(values)
    true = ordered[max(int(np.ceil(q * len(values))) - 1, 0)]
    assert found == pytest.approx(true, rel=1 / 64 + 1e-12)


def test_quantiles_of_negative_and_positive_values_keep_their_order() -> None:
    sketch = Sketch.of(np.linspace(-5, 5, 1001)[:, None])
    found = [sketch.quantile(0, q) for q in np.linspace(0, 1, 21)]
    assert found == sorted(found)
    assert sketch.quantile(0, 0.5) == 0.0


def test_missing_and_infinite_values_are_counted_apart() -> None:
    found = profile_vectors([[np.nan, 1.0], [np.inf, 2.0], [-np.inf, 3.0], [1e80, 4.0]]).moments
    assert found.missing.tolist() == [1, 0]
    assert found.infinite.tolist() == [3, 0]
    assert found.n.tolist() == [0, 4]


def test_exact_copies_are_counted_and_minus_zero_is_zero() -> None:
    found = profile_vectors([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0]])
    assert sorted(found.contents.counts.tolist()) == [1, 2]


def test_order_of_the_rows_does_not_change_the_fingerprint() -> None:
    values = np.random.default_rng(2).standard_normal((300, 4))
    assert profile_vectors(values).fingerprint() == profile_vectors(values[::-1]).fingerprint()
    assert profile_vectors(values).fingerprint() != profile_vectors(values * 1.1).fingerprint()


def test_the_row_sample_is_uniform_and_bounded() -> None:
    n, d = 40_000, 64
    values = np.arange(n)[:, None] * np.ones(d)
    found = profile_vectors(values)
    held = found.rows.values[:, 0]
    assert len(held) == keep_rows(d) == 8192
    assert stats.kstest(held / n, "uniform").pvalue > 1e-3


def test_a_heavy_value_keeps_its_weight_in_the_row_sample() -> None:
    values = np.where(np.arange(60_000) % 3 == 0, 7.0, np.arange(60_000))[:, None]
    held = profile_vectors(values).sample()
    assert (held == 7.0).mean() == pytest.approx(1 / 3, abs=0.03)


def test_a_bottom_k_sample_counts_all_copies_of_what_it_keeps() -> None:
    keys = np.random.default_rng(3).integers(0, 400, 5000).astype(np.uint64)
    found = BottomK.of(50, keys, np.zeros((5000, 0)))
    assert found.keys.tolist() == list(range(50))
    assert found.counts.tolist() == np.bincount(keys.astype(int))[:50].tolist()


def test_profiles_of_other_columns_do_not_merge() -> None:
    with pytest.raises(InputError, match="the same columns"):
        profile_vectors([[1.0]], ["a"]).merge(profile_vectors([[1.0]], ["b"]))


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    rng = np.random.default_rng(4)
    sizes = [
        len(dump_vector_profile(profile_vectors(rng.random((n, 4))))) for n in (20_000, 80_000)
    ]
    assert sizes[1] < 1.2 * sizes[0]
