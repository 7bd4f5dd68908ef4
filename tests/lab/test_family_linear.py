"""Linear regression: excess risk against theory, both paths, ridge and least norm."""

from __future__ import annotations

import numpy as np
import pytest
from family_cases import near, paths_agree, refused, run
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from tailguard.lab.families.linear import Linear
from tailguard.lab.families.logistic import Logistic


def test_replacing_adds_the_same_risk_every_generation() -> None:
    # One fit on n samples of a standard Gaussian design has excess risk noise² d / (n - d - 1).
    n, d, steps = 40, 5, 4
    model = run(Linear(), n=n, generations=steps, d=d)
    risk = ((model.coef - Linear().truth(1, d=d).coef) ** 2).sum(axis=1)
    assert near(risk, steps * d / (n - d - 1))
    assert not near(risk, d / (n - d - 1))


@pytest.mark.parametrize("regime", ["replace", "accumulate", "fixed-real"])
@pytest.mark.parametrize("n", [6, 12])
def test_normal_equations_have_the_law_of_samples(regime: str, n: int) -> None:
    first = {"first": lambda model: model.coef[:, 0], "length": lambda m: (m.coef**2).sum(axis=1)}
    paths_agree(Linear(), regime, first, n=n, d=4, generations=2)


def test_fits_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for n, ridge in ((30, 0.0), (30, 0.1), (3, 0.0)):
        data = Linear().truth(2, d=5).sample(n, rng=rng)
        ours = Linear(ridge=ridge).fit(data, rng=rng).coef
        for r in range(2):
            x, y = data[r, :, :-1], data[r, :, -1]
            theirs = (
                Ridge(n * ridge, fit_intercept=False)
                if ridge
                else LinearRegression(fit_intercept=False)
            )
            assert np.allclose(ours[r], theirs.fit(x, y).coef_, atol=1e-6)


def test_logistic_fits_are_those_of_scikit_learn_weighted_or_not() -> None:
    rng = np.random.default_rng(1)
    data = Logistic().truth(2, d=3, norm=2.0).sample(300, rng=rng)
    weights = rng.uniform(0.5, 2.0, (2, 300))
    plain = Logistic(ridge=0.7).fit(data, rng=rng).coef
    weighed = Logistic(ridge=0.7).fit(data, rng=rng, weights=weights).coef
    for r in range(2):
        x, y = data[r, :, :-1], data[r, :, -1]
        theirs = LogisticRegression(C=1 / 0.7, fit_intercept=False, tol=1e-10)
        assert np.allclose(plain[r], theirs.fit(x, y).coef_[0], atol=1e-4)
        assert np.allclose(weighed[r], theirs.fit(x, y, weights[r]).coef_[0], atol=1e-4)


def test_too_few_newton_steps_leave_an_approximation_error() -> None:
    rng = np.random.default_rng(2)
    data = Logistic().truth(3, d=3, norm=3.0).sample(500, rng=rng)
    short, full = (Logistic(steps=s).fit(data, rng=rng).coef for s in (1, 50))
    assert np.all((short**2).sum(axis=1) < 0.7 * (full**2).sum(axis=1))


def test_a_design_that_is_given_is_the_one_written_on() -> None:
    design = np.arange(6.0).reshape(3, 2)
    model = Logistic(design=design).truth(2)
    drawn = model.sample(7, rng=np.random.default_rng(0))
    assert np.array_equal(drawn[1, :, :2], np.concatenate([design, design, design[:1]]))
    assert set(np.unique(drawn[..., 2])) <= {0.0, 1.0}


def test_regression_settings_out_of_range_are_refused() -> None:
    refused("ridge", lambda: Linear(ridge=-0.1))
    refused("noise", lambda: Linear(noise=float("inf")))
    refused("d at least 1", lambda: Linear().truth(1, d=0))
    refused("steps", lambda: Logistic(steps=0))
