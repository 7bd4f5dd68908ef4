"""Drift of frequencies: heterozygosity, fixation, entropy, against multinomial samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from theory_cases import agrees, multinomial_replace, share_agrees

from tailguard.theory import drift


def test_row_10_heterozygosity_figure() -> None:
    assert drift.heterozygosity(50, 100) == pytest.approx(0.605, abs=5e-4)
    assert drift.heterozygosity([0, 10**6], 100, 0.0198) == pytest.approx([0.0198, 0])
    assert drift.heterozygosity0([0.01, 0.99]) == pytest.approx(0.0198)


def test_heterozygosity_entropy_and_error_agree_with_samples() -> None:
    rng, n, p = np.random.default_rng(5), 12, np.array([0.5, 0.3, 0.15, 0.05])
    share = multinomial_replace(15, n, 20_000, p, rng=rng) / n
    t = np.array([1, 4, 15])
    now, h0 = share[:, t - 1], drift.heterozygosity0(p)
    assert agrees(1 - (now**2).sum(axis=2), drift.heterozygosity(t, n, h0))
    assert agrees(((now - p) ** 2).sum(axis=2), drift.squared_error(t, n, h0))
    assert agrees(stats.entropy(now, axis=2), drift.entropy_nats(t, n, p))
    assert not agrees(1 - (now**2).sum(axis=2), h0 * (1 - 1 / (n - 1)) ** t)
    assert drift.entropy_nats(0, n, p) == pytest.approx(stats.entropy(p))
    assert drift.entropy_nats(5_000, n, p) == pytest.approx(0, abs=1e-9)
    law = drift.count_distribution(4, n, 0.3)
    assert share_agrees(np.rint(now[:, 1, 1] * n)[:, None] == np.arange(n + 1), law)


def test_row_5_the_winner_is_drawn_from_the_initial_probabilities() -> None:
    rng, n, p = np.random.default_rng(12), 10, [0.5, 0.3, 0.15, 0.05]
    last = multinomial_replace(150, n, 20_000, p, rng=rng)[:, -1]
    assert (last.max(axis=1) == n).mean() > 0.9999
    assert share_agrees(last == n, drift.fixation_probability(p))
    assert not share_agrees(last == n, np.full(4, 0.25))


@pytest.mark.parametrize("p", [[0.5, 0.5], [0.05, 0.95], [0.4, 0.3, 0.2, 0.1], np.full(15, 1 / 15)])
def test_fixation_time_agrees_with_samples(p: list[float]) -> None:
    rng, n, reps = np.random.default_rng(0), 15, 8_000
    counts, first, now = rng.multinomial(n, p, reps), np.zeros(reps), 1
    while np.any(first == 0):
        first[(first == 0) & (counts.max(axis=1) == n)] = now
        counts, now = rng.multinomial(n, counts / n), now + 1
    assert agrees(first, drift.fixation_time(n, p))
    assert not agrees(first, drift.fixation_time(n + 2, p))
    t = np.array([1, 5, 15, 40])
    assert share_agrees(first[:, None] <= t, drift.fixation_cdf(t, n, p))


def test_fixation_time_of_two_symbols_solves_the_absorbing_chain() -> None:
    n, p = 20, 0.3
    counts = np.arange(1, n)
    moves = stats.binom.pmf(counts, n, counts[:, None] / n)
    wait = np.linalg.solve(np.eye(n - 1) - moves, np.ones(n - 1))
    expected = 1 + stats.binom.pmf(counts, n, p) @ wait
    assert drift.fixation_time(n, [p, 1 - p]) == pytest.approx(expected, rel=1e-10)


def test_fixation_time_is_the_sum_of_its_survival_function() -> None:
    p = np.full(30, 1 / 30)
    tail = 1 - drift.fixation_cdf(np.arange(4_000), 30, p)
    assert drift.fixation_time(30, p) == pytest.approx(tail.sum(), rel=1e-9)


def test_row_17_fixation_time_figure() -> None:
    time = drift.fixation_time(100, np.full(100, 0.01))
    assert time == pytest.approx(196, abs=4) and time == pytest.approx(196.742, abs=1e-3)
    assert pytest.approx(time, rel=0.01) == 2 * 100 * (1 - 1 / 100)


def test_diffusion_gives_the_fixation_time_of_large_samples() -> None:
    for p in ([0.5, 0.5], [0.9, 0.1], np.full(20, 0.05)):
        errors = [
            abs(drift.fixation_time(n, p) / float(drift.fixation_time_diffusion(n, p)) - 1)
            for n in (100, 1_000, 10_000)
        ]
        assert errors[0] < 0.05 and errors[1] < errors[0] / 5 and errors[2] < errors[1] / 5
    two = drift.fixation_time_diffusion(50, [0.3, 0.7])
    assert two == pytest.approx(-100 * (0.3 * np.log(0.3) + 0.7 * np.log(0.7)))


def test_certain_and_smallest_cases_of_fixation() -> None:
    assert drift.fixation_time(10, [1.0]) == 0 and drift.fixation_time(10, [0.0, 1.0]) == 0
    assert drift.fixation_time(1, [0.5, 0.5]) == 1
    assert drift.fixation_cdf([0, 1], 1, [0.5, 0.5]).tolist() == [0, 1]
    assert drift.fixation_cdf(0, 9, [1.0]) == 1


def test_binomial_probabilities_agree_with_scipy_and_survive_tiny_ones() -> None:
    k, p = np.arange(301), np.array([[0.0], [1e-12], [0.3], [1.0]])
    assert drift.binomial_pmf(k, 300, p) == pytest.approx(stats.binom.pmf(k, 300, p), abs=1e-12)
    assert drift.binomial_pmf([0, 1, 5], 4, 2e-308) == pytest.approx([1, 8e-308, 0])
    assert drift.binomial_pmf([0, 1], [0, 3], 0.5) == pytest.approx([1.0, 0.375])
