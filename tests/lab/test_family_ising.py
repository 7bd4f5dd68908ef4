"""The Ising model against enumeration, general-purpose optimisation and martingale theory."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from family_cases import (
    DOUBT,
    MANY,
    REGIMES_TO_TRY,
    family_of,
    near,
    p_value,
    paths_agree,
    refused,
    run,
    same_bytes,
)
from scipy.optimize import minimize
from scipy.special import logsumexp

from tailguard.lab.families.ising import PAIRS, Ising, levels_of, whole_moments
from tailguard.mix.decoding import Decoding
from tailguard.mix.samples import Floats

RING = Ising(spins=5, pairs="ring")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def energies(states: Floats, pairs: str) -> Floats:
    """Both sums of every state, by loops."""
    found = []
    for s in states:
        n = len(s)
        if pairs == "ring":
            bonds = [s[i] * s[(i + 1) % n] for i in range(n)]
        else:
            bonds = [s[i] * s[j] for i in range(n) for j in range(i)] if pairs == "all" else []
        found.append([sum(s), sum(bonds)])
    return np.array(found, dtype=float)


@pytest.mark.parametrize("pairs", PAIRS)
def test_probabilities_are_those_of_enumerating_all_states(pairs: str) -> None:
    states = np.array(list(product([-1, 1], repeat=5)))
    theta = np.array([0.3, 0.0 if pairs == "none" else -0.2])
    logs = energies(states, pairs) @ theta
    expected = logs - logsumexp(logs)
    model = Ising(spins=5, pairs=pairs).truth(1, field=theta[0], coupling=theta[1])
    assert np.allclose(model.log_prob(states[None])[0], expected)
    table = np.exp(model.log_prob(model.levels.states[None])[0])
    assert np.allclose(model.probabilities[0], table)
    assert model.probabilities.sum() == pytest.approx(1.0)
    features = energies(states, pairs) / np.array([5, {"none": 1, "ring": 5, "all": 10}[pairs]])
    mean = np.exp(expected) @ features
    var = np.exp(expected) @ features**2 - mean**2
    d = model.mean.shape[1]
    assert np.allclose(model.mean[0], mean[:d]) and np.allclose(model.var[0], var[:d])


def test_drawn_states_have_the_probabilities_of_their_model() -> None:
    model = RING.truth(2_000, field=0.2, coupling=0.3)
    drawn = model.sample(20, rng=rng()).reshape(-1, 5)
    for state in ([1, 1, 1, 1, 1], [1, -1, 1, -1, 1], [-1, -1, -1, -1, 1], [1, -1, -1, -1, -1]):
        hits = (drawn == state).all(axis=1)
        assert near(hits * 1.0, float(np.exp(model.log_prob(np.array([[state]] * 2_000))[0, 0])))


@pytest.mark.parametrize("regime", REGIMES_TO_TRY)
@pytest.mark.parametrize("family", [RING, Ising(spins=4), Ising(spins=3, pairs="none")])
def test_samples_and_statistics_give_the_same_law(family: Ising, regime: str) -> None:
    summaries = {
        "spin": lambda m: m.mean[:, 0],
        "last": lambda m: m.mean[:, -1],
        "var": lambda m: m.var[:, 0],
    }
    paths_agree(family, regime, summaries, field=0.2)


@pytest.mark.parametrize("pairs", ["ring", "all"])
def test_the_fit_is_the_optimum_that_scipy_finds(pairs: str) -> None:
    family = Ising(spins=5, pairs=pairs)
    data = family.truth(6, field=0.2, coupling=0.2).sample(30, rng=rng())
    model = family.fit(data, rng=rng())
    states = np.array(list(product([-1, 1], repeat=5)))
    features = energies(states, pairs)
    for r in range(6):
        wanted = energies(data[r], pairs).mean(axis=0)
        best = minimize(lambda t, m=wanted: logsumexp(features @ t) - t @ m, [0.0, 0.0], tol=1e-12)
        found = model.log_prob(data)[r].mean()
        assert found == pytest.approx(-best.fun, abs=1e-8)


@pytest.mark.parametrize("pairs", PAIRS)
def test_every_fit_matches_the_moments_even_on_the_border(pairs: str) -> None:
    family = Ising(spins=4, pairs=pairs)
    model = family.truth(3_000)
    border = 0
    for step in range(40):
        drawn = model.statistics(6, rng=rng(step))
        model = family.fit_statistics(drawn, rng=rng())
        found = model.shares @ model.levels.moments
        assert np.allclose(found, drawn.sums / 6, atol=1e-9)
        border += int((model.shares == 0).any(axis=1).sum())
    assert border > 1_000


def test_data_on_an_edge_are_fitted_by_the_states_of_that_edge_only() -> None:
    # Magnetisations 4 and 2 of 4 spins are neighbours on the parabola of moments: no other level
    # can come, and within the edge the shares are those of the data.
    family = Ising(spins=4, pairs="all")
    data = np.array([[[1, 1, 1, 1], [1, 1, 1, 1], [1, -1, 1, 1]]])
    model = family.fit(data, rng=rng())
    shares = dict(zip(levels_of(4, "all").moments[:, 0], model.shares[0], strict=True))
    assert shares == pytest.approx({-4.0: 0, -2.0: 0, 0.0: 0, 2.0: 1 / 3, 4.0: 2 / 3})
    # On a ring the edge of isolated spins holds four levels, fitted as a family of one parameter.
    data = np.array([[[1, -1, 1, -1, 1, -1], [-1] * 6, [-1, -1, 1, -1, -1, -1]]])
    model = Ising(spins=6, pairs="ring").fit(data, rng=rng())
    moments = levels_of(6, "ring").moments
    alive = moments[model.shares[0] > 0]
    assert alive.tolist() == [[-6, 6], [-4, 2], [-2, -2], [0, -6]]
    each = (model.shares[0] / levels_of(6, "ring").size)[model.shares[0] > 0]
    assert np.allclose(np.diff(np.log(each), 2), 0.0, atol=1e-9)


def test_means_are_martingales_and_end_in_the_corners() -> None:
    # Jangjoo, Marsili & Roudi: maximum likelihood keeps the expected moments; closed loops end
    # in states that never change again.
    family = Ising(spins=3, pairs="all")
    true = family.truth(1, field=0.2, coupling=0.1)
    model = run(family, n=5, generations=150, replicates=5_000, field=0.2, coupling=0.1)
    for d in range(2):
        assert near(model.mean[:, d], true.mean[0, d])
    assert ((model.shares > 0).sum(axis=1) == 1).mean() > 0.99
    again = family.fit_statistics(model.statistics(5, rng=rng()), rng=rng())
    stuck = (model.shares > 0).sum(axis=1) == 1
    assert np.array_equal(again.shares[stuck], model.shares[stuck])


def test_independent_spins_drift_like_coins_of_n_times_as_many_tosses() -> None:
    spins, n, t = 4, 6, 10
    model = run(Ising(spins=spins, pairs="none"), n=n, generations=t, replicates=8_000, field=0.3)
    start = np.tanh(0.3)
    assert near(model.mean[:, 0], start)
    assert near(1 - model.mean[:, 0] ** 2, (1 - start**2) * (1 - 1 / (n * spins)) ** t)


def test_a_prior_keeps_the_loop_off_the_border() -> None:
    for pairs in PAIRS:
        family = Ising(spins=3, pairs=pairs, prior=0.05)
        model = run(family, n=5, generations=60, replicates=500)
        assert (model.shares > 0).all()
    # Means shrink by n / (n + prior) each generation.
    family = Ising(spins=3, pairs="none", prior=1.0)
    model = run(family, n=5, generations=3, replicates=10_000, field=1.0)
    assert near(model.mean[:, 0], np.tanh(1.0) * (5 / 6) ** 3)


def test_moments_a_billionth_off_the_border_are_still_matched() -> None:
    for pairs in PAIRS:
        family, moments = Ising(spins=6, pairs=pairs), levels_of(6, pairs).moments
        few = moments[:, None] + (moments[None] - moments[:, None]) * 1e-9
        wanted = few.reshape(-1, moments.shape[1])
        found = family._matched(wanted).shares @ moments
        assert np.allclose(found, wanted, rtol=0, atol=1e-10)


def test_expected_statistics_are_the_average_and_lose_nothing() -> None:
    model = RING.truth(20_000, field=0.2, coupling=-0.4)
    drawn, expected = model.statistics(4, rng=rng()), model.expected_statistics(4)
    for d in range(2):
        assert near(drawn.sums[:, d], expected.sums[0, d])
    assert np.allclose(RING.fit_statistics(expected, rng=rng()).shares, model.shares)


def test_temperature_divides_the_parameters() -> None:
    cold = RING.truth(1, field=0.2, coupling=-0.4).decoded(Decoding(temperature=0.5))
    assert np.allclose(cold.shares, RING.truth(1, field=0.4, coupling=-0.8).shares)
    refused("expected a temperature", lambda: cold.decoded(Decoding(top_k=2)))


def test_weighted_states_count_as_often_as_their_weights() -> None:
    data = RING.truth(3).sample(6, rng=rng())
    twice = np.concatenate([data, data[:, :2]], axis=1)
    weighted = RING.fit(data, rng=rng(), weights=np.array([2.0, 2.0, 1.0, 1.0, 1.0, 1.0]))
    assert np.allclose(weighted.shares, RING.fit(twice, rng=rng()).shares)


def test_independent_draws_of_moments_are_told_from_joint_ones() -> None:
    model = RING.truth(MANY, coupling=0.5)
    right = model.statistics(8, rng=rng()).sums
    wrong = np.column_stack([right[:, 0], rng(1).permutation(right[:, 1])])

    def product_of(sums: Floats) -> Floats:
        return sums[:, 0] ** 2 * sums[:, 1]

    again = whole_moments(model.sample(8, rng=rng(2)), "ring").sum(axis=1)
    assert p_value(product_of(right), product_of(wrong)) < DOUBT
    assert p_value(product_of(right), product_of(again)) > DOUBT


def test_the_same_seed_gives_the_same_bytes() -> None:
    same_bytes(RING.truth(100, field=0.1))


def test_bad_settings_and_data_are_refused_in_one_line() -> None:
    refused("spins in \\[2, 12\\]", lambda: family_of("ising", spins=13))
    refused("spins in \\[3, 12\\]", lambda: family_of("ising", spins=2, pairs="ring"))
    refused("pairs none, ring, all", lambda: family_of("ising", pairs="square"))
    refused("prior at least 0", lambda: family_of("ising", prior=-1.0))
    refused("no coupling", lambda: Ising(pairs="none").truth(2, coupling=0.5))
    refused("field finite", lambda: Ising().truth(2, field=float("nan")))
    refused("spins -1 or 1", lambda: RING.fit(np.zeros((1, 4, 5)), rng=rng()))
    refused("spins -1 or 1", lambda: RING.fit(np.ones((1, 4, 6)), rng=rng()))
