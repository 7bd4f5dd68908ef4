"""Kernel density estimates: the variance recursion, bandwidth rules, the empirical limit."""

from __future__ import annotations

import numpy as np
from family_cases import near, refused, run
from scipy import stats

from tailguard.lab.families.kernel import Ecdf, Kernel
from tailguard.mix.decoding import Decoding


def test_variance_follows_shrinkage_plus_bandwidth_squared() -> None:
    # v -> (1 - 1/n) v + h²: what n samples lose, the kernel adds back.
    n, h, expected = 12, 0.3, 1.0
    model = run(Kernel(bandwidth=h), path="samples", n=n, generations=6, replicates=20_000)
    for _ in range(6):
        expected = (1 - 1 / n) * expected + h**2
    assert near(model.var, expected)
    assert not near(model.var, (1 - 1 / n) ** 6)


def test_without_bandwidth_it_is_the_empirical_distribution() -> None:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3, 40))
    for family in (Kernel(bandwidth=0.0), Ecdf()):
        drawn = family.fit(data, rng=rng).sample(200, rng=rng)
        assert all(set(drawn[r]) <= set(data[r]) for r in range(3))
    model = Ecdf().fit(data, rng=rng)
    assert np.allclose(model.cdf(np.median(data, axis=1)[:, None])[:, 0], 0.5)


def test_bandwidth_rules_and_density_agree_with_scipy() -> None:
    rng = np.random.default_rng(1)
    data = rng.standard_normal((2, 60))
    model = Kernel(bandwidth=1.0, rule="scott").fit(data, rng=rng)
    assert np.allclose(model.width, 1.06 * data.std(axis=1, ddof=1) * 60**-0.2)
    x = np.linspace(-2, 2, 9)
    for r in range(2):
        theirs = stats.gaussian_kde(data[r], bw_method=1.06 * 60**-0.2)
        ours = model.log_prob(np.tile(x, (2, 1)))[r]
        assert np.allclose(ours, theirs.logpdf(x), atol=1e-9)


def test_weights_act_as_repeated_samples_would() -> None:
    rng = np.random.default_rng(2)
    data = np.array([[0.0, 1.0, 5.0]])
    weighted = Kernel().fit(data, rng=rng, weights=np.array([[1.0, 2.0, 1.0]]))
    repeated = Kernel().fit(np.array([[0.0, 1.0, 1.0, 5.0]]), rng=rng)
    x = np.array([[0.5, 4.0]])
    assert np.allclose(weighted.var, repeated.var)
    assert np.allclose(weighted.log_prob(x), repeated.log_prob(x))
    assert abs((weighted.sample(20_000, rng=rng) == 0).mean()) < 1e-3
    assert abs(weighted.sample(40_000, rng=rng).mean() - repeated.mean[0]) < 0.05


def test_bias_narrows_and_settings_out_of_range_are_refused() -> None:
    model = run(Kernel(), path="samples", n=20, generations=1, replicates=5)
    assert np.allclose(model.decoded(Decoding(bias=0.25)).var, 0.25 * model.var)
    refused("bandwidth", lambda: Kernel(bandwidth=-1.0))
    refused("rule", lambda: Kernel(rule="wide"))  # type: ignore[arg-type]
