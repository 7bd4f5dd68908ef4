"""Poisson counts against branching theory, on samples and on statistics."""

from __future__ import annotations

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
from scipy import stats

from tailguard.lab.families.poisson import Poisson, PoissonModel
from tailguard.lab.sums import Sums
from tailguard.mix.decoding import Decoding


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("regime", REGIMES_TO_TRY)
def test_samples_and_statistics_give_the_same_law(regime: str) -> None:
    paths_agree(Poisson(), regime, {"rate": lambda m: m.mean}, rate=0.7)


@pytest.mark.parametrize("path", ["samples", "statistics"])
def test_survival_is_that_of_a_critical_branching_process(path: str) -> None:
    # nλ steps as Poisson(nλ): each of its units founds a line of its own, alive after k steps
    # with probability g_k. Suresh et al. 2024: nλ0 = 10 and k = 10 leave 0.8214.
    g, k = 1.0, 10
    for _ in range(k):
        expected, g = 1 - np.exp(-10 * g), 1 - np.exp(-g)
    assert expected == pytest.approx(0.8214, abs=1e-4)
    model = run(Poisson(), path=path, n=5, generations=k, replicates=20_000, rate=2.0)
    assert near((model.mean > 0) * 1.0, expected)
    assert near(model.mean, 2.0)
    assert near((model.mean - 2.0) ** 2, k * 2.0 / 5)


def test_weighted_counts_and_joined_sums_give_weighted_means() -> None:
    data = np.array([[1, 5, 0]])
    found = Poisson().fit(data, rng=rng(), weights=np.array([1.0, 2.0, 1.0])).mean
    sums = Sums(2, np.array([1.0]), "bits").join(Sums(1, np.array([5.0]), "counts").scaled(2.0))
    assert found.tolist() == [11 / 4] == Poisson().fit_statistics(sums, rng=rng()).mean.tolist()


def test_expected_statistics_are_the_average_and_lose_nothing() -> None:
    model = PoissonModel(np.full(50_000, 1.3))
    assert near(model.statistics(4, rng=rng()).sums, 5.2)
    again = Poisson().fit_statistics(model.expected_statistics(4), rng=rng())
    assert np.allclose(again.mean, 1.3)


def test_probabilities_and_quantiles_are_those_of_scipy() -> None:
    model = PoissonModel(np.array([0.0, 0.5, 40.0]))
    x = np.array([0, 1, 2, 30, 0.5, -1])
    same = stats.poisson(model.mean[:, None])
    assert np.allclose(np.exp(model.log_prob(x)), same.pmf(x))
    assert np.allclose(model.cdf(x[None].repeat(3, 0)), same.cdf(x))
    for q in (1e-4, 0.025, 0.5, np.exp(-0.5), 0.975, 1 - 1e-4):
        assert model.quantile(q).tolist() == same.ppf(q)[:, 0].tolist()


@pytest.mark.parametrize(("temperature", "top_k"), [(0.5, 7), (1.0, 3), (3.0, None)])
def test_decoded_counts_follow_powers_of_their_probabilities(
    temperature: float, top_k: int | None
) -> None:
    x, rate = np.arange(400), 2.5
    p = np.exp(stats.poisson(rate).logpmf(x) / temperature)
    if top_k is not None:
        p[np.argsort(-p)[top_k:]] = 0.0
    p /= p.sum()
    model = PoissonModel(np.full(MANY, rate))
    decoded = model.decoded(Decoding(temperature=temperature, top_k=top_k))
    sampled = decoded.sample(4, rng=rng())
    assert near(sampled[:, 0], float(p @ x))
    assert near(sampled[:, -1] ** 2, float(p @ x**2))
    sums = decoded.statistics(4, rng=rng(1)).sums
    assert p_value(sampled.sum(axis=1) * 1.0, sums) > DOUBT
    assert np.allclose(decoded.expected_statistics(4).sums, 4 * p @ x)


def test_a_law_of_the_wrong_spread_is_seen() -> None:
    right = PoissonModel(np.full(MANY, 2.0)).sample(8, rng=rng()).sum(axis=1) * 1.0
    wrong = rng(1).binomial(160, 0.1, MANY) * 1.0  # mean 16, variance 14.4
    assert p_value(right, wrong) < DOUBT


def test_the_same_seed_gives_the_same_bytes() -> None:
    same_bytes(Poisson().truth(600, rate=3.0))


def test_bad_settings_and_data_are_refused_in_one_line() -> None:
    refused("rate at least 0", lambda: Poisson().truth(3, rate=-1.0))
    refused("rate at least 0", lambda: Poisson().truth(3, rate=float("inf")))
    refused("whole numbers", lambda: Poisson().fit(np.array([[0.5]]), rng=rng()))
    refused("whole numbers", lambda: Poisson().fit(np.array([[-1]]), rng=rng()))
    refused("got a bias", lambda: Poisson().truth(3).decoded(Decoding(bias=0.5)))


def test_sums_of_another_kind_are_refused_unless_they_are_a_special_case() -> None:
    bits = family_of("bernoulli").truth(2, p=0.5).statistics(5, rng=rng())
    counts = Poisson().truth(2).statistics(5, rng=rng())
    numbers = family_of("exponential").truth(2).statistics(5, rng=rng())
    types = family_of("categorical", k=2).truth(2).statistics(5, rng=rng())
    for family, fit_for in (("bernoulli", 1), ("poisson", 2), ("exponential", 3)):
        fit = family_of(family).fit_statistics
        for place, sums in enumerate((bits, counts, numbers, types)):
            if place < fit_for:
                assert np.array_equal(fit(sums, rng=rng()).mean, sums.sums / 5)
            else:
                refused("expected sums of", lambda fit=fit, sums=sums: fit(sums, rng=rng()))
    moments = family_of("gaussian").truth(2).statistics(5, rng=rng())
    refused("got GaussianStatistics", lambda: Poisson().fit_statistics(moments, rng=rng()))
    assert bits.join(numbers, counts).kind == "numbers"
    refused("use path samples", lambda: types.join(bits))
    refused(
        "expected sums of 3 types",
        lambda: family_of("categorical", k=3).fit_statistics(types, rng=rng()),
    )
