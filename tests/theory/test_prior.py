"""Priors under replace: theory against simulation, and what each prior does not stop."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from loop_runs import agrees, close, real, refused, written

from tailguard.theory import anchor
from tailguard.theory import prior as theory
from tailguard.theory.drift import heterozygosity
from tailguard.theory.gaussian import replace_mean_sq, replace_var

R = 40_000
STEPS = 6
ADDED = {"counts": 0, "mean": -2, "mode": 2, "joint_mode": 3, "unbiased": -1}


def with_prior(n: int, k: float, u: float, m0: float, s0: float, added: float, joined: bool) -> Any:
    """Gaussians fitted with k pseudo-points at m0 and u of variance s0, (R, 2, STEPS)."""
    rng = np.random.default_rng(n)
    model, models = (np.zeros(R), np.ones(R)), []
    for _ in range(STEPS):
        data = written(model, n, rng)
        mean = data.mean(axis=1)
        scatter = ((data - mean[:, None]) ** 2).sum(axis=1)
        between = k * n / (n + k) * (mean - m0) ** 2 if joined else 0.0
        model = (n * mean + k * m0) / (n + k), (u * s0 + scatter + between) / (n + u + added)
        models.append(model)
    return np.moveaxis(np.array(models), (0, 1, 2), (2, 1, 0))


@pytest.mark.parametrize("estimate", ADDED)
@pytest.mark.parametrize(("k", "u", "m0", "s0"), [(2.0, 3.0, 0.5, 1.7), (0.0, 2.5, 0.0, 1.4)])
def test_conjugate_priors_have_the_moments_that_theory_gives(
    estimate: theory.Estimate, k: float, u: float, m0: float, s0: float
) -> None:
    n, joined = 9, estimate != "mode"
    models = with_prior(n, k, u, m0, s0, ADDED[estimate], joined)
    settings: dict[str, Any] = {
        "n": n, "mean_points": k, "var_points": u, "prior_offset": m0, "prior_var": s0,
        "estimate": estimate, "joined": joined,
    }  # fmt: skip
    assert agrees(models, lambda t: theory.normal_inverse_gamma(t, **settings))
    wrong: dict[str, Any] = {"estimate": "counts" if estimate != "counts" else "unbiased",
                             "var_points": u + 1, "prior_var": 2 * s0}  # fmt: skip
    wrong |= {"joined": not joined, "mean_points": 3.0} if k else {}
    for name, value in wrong.items():
        changed = settings | {name: value}
        assert not agrees(models, lambda t, s=changed: theory.normal_inverse_gamma(t, **s)), name


def test_expected_variance_with_a_prior_on_it_alone_does_not_depend_on_the_sample_size() -> None:
    for n, u in itertools.product((5, 50, 5_000), (0.5, 3.0)):
        settings: dict[str, Any] = {"var_points": u, "prior_var": 2.0}
        limit = theory.normal_inverse_gamma_limit(n, **settings)
        assert limit.var == pytest.approx(2 * u / (u + 1))
        assert np.isinf(limit.mean_sq)
        late = theory.normal_inverse_gamma([10**5, 2 * 10**5], n, **settings)
        assert late.var[0] == pytest.approx(2 * u / (u + 1))
        # The mean still takes steps of var/n: this prior stops no drift.
        assert np.diff(late.mean_sq)[0] == pytest.approx(10**5 * 2 * u / (u + 1) / n)


def test_shrinking_the_mean_alone_does_not_save_the_variance() -> None:
    ridge = theory.normal_inverse_gamma(5_000, 20, mean_points=4.0, joined=False)
    assert ridge.var < 1e-9
    joined = theory.normal_inverse_gamma(5_000, 20, mean_points=4.0, joined=True)
    assert joined.var < 1e-9


@pytest.mark.parametrize("estimate", ["counts", "mode", "joint_mode"])
def test_the_limit_of_a_prior_is_where_it_ends(estimate: theory.Estimate) -> None:
    for k, u, offset in itertools.product((0.5, 4.0), (0.0, 2.0), (0.0, 1.5)):
        settings: dict[str, Any] = {
            "mean_points": k, "var_points": u, "estimate": estimate, "prior_offset": offset,
            "prior_var": 3.0, "var0": 2.0, "d": 2,
        }  # fmt: skip
        late = theory.normal_inverse_gamma(20_000, 12, **settings)
        np.testing.assert_allclose(
            late, theory.normal_inverse_gamma_limit(12, **settings), atol=1e-9
        )


def test_no_pseudo_points_is_replace() -> None:
    t = np.array([0, 1, 6, 300])
    for unbiased, estimate in ((False, "counts"), (True, "unbiased")):
        law = theory.normal_inverse_gamma(t, 30, estimate=estimate, var0=2.0, d=3)  # type: ignore[arg-type]
        np.testing.assert_allclose(law.var, replace_var(t, 30, unbiased=unbiased, var0=2.0))
        want = replace_mean_sq(t, 30, unbiased=unbiased, var0=2.0, d=3)
        np.testing.assert_allclose(law.mean_sq, want)
    assert theory.normal_inverse_gamma_limit(30).mean_sq == pytest.approx(1.0)
    assert theory.normal_inverse_gamma_limit(30).var == 0
    assert np.isinf(theory.normal_inverse_gamma_limit(30, estimate="mean").var)
    np.testing.assert_allclose(
        theory.dirichlet_heterozygosity(t, 30, [0.7, 0.3], 0.0), heterozygosity(t, 30, h0=0.42)
    )


@pytest.mark.parametrize("family", ["poisson", "exponential", "bernoulli"])
def test_conjugate_means_obey_the_law_of_their_curvature(family: str) -> None:
    rng, mean0, n, k = np.random.default_rng(3), 0.4, 12, 3.0
    draw: Any = {
        "poisson": lambda m: rng.poisson(n * m),
        "exponential": lambda m: rng.gamma(n, m),
        "bernoulli": lambda m: rng.binomial(n, m),
    }[family]
    var0 = {"poisson": mean0, "exponential": mean0**2, "bernoulli": mean0 * (1 - mean0)}[family]
    mean, errors = np.full(2 * R, mean0), []
    for _ in range(STEPS):
        mean = (draw(mean) + k * mean0) / (n + k)
        errors.append((mean - mean0) ** 2)
    t, seen = np.arange(1, STEPS + 1), np.array(errors).T
    for curvature in (-1.0, 0.0, 1.0):
        law = theory.conjugate_mean(t, n, k, curvature=curvature, var0=var0).mean_sq
        assert close(seen, law) == (curvature == anchor.CURVATURE[family])
    c, s = anchor.CURVATURE[family], n / (n + k)
    late = theory.conjugate_mean(5_000, n, k, curvature=c).mean_sq
    assert late == pytest.approx(s * s / (n * (1 - s * s) - c * s * s))


@pytest.mark.parametrize("pseudo", [0.5, [2.0, 0.0, 1.0, 0.3]])
def test_dirichlet_priors_keep_the_heterozygosity_that_theory_gives(pseudo: Any) -> None:
    rng, n, p0 = np.random.default_rng(1), 10, np.array([0.6, 0.25, 0.1, 0.05])
    points = np.broadcast_to(np.asarray(pseudo), 4)
    p, seen = np.tile(p0, (R, 1)), []
    for _ in range(STEPS):
        p = (rng.multinomial(n, p) + points) / (n + points.sum())
        seen.append(1 - (p**2).sum(axis=1))
    t, values = np.arange(1, STEPS + 1), np.array(seen).T
    assert close(values, theory.dirichlet_heterozygosity(t, n, p0, pseudo))
    assert not close(values, theory.dirichlet_heterozygosity(t, n, p0, points.mean() + 0.2))
    assert not close(values, theory.dirichlet_heterozygosity(t, n, p0[::-1], pseudo)) or (
        np.ptp(points) == 0
    )
    late = theory.dirichlet_heterozygosity(5_000, n, p0, pseudo)
    assert late == pytest.approx(float(theory.dirichlet_heterozygosity_limit(n, 4, pseudo)))


@pytest.mark.parametrize("unbiased", [False, True])
def test_pseudo_data_have_the_moments_that_theory_gives(unbiased: bool) -> None:
    rng, n, points, strength = np.random.default_rng(6), 8, 5, 2.0
    pseudo, data, models = real(points, R, rng), real(n, R, rng), []
    for _ in range(STEPS):
        both = np.concatenate([data, pseudo], axis=1)
        weights = np.r_[np.ones(n), np.full(points, strength / points)] / (n + strength)
        mean = both @ weights
        var = (both - mean[:, None]) ** 2 @ weights
        models.append((mean, var / (1 - (weights**2).sum()) if unbiased else var))
        data = written(models[-1], n, rng)
    seen = np.moveaxis(np.array(models), (0, 1, 2), (2, 1, 0))
    assert agrees(seen, lambda t: theory.pseudo_data(t, n, strength, points, unbiased=unbiased))
    for wrong in ((n, 1.0, points), (n, strength, 50)):
        assert not agrees(seen, lambda t, w=wrong: theory.pseudo_data(t, *w, unbiased=unbiased))


def test_many_pseudo_data_are_the_conjugate_prior() -> None:
    t = np.arange(30)
    data = theory.pseudo_data(t, 12, 3.0, 10**12)
    conjugate = theory.normal_inverse_gamma(t, 12, mean_points=3.0, var_points=3.0)
    np.testing.assert_allclose(data, conjugate, atol=1e-10)
    for curvature in (0.0, 1.0):
        data = theory.pseudo_data(t, 12, 3.0, 10**12, curvature=curvature)
        conjugate = theory.conjugate_mean(t, 12, 3.0, curvature=curvature)
        np.testing.assert_allclose(data, conjugate, atol=1e-10)
    h = theory.pseudo_data(t, 12, 3.0, 10**12, var0=0.42).var
    p0 = np.array([0.7, 0.3])
    np.testing.assert_allclose(h, theory.dirichlet_heterozygosity(t, 12, p0, 3 * p0), atol=1e-10)


def test_priors_that_make_no_sense_are_refused() -> None:
    assert "var_points" in refused(lambda: theory.normal_inverse_gamma(1, 9, var_points=-1.0))
    assert "estimate" in refused(
        lambda: theory.normal_inverse_gamma(1, 9, estimate="best")  # type: ignore[arg-type]
    )
    assert "n + var_points" in refused(lambda: theory.normal_inverse_gamma(1, 2, estimate="mean"))
    assert "sum of p0" in refused(lambda: theory.dirichlet_heterozygosity(1, 9, [0.5, 0.4], 1.0))
    assert "pseudo" in refused(lambda: theory.dirichlet_heterozygosity(1, 9, [0.5, 0.5], -1.0))
