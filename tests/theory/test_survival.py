"""Survival of symbols: iterates, exact ancestry, bounds, and counts drawn from counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from theory_cases import agrees, multinomial_replace, share_agrees

from tailguard.errors import InputError
from tailguard.theory import ancestry, drift, survival


def test_row_11_poisson_figures() -> None:
    printed = pytest.approx([0.8214, 0.3187], abs=5e-5)
    assert survival.poisson_survival([10, 50], 10) == printed


def test_row_12_bernoulli_figures_lie_inside_all_bounds() -> None:
    t = np.array([1, 10, 50])
    exact = survival.survival(t, 100, 0.01)
    assert exact == pytest.approx([0.634, 0.161, 0.041], abs=5e-4)
    low, high = survival.survival_bounds(t, 100, 0.01)
    assert np.all((low <= exact) & (exact <= high + 1e-12))
    paper_low, paper_high = survival.poisson_rate_bounds(t, sharp=False)
    assert np.all((1 - np.exp(-paper_low) <= exact) & (exact <= 1 - np.exp(-paper_high)))


def test_row_3_poisson_prediction_holds_for_the_counts_of_a_corpus() -> None:
    rng = np.random.default_rng(6)
    counts = np.minimum(rng.zipf(1.6, 40_000), 2_000)
    now = counts.copy()
    for t in range(1, 51):
        now = rng.poisson(now)
        if t in (1, 2, 5, 10, 50):
            predicted = survival.poisson_survival(t, counts)
            assert (now > 0).mean() == pytest.approx(predicted.mean(), abs=0.005)
            error = np.sqrt((predicted * (1 - predicted)).sum())
            assert abs((now > 0).sum() - predicted.sum()) < 4.5 * error


def test_poisson_survival_agrees_with_simulation_and_not_with_one_more_generation() -> None:
    rng, counts = np.random.default_rng(2), np.full(40_000, 3)
    for _ in range(6):
        counts = rng.poisson(counts)
    assert share_agrees(counts > 0, survival.poisson_survival(6, 3))
    assert not share_agrees(counts > 0, survival.poisson_survival(7, 3))
    assert not share_agrees(counts > 0, survival.poisson_survival(5, 3))


def test_the_iterate_keeps_both_pairs_of_bounds() -> None:
    t = np.arange(1, 5_001)
    g = survival.poisson_rate(t)
    for sharp in (False, True):
        low, high = survival.poisson_rate_bounds(t, sharp=sharp)
        assert np.all((low <= g * (1 + 1e-12)) & (g <= high * (1 + 1e-12)))
    assert np.max(high / low) < 1.08 and survival.poisson_rate(0) == np.inf
    assert 5_000 * g[-1] == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("p0", [0.02, 0.3, 0.9])
def test_survival_agrees_with_binomial_simulation(p0: float) -> None:
    rng, n, reps = np.random.default_rng(8), 30, 60_000
    counts = rng.binomial(n, p0, reps)
    alive = {1: counts > 0}
    for now in range(2, 41):
        counts = rng.binomial(n, counts / n)
        alive[now] = counts > 0
    t = np.array([1, 2, 5, 15, 40])
    hits = np.stack([alive[int(k)] for k in t], axis=1)
    assert share_agrees(hits, survival.survival(t, n, p0))
    if p0 < 0.5:
        assert not share_agrees(hits, survival.poisson_survival(t, n * p0))


@given(
    n=st.integers(1, 60),
    p0=st.floats(0, 1),
    t=st.integers(0, 80),
)
def test_survival_by_ancestry_is_survival_by_the_chain(n: int, p0: float, t: int) -> None:
    alive = float(survival.survival(t, n, p0))
    low, high = survival.survival_bounds(t, n, p0)
    assert low - 1e-12 <= alive <= high + 1e-12
    if t:
        chain = drift.count_distribution(t, n, p0)
        assert alive == pytest.approx(1 - chain[0], abs=1e-10)


def test_survival_has_its_limits_in_time_and_size() -> None:
    assert survival.survival([0, 1, 5_000], 20, [0.0, 0.3, 1.0]) == pytest.approx(
        np.array([[0, 1, 1], [0, 1 - 0.7**20, 1], [0, 0.3, 1]]), abs=1e-9
    )
    rare = survival.survival(10, 10**7, 1e-6)
    assert rare == pytest.approx(float(survival.poisson_survival(10, 10.0)), rel=1e-5)


@pytest.mark.parametrize("largest", [1_000, 400])
def test_normal_ancestors_stand_in_for_the_exact_chain(largest: int) -> None:
    x = 1 - np.logspace(-5, -0.01, 40)
    t = np.array([0, 1, 2, 4, 10, 30, 100, 1_000, 5_000])
    exact = ancestry.generating(t, 2_000, x)
    near = ancestry.generating(t, 2_000, x, largest=largest)
    assert np.abs(near - exact).max() < 1e-6
    spent, lineages = ancestry.expected_lineages(2_000)
    spent2, lineages2 = ancestry.expected_lineages(2_000, largest=largest)
    assert spent.sum() == pytest.approx(spent2.sum(), rel=1e-6)
    assert spent @ 0.9**lineages == pytest.approx(spent2 @ 0.9**lineages2, rel=1e-6)


def test_ancestors_agree_with_balls_in_boxes_and_their_mean_bound() -> None:
    rng, n, reps = np.random.default_rng(1), 12, 20_000
    now = np.full(reps, n)
    for t in range(1, 6):
        boxes = rng.integers(0, n, (reps, n))
        boxes[np.arange(n) >= now[:, None]] = n
        hit = np.zeros((reps, n + 1), bool)
        hit[np.arange(reps)[:, None], boxes] = True
        now = hit[:, :n].sum(axis=1)
        law = ancestry.ancestors(t, n)
        assert share_agrees(now[:, None] == np.arange(n + 1), law)
        assert law @ np.arange(n + 1) <= ancestry.mean_ancestors(t, n) + 1e-12
    assert ancestry.ancestors(1_000, n)[1] == pytest.approx(1.0)


def test_laws_of_being_alive_agree_with_fitted_coins_and_rates() -> None:
    rng, n, reps = np.random.default_rng(10), 9, 20_000
    coin, rate = np.full(reps, 0.2), np.full(reps, 0.3)
    for _ in range(4):
        coin, rate = rng.binomial(n, coin) / n, rng.poisson(n * rate) / n
    laws = {law.families[0]: law for law in survival.LAWS if law.quantity == "alive"}
    assert share_agrees(coin > 0, laws["bernoulli"].at(4, n=n, p=[0.8, 0.2]))
    assert share_agrees(rate > 0, laws["poisson"].at(4, n=n, var0=0.3))


def test_survivors_and_unseen_mass_agree_with_multinomial_samples() -> None:
    rng, n, p = np.random.default_rng(3), 25, np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    seen = multinomial_replace(12, n, 6_000, p, rng=rng) > 0
    t = np.array([1, 3, 6, 12])
    assert agrees(seen[:, t - 1].sum(axis=2), survival.survivors(t, n, p))
    missing = (~seen[:, t - 1]) @ p
    assert agrees(missing, survival.unseen_mass(t, n, p))
    assert not agrees(missing, survival.unseen_mass(t + 1, n, p))
    assert survival.survivors([0, 10**5], n, p) == pytest.approx([6, 1])
    limit = 1 - (p**2).sum()
    assert survival.unseen_mass([0, 10**5], n, p) == pytest.approx([0, limit])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: survival.survival(1, 0, 0.5), "n"),
        (lambda: survival.survival(1, 10, 1.5), "p0"),
        (lambda: survival.survivors(1, 10, [0.5, 0.4]), "sum 1"),
        (lambda: survival.poisson_survival(-1, 3), "t"),
        (lambda: ancestry.ancestors(1, 5_000), "at most 2000"),
    ],
)
def test_bad_survival_settings_are_named(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()  # type: ignore[operator]
