"""Weights of real and synthetic data: theory against simulation, and the golden ratio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_runs import agrees, close, fitted, real, refused, written

from tailguard.theory import anchor
from tailguard.theory import weighting as theory

R = 40_000
STEPS = 6


def test_figures_of_he_xu_and_cheng_are_met() -> None:
    got = theory.weighted_ratio_limit(1.0, [0.3, 0.5, 0.8])
    np.testing.assert_allclose(got, [1.137, 0.667, 0.708], atol=6e-4)
    golden = (np.sqrt(5) - 1) / 2
    assert theory.optimal_weight(1.0) == pytest.approx(golden)
    assert theory.weighted_ratio_limit(1.0, golden) == pytest.approx(golden)


@pytest.mark.parametrize(("n_real", "n_syn", "w"), [(4, 8, 0.3), (9, 3, 0.5), (5, 5, 0.8)])
def test_the_weighted_mean_varies_as_theory_gives(n_real: int, n_syn: int, w: float) -> None:
    rng = np.random.default_rng(n_real)
    mean, var = fitted(real(n_real, R, rng), unbiased=True)
    seen, errors = [], []
    for _ in range(STEPS):
        seen.append(mean**2 * n_real)
        errors.append((var - 1) ** 2)
        one, two = (
            fitted(real(n_real, R, rng), True),
            fitted(written((mean, var), n_syn, rng), True),
        )
        mean, var = (w * x + (1 - w) * y for x, y in zip(one, two, strict=True))
    t, k = np.arange(1, STEPS + 1), n_real / n_syn
    assert close(np.array(seen).T, theory.weighted_ratio(t, k, w))
    assert not close(np.array(seen).T, theory.weighted_ratio(t, 1 / k, 1 - w))
    law = theory.weighted_var_error(t, n_real, n_syn, w)
    assert close(np.array(errors).T[:, :3], law[:3])
    assert not close(np.array(errors).T[:, :3], (2 / n_real) * theory.weighted_ratio(t, k, w)[:3])


@pytest.mark.parametrize("unbiased", [False, True])
def test_weighted_likelihood_has_the_moments_that_theory_gives(unbiased: bool) -> None:
    rng, n, kept, w = np.random.default_rng(1), 8, 3, 0.7
    weights = np.r_[np.full(kept, w / kept), np.full(n - kept, (1 - w) / (n - kept))]
    model = fitted(real(n, R, rng), unbiased)
    models = [model]
    for _ in range(STEPS - 1):
        data = np.concatenate([real(kept, R, rng), written(model, n - kept, rng)], axis=1)
        mean = data @ weights
        var = (data - mean[:, None]) ** 2 @ weights
        model = mean, var / (1 - (weights**2).sum()) if unbiased else var
        models.append(model)
    seen = np.moveaxis(np.array(models), (0, 1, 2), (2, 1, 0))
    settings: dict[str, Any] = {"real_frac": kept / n, "unbiased": unbiased}
    assert agrees(seen, lambda t: theory.weighted(t, n, weight=w, **settings))
    assert not agrees(seen, lambda t: theory.weighted(t, n, weight=kept / n, **settings))


@given(k=st.floats(1e-4, 1e4))
def test_the_optimal_weight_is_the_least_limit_and_its_value(k: float) -> None:
    best = float(theory.optimal_weight(k))
    assert theory.weighted_ratio_limit(k, best) == pytest.approx(best, rel=1e-9)
    around = theory.weighted_ratio_limit(k, np.linspace(1e-6, 1, 4001))
    assert around.min() >= best * (1 - 1e-12)
    assert theory.naive_weight(k) < best
    assert best**2 + k * best - k == pytest.approx(0, abs=1e-9 * k)


@given(k=st.floats(0.01, 50), w=st.floats(0.05, 1))
def test_the_transient_goes_from_real_data_alone_to_the_limit(k: float, w: float) -> None:
    path = theory.weighted_ratio([0, 1, 2, 2_000], k, w)
    assert path[:2].tolist() == [0, 1]
    assert path[2] == pytest.approx(w**2 + (1 - w) ** 2 * (1 + k))
    assert path[3] == pytest.approx(float(theory.weighted_ratio_limit(k, w)))
    law = theory.weighted([1, 2, 50], 2 * 10**6, 0.5, w, curvature=0.0, n_first=10**6).mean_sq
    np.testing.assert_allclose(law * 10**6, theory.weighted_ratio([1, 2, 50], 1.0, w))


def test_no_schedule_of_weights_beats_the_optimal_one() -> None:
    rng = np.random.default_rng(0)
    for k in (0.1, 1.0, 7.0):
        best = theory.optimal_schedule(np.arange(8), k)
        assert np.isnan(best[0]) and best[1] == 1
        for _ in range(200):
            v = 1.0
            for t, w in enumerate(rng.random(6), start=2):
                v = w**2 + (1 - w) ** 2 * (v + k)
                assert v >= best[t] - 1e-12
        assert theory.optimal_schedule(300, k) == pytest.approx(float(theory.optimal_weight(k)))


def test_weights_by_size_are_fresh_real_data() -> None:
    t = np.arange(30)
    plain = anchor.real_mix(t, 3, 7, unbiased=True)
    weighted = theory.weighted(t, 10, 0.3, 0.3, unbiased=True)
    np.testing.assert_allclose(weighted.var, plain.var)
    np.testing.assert_allclose(weighted.mean_sq, plain.mean_sq)
    np.testing.assert_allclose(theory.weighted(t, 10, 0.3, 0.0).var[:2], [1, 0.9])


def test_edges_of_the_weight_are_real_only_and_synthetic_only() -> None:
    assert theory.weighted_ratio_limit(3.0, 1.0) == 1.0
    assert np.isinf(theory.weighted_ratio_limit(3.0, 0.0))
    np.testing.assert_allclose(theory.weighted_ratio([1, 2, 3], 0.5, 0.0), [1, 1.5, 2])
    assert theory.optimal_weight(1e12) == pytest.approx(1)
    assert theory.optimal_weight(1e-12) == pytest.approx(1e-6, rel=1e-5)
    assert "weight" in refused(lambda: theory.weighted_ratio(1, 1.0, 1.5))
    assert "k:" in refused(lambda: theory.optimal_weight(0.0))
