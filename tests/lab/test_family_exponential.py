"""Waiting times against the random walk of their logarithm, on samples and on statistics."""

from __future__ import annotations

import numpy as np
import pytest
from family_cases import (
    DOUBT,
    MANY,
    REGIMES_TO_TRY,
    near,
    p_value,
    paths_agree,
    refused,
    run,
    same_bytes,
)
from scipy import stats
from scipy.special import digamma, polygamma

from tailguard.lab.families.exponential import Exponential, ExponentialModel
from tailguard.mix.decoding import Decoding


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("regime", REGIMES_TO_TRY)
def test_samples_and_statistics_give_the_same_law(regime: str) -> None:
    paths_agree(Exponential(), regime, {"mean": lambda m: np.log(m.mean)}, mean=3.0)


@pytest.mark.parametrize("path", ["samples", "statistics"])
def test_the_logarithm_of_the_mean_is_a_random_walk(path: str) -> None:
    # θ_t = θ_0 Π Gamma(n)/n: E log Gamma(n) = ψ(n), with variance ψ'(n).
    n, t, replicates = 6, 10, 10_000
    model = run(Exponential(), path=path, n=n, generations=t, replicates=replicates, mean=2.0)
    logs = np.log(model.mean / 2.0)
    assert near(logs, t * (digamma(n) - np.log(n)))
    assert abs(logs.var() / (t * polygamma(1, n)) - 1) < 5 * np.sqrt(2 / replicates)
    assert near(model.mean, 2.0, errors=5.0)


def test_weighted_times_give_weighted_means() -> None:
    data, weights = np.array([[1.0, 4.0]]), np.array([3.0, 1.0])
    assert Exponential().fit(data, rng=rng(), weights=weights).mean.tolist() == [7 / 4]


def test_expected_statistics_are_the_average_and_lose_nothing() -> None:
    model = ExponentialModel(np.full(50_000, 1.3))
    assert near(model.statistics(4, rng=rng()).sums, 5.2)
    again = Exponential().fit_statistics(model.expected_statistics(4), rng=rng())
    assert np.allclose(again.mean, 1.3)


def test_temperature_scales_the_mean_and_bias_the_variance() -> None:
    model = ExponentialModel(np.array([2.0])).decoded(Decoding(temperature=0.5, bias=0.25))
    assert model.mean.tolist() == [0.5]
    cold = ExponentialModel(np.array([2.0])).decoded(Decoding(temperature=0.5))
    x = np.array([[0.3, 1.7]])
    powered = ExponentialModel(np.array([2.0])).log_prob(x) / 0.5
    assert np.diff(cold.log_prob(x)) == pytest.approx(np.diff(powered))
    refused("bias or temperature", lambda: model.decoded(Decoding(top_p=0.5)))


def test_densities_and_quantiles_are_those_of_scipy() -> None:
    model, x = ExponentialModel(np.array([0.5, 3.0])), np.array([[-1.0, 0.0, 0.4, 9.0]])
    same = stats.expon(scale=model.mean[:, None])
    assert np.allclose(model.log_prob(x), same.logpdf(x))
    assert np.allclose(model.cdf(x), same.cdf(x))
    assert np.allclose(model.quantile(0.9), same.ppf(0.9)[:, 0])
    dead = ExponentialModel(np.array([0.0]))
    assert dead.cdf(x).tolist() == [[0.0, 1.0, 1.0, 1.0]]
    assert dead.log_prob(x).tolist() == [[-np.inf, np.inf, -np.inf, -np.inf]]


def test_a_gamma_of_one_sample_too_many_is_seen() -> None:
    right = Exponential().truth(MANY).sample(8, rng=rng()).sum(axis=1)
    wrong = rng(1).standard_gamma(9, MANY) * (8 / 9)
    assert p_value(np.log(right), np.log(wrong)) < DOUBT


def test_the_same_seed_gives_the_same_bytes() -> None:
    same_bytes(Exponential().truth(600))


def test_bad_settings_and_data_are_refused_in_one_line() -> None:
    refused("mean at least 0", lambda: Exponential().truth(3, mean=-1.0))
    refused("data at least 0", lambda: Exponential().fit(np.array([[-1.0]]), rng=rng()))
    refused("data at least 0", lambda: Exponential().fit(np.array([[np.nan]]), rng=rng()))
    refused("positive weight", lambda: Exponential().fit(np.zeros((1, 0)), rng=rng()))
