"""The Gaussian against chi-square theory, on samples and on statistics."""

from __future__ import annotations

import numpy as np
import pytest
from family_cases import (
    DOUBT,
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
from scipy.special import digamma, polygamma

from tailguard.lab.families.gaussian import Gaussian, GaussianModel, GaussianStatistics
from tailguard.lab.simulate import Setting, simulate
from tailguard.mix.decoding import Decoding


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("regime", REGIMES_TO_TRY)
def test_samples_and_statistics_give_the_same_law(regime: str, unbiased: bool) -> None:
    summaries = {"var": lambda m: np.log(m.var), "mean": lambda m: m.mean}
    paths_agree(Gaussian(unbiased=unbiased), regime, summaries, mean=1.0, var=4.0)


@pytest.mark.parametrize("path", ["samples", "statistics"])
def test_replacement_multiplies_variance_by_independent_chi_squares(path: str) -> None:
    # var_t = Π χ²(n - 1)/n; E log χ²(ν) = ψ(ν/2) + log 2, with variance ψ'(ν/2).
    n, t, replicates = 10, 12, 8_000
    model = run(Gaussian(), path=path, n=n, generations=t, replicates=replicates, seed=3)
    assert near(model.var, (1 - 1 / n) ** t)
    assert near(model.mean**2, 1 - (1 - 1 / n) ** t)
    half = (n - 1) / 2
    logs = np.log(model.var)
    assert near(logs, t * (digamma(half) + np.log(2 / n)))
    spread = t * polygamma(1, half)
    assert abs(logs.var() / spread - 1) < 5 * np.sqrt(2 / replicates)


def test_unbiased_variance_stays_one_on_average_while_its_median_falls() -> None:
    model = run(Gaussian(unbiased=True), n=10, generations=12, replicates=40_000)
    assert near(model.var, 1.0)
    assert np.median(model.var) < 0.4


def test_accumulation_keeps_the_variance_that_theory_keeps() -> None:
    # By maximum likelihood E var + E (mean - mean0)² = 1, and with real data at the root the
    # second moment about the true mean stays; Kazdan et al. 2024: the product of 1 - 1/(n i²).
    n, t = 10, 20
    model = run(Gaussian(), "accumulate", n=n, generations=t, replicates=20_000)
    expected = np.prod(1 - 1 / (n * np.arange(1, t + 1) ** 2))
    assert near(model.var, expected)
    assert near(model.mean**2 + model.var, 1.0)


@pytest.mark.parametrize("path", ["samples", "statistics"])
def test_unequal_weights_leave_the_unbiased_variance_unbiased(path: str) -> None:
    family, true = (
        Gaussian(unbiased=True),
        GaussianModel(np.full(40_000, 3.0), np.full(40_000, 2.0)),
    )
    if path == "samples":
        weights = np.repeat([1.0, 0.2], [3, 5])
        model = family.fit(true.sample(8, rng=rng()), rng=rng(), weights=weights)
    else:
        few, many = true.statistics(3, rng=rng(1)), true.statistics(5, rng=rng(2))
        model = family.fit_statistics(few.join(many.scaled(0.2)), rng=rng())
    assert near(model.var, 2.0)
    assert near((model.mean - 3.0) ** 2, 2.0 * (3 + 5 * 0.04) / (3 + 1) ** 2)


def test_joined_statistics_are_those_of_joined_samples() -> None:
    x = rng().normal(5.0, 2.0, (4, 9))
    family = Gaussian()

    def of(part: np.ndarray) -> GaussianStatistics:
        return GaussianStatistics(
            part.shape[1], part.mean(axis=1), part.var(axis=1) * part.shape[1]
        )

    parts = of(x[:, :2]).join(of(x[:, 2:3]).scaled(3.0), of(x[:, 3:]))
    weights = np.array([1.0, 1.0, 3.0, *[1.0] * 6])
    expected = family.fit(x, rng=rng(), weights=weights)
    found = family.fit_statistics(parts, rng=rng())
    assert np.allclose(found.mean, expected.mean) and np.allclose(found.var, expected.var)
    assert parts.n == 9 and parts.totals == (11.0, 17.0)


def test_nothing_joined_changes_nothing_whatever_its_weight() -> None:
    model = GaussianModel(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    some, none = model.statistics(5, rng=rng()), model.statistics(0, rng=rng())
    for joined in (
        some.join(none),
        none.join(some),
        some.join(model.statistics(7, rng=rng()).scaled(0.0)),
    ):
        fitted = Gaussian().fit_statistics(joined, rng=rng())
        assert np.allclose(fitted.mean, some.mean) and np.allclose(fitted.var, some.scatter / 5)


def test_expected_statistics_are_the_average_and_keep_only_the_bias() -> None:
    model = GaussianModel(np.full(100_000, 1.0), np.full(100_000, 3.0))
    drawn, expected = model.statistics(6, rng=rng()), model.expected_statistics(6)
    assert near(drawn.mean, expected.mean[0]) and near(drawn.scatter, expected.scatter[0])
    assert np.allclose(Gaussian().fit_statistics(expected, rng=rng()).var, 3.0 * 5 / 6)
    assert np.allclose(Gaussian(unbiased=True).fit_statistics(expected, rng=rng()).var, 3.0)


def test_a_bias_scales_the_variance_that_is_drawn() -> None:
    model = GaussianModel(np.zeros(20_000), np.full(20_000, 2.0))
    drawn = model.decoded(Decoding(bias=0.5, temperature=0.5)).sample(5, rng=rng())
    assert stats.kstest(drawn[:, 0], stats.norm(0, np.sqrt(0.5)).cdf).pvalue > DOUBT
    refused("bias or temperature", lambda: model.decoded(Decoding(top_k=3)))


def test_densities_and_quantiles_are_those_of_scipy() -> None:
    model = GaussianModel(np.array([1.0, -2.0, 0.0]), np.array([4.0, 0.25, 0.0]))
    x = np.linspace(-3, 3, 7)[None].repeat(3, axis=0)
    same = stats.norm(model.mean[:2, None], np.sqrt(model.var)[:2, None])
    assert np.allclose(model.log_prob(x)[:2], same.logpdf(x[:2]))
    assert np.allclose(model.cdf(x)[:2], same.cdf(x[:2]))
    assert np.allclose(model.quantile(0.1)[:2], same.ppf(0.1)[:, 0])
    assert model.cdf(x)[2].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert model.quantile(0.1)[2] == 0.0


class Wrong(GaussianModel):
    """Its statistics scatter as if there were one more degree of freedom."""

    def statistics(self, n: int, *, rng: np.random.Generator) -> GaussianStatistics:
        right = GaussianModel(self.mean, self.var).statistics(n, rng=rng)
        return GaussianStatistics(n, right.mean, right.scatter * (n / (n - 1)))


class WrongFamily(Gaussian):
    """Fits `Wrong`."""

    def fit_statistics(self, statistics: GaussianStatistics, *, rng: np.random.Generator) -> Wrong:
        model = super().fit_statistics(statistics, rng=rng)
        return Wrong(model.mean, model.var)


def test_a_wrong_sampling_law_is_seen_by_the_comparison_of_paths() -> None:
    right, same = (run(f, path="samples") for f in (Gaussian(), WrongFamily()))
    assert p_value(np.log(right.var), np.log(same.var)) > DOUBT
    wrong = run(WrongFamily(), path="statistics", seed=1)
    assert p_value(np.log(right.var), np.log(wrong.var)) < DOUBT
    with pytest.raises(AssertionError):
        paths_agree(WrongFamily(), "replace", {"var": lambda m: np.log(m.var)})


def test_the_same_seed_gives_the_same_bytes() -> None:
    same_bytes(Gaussian().truth(600))


def test_a_run_does_not_depend_on_engine_or_workers() -> None:
    setting = Setting(n=5, generations=2, replicates=250_000, path="samples", measurements=("var",))
    alone = simulate(setting, engine="serial").trajectories["var"]
    pooled = simulate(setting, engine="local", workers=2).trajectories["var"]
    for field in ("count", "centre", "scatter", "kept"):
        assert getattr(alone, field).tobytes() == getattr(pooled, field).tobytes()


def test_bad_settings_and_data_are_refused_in_one_line() -> None:
    sums = family_of("poisson").truth(2).statistics(5, rng=rng())
    refused("expected Gaussian statistics", lambda: Gaussian().fit_statistics(sums, rng=rng()))
    refused("did you mean 'unbiased'", lambda: family_of("gaussian", unbiassed=True))
    refused("var at least 0", lambda: Gaussian().truth(3, var=-1.0))
    refused("n at least 2", lambda: run(Gaussian(unbiased=True), n=1))
    data = np.ones((1, 3))
    refused("a sample of positive", lambda: Gaussian().fit(data, rng=rng(), weights=np.zeros(3)))
    one = np.array([1.0, 0.0, 0.0])
    refused(
        "two samples of positive",
        lambda: Gaussian(unbiased=True).fit(data, rng=rng(), weights=one),
    )
