"""Richness and rarefaction against brute force, worked tables, another package, and laws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailguard.measure import rarefaction as ra
from tailguard.measure import richness as ri
from tailguard.measure.richness import Spectrum

# Spiders of Harvard Forest (Ellison et al. 2010), the worked example of Chao et al. (2014).
GIRDLED = [46, 22, 17, 15, 15, 9, 8, 6, 6, 4, 2, 2, 2, 2] + [1] * 12
LOGGED = [88, 22, 16, 15, 13, 10, 8, 8, 7, 7, 7, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2] + [1] * 14

counts = st.lists(st.integers(0, 40), min_size=1, max_size=25).filter(lambda x: sum(x) > 1)
orders = st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(0, 4))


def chance(n: int, x: int, m: int, j: int) -> Fraction:
    """That m draws from n, x of them marked, hold j marked ones."""
    return Fraction(math.comb(x, j) * math.comb(n - x, m - j), math.comb(n, m))


def brute_hill_at(x: list[int], m: int, q: float) -> float:
    n = sum(x)
    frequencies = [float(sum(chance(n, xi, m, j) for xi in x)) for j in range(1, m + 1)]
    p = np.arange(1, m + 1) / m
    if q == 1:
        return math.exp(-float(np.sum(p * np.log(p) * frequencies)))
    return float(np.sum(p**q * frequencies)) ** (1 / (1 - q))


# --- worked tables and hand-worked values -------------------------------------------------


@pytest.mark.parametrize(
    ("site", "observed", "estimated"),
    [
        (GIRDLED, (26, 12.060, 7.840), (43.893, 13.826, 8.175)),
        (LOGGED, (37, 14.421, 6.761), (61.403, 16.337, 6.920)),
    ],
)
def test_spiders_have_the_diversities_of_the_worked_example(
    site: list[int], observed: tuple[float, ...], estimated: tuple[float, ...]
) -> None:
    assert [ri.hill(site, q) for q in (0, 1, 2)] == pytest.approx(observed, abs=5e-4)
    assert [ri.hill_asymptotic(site, q) for q in (0, 1, 2)] == pytest.approx(estimated, abs=5e-4)


def test_spiders_have_the_coverages_of_the_worked_example() -> None:
    assert ri.coverage(GIRDLED) == pytest.approx(0.9289, abs=5e-5)
    assert ri.coverage(LOGGED) == pytest.approx(0.9446, abs=5e-5)


def test_chao1_without_doubletons_counts_pairs_of_singletons() -> None:
    assert ri.chao1([4, 1, 1, 1]) == pytest.approx(4 + 6 / 7 * 3)


@pytest.mark.parametrize("x", [[9, 4, 2, 2, 1, 1], [1] * 7, [30, 1, 1, 2], [50] * 9 + [1], GIRDLED])
def test_asymptotic_entropy_equals_the_published_sum_in_exact_arithmetic(x: list[int]) -> None:
    getcontext().prec = 80
    n, f1, f2 = sum(x), x.count(1), x.count(2)
    a = Fraction(2 * f2, (n - 1) * f1 + 2 * f2) if f2 else Fraction(2, (n - 1) * (f1 - 1) + 2)
    seen = sum(Fraction(xi, n) * sum(Fraction(1, k) for k in range(xi, n)) for xi in x)
    unseen = 0.0
    if a < 1:
        u = Decimal((1 - a).numerator) / Decimal((1 - a).denominator)
        rest = -(1 - u).ln() - sum((u**r / r for r in range(1, n)), Decimal(0))
        unseen = float(Decimal(f1) / n * u ** (1 - n) * rest)
    assert ri.hill_asymptotic(x, 1) == pytest.approx(math.exp(float(seen) + unseen), rel=1e-12)


def test_asymptotic_entropy_is_right_where_the_published_sum_loses_its_digits() -> None:
    s = Spectrum.of_frequencies([1, 2, 100], [40, 400, 10**6])
    a = 2 * 400 / ((s.n - 1) * 40 + 2 * 400)
    j = np.arange(1, 3 * 10**7)
    remainder = 40 / s.n * float(np.sum(np.exp(j * math.log1p(-a)) / (s.n - 1 + j)))
    digamma = np.array([-np.euler_gamma, 1 - np.euler_gamma, 4.600161852738087])
    psi_gap = math.log(s.n) - 1 / (2 * s.n) - digamma
    seen = float(np.sum(s.f * s.k / s.n * psi_gap))
    assert math.log(ri.hill_asymptotic(s, 1)) == pytest.approx(seen + remainder, rel=1e-11)


# --- an independent package ------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(counts)
def test_scikit_bio_agrees_on_richness_estimates(x: list[int]) -> None:
    alpha = pytest.importorskip("skbio.diversity.alpha")
    n, s = sum(x), sum(v > 0 for v in x)
    assert ri.missing_mass(x) == pytest.approx(1 - alpha.goods_coverage(x))
    assert ri.entropy_plugin_bits(x) == pytest.approx(alpha.shannon(x, base=2), abs=1e-12)
    assert ri.hill(x, 2) == pytest.approx(alpha.inv_simpson(x))
    assert ri.hill(x, 0.5) == pytest.approx(alpha.hill(x, order=0.5))
    if x.count(2) or x.count(1) == 0:  # theirs lacks the factor (n-1)/n
        theirs = s + (n - 1) / n * (alpha.chao1(x, bias_corrected=False) - s)
        assert ri.chao1(x) == pytest.approx(theirs)
    try:
        theirs = alpha.ace(x)
    except ValueError:
        theirs = math.nan
    assert ri.ace(x) == pytest.approx(theirs, nan_ok=True)


# --- brute force -----------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.data())
def test_rarefied_hill_number_is_the_exact_hypergeometric_expectation(
    x: list[int], data: st.DataObject
) -> None:
    m = data.draw(st.integers(1, sum(x)))
    for q in (0, 0.5, 1, 2, 3):
        assert ra.hill_at(x, m, q) == pytest.approx(brute_hill_at(x, m, q), rel=1e-11)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=8).filter(lambda x: sum(x) > 1), st.data())
def test_rarefied_coverage_is_the_exact_hypergeometric_expectation(
    x: list[int], data: st.DataObject
) -> None:
    n = sum(x)
    m = data.draw(st.integers(0, n - 1))
    missed = sum(Fraction(v, n) * chance(n - 1, v - 1, m, 0) for v in x)
    assert ra.coverage_at(x, m) == pytest.approx(float(1 - missed), abs=1e-12)


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_units_rarefy_to_the_mean_over_all_subsets_of_units(m: int) -> None:
    held = np.random.default_rng(3).random((5, 12)) < 0.35
    df = held.sum(axis=0)
    mean = np.mean([held[list(c)].any(axis=0).sum() for c in itertools.combinations(range(5), m)])
    assert ra.mao_tau(df, 5, m) == pytest.approx(mean, rel=1e-12)
    if m < 5:  # coverage: the chance that a new unit's incidence was met in m of the other units
        met = [
            held[list(others), j].any()
            for i, j in zip(*np.nonzero(held), strict=True)
            for others in itertools.combinations(set(range(5)) - {i}, m)
        ]
        assert ra.incidence_coverage_at(df, 5, m) == pytest.approx(np.mean(met), rel=1e-12)


@pytest.mark.parametrize("m", [40, 300_000, 990_000])
def test_rarefied_entropy_of_large_counts_agrees_with_another_hypergeometric(m: int) -> None:
    from scipy.stats import hypergeom

    x = [1, 3, 700, 50_000, 949_296]
    expected = 0.0
    for v in x:
        j = np.arange(max(1, m + v - sum(x)), min(v, m) + 1)
        expected -= float(np.sum(hypergeom.pmf(j, sum(x), v, m) * j / m * np.log(j / m)))
    assert math.log(ra.hill_at(x, m, 1)) == pytest.approx(expected, rel=1e-7)


def test_rarefaction_is_the_mean_of_simulated_subsamples() -> None:
    rng = np.random.default_rng(11)
    draws = rng.multivariate_hypergeometric(LOGGED, 60, size=4000)
    p = draws / 60
    seen, concentration = (draws > 0).sum(axis=1), (p**2).sum(axis=1)
    error = seen.std() / math.sqrt(len(draws))
    assert abs(ra.hill_at(LOGGED, 60, 0) - seen.mean()) < 4 * error
    assert 1 / ra.hill_at(LOGGED, 60, 2) == pytest.approx(concentration.mean(), rel=0.01)


def test_extrapolation_foretells_what_a_larger_sample_finds() -> None:
    rng = np.random.default_rng(5)
    p = 1 / np.arange(1, 401)
    p /= p.sum()
    small = [rng.multinomial(800, p) for _ in range(200)]
    large = [rng.multinomial(1600, p) for _ in range(200)]
    for q in (0, 1, 2):
        foretold = np.median([ra.hill_at(x, 1600, q) for x in small])
        found = np.median([ri.hill(x, q) for x in large])
        before = np.median([ri.hill(x, q) for x in small])
        assert abs(foretold - found) < 0.02 * found
        if q < 2:  # the plug-in at q = 2 hardly depends on the size
            assert abs(foretold - found) < 0.5 * abs(before - found)
    truth = np.mean([p[x > 0].sum() for x in small])
    assert np.mean([ri.coverage(x) for x in small]) == pytest.approx(truth, abs=0.003)


def test_entropy_corrections_remove_most_of_the_bias_of_the_plug_in() -> None:
    rng = np.random.default_rng(8)
    samples = [rng.multinomial(300, np.full(200, 1 / 200)) for _ in range(60)]

    def bias(entropy: Callable[..., float]) -> float:
        return float(np.mean([entropy(x) for x in samples])) - math.log2(200)

    plugin = bias(ri.entropy_plugin_bits)
    assert plugin == pytest.approx(-199 / 600 / math.log(2), rel=0.15)
    assert abs(bias(ri.entropy_miller_madow_bits)) < abs(plugin) / 3
    assert abs(bias(ri.entropy_chao_shen_bits)) < abs(plugin) / 3
    assert abs(bias(lambda x: math.log2(ri.hill_asymptotic(x, 1)))) < abs(plugin) / 10


def test_chao_shen_is_its_formula_worked_by_hand() -> None:
    c = 6 / 8
    terms = [-c * x / 8 * math.log2(c * x / 8) / (1 - (1 - c * x / 8) ** 8) for x in (4, 2, 1, 1)]
    assert ri.entropy_chao_shen_bits([4, 2, 1, 1]) == pytest.approx(sum(terms))
    all_new = math.log2(16) / (1 - (15 / 16) ** 4) / 4  # c p = 1/16 for each of four singletons
    assert ri.entropy_chao_shen_bits([1, 1, 1, 1]) == pytest.approx(all_new)


def test_miller_madow_adds_half_a_nat_per_token_for_each_type_but_one() -> None:
    added = ri.entropy_miller_madow_bits([4, 2, 1]) - ri.entropy_plugin_bits([4, 2, 1])
    assert added == pytest.approx(2 / (2 * 7 * math.log(2)))


def test_simpson_is_the_share_of_equal_pairs() -> None:
    tokens = "aaabbc"
    pairs = list(itertools.combinations(tokens, 2))
    assert ri.simpson([3, 2, 1]) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


# --- laws ------------------------------------------------------------------------------------


@given(counts, orders, orders)
def test_hill_numbers_never_rise_with_their_order(x: list[int], a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert ri.hill(x, high) <= ri.hill(x, low) * (1 + 1e-6)
    assert ri.hill(x, high) >= 1 - 1e-12


@given(counts, orders, st.integers(2, 5))
def test_multiplying_every_count_leaves_hill_numbers_unchanged(
    x: list[int], q: float, times: int
) -> None:
    assert ri.hill(np.array(x) * times, q) == pytest.approx(ri.hill(x, q), rel=1e-6)


@given(counts, orders, st.integers(2, 5))
def test_replicated_communities_are_that_many_times_as_diverse(
    x: list[int], q: float, times: int
) -> None:
    assert ri.hill(x * times, q) == pytest.approx(times * ri.hill(x, q), rel=1e-6)


@settings(deadline=None)
@given(counts, st.randoms(use_true_random=False))
def test_order_of_types_and_unseen_zeros_do_not_matter(x: list[int], random: object) -> None:
    shuffled = [*x, 0, 0]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for value in every_value(x), every_value(Spectrum.of(x)):
        assert value == pytest.approx(every_value(shuffled), nan_ok=True)


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


@settings(deadline=None)
@given(counts, orders)
def test_rarefaction_meets_the_sample_and_extrapolation_starts_there(
    x: list[int], q: float
) -> None:
    n = sum(x)
    assert ra.hill_at(x, n, q) == ri.hill(x, q)
    if n > 2:
        assert ra.hill_at(x, n - 1, q) <= ri.hill(x, q) * (1 + 1e-6)
    for order in (0, 1, 2):
        barely = ra._extrapolate(Spectrum.of(x), n * (1 + 1e-9), order)
        assert barely == pytest.approx(ri.hill(x, order), rel=1e-4)
        if (limit := ri.hill_asymptotic(x, order)) < 1e6:
            far = ra.hill_at(x, 10**15, order)
            assert far == pytest.approx(limit, rel=1e-4)


@settings(deadline=None)
@given(counts, st.sampled_from([0, 1, 2]))
def test_diversity_and_coverage_rise_with_sample_size(x: list[int], q: int) -> None:
    sizes = np.unique(np.linspace(1, 3 * sum(x), 30).astype(int))
    if ri.simpson(x) > 0:
        curve = ra.rarefaction_curve(x, sizes, q)
        assert np.all(np.diff(curve) >= -1e-9 * curve[1:])
        assert curve[0] == pytest.approx(1)
    covered = np.array([ra.coverage_at(x, int(m)) for m in sizes])
    assert np.all(np.diff(covered) >= -1e-12)
    assert np.all((covered >= -1e-12) & (covered <= 1 + 1e-12))
    assert ra.coverage_at(x, sum(x)) == pytest.approx(ri.coverage(x), abs=1e-12)


@settings(deadline=None)
@given(counts, st.integers(1, 80), st.sampled_from([0, 1, 2]))
def test_standardising_to_the_coverage_of_a_size_gives_the_diversity_at_that_size(
    x: list[int], m: int, q: int
) -> None:
    c = ra.coverage_at(x, m)
    if ri.simpson(x) > 0 and ra.coverage_at(x, m - 1) < c - 1e-9 and c < 1 - 1e-9:
        assert ra.hill_at_coverage(x, c, q) == pytest.approx(ra.hill_at(x, m, q), rel=1e-5)


def test_full_coverage_standardises_to_the_asymptotic_estimate() -> None:
    for q in (0, 1, 2):
        assert ra.hill_at_coverage(GIRDLED, 1, q) == pytest.approx(ri.hill_asymptotic(GIRDLED, q))


def test_standardising_by_coverage_ranks_two_samples_of_different_size_like_their_sources() -> None:
    """The replication principle: size-based richness understates the ratio, coverage does not."""
    rng = np.random.default_rng(2)
    p = 1 / np.arange(1, 301)
    p /= p.sum()
    twice = np.concatenate([p, p]) / 2
    ratios = []
    for _ in range(60):
        one, two = rng.multinomial(500, p), rng.multinomial(1500, twice)
        c = min(ri.coverage(one), ri.coverage(two))
        ratios.append(ra.hill_at_coverage(two, c, 0) / ra.hill_at_coverage(one, c, 0))
    assert np.median(ratios) == pytest.approx(2, rel=0.05)
    assert ra.hill_at(two, 500, 0) / ra.hill_at(one, 500, 0) < 1.6


# --- a sample of types -----------------------------------------------------------------------
