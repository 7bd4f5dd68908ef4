"""Sample sizes that grow: what is lost, and how fast they must grow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from loop_runs import agrees, close, gaussian_loop, real, refused, written

from tailguard.theory import growing as theory
from tailguard.theory.anchor import CURVATURE
from tailguard.theory.gaussian import replace_mean_sq, replace_var

R = 20_000
SCHEDULES: dict[str, dict[str, Any]] = {
    "power": {"growth": 1.0},
    "geometric": {"ratio": 1.5},
    "given": {"sizes": [4, 9, 3, 20, 6, 6]},
}


def grown(schedule: dict[str, Any], *, unbiased: bool, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    sizes = theory.sample_sizes(6, 4, **schedule).astype(int)

    def train(i: int, model: Any, data: Any) -> Any:
        return written(model, int(sizes[i]), rng)

    return gaussian_loop(real(int(sizes[0]), R, rng), train, 6, unbiased=unbiased)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_growing_sizes_lose_what_theory_gives(schedule: str, unbiased: bool) -> None:
    models = grown(SCHEDULES[schedule], unbiased=unbiased)
    law: dict[str, Any] = {"n": 4, "unbiased": unbiased, **SCHEDULES[schedule]}
    assert agrees(models, lambda t: theory.growing(t, **law))
    assert not agrees(models, lambda t: theory.growing(t, **law | {"unbiased": not unbiased}))
    assert not agrees(models, lambda t: theory.growing(t, 4, unbiased=unbiased))


@pytest.mark.parametrize("unbiased", [False, True])
def test_the_error_of_the_variance_is_what_theory_gives(unbiased: bool) -> None:
    sizes = [12, 15, 30]
    rng = np.random.default_rng(2)
    data = real(12, 60_000, rng)
    seen = []
    for n in (15, 30, 1):
        var = data.var(axis=1, ddof=int(unbiased))
        seen.append((var - 1) ** 2)
        data = written((data.mean(axis=1), var), n, rng)
    t = np.arange(1, 4)
    law = theory.growing_var_error(t, 12, sizes=sizes, unbiased=unbiased)
    assert close(np.array(seen).T, law)
    assert not close(np.array(seen).T, np.cumsum(2 / np.array(sizes)))


@pytest.mark.parametrize("family", ["poisson", "exponential", "bernoulli"])
def test_families_that_grow_obey_the_law_of_their_curvature(family: str) -> None:
    rng, mean0 = np.random.default_rng(3), 0.4
    draw: Any = {
        "poisson": lambda m, n: rng.poisson(n * m) / n,
        "exponential": lambda m, n: rng.gamma(n, m / n),
        "bernoulli": lambda m, n: rng.binomial(n, m) / n,
    }[family]
    var0 = {"poisson": mean0, "exponential": mean0**2, "bernoulli": mean0 * (1 - mean0)}[family]
    mean, errors = np.full(60_000, mean0), []
    for n in (10, 20, 30, 40):
        mean = draw(mean, n)
        errors.append((mean - mean0) ** 2)
    t, seen = np.arange(1, 5), np.array(errors).T
    right = CURVATURE[family]
    for curvature in (-1.0, 0.0, 1.0):
        law = theory.growing(t, 10, growth=1, curvature=curvature, var0=var0)
        assert close(seen, law.mean_sq) == (curvature == right)


def test_equal_sizes_are_replace() -> None:
    t = np.array([0, 1, 7, 3_000])
    for unbiased in (False, True):
        law = theory.growing(t, 20, unbiased=unbiased, d=2)
        np.testing.assert_allclose(law.var, replace_var(t, 20, unbiased=unbiased))
        np.testing.assert_allclose(law.mean_sq, replace_mean_sq(t, 20, unbiased=unbiased, d=2))


def test_variance_survives_only_above_the_threshold() -> None:
    assert theory.least_growth() == 1.0
    for growth in (0.0, 0.5, 1.0):
        assert theory.growing_limit(10, growth=growth).var == 0
        assert not theory.survives(growth)
        path = theory.growing([10**3, 10**6], 10, growth=growth).var
        assert path[1] < path[0] * 0.6
    for growth in (1.3, 2.0):
        assert theory.survives(growth)
        path = theory.growing([10**5, 10**6], 10, growth=growth, whole=False).var
        assert path[1] > path[0] * 0.99
        assert float(theory.growing_limit(10, growth=growth).var) < path[1]
    assert theory.survives(ratio=1.01) and not theory.survives(ratio=0.99, growth=5)
    assert np.isinf(theory.growing_limit(10, growth=1.0, unbiased=True).mean_sq)
    assert not theory.survives(1.5, bias_order=0.5)
    # A bias of n^-1/2 a fit needs growth above 2: partial sums of i^(-g/2) say so.
    i = np.arange(1, 10**6)
    for growth, bounded in ((1.9, False), (2.2, True)):
        sums = np.cumsum(i ** (-growth / 2))
        assert (sums[-1] - sums[10**5] < sums[10**5] - sums[10**4]) == bounded
        assert theory.survives(growth, bias_order=0.5) == bounded


@pytest.mark.parametrize("curvature", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("schedule", [{"growth": 2.0}, {"growth": 1.2}, {"ratio": 1.3}])
def test_the_limit_is_where_growing_sizes_end(schedule: Any, curvature: float) -> None:
    limit = theory.growing_limit(7, **schedule, curvature=curvature)
    late = 2_000 if "ratio" in schedule else 10**6
    got = theory.growing(late, 7, **schedule, whole=False, curvature=curvature)
    g = schedule.get("growth", 99.0)
    tail = late ** (1 - g) / (g - 1) / 7  # what Σ 1/n_i still adds
    assert limit.var == pytest.approx(float(got.var * np.exp(curvature * tail)), rel=2e-6)
    shift = tail if curvature == 0 else 0.0
    if curvature == 0:
        assert limit.mean_sq == pytest.approx(float(got.mean_sq) + shift, rel=2e-6)
    else:
        assert limit.mean_sq == pytest.approx((float(limit.var) - 1) / curvature, rel=1e-9)


def test_growth_like_a_square_has_a_sine_for_its_limit() -> None:
    for n in (2, 10, 500):
        x = np.pi / np.sqrt(n)
        assert theory.growing_limit(n, growth=2).var == pytest.approx(np.sin(x) / x, rel=1e-9)


@pytest.mark.parametrize("d", [1, 3])
def test_the_chance_of_beating_real_data_is_what_theory_gives(d: int) -> None:
    rng, sizes = np.random.default_rng(4), [10, 12, 40, 41]
    mean = rng.standard_normal((100_000, d)) / np.sqrt(10)
    first = (mean**2).sum(axis=1)
    wins = []
    for n in sizes[1:]:
        mean = mean + rng.standard_normal(mean.shape) / np.sqrt(n)
        wins.append((mean**2).sum(axis=1) < first)
    law = theory.chance_of_beating_real([2, 3, 4], 10, sizes=sizes, d=d)
    assert close(np.array(wins).T, law)
    assert not close(
        np.array(wins).T, theory.chance_of_beating_real([2, 3, 4], 10, sizes=sizes, d=2)
    )
    tau = np.cumsum(1 / np.array(sizes[1:])) ** 0.5
    if d == 1:
        np.testing.assert_allclose(law, np.arctan(2 / np.sqrt(10) / tau) / np.pi)
    assert np.isnan(theory.chance_of_beating_real([0, 1], 10)).all()
    assert theory.chance_of_beating_real(2, 10, sizes=[10, 10**14]) == pytest.approx(0.5, abs=1e-6)


def test_schedules_that_make_no_sense_are_refused() -> None:
    assert "sizes" in refused(lambda: theory.growing(5, 10, sizes=[10, 20]))
    assert "sizes" in refused(lambda: theory.growing(2, 10, sizes=[10, 0]))
    assert "growth" in refused(lambda: theory.growing(50, 10, growth=-2.0))
    assert "ratio" in refused(lambda: theory.growing(5, 10, ratio=0.0))
    assert "bias_order" in refused(lambda: theory.least_growth(0.0))
