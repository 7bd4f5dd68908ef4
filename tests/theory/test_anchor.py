"""A few real points in every generation: theory against simulation, in every family."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from loop_runs import agrees, close, gaussian_loop, real, refused, written

from tailguard.theory import anchor as theory
from tailguard.theory.gaussian import replace_mean_sq, replace_var

R = 20_000
STEPS = 8


def anchored(n: int, m: int, *, fixed: bool, unbiased: bool, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    first = real(n, R, rng)

    def train(i: int, model: Any, data: Any) -> Any:
        kept = data[:, :m] if fixed else real(m, R, rng)
        return np.concatenate([kept, written(model, n - m, rng)], axis=1)

    return gaussian_loop(first, train, STEPS, unbiased=unbiased)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(("n", "m"), [(8, 1), (7, 3)])
def test_real_points_keep_the_moments_that_theory_gives(
    n: int, m: int, fixed: bool, unbiased: bool
) -> None:
    models = anchored(n, m, fixed=fixed, unbiased=unbiased, seed=n)

    def law(t: Any, **changed: Any) -> theory.Moments:
        chosen: dict[str, Any] = {"n": n, "m": m, "fixed": fixed, "unbiased": unbiased} | changed
        return theory.anchor(t, **chosen)

    assert agrees(models, law)
    for wrong in ({"fixed": not fixed}, {"unbiased": not unbiased}, {"m": m + 1}):
        assert not agrees(models, lambda t, wrong=wrong: law(t, **wrong))


def test_a_law_that_forgets_how_means_drift_apart_is_rejected() -> None:
    n, m = 8, 2
    models = anchored(n, m, fixed=False, unbiased=False, seed=5)

    def no_drift(t: Any) -> theory.Moments:
        v = [1 - 1 / n]
        for _ in t[1:]:
            v.append((1 - 1 / n) * (m / n + (1 - m / n) * v[-1]))
        return theory.Moments(np.array(v), theory.anchor(t, n, m).mean_sq)

    assert not agrees(models, no_drift)


def test_one_fresh_real_point_a_generation_prevents_collapse_and_one_old_point_does_not() -> None:
    late = 200_000
    for n in (10, 1_000):
        fresh = theory.anchor([late], n, 1).var[0]
        assert fresh == pytest.approx((2 - 2 / n) / (3 - 2 / n), rel=1e-9)
        assert theory.anchor([late], n, 1, fixed=True).var[0] < 1e-9
        assert theory.anchor([late], n, 0).var[0] < 1e-9
    # Seen, not only computed: 60 generations at n = 10.
    rng = np.random.default_rng(3)

    def run(m: int) -> float:
        data = real(10, 4_000, rng)
        for _ in range(60):
            model = data.mean(axis=1), data.var(axis=1)
            data = np.concatenate([real(m, 4_000, rng), written(model, 10 - m, rng)], axis=1)
        return float(np.median(data.var(axis=1)))

    assert run(0) < 0.01 < 0.3 < run(1)


@pytest.mark.parametrize("m", [1, 2, 7])
def test_the_number_of_real_points_counts_and_not_their_share(m: int) -> None:
    left = [float(theory.anchor_limit(n, m).var) for n in (10**3, 10**5, 10**7)]
    assert left[-1] == pytest.approx(2 * m / (2 * m + 1), rel=1e-5)
    assert np.ptp(left) < 2e-3


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_the_limit_is_where_the_recursion_ends(fixed: bool, unbiased: bool) -> None:
    for n_real, n_syn in itertools.product((1, 2, 5), (0, 1, 6, 30)):
        if n_real + n_syn == 1:
            continue
        late = theory.real_mix(20_000, n_real, n_syn, fixed=fixed, unbiased=unbiased)
        limit = theory.real_mix_limit(n_real, n_syn, fixed=fixed, unbiased=unbiased)
        np.testing.assert_allclose(late, limit, atol=1e-9)


@pytest.mark.parametrize("curvature", [-1.0, -0.2, 0.0, 0.7, 1.0, 3.0])
def test_families_settle_where_their_curvature_allows(curvature: float) -> None:
    for m, fixed in itertools.product((0, 1, 2, 6), (False, True)):
        limit = theory.anchor_limit(40, m, fixed=fixed, curvature=curvature)
        late = theory.anchor(20_000, 40, m, fixed=fixed, curvature=curvature)
        bounded = m > theory.anchor_critical_points(40, curvature) or curvature < 0
        assert np.isfinite(limit.mean_sq) == bounded
        if bounded:
            np.testing.assert_allclose(late, limit, rtol=1e-8, atol=1e-12)
        else:
            assert late.mean_sq > 100


def test_at_the_critical_number_of_points_memory_never_fades() -> None:
    for n, curvature in itertools.product((5, 200), (0.3, 1.0, 4.0)):
        s = 1 - theory.anchor_critical_points(n, curvature) / n
        assert s * (s + curvature / n) == pytest.approx(1)
    assert theory.anchor_critical_points(5, 0.0) == theory.anchor_critical_points(5, -1.0) == 0


DRAWS: dict[str, tuple[float, Callable[..., Any]]] = {
    "poisson": (3.0, lambda rng, mean, n: rng.poisson(mean[:, None], (len(mean), n))),
    "exponential": (2.0, lambda rng, mean, n: rng.exponential(mean[:, None], (len(mean), n))),
    "bernoulli": (0.3, lambda rng, mean, n: rng.random((len(mean), n)) < mean[:, None]),
}


@pytest.mark.parametrize("family", DRAWS)
def test_exponential_families_obey_the_law_of_their_curvature(family: str) -> None:
    rng = np.random.default_rng(8)
    mean0, draw = DRAWS[family]
    var0 = {"poisson": mean0, "exponential": mean0**2, "bernoulli": mean0 * (1 - mean0)}[family]
    n, m, steps = 12, 2, 6
    truth, errors = np.full(40_000, mean0), []
    mean = draw(rng, truth, n).mean(axis=1)
    for _ in range(steps):
        errors.append((mean - mean0) ** 2)
        both = [draw(rng, truth, m), draw(rng, mean, n - m)]
        mean = np.concatenate(both, axis=1).mean(axis=1)
    t, seen = np.arange(1, steps + 1), np.array(errors).T
    right = theory.CURVATURE[family]
    assert close(seen, theory.anchor(t, n, m, curvature=right, var0=var0).mean_sq)
    for wrong in {-1.0, 0.0, 1.0} - {right}:
        assert not close(seen, theory.anchor(t, n, m, curvature=wrong, var0=var0).mean_sq)
    law = next(x for x in theory.LAWS if x.families == (family,) and x.quantity == "mean_sq")
    np.testing.assert_allclose(
        law.at(t, n=n, m=m, var0=var0), theory.anchor(t, n, m, curvature=right, var0=var0).mean_sq
    )


def test_every_entry_of_a_covariance_obeys_the_law_of_the_variance() -> None:
    rng = np.random.default_rng(2)
    n, m, steps, runs = 9, 2, 4, 20_000
    root = np.array([[1.0, 0, 0], [0.8, 0.6, 0], [-0.3, 0.5, 1.2]])
    data = rng.standard_normal((runs, n, 3)) @ root.T
    for _ in range(steps - 1):
        mean = data.mean(axis=1, keepdims=True)
        # n fair signs times centred data have the covariance of the fit, and its expectations.
        mix = rng.standard_normal((runs, n - m, n)) / np.sqrt(n)
        new = mean + mix @ (data - mean)
        data = np.concatenate([rng.standard_normal((runs, m, 3)) @ root.T, new], axis=1)
    mean = data.mean(axis=1)
    away = data - mean[:, None]
    want = theory.anchor(steps, n, m)
    assert close(np.einsum("rni,rnj->rij", away, away) / n, want.var * (root @ root.T))
    whole = theory.anchor(steps, n, m, var0=float(np.trace(root @ root.T)) / 3, d=3)
    assert close((mean**2).sum(axis=1), whole.mean_sq)


def test_the_least_number_of_points_is_the_least() -> None:
    for n, loss in itertools.product((20, 1_000, 10**6), (0.5, 0.1, 0.06, 1 / 11, 0.01)):
        m = theory.anchor_points(n, loss)
        if loss > 1 / n:
            assert theory.anchor_limit(n, m).mean_sq <= loss * (1 + 1e-9)
        if m > 0:
            assert theory.anchor_limit(n, m - 1).mean_sq > loss
    assert theory.anchor_points(50, 1.0) == 0
    assert theory.anchor_points(50, 0.001) == 50


def test_memory_fades_at_the_rate_of_the_eigenvalue() -> None:
    for m, curvature in itertools.product((1, 4), (-1.0, 0.0, 1.0)):
        limit = theory.anchor_limit(30, m, curvature=curvature).mean_sq
        path = theory.anchor(np.arange(20, 23), 30, m, curvature=curvature).mean_sq
        decay = theory.anchor_decay(30, m, curvature=curvature)
        np.testing.assert_allclose(np.diff(path)[1] / np.diff(path)[0], decay, rtol=1e-6)
        np.testing.assert_allclose((path - limit)[1] / (path - limit)[0], decay, rtol=1e-6)


@pytest.mark.parametrize("unbiased", [False, True])
def test_no_real_points_is_replace_and_all_real_points_stay_put(unbiased: bool) -> None:
    t = np.array([[0, 1], [5, 400]])
    none = theory.anchor(t, 25, 0, unbiased=unbiased, var0=3.0, d=2)
    np.testing.assert_allclose(none.var, replace_var(t, 25, unbiased=unbiased, var0=3.0))
    want = replace_mean_sq(t, 25, unbiased=unbiased, var0=3.0, d=2)
    np.testing.assert_allclose(none.mean_sq, want)
    whole = theory.anchor([0, 1, 9], 25, 25, unbiased=unbiased)
    np.testing.assert_allclose(whole.mean_sq, [0, 1 / 25, 1 / 25])
    np.testing.assert_allclose(whole.var, 1 if unbiased else [1, 24 / 25, 24 / 25])


def test_what_diverges_overflows_to_infinity() -> None:
    late = theory.anchor([10, 10**5], 3, 0, curvature=1.0)
    assert np.isfinite(late.mean_sq[0]) and np.isinf(late.mean_sq[1]) and np.isinf(late.var[1])


def test_other_sizes_of_the_first_generation_are_forgotten() -> None:
    small, large = (theory.real_mix([1, 2, 900], 5, 15, n_first=k) for k in (5, 80))
    assert small.mean_sq[0] == 1 / 5 and large.mean_sq[0] == 1 / 80
    assert small.mean_sq[1] > large.mean_sq[1]
    assert small.mean_sq[2] == pytest.approx(large.mean_sq[2])


def test_anchors_that_make_no_sense_are_refused() -> None:
    assert "m: expected" in refused(lambda: theory.anchor(1, 5, 6))
    assert "t: expected" in refused(lambda: theory.anchor(-1, 5, 1))
    assert "t: expected" in refused(lambda: theory.anchor(1.5, 5, 1))
    assert "t: expected" in refused(lambda: theory.anchor(10**9, 5, 1))
    assert "n_real" in refused(lambda: theory.real_mix(1, 0, 10, real_weight=0.5))
    assert "n_syn" in refused(lambda: theory.real_mix(1, 10, 0, real_weight=0.5))
    assert "n_real + n_syn" in refused(lambda: theory.real_mix(1, 1, 0, unbiased=True))
    assert "loss" in refused(lambda: theory.anchor_points(10, 0.0))
