"""More parameters than samples, and ridge: theory against simulation and classical results."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_runs import close, refused

from tailguard.theory import overparametrised as theory
from tailguard.theory import regression

NOISE: dict[str, Any] = {"noise_var": 0.5, "synthetic_noise_var": 0.8}


def refit(w: Any, n: int, penalty: float, noise: float, rng: Any, x: Any = None) -> Any:
    """Fits of labels of the models w (R, d) on n new isotropic inputs, or on x (R, n, d)."""
    runs, d = w.shape
    x = rng.standard_normal((runs, n, d)) if x is None else x
    y = x @ w[:, :, None] + np.sqrt(noise) * rng.standard_normal((runs, n, 1))
    turned = x.transpose(0, 2, 1)
    if n < d:
        return (turned @ np.linalg.solve(x @ turned + n * penalty * np.eye(n), y))[:, :, 0]
    return np.linalg.solve(turned @ x + n * penalty * np.eye(d), turned @ y)[:, :, 0]


def risks(n: int, d: int, penalties: list[float], runs: int, *, same: bool = False) -> Any:
    """Squared errors (R, steps) and the overlap with the true weights (R, steps)."""
    rng = np.random.default_rng(n + d)
    truth = rng.standard_normal(d)
    truth *= np.sqrt(2 / (truth @ truth))
    w, errors, overlaps = np.tile(truth, (runs, 1)), [], []
    x = rng.standard_normal((runs, n, d)) if same else None
    for i, penalty in enumerate(penalties):
        w = refit(w, n, penalty, 0.8 if i else 0.5, rng, x)
        errors.append(((w - truth) ** 2).sum(axis=1))
        overlaps.append(w @ truth / 2)
    return np.array(errors).T, np.array(overlaps).T


@pytest.mark.parametrize(("n", "d"), [(6, 12), (9, 30), (12, 5)])
def test_ridgeless_fits_have_the_bias_and_variance_that_theory_gives(n: int, d: int) -> None:
    errors, overlaps = risks(n, d, [0.0] * 4, 6_000)
    law = theory.ridgeless(np.arange(1, 5), n, d, norm_sq=2.0, **NOISE)
    assert close(errors, law.risk)
    assert close(overlaps, 1 - np.sqrt(law.bias_sq / 2))
    np.testing.assert_allclose(law.bias_sq + law.variance, law.risk)
    linear = np.arange(1, 5) * law.risk[0]  # true only with more samples than parameters
    assert not close(errors, linear)
    if d > n:
        assert not close(errors, theory.ridgeless(np.arange(1, 5), d, n, norm_sq=2.0, **NOISE).risk)


@pytest.mark.parametrize(("n", "d"), [(6, 12), (12, 5)])
def test_the_same_inputs_are_projected_on_only_once(n: int, d: int) -> None:
    errors, _ = risks(n, d, [0.0] * 4, 6_000, same=True)
    t = np.arange(1, 5)
    assert close(errors, theory.ridgeless(t, n, d, norm_sq=2.0, same_inputs=True, **NOISE).risk)
    other = theory.ridgeless(t, n, d, norm_sq=2.0, **NOISE).risk
    assert close(errors, other) == (n > d)


def test_closed_forms_of_the_ridgeless_risk_hold_at_any_generation() -> None:
    t = np.array([0, 1, 3, 50])
    for n, d in ((10, 40), (30, 33)):
        r = n / d
        want = (1 - r**t) * (3.0 + 0.5 * n / (d - n - 1) / (1 - r))
        got = theory.ridgeless(t, n, d, norm_sq=3.0, noise_var=0.5)
        np.testing.assert_allclose(got.risk, want)
        np.testing.assert_allclose(got.bias_sq, (1 - r**t) ** 2 * 3.0)
        assert theory.ridgeless(10**4, n, d, noise_var=0.0).risk == pytest.approx(1.0)
    np.testing.assert_allclose(
        theory.ridgeless(t, 40, 10, **NOISE).risk, regression.replace_risk(t, 40, 10, **NOISE)
    )


@pytest.mark.parametrize(("n", "d"), [(40, 80), (80, 40), (50, 50)])
def test_ridge_has_the_risk_that_theory_gives_up_to_one_over_d(n: int, d: int) -> None:
    errors, overlaps = risks(n, d, [0.3] * 3, 400)
    law = theory.ridge_path(np.arange(1, 4), n, d, 0.3, norm_sq=2.0, **NOISE)
    noise = 4.5 * errors.std(axis=0) / np.sqrt(len(errors))
    assert np.all(np.abs(errors.mean(axis=0) - law.risk) < noise + law.risk / d)
    allowed = 4.5 * overlaps.std(axis=0) / np.sqrt(len(overlaps)) + 1 / d

    def far(penalty: float) -> Any:
        other = theory.ridge_path(np.arange(1, 4), n, d, penalty, norm_sq=2.0, **NOISE)
        return np.abs(overlaps.mean(axis=0) - 1 + np.sqrt(other.bias_sq / 2))

    assert np.all(far(0.3) < allowed)
    assert np.any(far(0.1) > allowed) and np.any(far(0.9) > allowed)


def test_unregularised_generators_and_a_last_ridge_have_the_risk_that_theory_gives() -> None:
    errors, _ = risks(80, 40, [0.0, 0.0, 0.4], 400)
    law = theory.ridge_path(3, 80, 40, 0.0, last_penalty=0.4, norm_sq=2.0, **NOISE)
    seen = errors[:, 2]
    noise = 4.5 * seen.std() / np.sqrt(len(seen))
    assert abs(seen.mean() - law.risk) < noise + law.risk / 40
    assert (
        abs(seen.mean() - theory.ridge_path(3, 80, 40, 0.4, norm_sq=2.0, **NOISE).risk) > 2 * noise
    )


@given(st.integers(2, 400), st.integers(2, 400), st.floats(1e-6, 1e3))
def test_the_transform_solves_its_equation_and_its_derivative_is_right(
    n: int, d: int, z: float
) -> None:
    fit, g = theory.ridge_fit(n, d, z), d / n
    m = (1 - fit.shrink) / z
    assert g * z * m * m + (1 - g + z) * m == pytest.approx(1, rel=1e-6)
    assert 0 <= fit.keep <= fit.shrink + 1e-9 <= 1 + 2e-9
    # d(z·m)/dz = m + z·m', which gives the noise.
    up, down = (theory.ridge_fit(n, d, z * (1 + h)).shrink for h in (1e-4, -1e-4))
    assert fit.noise / g == pytest.approx((down - up) / (2e-4 * z), rel=1e-3, abs=1e-9)


def test_ridge_goes_to_ridgeless_fits_and_to_nothing() -> None:
    for n, d in ((300, 100), (100, 300)):
        small = theory.ridge_fit(n * 1000, d * 1000, 1e-9)
        np.testing.assert_allclose(small, theory.ridgeless_fit(n * 1000, d * 1000), rtol=1e-4)
        nothing = theory.ridge_path([1, 5], n, d, 1e12, norm_sq=2.0)
        np.testing.assert_allclose(nothing.risk, 2.0, rtol=1e-6)


def test_the_optimal_ridge_is_classical_first_and_beats_its_neighbours_later() -> None:
    for n, d, s in ((100, 50, 0.3), (50, 200, 2.0)):
        classical = d / n * s / 1.5
        best = theory.optimal_ridge(1, n, d, norm_sq=1.5, noise_var=s)
        assert best == pytest.approx(classical, rel=1e-4)
    for t, penalty in itertools.product((2, 5), (None, 0.0)):
        best = theory.optimal_ridge(t, 200, 50, penalty=penalty)

        def risk(x: float, t: int = t, penalty: float | None = penalty) -> float:
            first, last = (x, None) if penalty is None else (penalty, x)
            return float(theory.ridge_path(t, 200, 50, first, last_penalty=last).risk)

        assert all(risk(best) <= risk(best * f) for f in (0.5, 0.9, 1.1, 2.0))
    # Noise of t unregularised generations adds up: the last model wants about t times the ridge.
    assert theory.optimal_ridge(5, 2000, 50, penalty=0.0) > 1.5 * 50 / 2000


def test_laws_take_standard_deviations_and_lengths() -> None:
    t = np.arange(4)
    exact, asymptotic = (law for law in theory.LAWS)
    got = exact.at(t, n=50, d=20, noise=3.0, norm=2.0, ridge=0.0)
    np.testing.assert_allclose(got, regression.replace_risk(t, 50, 20, noise_var=9.0))
    got = asymptotic.at(t, n=50, d=20, noise=3.0, norm=2.0, ridge=0.1)
    want = theory.ridge_path(t, 50, 20, 0.1, noise_var=9.0, norm_sq=4.0).risk
    np.testing.assert_allclose(got, want)
    assert "ridge" in refused(lambda: asymptotic.at(t, n=50, d=20, ridge=0.0))
    for law, other in zip(regression.LAWS, ("accumulate_risk", "accumulate_bound"), strict=True):
        want = getattr(regression, other)(t, 50, 20, noise_var=9.0)
        np.testing.assert_allclose(law.at(t, n=50, d=20, noise=3.0, norm=2.0), want)


def test_edges_of_the_interpolation_threshold_are_infinite_only_with_noise() -> None:
    for n in (19, 20, 21):
        got = theory.ridgeless([0, 1, 2], n, 20)
        assert got.risk[0] == 0 and np.isinf(got.risk[1:]).all()
        assert np.isfinite(theory.ridgeless([0, 1, 2], n, 20, noise_var=0.0).risk).all()
    real_only = theory.ridgeless([1, 2], 20, 20, noise_var=0.0, synthetic_noise_var=1.0).risk
    assert real_only[0] == 0 and np.isinf(real_only[1])
    assert "ridge" in refused(lambda: theory.ridge_path(1, 10, 5, -1.0))
    assert "t:" in refused(lambda: theory.optimal_ridge(0, 10, 5))
