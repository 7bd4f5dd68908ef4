"""Kernel density estimates and the bootstrap of their own samples, against raw resampling."""

from __future__ import annotations

import numpy as np
import pytest
from theory_cases import Floats, agrees

from tailguard.errors import InputError
from tailguard.theory import gaussian, kernel
from tailguard.theory.kernel import Rule


def resample(
    steps: int,
    n: int,
    reps: int,
    *,
    rng: np.random.Generator,
    h: float = 0.0,
    rule: Rule | None = None,
) -> tuple[Floats, Floats]:
    """Means and variances (divided by n) of samples 0 … steps, from skewed real data."""
    x = rng.exponential(size=(reps, n)) - 1
    means, variances = [x.mean(axis=1)], [x.var(axis=1)]
    for _ in range(steps):
        width: Floats | float = h
        if rule == "scott":
            width = 1.06 * h * n**-0.2 * x.std(axis=1, ddof=1, keepdims=True)
        picked = np.take_along_axis(x, rng.integers(0, n, x.shape), axis=1)
        x = picked + width * rng.standard_normal(x.shape)
        means.append(x.mean(axis=1))
        variances.append(x.var(axis=1))
    return np.stack(means, axis=1), np.stack(variances, axis=1)


@pytest.mark.parametrize(("h", "rule"), [(0.0, "fixed"), (0.6, "fixed"), (0.8, "scott")])
def test_resampling_has_the_variance_that_theory_gives(h: float, rule: Rule) -> None:
    n, steps = 10, 8
    mean, var = resample(steps, n, 20_000, rng=np.random.default_rng(2), h=h, rule=rule)
    j = np.arange(steps + 1)
    assert agrees(var, kernel.kernel_sample_var(j, n, h, rule=rule))
    assert agrees(mean**2, kernel.kernel_mean_sq(j + 1, n, h, rule=rule))
    assert not agrees(var, kernel.kernel_sample_var(j + 1, n, h, rule=rule))
    assert not agrees(var, kernel.kernel_sample_var(j, n, h + 0.1, rule=rule))
    models = kernel.kernel_var(j + 1, n, h, rule=rule)
    square = (1.06 * h) ** 2 * n**-0.4 * var * n / (n - 1) if rule == "scott" else h**2
    assert agrees(var + square, models)
    ratio = np.var([1.0, 4.0]) / (np.var([1.0, 4.0]) + (1.06 * h) ** 2 * 2**-0.4 * 4.5)
    if rule == "scott":  # of two points, s² = 4.5
        pair = kernel.kernel_sample_var(3, 2, h, rule=rule) / kernel.kernel_var(4, 2, h, rule=rule)
        assert pair == pytest.approx(ratio, rel=1e-12)


def test_row_18_figures_count_synthetic_samples() -> None:
    for h, figure in ((0.1, 0.668), (0.2, 1.603)):
        assert kernel.kernel_sample_var(50, 50, h) == pytest.approx(figure, abs=5e-4)
        fits = kernel.kernel_var(51, 50, h) - h**2
        assert fits == pytest.approx(float(kernel.kernel_sample_var(50, 50, h)))


def test_the_bootstrap_obeys_the_maximum_likelihood_law() -> None:
    t = np.array([0, 1, 5, 300])
    assert kernel.kernel_var(t, 20, 0.0) == pytest.approx(gaussian.replace_var(t, 20))
    assert kernel.kernel_mean_sq(t, 20, 0.0, d=3) == pytest.approx(
        gaussian.replace_mean_sq(t, 20, d=3)
    )


def test_fixed_bandwidth_settles_and_scaled_bandwidth_explodes() -> None:
    limit = kernel.kernel_sample_var_limit(50, 0.1)
    for start in (0.01, 1.0, 100.0):
        late = kernel.kernel_sample_var(10_000, 50, 0.1, var0=start)
        assert late == pytest.approx(float(limit))
    grown = kernel.kernel_sample_var([0, 100], 50, 1.0, rule="scott")
    assert grown[1] > 1e6 and grown[0] == pytest.approx(0.98)
    assert kernel.kernel_var(7, 1e12, 0.2) == pytest.approx(1 + 7 * 0.04)
    assert kernel.kernel_mean_sq([0, 7], 1e12, 0.2) == pytest.approx([0, 0], abs=1e-10)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: kernel.kernel_var(1, 1, 0.1), "n"),
        (lambda: kernel.kernel_var(1, 10, -0.1), "bandwidth"),
        (lambda: kernel.kernel_var(1, 10, 1.0, rule="silverman"), "linear"),  # type: ignore[arg-type]
        (lambda: kernel.kernel_sample_var(0.5, 10, 0.1), "j"),
    ],
)
def test_bad_kernel_settings_are_named(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()  # type: ignore[operator]
