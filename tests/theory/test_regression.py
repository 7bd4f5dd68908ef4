"""Regression on its own labels: theory against simulation, sums and bounds of the literature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from loop_runs import close, refused

from tailguard.theory import regression as theory

R = 10_000


def risks(keep: bool, sizes: list[int], noise: list[float], *, fixed: bool = False) -> Any:
    """Squared distances of fitted weights of 4 correlated inputs, in their metric: (R, steps)."""
    rng = np.random.default_rng(len(sizes))
    root = np.array([[1.0, 0, 0, 0], [0.9, 0.4, 0, 0], [0, 0.3, 2.0, 0], [1, 0, 0, 0.5]])
    truth = np.array([1.0, -2.0, 0.5, 0.0])
    w, gram, moment, seen = np.tile(truth, (R, 1)), 0.0, 0.0, []
    design = rng.standard_normal((sizes[0], 4)) @ root.T
    for n, s in zip(sizes, noise, strict=True):
        x = design[None] if fixed else rng.standard_normal((R, n, 4)) @ root.T
        y = np.einsum("rnd,rd->rn", np.broadcast_to(x, (R, n, 4)), w)
        y = y + np.sqrt(s) * rng.standard_normal((R, n))
        one, two = x.transpose(0, 2, 1) @ x, x.transpose(0, 2, 1) @ y[:, :, None]
        gram, moment = (gram + one, moment + two) if keep else (one, two)
        w = np.linalg.solve(gram, moment)[:, :, 0]
        away = (w - truth) @ design.T / np.sqrt(len(design)) if fixed else (w - truth) @ root
        seen.append((away**2).sum(axis=1))
    return np.array(seen).T


CASES: dict[str, tuple[list[int], list[float]]] = {
    "equal": ([12] * 4, [1.0] * 4),
    "other sizes and noise": ([11, 9, 40, 14], [0.5, 1.5, 1.5, 1.5]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("keep", [False, True])
def test_regression_has_the_risk_that_theory_gives(keep: bool, case: str) -> None:
    sizes, noise = CASES[case]
    seen, t = risks(keep, sizes, noise), np.arange(1, 5)
    law, other = theory.replace_risk, theory.accumulate_risk
    law, other = (other, law) if keep else (law, other)
    settings: dict[str, Any] = {"noise_var": noise[0], "synthetic_noise_var": noise[1]}
    assert close(seen, law(t, 12, 4, sizes=sizes, **settings))
    gained = np.diff(law(t, 12, 4, sizes=sizes, **settings))
    assert close(np.diff(seen, axis=1), gained)
    if keep and case != "equal":  # a new batch counts by its size, not as one of i batches
        pools = np.cumsum(sizes)
        by_number = np.array(noise) / t * 4 / (pools - 5)
        assert not close(np.diff(seen, axis=1), by_number[1:])
    assert not close(seen, other(t, 12, 4, sizes=sizes, **settings))
    assert not close(seen, law(t, 12, 4, sizes=sizes, design="fixed", **settings))


@pytest.mark.parametrize("keep", [False, True])
def test_a_fixed_design_has_the_risk_that_theory_gives(keep: bool) -> None:
    seen, t = risks(keep, [10] * 5, [1.0] * 5, fixed=True), np.arange(1, 6)
    law = theory.accumulate_risk if keep else theory.replace_risk
    assert close(seen, law(t, 10, 4, design="fixed"))
    assert not close(seen, law(t, 10, 4))


def test_figures_of_gerstgrasser_are_met_within_their_tolerance() -> None:
    replace = theory.replace_risk([1, 20], 100, 10)
    assert replace[1] / replace[0] == pytest.approx(20)
    fixed = theory.accumulate_risk([1, 20], 100, 10, design="fixed")
    assert fixed[1] / fixed[0] == pytest.approx(1.596, abs=5e-4)
    # Fresh inputs do better than Σ 1/i², which is the bound: 1.551 of 1.596, 2.8% below.
    fresh = theory.accumulate_risk([1, 20], 100, 10)
    i = np.arange(1, 21)
    assert fresh[1] / fresh[0] == pytest.approx(float((89 / (i * (100 * i - 11))).sum()))
    assert fresh[1] / fresh[0] == pytest.approx(1.596, rel=0.04)
    assert fresh[1] / fresh[0] != pytest.approx(1.596, rel=0.02)


def test_augment_is_bounded_and_discard_is_not() -> None:
    assert theory.augment_ratio(40) == pytest.approx(1.620, abs=5e-4)
    assert theory.augment_ratio(10**6) == pytest.approx(np.pi**2 / 6, abs=2e-6)
    assert theory.discard_ratio([0, 3]).tolist() == [0, 3]
    sizes = [5, 10, 20]
    np.testing.assert_allclose(
        theory.augment_ratio([1, 2, 3], sizes=sizes), [1, 1 + 50 / 225, 1 + 50 / 225 + 100 / 1225]
    )


@pytest.mark.parametrize("replacement", [False, True])
def test_augment_subsample_varies_as_theory_gives(replacement: bool) -> None:
    # Known variance and n large: the mean of a Gaussian is asymptotically linear with no remainder.
    rng, n, runs, steps = np.random.default_rng(9), 60, 6_000, 5
    pool, seen = rng.standard_normal((runs, n)), []
    for _ in range(steps):
        whole = pool.shape[1]
        if replacement:
            chosen = rng.integers(whole, size=(runs, n))
        else:
            chosen = np.argpartition(rng.random(pool.shape), n - 1, axis=1)[:, :n]
        mean = np.take_along_axis(pool, chosen, axis=1).mean(axis=1)
        seen.append(n * mean**2)
        pool = np.concatenate([pool, mean[:, None] + rng.standard_normal((runs, n))], axis=1)
    t, values = np.arange(1, steps + 1), np.array(seen).T
    assert close(values, theory.augment_subsample_ratio(t, replacement=replacement))
    assert not close(values, theory.augment_subsample_ratio(t, replacement=not replacement))
    assert not close(values, theory.augment_ratio(t))
    limit = np.pi**2 / 3 if replacement else np.pi**2 / 2 - 2
    late = theory.augment_subsample_ratio(10**6, replacement=replacement)
    assert late == pytest.approx(limit, abs=1e-5)


def test_accumulate_converges_to_its_limit_below_the_bound() -> None:
    for n, d in ((100, 10), (12, 10), (5000, 1)):
        late = theory.accumulate_risk(10**6, n, d, noise_var=2.0)
        assert late == pytest.approx(theory.accumulate_risk_limit(n, d, noise_var=2.0), rel=1e-5)
        assert (theory.accumulate_bound([1, 5, 10**6], n, d, noise_var=2.0)[2]) > late
    assert np.isinf(theory.accumulate_risk_limit(11, 10))
    assert theory.accumulate_bound(0, 100, 10) == 0


def test_ridge_with_orthogonal_inputs_has_the_risk_that_theory_gives() -> None:
    rng, n, d, ridge, truth = np.random.default_rng(5), 20, 3, 0.2, np.array([1.0, -1.0, 0.5])
    x = np.linalg.qr(rng.standard_normal((n, d)))[0] * np.sqrt(n)
    w, seen = np.tile(truth, (R, 1)), []
    for s in (0.7, 2.0, 2.0, 2.0):
        y = w @ x.T + np.sqrt(s) * rng.standard_normal((R, n))
        w = y @ x / n / (1 + ridge)
        seen.append(((w - truth) ** 2).sum(axis=1))
    t, values = np.arange(1, 5), np.array(seen).T
    settings: dict[str, Any] = {"norm_sq": 2.25, "noise_var": 0.7, "synthetic_noise_var": 2.0}
    assert close(values, theory.orthogonal_ridge_risk(t, n, d, ridge, **settings))
    assert not close(values, theory.orthogonal_ridge_risk(t, n, d, 0.25, **settings))
    plain = theory.orthogonal_ridge_risk(np.arange(9), n, d, 0.0, **settings)
    noise: dict[str, Any] = {"noise_var": 0.7, "synthetic_noise_var": 2.0}
    np.testing.assert_allclose(
        plain, theory.replace_risk(np.arange(9), n, d, design="fixed", **noise)
    )


def test_too_few_rows_have_infinite_risk_and_nonsense_is_refused() -> None:
    assert theory.replace_risk([0, 1], 11, 10).tolist() == [0.0, np.inf]
    assert theory.accumulate_risk([0, 1], 11, 10).tolist() == [0.0, np.inf]
    assert theory.replace_risk(1, 9, 10, design="fixed") == np.inf
    assert "d:" in refused(lambda: theory.replace_risk(1, 10, 0))
    assert "sizes" in refused(lambda: theory.accumulate_risk(3, 10, 2, sizes=[10, 10]))
    assert "design" in refused(
        lambda: theory.replace_risk(1, 10, 2, design="random")  # type: ignore[arg-type]
    )
