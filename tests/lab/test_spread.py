"""Moments over replicates against NumPy's, with holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.lab.spread import spread


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 200), st.floats(0, 1), st.integers(0, 2**32))
def test_moments_are_those_of_the_finite_values(n: int, holes: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(5.0, 2.0, n)
    values[rng.random(n) < holes] = rng.choice([np.nan, np.inf, -np.inf])
    finite = values[np.isfinite(values)]
    count, centre, scatter, cubes = spread(values)
    assert count == len(finite)
    if count:
        apart = finite - finite.mean()
        assert centre == pytest.approx(finite.mean(), rel=1e-13)
        assert scatter == pytest.approx((apart**2).sum(), rel=1e-10, abs=1e-20)
        assert cubes == pytest.approx((apart**3).sum(), rel=1e-8, abs=1e-10)
    else:
        assert (centre, scatter, cubes) == (0.0, 0.0, 0.0)


def test_moments_of_equal_values_have_no_spread() -> None:
    assert spread(np.full(64, 0.5)) == (64, 0.5, 0.0, 0.0)


def test_strided_values_give_the_same_bytes_as_dense_ones() -> None:
    table = np.random.default_rng(0).random((301, 7))
    for column in range(7):
        assert spread(table[:, column]) == spread(table[:, column].copy())


def test_deviations_that_overflow_become_infinite_without_a_warning() -> None:
    count, _, scatter, _ = spread(np.array([1e200, -1e200] * 40))
    assert count == 80 and scatter == np.inf
