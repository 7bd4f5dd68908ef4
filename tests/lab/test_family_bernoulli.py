"""The coin against Wright-Fisher theory, on samples and on statistics."""

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

from tailguard.lab.families.bernoulli import Bernoulli, BernoulliModel
from tailguard.lab.sums import Sums
from tailguard.mix.decoding import Decoding


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("regime", REGIMES_TO_TRY)
def test_samples_and_statistics_give_the_same_law(regime: str) -> None:
    summaries = {"p": lambda m: m.mean, "var": lambda m: m.var}
    paths_agree(Bernoulli(prior=0.3), regime, summaries, p=0.2)


@pytest.mark.parametrize("path", ["samples", "statistics"])
def test_replacement_takes_one_nth_of_the_variance_each_time(path: str) -> None:
    n, t, p = 20, 15, 0.3
    model = run(Bernoulli(), path=path, n=n, generations=t, replicates=10_000, p=p)
    assert near(model.mean, p)
    assert near(model.var, p * (1 - p) * (1 - 1 / n) ** t)


def test_a_rare_side_survives_one_step_unless_every_toss_misses_it() -> None:
    # Suresh et al. 2024: n = 100, p = 0.01 leave it with probability 1 - 0.99^100 = 0.634.
    model = run(Bernoulli(), n=100, generations=1, replicates=50_000, p=0.01)
    assert near((model.mean > 0) * 1.0, 1 - 0.99**100)


def test_a_prior_draws_the_mean_to_the_middle_at_its_rate() -> None:
    n, prior, t = 10, 2.0, 4
    model = run(Bernoulli(prior=prior), n=n, generations=t, replicates=20_000, p=0.9)
    assert near(model.mean, 0.5 + 0.4 * (n / (n + 2 * prior)) ** t)
    assert ((model.mean > 0) & (model.mean < 1)).all()


def test_weighted_tosses_count_as_often_as_their_weights() -> None:
    data, weights = np.array([[1, 0, 1], [0, 0, 1]]), np.array([[2.0, 1.0, 1.0], [1.0, 1.0, 0.5]])
    expected = [0.75, 0.2]
    assert Bernoulli().fit(data, rng=rng(), weights=weights).mean.tolist() == expected
    ones = Sums(1, np.array([1.0]), "bits").scaled(3.0).join(Sums(2, np.array([0.0]), "bits"))
    assert Bernoulli(prior=1.0).fit_statistics(ones, rng=rng()).mean.tolist() == [4 / 7]


def test_expected_statistics_are_the_average_and_lose_nothing() -> None:
    model = BernoulliModel(np.full(50_000, 0.3))
    assert near(model.statistics(7, rng=rng()).sums, 2.1)
    again = Bernoulli().fit_statistics(model.expected_statistics(7), rng=rng())
    assert np.allclose(again.mean, 0.3)


def test_decoding_sharpens_the_coin_or_shows_only_its_likelier_side() -> None:
    model = BernoulliModel(np.array([0.2, 0.5, 0.8, 0.0]))
    cold = model.decoded(Decoding(temperature=0.5)).mean
    assert np.allclose(cold, [0.04 / 0.68, 0.5, 0.64 / 0.68, 0.0])
    assert model.decoded(Decoding(top_k=1)).mean.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert model.decoded(Decoding(top_p=0.7)).mean.tolist() == [0.0, 0.5, 1.0, 0.0]
    refused("got a bias", lambda: model.decoded(Decoding(bias=0.9)))


def test_log_probabilities_are_those_of_both_sides() -> None:
    model = BernoulliModel(np.array([0.25, 1.0]))
    found = model.log_prob(np.array([[0, 1, 2], [0, 1, 2]]))
    assert np.allclose(np.exp(found), [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0]])


def test_a_binomial_of_one_toss_too_few_is_seen() -> None:
    class Wrong(BernoulliModel):
        def statistics(self, n: int, *, rng: np.random.Generator) -> Sums:
            return Sums(n, rng.binomial(n - 1, self.mean) * (n / (n - 1)), "bits")

    true = Wrong(np.full(MANY, 0.4))
    wrong, right = true.statistics(8, rng=rng()).sums, true.sample(8, rng=rng(1)).sum(axis=1)
    assert p_value(wrong, right * 1.0) < DOUBT


def test_the_same_seed_gives_the_same_bytes() -> None:
    same_bytes(Bernoulli().truth(600, p=0.4), n=40)


def test_bad_settings_and_data_are_refused_in_one_line() -> None:
    refused("prior at least 0", lambda: family_of("bernoulli", prior=-1.0))
    refused("p in \\[0, 1\\]", lambda: Bernoulli().truth(3, p=1.5))
    refused("p in \\[0, 1\\]", lambda: Bernoulli().truth(3, p=float("nan")))
    refused("data of 0 and 1", lambda: Bernoulli().fit(np.array([[0, 2]]), rng=rng()))
    refused(
        "positive weight",
        lambda: Bernoulli().fit_statistics(Sums(0, np.zeros(2), "bits"), rng=rng()),
    )
