"""Accumulate, and real data mixed in: closed forms against raw samples."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from theory_cases import Floats, agrees, gaussian_pooled, multinomial_replace

from tailguard.theory import accumulating, real_data
from tailguard.theory.anchor import real_mix

STEPS = np.array([0, 1, 2, 6])


def _accumulate(unbiased: bool) -> tuple[Floats, Floats]:
    def pool(t: int, past: list[Floats], new: Floats) -> Floats:
        return np.concatenate(past, axis=1)

    rng = np.random.default_rng(3)
    mean, var = gaussian_pooled(6, 20_000, pool, rng=rng, n=4, unbiased=unbiased)
    return mean[:, STEPS], var[:, STEPS]


@pytest.mark.parametrize("unbiased", [False, True])
def test_accumulated_samples_keep_the_variance_that_theory_gives(unbiased: bool) -> None:
    mean, var = _accumulate(unbiased)
    assert agrees(var, accumulating.accumulate_var(STEPS, 4, unbiased=unbiased))
    assert agrees(mean**2, accumulating.accumulate_mean_sq(STEPS, 4, unbiased=unbiased))
    assert not agrees(var, accumulating.accumulate_var(STEPS, 4, unbiased=not unbiased))
    assert not agrees(mean**2, accumulating.accumulate_mean_sq(STEPS, 5, unbiased=unbiased))


def test_row_9_figures_and_their_limit() -> None:
    assert accumulating.accumulate_var(100, 10) == pytest.approx(0.8443, abs=5e-5)
    assert accumulating.accumulate_mean_sq(100, 10) == pytest.approx(0.1557, abs=5e-5)
    for n in (1, 2, 10, 1000):
        limit = accumulating.accumulate_var_limit(n)
        assert accumulating.accumulate_var(1e9, n) == pytest.approx(float(limit), abs=1e-8)


@pytest.mark.parametrize("n", [2, 3, 17, 10**9])
def test_products_agree_with_their_closed_forms(n: int) -> None:
    i = np.arange(1.0, 30_001)
    close = partial(np.testing.assert_allclose, rtol=1e-9)
    log_kept = np.cumsum(np.log1p(-1 / (n * i**2)))
    close(accumulating.accumulate_var(i, n), np.exp(log_kept))
    close(accumulating.accumulate_mean_sq(i, n), -np.expm1(log_kept))
    kept = np.cumprod(np.r_[1.0, 1 - 1 / (i[1:] * (n * i[1:] - 1))])
    close(accumulating.accumulate_var(i, n, unbiased=True), kept)
    drifted = np.cumsum(np.r_[1.0, kept[:-1]] / i**2) / n
    close(accumulating.accumulate_mean_sq(i, n, unbiased=True, d=2, var0=3.0), 6 * drifted)


def test_accumulate_broadcasts_over_time_and_sample_size() -> None:
    t, n = np.array([[0], [1], [7]]), np.array([2, 5])
    for unbiased in (False, True):
        for law in (accumulating.accumulate_var, accumulating.accumulate_mean_sq):
            both = law(t, n, unbiased=unbiased)
            alone = [[float(law(int(a), int(b), unbiased=unbiased)) for b in n] for a in t[:, 0]]
            assert both == pytest.approx(np.array(alone), abs=1e-14) and both.shape == (3, 2)
    assert accumulating.accumulate_var([0, 1, 5], 1).tolist() == [1, 0, 0]


def test_accumulated_categories_keep_their_heterozygosity() -> None:
    rng, n, reps, steps = np.random.default_rng(9), 5, 40_000, 6
    p = np.array([0.5, 0.3, 0.2])
    total, share = np.zeros((reps, 3)), np.broadcast_to(p, (reps, 3))
    for t in range(1, steps + 1):
        total = total + rng.multinomial(n, share)
        share = total / (n * t)
    h0 = 1 - (p**2).sum()
    law = next(x for x in accumulating.LAWS if x.quantity == "heterozygosity")
    assert agrees(1 - (share**2).sum(axis=1), law.at(steps, n=n, h0=h0, unknown=1))
    replaced = multinomial_replace(steps, n, reps, p, rng=rng)[:, -1] / n
    assert not agrees(1 - (replaced**2).sum(axis=1), law.at(steps, n=n, h0=h0))


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(("n_real", "n_syn"), [(3, 9), (6, 2)])
def test_real_data_hold_the_mean_as_theory_gives(fixed: bool, n_real: int, n_syn: int) -> None:
    rng, total, reps, steps = np.random.default_rng(4), n_real + n_syn, 20_000, 12
    real = rng.standard_normal((reps, n_real))

    def pool(t: int, past: list[Floats], new: Floats) -> Floats:
        kept = real if fixed else rng.standard_normal((reps, n_real))
        return np.concatenate([kept, new[:, :n_syn]], axis=1)

    mean, var = gaussian_pooled(steps, reps, pool, rng=rng, n=total)
    laws = (real_data.fresh_real_mean_sq, real_data.fixed_real_mean_sq)
    t = np.arange(steps + 1)
    expected = laws[fixed](t, n_real, n_syn)
    assert agrees(mean**2, expected) and agrees(var, 1 - expected)
    assert not agrees(mean**2, laws[not fixed](t, n_real, n_syn))


def test_row_20_figures_relative_to_real_data_only() -> None:
    limit = real_data.real_data_mean_sq_limit
    for fixed, figure in ((False, 2 / 3), (True, 4 / 3)):
        assert 50 * limit(50, 50, fixed=fixed, known_var=True) == pytest.approx(figure, rel=1e-12)
        assert 50 * limit(50, 50, fixed=fixed) == pytest.approx(figure, rel=0.01)
    n_real = np.array([1, 10, 100])
    s = 50 / (n_real + 50)
    fresh = n_real * limit(n_real, 50, fixed=False, known_var=True)
    assert fresh == pytest.approx(1 / (1 + s))
    again = n_real * limit(n_real, 50, fixed=True, known_var=True)
    assert again == pytest.approx((1 + 2 * s) / (1 + s)) and np.all((again > 1) & (again < 1.5))


@pytest.mark.parametrize("known", [False, True])
def test_real_data_closed_forms_agree_with_the_stepwise_law(known: bool) -> None:
    t = np.array([0, 1, 2, 5, 40, 4000])
    for n_real, n_syn in ((0, 7), (7, 0), (1, 1), (5, 20), (20, 5)):
        for fixed in (False, True):
            law = real_data.fixed_real_mean_sq if fixed else real_data.fresh_real_mean_sq
            got = law(t, n_real, n_syn, known_var=known, var0=2.0, d=3)
            steps = real_mix(
                t, n_real, n_syn, fixed=fixed, curvature=0.0 if known else -1.0, var0=2.0, d=3
            )
            assert got == pytest.approx(steps.mean_sq, rel=1e-9, abs=1e-12), (n_real, n_syn, fixed)
            if n_real:
                limit = real_data.real_data_mean_sq_limit(
                    n_real, n_syn, fixed=fixed, known_var=known, var0=2.0, d=3
                )
                assert got[-1] == pytest.approx(float(limit), rel=1e-9)
