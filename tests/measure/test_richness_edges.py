"""Richness on samples of types, slopes, undefined cases and wrong input."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st

from tailguard.errors import InputError
from tailguard.measure import rarefaction as ra
from tailguard.measure import richness as ri
from tailguard.measure.richness import Spectrum

# Spiders of Harvard Forest (Ellison et al. 2010), the worked example of Chao et al. (2014).
GIRDLED = [46, 22, 17, 15, 15, 9, 8, 6, 6, 4, 2, 2, 2, 2] + [1] * 12
LOGGED = [88, 22, 16, 15, 13, 10, 8, 8, 7, 7, 7, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2] + [1] * 14

counts = st.lists(st.integers(0, 40), min_size=1, max_size=25).filter(lambda x: sum(x) > 1)
orders = st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(0, 4))


def every_value(x: object) -> list[float]:
    functions: list[Callable[..., float]] = [
        ri.missing_mass, ri.coverage, ri.chao1, ri.ace, ri.simpson, ri.entropy_plugin_bits,
        ri.entropy_miller_madow_bits, ri.entropy_chao_shen_bits, ri.zipf_slope_rank_mle,
        ri.zipf_slope_spectrum_mle,
    ]  # fmt: skip
    values = [f(x) for f in functions]
    values += [ri.hill_asymptotic(x, q) for q in (0, 1, 2)]  # type: ignore[arg-type]
    values += [ra.hill_at_coverage(x, 0.8, q) for q in (0, 1, 2)]  # type: ignore[arg-type]
    return values


@pytest.mark.parametrize(
    "total",
    [
        ri.missing_mass,
        ri.simpson,
        ri.entropy_plugin_bits,
        lambda s: ri.hill(s, 0),
        lambda s: 1 / ri.hill(s, 2),
        lambda s: ra.hill_at(s, 7, 0),
        lambda s: math.log(ra.hill_at(s, 7, 1)),
        lambda s: ra.coverage_at(s, 7),
        lambda s: ra.mao_tau(s, 20, 7),
    ],
)
def test_sums_over_types_are_unbiased_on_a_sample_of_types(
    total: Callable[[Spectrum], float],
) -> None:
    x = [9, 4, 3, 2, 1, 1]
    subsets = itertools.combinations(x, 3)
    values = [total(Spectrum.of(kept, scale=2, n=sum(x))) for kept in subsets]
    assert np.mean(values) == pytest.approx(total(Spectrum.of(x)))


def test_ratio_estimates_from_a_sample_of_types_come_close_on_a_long_tail() -> None:
    rng = np.random.default_rng(0)
    x = rng.zipf(1.8, size=200_000)
    n = int(x.sum())
    s = Spectrum.of(x[rng.random(x.size) < 0.1], scale=10, n=n)
    for estimate in (ri.chao1, ri.coverage, ri.ace, ri.missing_mass, ri.zipf_slope_spectrum_mle):
        assert estimate(s) == pytest.approx(estimate(x), rel=0.05)
    assert math.isnan(ri.zipf_slope_rank_mle(Spectrum.of([3, 2, 1], scale=1.5)))


# --- slopes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.6, 1.0, 1.4])
def test_rank_slope_recovers_the_exponent_it_was_drawn_with(a: float) -> None:
    p = np.arange(1, 2001.0) ** -a
    x = np.random.default_rng(1).multinomial(10**6, p / p.sum())
    assert ri.zipf_slope_rank_mle(x) == pytest.approx(a, abs=0.02)
    assert ri.zipf_slope_rank_mle([5, 5, 5]) == 0


@pytest.mark.parametrize("gamma", [1.7, 2.0, 2.6])
def test_spectrum_slope_recovers_the_exponent_it_was_drawn_with(gamma: float) -> None:
    x = np.random.default_rng(1).zipf(gamma, size=200_000)
    assert ri.zipf_slope_spectrum_mle(x) == pytest.approx(1 / (gamma - 1), rel=0.01)


def test_heaps_slope_is_the_power_of_the_curve() -> None:
    n = np.array([0, 10, 100, 1000])
    assert ra.heaps_slope_ols(n, 3 * n**0.7) == pytest.approx(0.7)


# --- undefined, refused, large ---------------------------------------------------------------


def test_what_is_undefined_is_nan() -> None:
    nothing: list[int] = []
    undefined = [
        *every_value(nothing), *every_value([0, 0]), ri.hill([], 1), ra.hill_at([], 3, 0),
        ra.hill_at([3, 2], 0, 0), ra.hill_at([3, 2], 9, 1.5), ra.coverage_at([1], 1),
        ra.mao_tau([], 0, 1), ra.mao_tau([], 5, 1), ri.hill(Spectrum.of([], n=9), 2),
        ra.incidence_coverage_at([], 4, 2), ri.ace([20, 1, 1]),
        ri.hill_asymptotic([1, 1, 1], 2), ri.hill_asymptotic([1], 1), ri.simpson([1]),
        ri.zipf_slope_rank_mle([4]), ri.zipf_slope_spectrum_mle([1, 1]),
        ra.heaps_slope_ols([5, 5], [2, 2]), ra.heaps_slope_ols([], []), ra.hill_at([1], 2, 2),
    ]  # fmt: skip
    assert np.isnan(undefined).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ri.chao1([1, -2]),
        lambda: ri.chao1([1.5, 2]),
        lambda: ri.chao1([[1, 2]]),
        lambda: ri.hill([1, 2], -1),
        lambda: ri.hill([1, 2], math.inf),
        lambda: ri.hill([1, 2], math.nan),
        lambda: ri.hill_asymptotic([1, 2], 3),
        lambda: ra.hill_at_coverage([1, 2], 0, 0),
        lambda: ra.hill_at_coverage([1, 2], 1.01, 0),
        lambda: Spectrum.of([5, 1], n=4),
        lambda: Spectrum.of([5, 1], scale=0.5),
        lambda: Spectrum.of_frequencies([5, 1], [1]),
        lambda: ra.mao_tau([5, 1], 4, 2),
        lambda: ra.heaps_slope_ols([1, 2], [1]),
    ],
)
def test_wrong_input_is_refused_in_one_line(wrong: Callable[[], float]) -> None:
    with pytest.raises(InputError) as error:
        wrong()
    assert "\n" not in str(error.value) and "expected" in str(error.value)


def test_a_single_type_has_no_diversity_anywhere() -> None:
    for q in (0, 0.5, 1, 2):
        assert ri.hill([7], q) == ra.hill_at([7], 3, q) == pytest.approx(1)
    assert ri.coverage([7]) == 1
    assert ri.entropy_plugin_bits([7]) == ri.entropy_chao_shen_bits([7]) == 0
    assert [ra.hill_at_coverage([7], 1, q) for q in (0, 1, 2)] == [1, 1, 1]


def test_a_million_types_of_a_hundred_million_tokens_rarefy_in_seconds() -> None:
    x = np.maximum(1, (7e6 / np.arange(1, 1_000_001)).astype(np.int64))
    x[:5] *= 3
    s = Spectrum.of(x)
    assert s.n > 10**8
    start = time.perf_counter()
    seen = ra.hill_at(s, s.n // 10, 0)
    q1, q2 = ra.hill_at(s, s.n // 10, 1), ra.hill_at(s, s.n // 10, 2)
    standardised = ra.hill_at_coverage(s, 0.99, 0)
    assert time.perf_counter() - start < 20
    # Draws without replacement of a tenth are all but binomial for these rare types.
    assert seen == pytest.approx(float(np.sum(1 - 0.9**x)), rel=1e-6)
    assert q2 < q1 < seen and standardised < s.types
