"""The first category to be lost: the exact law against chains and simulation, and its limits."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from loop_runs import close, refused, shares_close
from scipy.stats import binom, multinomial

from tailguard.theory import extinction as theory

LAWS: dict[str, tuple[int, list[float]]] = {
    "two": (12, [0.7, 0.3]),
    "three": (20, [0.5, 0.3, 0.2]),
    "ten": (30, [0.1] * 10),
    "rare": (50, [0.9, 0.05, 0.03, 0.02]),
}


def first_losses(n: int, p: list[float], runs: int, until: int) -> Any:
    """First generation without all categories, ``until`` at most."""
    rng = np.random.default_rng(n)
    x, times = np.tile(p, (runs, 1)), np.full(runs, until)
    alive = np.arange(runs)
    for t in range(1, until):
        x = rng.multinomial(n, x) / n
        lost = (x == 0).any(axis=1)
        times[alive[lost]] = t
        x, alive = x[~lost], alive[~lost]
    return times


@pytest.mark.parametrize("name", LAWS)
def test_first_losses_come_when_theory_says(name: str) -> None:
    n, p = LAWS[name]
    times = first_losses(n, p, 20_000, 300)
    t = np.array([1, 2, 4, 8, 16, 32])
    seen = times[:, None] <= t
    assert shares_close(seen, theory.first_extinction_cdf(t, n, p))
    assert close(times, theory.first_extinction_mean(n, p))
    assert not shares_close(seen, theory.first_extinction_cdf_diffusion(t, n, p))
    assert not close(times, theory.first_extinction_mean_diffusion(n, p))
    assert not shares_close(seen, theory.first_extinction_cdf(t, n + 2, p))
    median = theory.first_extinction_quantile(0.5, n, p)
    assert (times < median).mean() < 0.52 and (times <= median).mean() > 0.48


def test_duality_is_the_chain_itself_for_two_categories() -> None:
    n, p0 = 15, 0.3
    step: Any = binom.pmf(np.arange(n + 1)[None], n, np.arange(n + 1)[:, None] / n)
    state: Any = binom.pmf(np.arange(n + 1), n, p0)
    want = []
    for _ in range(40):
        want.append(state[[0, n]].sum())
        state = state @ step
    got = theory.first_extinction_cdf(np.arange(1, 41), n, [p0, 1 - p0])
    np.testing.assert_allclose(got, want, atol=1e-12)
    inner = step[1:-1, 1:-1]
    start = np.asarray(binom.pmf(np.arange(1, n), n, p0))
    mean = 1 + start @ np.linalg.solve(np.eye(n - 1) - inner, np.ones(n - 1))
    assert theory.first_extinction_mean(n, [p0, 1 - p0]) == pytest.approx(mean)


def test_duality_is_the_chain_itself_for_three_categories() -> None:
    n, p = 7, np.array([0.5, 0.3, 0.2])
    counts = np.array([c for c in itertools.product(range(1, n), repeat=3) if sum(c) == n])
    step = np.array([multinomial.pmf(counts, n, c / n) for c in counts])
    state, want = multinomial.pmf(counts, n, p), []
    for _ in range(12):
        want.append(1 - state.sum())
        state = state @ step
    got = theory.first_extinction_cdf(np.arange(1, 13), n, p)
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_coverage_counts_collections_of_coupons() -> None:
    draws = np.array(list(itertools.product(range(3), repeat=5)))
    p = np.array([0.5, 0.3, 0.2])
    whole = np.array([len(set(row)) == 3 for row in draws])
    assert theory.coverage(5, p)[5] == pytest.approx(float(p[draws].prod(axis=1)[whole].sum()))
    # Against inclusion and exclusion, which is exact for few categories.
    p = np.array([0.001, 0.05, 0.2, 0.749])
    a = np.arange(1_501)
    want = np.zeros(len(a))
    for size in range(5):
        for left_out in itertools.combinations(p, size):
            want += (-1) ** size * (1 - sum(left_out)) ** a
    got = theory.coverage(1_500, p)
    np.testing.assert_allclose(got[1:], want[1:], atol=1e-9)
    assert np.diff(got).min() > -1e-9
    assert theory.coverage(3, [0.25] * 4).tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(theory.coverage(4, [0.25] * 4)[4], 24 / 256)
    np.testing.assert_allclose(theory.coverage(9, [1.0, 0.0])[1:], 1)


def test_the_mean_of_the_diffusion_is_a_sum_over_subsets() -> None:
    rng = np.random.default_rng(0)
    for k in (2, 3, 6):
        p = rng.dirichlet(np.ones(k))
        total = 0.0
        for size in range(1, k + 1):
            for s in itertools.combinations(p, size):
                total += (-1) ** size * sum(s) * np.log(sum(s))
        assert theory.first_extinction_mean_diffusion(50, p) == pytest.approx(100 * total, rel=1e-9)
    p0 = 0.1
    entropy = -(p0 * np.log(p0) + (1 - p0) * np.log(1 - p0))
    assert theory.first_extinction_mean_diffusion(7, [p0, 1 - p0]) == pytest.approx(14 * entropy)


def test_the_diffusion_law_has_its_own_mean_and_its_own_quantiles() -> None:
    n, p = 80, [0.5, 0.2, 0.2, 0.1]
    t = np.exp(np.linspace(np.log(1e-3), np.log(1e7), 400_001))
    alive = 1 - theory.first_extinction_cdf_diffusion(t, n, p)
    mean = np.trapezoid(alive, t) + t[0]
    assert theory.first_extinction_mean_diffusion(n, p) == pytest.approx(mean, rel=1e-4)
    for q in (0.01, 0.5, 0.999):
        time = theory.first_extinction_quantile_diffusion(q, n, p)
        assert theory.first_extinction_cdf_diffusion(time, n, p) == pytest.approx(q)
    even = -2 * n / (8 * np.log(1 - 0.5 ** (1 / 8)))
    assert theory.first_extinction_quantile_diffusion(0.5, n, [1 / 8] * 8) == pytest.approx(even)


def test_approximations_become_exact_in_their_limits() -> None:
    # Rare categories: branching is right in every generation, diffusion only in late ones.
    t = np.array([1, 2, 5, 20, 60])
    gaps = []
    for n in (200, 2_000):
        p = [10 / n, 25 / n, 1 - 35 / n]
        exact = theory.first_extinction_cdf(t, n, p)
        gaps.append(np.abs(theory.first_extinction_cdf_branching(t, n, p) - exact).max())
    assert gaps[1] < 0.2 * gaps[0] < 0.01
    far = np.abs(theory.first_extinction_cdf_diffusion(t, 2_000, p) - exact)
    assert far[2] > 10 * gaps[1] and far[-1] < far[2]
    # Many samples of frequent categories: the mean of the diffusion.
    off = [
        theory.first_extinction_mean_diffusion(n, [0.4, 0.6])
        / theory.first_extinction_mean(n, [0.4, 0.6])
        for n in (100, 2_000)
    ]
    assert 1 < off[1] < 1 + 0.1 * (off[0] - 1)


def test_quantiles_are_the_first_time_that_is_late_enough() -> None:
    for (n, p), q in itertools.product(LAWS.values(), (0.05, 0.5, 0.99)):
        t = theory.first_extinction_quantile(q, n, p)
        around = theory.first_extinction_cdf([max(t - 1, 0), t], n, p)
        assert around[0] < q <= around[1] + 1e-12
    assert theory.first_extinction_quantile(0.5, 2, [0.5, 0.5]) == 1


def test_one_category_is_never_lost_and_too_many_are_lost_at_once() -> None:
    alone = [1.0, 0.0]
    np.testing.assert_allclose(theory.first_extinction_cdf([0, 1, 99], 9, alone), 0, atol=1e-12)
    assert theory.first_extinction_cdf_diffusion([0.0, 5.0], 9, alone).tolist() == [0, 0]
    for time in (
        theory.first_extinction_mean(9, alone),
        theory.first_extinction_mean_diffusion(9, alone),
        theory.first_extinction_quantile(0.5, 9, alone),
        theory.first_extinction_quantile_diffusion(0.5, 9, alone),
    ):
        assert np.isinf(time)
    assert theory.first_extinction_cdf([0, 1], 5, [0.1] * 10).tolist() == [0, 1]
    assert theory.first_extinction_mean(1, [0.5, 0.5]) == 1
    assert "sum of p" in refused(lambda: theory.first_extinction_mean(9, [0.5, 0.4]))
    assert "n:" in refused(lambda: theory.first_extinction_cdf(1, 10**5, [0.5, 0.5]))
    assert "q:" in refused(lambda: theory.first_extinction_quantile(1.0, 9, [0.5, 0.5]))
