"""The Gaussian in d dimensions and Gaussian mixtures, against theory and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from family_cases import near, paths_agree, refused, run
from sklearn.mixture import GaussianMixture

from tailguard.lab.families.mixture import Mixture
from tailguard.lab.families.multivariate import Multivariate, Shape


@pytest.mark.parametrize("shape", ["isotropic", "diagonal", "full"])
def test_every_shape_loses_variance_as_theory_says(shape: Shape) -> None:
    n, steps = 10, 3
    model = run(Multivariate(shape=shape), n=n, generations=steps, d=3, replicates=20_000)
    assert near(model.var[:, 1], (1 - 1 / n) ** steps)
    assert near((model.mean**2).sum(axis=1), 3 * (1 - (1 - 1 / n) ** steps))
    unbiased = run(Multivariate(shape=shape, unbiased=True), n=n, generations=steps, d=3)
    assert near(unbiased.var[:, 1], 1.0)


@pytest.mark.parametrize("regime", ["replace", "accumulate", "fixed-real"])
@pytest.mark.parametrize("n", [4, 8])
def test_scatter_statistics_have_the_law_of_samples(regime: str, n: int) -> None:
    summaries = {
        "trace": lambda m: np.trace(m.covariance, axis1=1, axis2=2),
        "off": lambda m: m.covariance[:, 0, 1],
        "mean": lambda m: m.mean[:, 2],
    }
    paths_agree(Multivariate(), regime, summaries, n=n, d=3, generations=2)


@pytest.mark.parametrize("path", ["samples", "statistics"])
def test_a_fit_on_no_more_samples_than_dimensions_loses_rank_for_good(path: str) -> None:
    model = run(Multivariate(), path=path, n=4, d=6, generations=5, replicates=50)
    assert model.rank.tolist() == [3] * 50
    assert np.all(np.isneginf(model.log_prob(np.ones((50, 1, 6)))))
    full = run(Multivariate(), path=path, n=12, d=6, generations=5, replicates=50)
    assert full.rank.tolist() == [6] * 50


def test_em_reaches_the_likelihood_that_scikit_learn_reaches() -> None:
    rng = np.random.default_rng(0)
    family = Mixture(components=3, tol=1e-7, steps=1_000)
    data = family.truth(3).sample(800, rng=rng)
    ours = family.fit(data, rng=rng)
    for r in range(3):
        theirs = GaussianMixture(3, tol=1e-7, max_iter=1_000, random_state=0).fit(data[r])
        assert abs(ours.log_prob(data)[r].mean() - theirs.score(data[r])) < 1e-3
        assert np.allclose(np.sort(ours.means[r, :, 0]), np.sort(theirs.means_[:, 0]), atol=0.05)


def test_weighted_em_is_em_on_repeated_samples() -> None:
    rng = np.random.default_rng(1)
    family = Mixture(tol=1e-9, steps=2_000)
    data = family.truth(1).sample(200, rng=rng)
    weights = rng.integers(1, 4, (1, 200)).astype(float)
    repeated = np.repeat(data, weights[0].astype(int), axis=1)
    a = family.fit(data, rng=rng, weights=weights)
    b = family.fit(repeated, rng=rng)
    assert np.allclose(np.sort(a.means[0, :, 0]), np.sort(b.means[0, :, 0]), atol=1e-3)


def test_a_mixture_writes_what_it_says_it_writes() -> None:
    model = Mixture(components=2).truth(1, spacing=6.0)
    drawn = model.sample(40_000, rng=np.random.default_rng(2))[0]
    assert np.allclose(np.cov(drawn.T), model.covariance[0], atol=0.15)
    assert abs((drawn[:, 0] > 0).mean() - 0.5) < 0.02
    grid = np.stack(np.meshgrid(np.arange(-8, 8, 0.2), np.arange(-5, 5, 0.2)), -1).reshape(1, -1, 2)
    assert abs(np.exp(model.log_prob(grid)).sum() * 0.04 - 1) < 1e-3


def test_settings_of_gaussians_out_of_range_are_refused() -> None:
    refused("shape", lambda: Multivariate(shape="round"))  # type: ignore[arg-type]
    refused("d ≥ 1", lambda: Multivariate().truth(1, d=0))
    refused("components", lambda: Mixture(components=0))
    refused("n at least 3", lambda: run(Mixture(components=3), path="samples", n=2))
