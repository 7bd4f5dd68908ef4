"""Random numbers against the laws they claim to follow, and against planted wrong ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from family_cases import DOUBT, near, p_value
from scipy import stats

from tailguard.lab import draws
from tailguard.mix.samples import Arrays, Floats

MANY = 100_000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def standard(rows: int, n: int, seed: int = 0) -> Floats:
    return draws.normals(np.zeros(rows), np.ones(rows), n, rng=rng(seed))


def test_words_are_those_of_xoroshiro128_plus_plus() -> None:
    # The recurrence of Blackman & Vigna in Python integers, for one lane.
    mask = 2**64 - 1
    state = draws.stream(rng=rng())
    a, b = (int(x) for x in state[:, 3])
    expected = []
    for _ in range(4):
        total = (a + b) & mask
        expected.append((((total << 17) | (total >> 47)) + a) & mask)
        b ^= a
        a, b = ((a << 49 | a >> 15) ^ b ^ (b << 21)) & mask, (b << 28 | b >> 36) & mask
    out = np.empty(4 * draws.LANES, np.uint64)
    draws.fill(state, out)
    assert [int(x) for x in out[3 :: draws.LANES]] == expected


def test_the_layers_of_the_ziggurat_close_and_have_equal_areas() -> None:
    width, inner, height = (np.asarray(x) for x in draws._layers())
    edge = width * 2.0**53
    areas = edge[2:] * (height[1:-1] - height[2:])
    area = edge[0] * height[-1]
    assert np.allclose(areas, area, rtol=1e-9)
    # The topmost layer ends at the peak; the lowest has the tail's area beside its box.
    assert edge[1] * (1.0 - height[1]) == pytest.approx(area, rel=1e-9)
    tail = np.sqrt(2 * np.pi) * stats.norm.sf(edge[-1])
    assert edge[-1] * height[-1] + tail == pytest.approx(area, rel=1e-12)
    assert np.array_equal(inner[2:], edge[1:-1])


def test_normals_have_the_normal_distribution_out_to_the_tails() -> None:
    x = standard(1_000, 1_000).ravel()
    assert stats.kstest(x, "norm").pvalue > DOUBT
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0), (8, 105.0)):
        assert near(x**power, moment), power
    edges = [-np.inf, *np.linspace(-4.6, 4.6, 185), np.inf]
    found = np.histogram(x, edges)[0]
    expected = np.diff(stats.norm.cdf(edges)) * len(x)
    assert stats.chisquare(found, expected).pvalue > DOUBT


@pytest.mark.parametrize("sign", [1, -1])
def test_what_lies_beyond_the_lowest_layer_follows_the_tail_of_the_normal(sign: int) -> None:
    # A word of layer 0 whose point lies at the very end of it is always in the tail.
    high = (1 << 53) - 1 if sign > 0 else 1 << 53
    far, state = np.uint64(high << 10), draws.stream(rng=rng())
    x = sign * np.array([draws._edge_case(state, far) for _ in range(50_000)])
    edge = draws._TAIL
    assert x.min() > edge
    assert stats.kstest(stats.norm.sf(x) / stats.norm.sf(edge), "uniform").pvalue > DOUBT


def test_as_many_draws_are_far_out_as_should_be() -> None:
    far = (np.abs(standard(600, 10_000, seed=1)) > draws._TAIL).sum()
    expected = 6_000_000 * 2 * stats.norm.sf(draws._TAIL)
    assert abs(far - expected) < 4 * np.sqrt(expected)


def test_draws_and_lanes_do_not_know_of_each_other() -> None:
    x = standard(1_000, 3 * draws.LANES)
    for lag in (1, 2, draws.LANES - 1, draws.LANES, draws.LANES + 1):
        for f in (lambda v: v, np.abs, np.square):
            a, b = f(x[:, :-lag]).ravel(), f(x[:, lag:]).ravel()
            assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(a.size), lag
    first, second = standard(1_000, 100, seed=1), standard(1_000, 100, seed=2)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 5 / np.sqrt(first.size)


@pytest.mark.parametrize("n", [2, 3, 4, 7, 30, 1_000])
def test_unseen_moments_follow_students_laws_and_are_independent(n: int) -> None:
    mean, scatter = draws.normal_moments(np.full(MANY, 2.0), np.full(MANY, 9.0), n, rng=rng(n))
    z, chi = (mean - 2.0) * np.sqrt(n / 9.0), scatter / 9.0
    assert stats.kstest(z, "norm").pvalue > DOUBT
    assert stats.kstest(chi, stats.chi2(n - 1).cdf).pvalue > DOUBT
    for a, b in ((z, chi), (z**2, chi), (np.abs(z), np.sqrt(chi))):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(MANY)
    # Far out in both tails, where a wrong squeeze or a wrong rejection would show.
    for tail in (stats.chi2(n - 1).cdf(chi), stats.chi2(n - 1).sf(chi)):
        few = tail[tail < 1e-3]
        assert abs(len(few) - 1e-3 * MANY) < 4 * np.sqrt(1e-3 * MANY)


def test_one_sample_has_no_scatter_at_all() -> None:
    mean, scatter = draws.normal_moments(np.zeros(1_000), np.ones(1_000), 1, rng=rng())
    assert not scatter.any()
    assert stats.kstest(mean, "norm").pvalue > DOUBT


def test_a_planted_wrong_law_is_told_from_the_right_one() -> None:
    right = stats.chi2(7).rvs(4_000, random_state=rng(1))
    assert p_value(right, stats.chi2(7).rvs(4_000, random_state=rng(2))) > DOUBT
    # One degree of freedom too many; the right mean with a wrong spread; a wrong shape.
    for wrong in (stats.chi2(8), stats.norm(7, 3.3), stats.norm(7, np.sqrt(14))):
        assert p_value(right, wrong.rvs(4_000, random_state=rng(2))) < DOUBT


def test_the_squeeze_never_accepts_what_the_exact_rule_refuses() -> None:
    # h is the log of the acceptance probability of Marsaglia and Tsang; the squeeze says that
    # e^h ≥ 1 - x⁴/(54d) for all x with y = x / √(9d) ≥ -1/2.
    for dof in (2, 3, 5, 99, 10_000):
        d = dof / 2 - 1 / 3
        y = np.linspace(-0.5, 4.0, 100_001)
        x = y * np.sqrt(9 * d)
        v = (1 + y) ** 3
        h = 0.5 * x**2 + d - d * v + d * np.log(v)
        assert (np.exp(h) >= 1 - x**4 / (54 * d) - 1e-9 * d).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 7), (4, 100), (6, 1_001)])
def test_moments_are_exact_however_far_from_zero_they_lie(shape: tuple[int, int]) -> None:
    for offset, scale in ((0.0, 1.0), (1e9, 1e-3), (-5.0, 1e-12), (0.0, 1e-140)):
        data = offset + scale * rng().standard_normal(shape)
        for row, mean, scatter in zip(data, *draws.moments(data), strict=True):
            exact = [Fraction(x) for x in row]
            centre = sum(exact) / len(exact)
            rounding = 2 * abs(centre) + len(exact) * max(abs(x - exact[0]) for x in exact)
            assert abs(Fraction(mean) - centre) <= rounding * Fraction(2.0**-53)
            spread = sum((x - centre) ** 2 for x in exact)
            assert abs(Fraction(scatter) - spread) <= spread * Fraction(1e-14 * len(exact))


def test_equal_values_have_a_scatter_of_exactly_zero() -> None:
    assert not draws.moments(np.full((3, 11), 0.1))[1].any()


def shard(seed: int) -> bytes:
    """Both kinds of draws."""
    mean, var = np.linspace(0, 1, 1_300), np.linspace(0, 2, 1_300)
    parts = [draws.normals(mean, var, 9, rng=rng(seed))]
    parts += draws.normal_moments(mean, var, 9, rng=rng(seed))
    return b"".join(part.tobytes() for part in parts)


def test_threads_draw_the_same_bytes_as_one_alone() -> None:
    alone = [shard(seed) for seed in range(6)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(shard, range(6))) == alone
    assert len(set(alone)) == 6


def test_a_replicate_does_not_depend_on_those_after_it() -> None:
    mean, var = np.zeros(2_000), np.ones(2_000)
    whole = draws.normals(mean, var, 7, rng=rng())
    assert np.array_equal(whole[:700], draws.normals(mean[:700], var[:700], 7, rng=rng()))


@pytest.mark.parametrize("n", [1, 2, 63, 64, 100, 513, 3_000])
def test_moments_of_draws_never_stored_are_those_of_the_array_to_the_bit(n: int) -> None:
    mean, var = np.linspace(-5, 5, 43), np.linspace(0, 4, 43)
    unseen = draws.Normals(mean, var, n, rng=rng())
    stored = draws.normals(mean, var, n, rng=rng())
    before = unseen.moments()
    assert np.array_equal(np.asarray(unseen), stored)
    for a, b, c in zip(before, draws.moments(unseen), draws.moments(stored), strict=True):
        assert np.array_equal(a, b) and np.array_equal(a, c)


def test_unseen_draws_can_be_used_like_the_array_they_stand_for() -> None:
    unseen = draws.Normals(np.zeros(3), np.ones(3), 4, rng=rng())
    stored = draws.normals(np.zeros(3), np.ones(3), 4, rng=rng())
    assert unseen.shape == stored.shape == np.shape(unseen) and len(unseen) == 3
    assert np.array_equal(unseen[1:, [0, 2]], stored[1:, [0, 2]])
    assert np.array_equal(2 * unseen + unseen, 3 * stored)
    assert np.array_equal(unseen > 0, stored > 0)
    assert np.array_equal(unseen.sum(axis=1), stored.sum(axis=1))
    assert np.array_equal(np.concatenate([stored, unseen], axis=1), np.hstack([stored, stored]))
    rows = np.argsort(stored, axis=1)
    assert np.array_equal(np.take_along_axis(unseen, rows, axis=1), np.sort(stored, axis=1))
    both = Arrays(stored).join(Arrays(unseen)).take(np.array([0, 5]))
    assert np.array_equal(both.values, stored[:, [0, 1]])
    with pytest.raises(AttributeError):
        _ = unseen.no_such_thing
