"""Gaussian replace: moments against raw simulation, printed figures, limits, negative controls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from theory_cases import agrees, gaussian_replace, share_agrees

from tailguard.errors import InputError
from tailguard.theory import gaussian, gaussian_paths, wishart
from tailguard.theory.gaussian import Structure

REPLICATES = 20_000
STEPS = np.array([0, 1, 2, 8])


@pytest.fixture(scope="module", params=[(False, 1.0), (True, 1.0), (False, 0.9), (True, 0.8)])
def run(request: pytest.FixtureRequest) -> dict[str, object]:
    """Models of 8 generations at n = 9, simulated from raw samples."""
    unbiased, bias = request.param
    rng = np.random.default_rng(20_25)
    mean, var = gaussian_replace(8, 9, REPLICATES, rng=rng, unbiased=unbiased, bias=bias)
    settings = {"n": 9, "unbiased": unbiased, "sampling_bias": bias}
    return {"mean": mean[:, STEPS], "var": var[:, STEPS], "settings": settings}


def test_every_moment_agrees_with_raw_samples(run: dict[str, object]) -> None:
    mean, var, s = run["mean"], run["var"], run["settings"]
    assert isinstance(mean, np.ndarray) and isinstance(var, np.ndarray) and isinstance(s, dict)
    assert agrees(var, gaussian.replace_var(STEPS, **s))
    assert agrees(mean**2, gaussian.replace_mean_sq(STEPS, **s))
    assert agrees(np.log(var), gaussian.replace_log_var(STEPS, **s))
    assert agrees(np.sqrt(var), gaussian.replace_sd(STEPS, **s))
    assert agrees(mean**2 + (np.sqrt(var) - 1) ** 2, gaussian.replace_w2_sq(STEPS, **s))
    kl_back = 0.5 * (var + mean**2 - 1 - np.log(var))
    assert agrees(kl_back, gaussian_paths.kl_to_truth(STEPS, **s))
    early = slice(0, 3)  # 1/σ² has a finite variance only for few generations
    kl = 0.5 * (np.log(var) + (1 + mean**2) / var - 1)
    assert agrees(kl[:, early], gaussian_paths.kl_from_truth(STEPS[early], **s))


def test_spread_over_replicates_agrees_with_raw_samples(run: dict[str, object]) -> None:
    var, s = run["var"], run["settings"]
    assert isinstance(var, np.ndarray) and isinstance(s, dict)
    centred = (var - gaussian.replace_var(STEPS, **s)) ** 2
    assert agrees(centred[:, :3], gaussian.replace_var_sd(STEPS[:3], **s) ** 2)
    logs = (np.log(var) - gaussian.replace_log_var(STEPS, **s)) ** 2
    sd = gaussian.replace_log_var_sd(STEPS, 9, unbiased=bool(s["unbiased"]))
    assert agrees(logs, sd**2)


def test_distribution_agrees_with_raw_samples(run: dict[str, object]) -> None:
    var, s = run["var"], run["settings"]
    assert isinstance(var, np.ndarray) and isinstance(s, dict)
    for q in (0.01, 0.5, 0.9):
        level = gaussian_paths.var_quantile(q, STEPS[1:], **s)
        assert share_agrees(var[:, 1:] <= level, np.full(3, q))
    lo, hi = gaussian_paths.var_band(STEPS[1:], level=0.8, **s)
    assert share_agrees((var[:, 1:] < lo) | (var[:, 1:] > hi), np.full(3, 0.2))
    assert share_agrees(np.sqrt(var) > 0.6, gaussian_paths.sd_exceeds(0.6, STEPS, **s))


def test_the_true_variance_only_sets_the_scale(run: dict[str, object]) -> None:
    s = run["settings"]
    assert isinstance(s, dict)
    laws = (gaussian.replace_var, gaussian.replace_var_sd, gaussian.replace_mean_sq)
    for law in (*laws, gaussian.replace_w2_sq):
        assert law(STEPS, var0=9.0, **s) == pytest.approx(9 * law(STEPS, **s), rel=1e-12)
    assert gaussian.replace_sd(STEPS, var0=9.0, **s) == pytest.approx(
        3 * gaussian.replace_sd(STEPS, **s)
    )
    scaled = gaussian.replace_log_var(STEPS, var0=9.0, **s) - gaussian.replace_log_var(STEPS, **s)
    assert scaled == pytest.approx(np.full(4, np.log(9)))
    for f in (gaussian_paths.sd_exceeds, gaussian_paths.sd_exceeds_bound):
        assert f(1.5, STEPS, var0=9.0, **s) == pytest.approx(f(0.5, STEPS, **s))
    level = gaussian_paths.var_quantile(0.3, STEPS, var0=9.0, **s)
    assert level == pytest.approx(9 * gaussian_paths.var_quantile(0.3, STEPS, **s))
    lo, hi = gaussian_paths.var_band(STEPS, level=0.5, **s)
    logs = gaussian_paths.log_var_band(STEPS, level=0.5, **s)
    assert np.exp(logs) == pytest.approx(np.array([lo, hi]))
    moved = np.array(gaussian_paths.log_var_band(STEPS, level=0.5, var0=9.0, **s))
    assert moved - np.array(logs) == pytest.approx(np.full((2, 4), np.log(9)))


def test_the_wrong_estimator_or_bias_is_rejected() -> None:
    mean, var = gaussian_replace(8, 9, REPLICATES, rng=np.random.default_rng(7))
    for wrong in ({"unbiased": True}, {"sampling_bias": 0.97}, {"n": 10}):
        settings: dict[str, object] = {"n": 9, **wrong}
        assert not agrees(var[:, 8], gaussian.replace_var(8, **settings))  # type: ignore[arg-type]
        assert not agrees(
            np.log(var[:, 8]),
            gaussian.replace_log_var(8, **settings),  # type: ignore[arg-type]
        )
    assert not agrees(mean[:, 8] ** 2, gaussian.replace_mean_sq(8, 9, unbiased=True))
    assert not agrees(np.sqrt(var[:, 8]), np.sqrt(gaussian.replace_var(8, 9)))


def test_row_2_sampling_bias_figure() -> None:
    assert gaussian.replace_var(20, 100, sampling_bias=0.9) == pytest.approx(0.0994, rel=1e-3)


def test_row_7_maximum_likelihood_figures() -> None:
    var, mean_sq = gaussian.replace_var(100, 100), gaussian.replace_mean_sq(100, 100)
    assert var == pytest.approx(0.3660, abs=5e-5)
    assert mean_sq == pytest.approx(0.6340, abs=5e-5)
    assert var + mean_sq == pytest.approx(1.0, abs=1e-12)


def test_row_8_unbiased_figures() -> None:
    assert gaussian_paths.var_quantile(0.5, 100, 100, unbiased=True) == pytest.approx(
        0.365, abs=2e-3
    )
    assert gaussian.replace_log_var(100, 100, unbiased=True) == pytest.approx(-1.0135, abs=5e-5)
    assert gaussian.replace_w2_sq(100, 100, unbiased=True) == pytest.approx(1.446, abs=5e-4)
    assert gaussian.replace_var(100, 100, unbiased=True) == pytest.approx(1.0)


def test_row_13_figures_need_the_unbiased_estimator_and_keep_the_bounds() -> None:
    t, printed = [20, 50, 100, 200], [0.848, 0.375, 0.081, 0.004]
    p = gaussian_paths.sd_exceeds(0.1, t, 10, unbiased=True)
    assert p == pytest.approx(printed, abs=1.5e-3)
    assert gaussian_paths.sd_exceeds(0.1, 20, 10) == pytest.approx(0.542, abs=1e-3)
    markov = gaussian_paths.sd_exceeds_bound(0.1, t, 10, unbiased=True)
    chernoff = gaussian_paths.sd_exceeds_bound(0.1, t, 10, best=True, unbiased=True)
    assert np.all(p <= chernoff) and np.all(chernoff <= markov) and np.all(markov <= 1)
    for unbiased, gain in ((True, 1.0), (False, 4 / 3)):  # exponents t/(4n); t/n against 3t/(4n)
        setting = (0.1, 30_000, 100)
        late = np.log(gaussian_paths.sd_exceeds(*setting, unbiased=unbiased))
        plain = np.log(gaussian_paths.sd_exceeds_bound(*setting, unbiased=unbiased))
        best = np.log(gaussian_paths.sd_exceeds_bound(*setting, best=True, unbiased=unbiased))
        assert late < best <= plain < 0 and best == pytest.approx(late, rel=0.06)
        assert best / plain == pytest.approx(gain, rel=0.03)


@given(
    n=st.integers(2, 200),
    t=st.integers(0, 300),
    unbiased=st.booleans(),
    epsilon=st.floats(0.01, 3.0),
)
def test_bounds_hold_and_quantiles_invert_everywhere(
    n: int, t: int, unbiased: bool, epsilon: float
) -> None:
    p = float(gaussian_paths.sd_exceeds(epsilon, t, n, unbiased=unbiased))
    bound = float(gaussian_paths.sd_exceeds_bound(epsilon, t, n, best=True, unbiased=unbiased))
    assert 0 <= p <= bound * (1 + 1e-8) + 1e-12
    if t and 1e-6 < p < 1 - 1e-6:
        level = gaussian_paths.var_quantile(1 - p, t, n, unbiased=unbiased)
        assert float(level) == pytest.approx(epsilon**2, rel=1e-6)
    logs = gaussian.replace_log_var(t, n, unbiased=unbiased)
    with np.errstate(divide="ignore"):
        assert logs <= np.log(gaussian.replace_var(t, n, unbiased=unbiased)) + 1e-9


def test_limits_in_time_and_sample_size() -> None:
    for unbiased in (False, True):
        assert gaussian.replace_var(0, 5, unbiased=unbiased, var0=3.0) == 3.0
        assert gaussian.replace_mean_sq(0, 5, unbiased=unbiased) == 0
        assert gaussian.replace_w2_sq(0, 5, unbiased=unbiased, d=3) == 0
        assert gaussian.replace_w2_sq(100, 1e14, unbiased=unbiased) == pytest.approx(0, abs=1e-9)
        assert gaussian.replace_sd(100, 1e14, unbiased=unbiased) == pytest.approx(1, abs=1e-9)
        assert gaussian_paths.kl_from_truth(100, 1e14, unbiased=unbiased) == pytest.approx(
            0, abs=1e-9
        )
    assert gaussian.replace_w2_sq(1e5, 50, var0=2.0) == pytest.approx(4.0)
    assert gaussian.replace_log_var([0, 1], 1).tolist() == [0.0, -np.inf]
    assert gaussian.replace_var([0, 1], 1).tolist() == [1.0, 0.0]
    drift = gaussian.replace_log_var(1, 10_000, unbiased=True)
    assert drift == pytest.approx(-1e-4, rel=1e-3)
    rate = np.log(gaussian.replace_sd(1, 10_000, unbiased=True))
    assert rate == pytest.approx(-1 / 40_000, rel=1e-3)


def test_long_runs_neither_warn_nor_lose_their_logarithms() -> None:
    lo, hi = gaussian_paths.log_var_band(20_000, 3, level=0.5)
    centre = gaussian.replace_log_var(20_000, 3)
    assert lo < centre < hi < -10_000
    assert gaussian_paths.var_quantile(0.5, 20_000, 3) == 0
    for law in (gaussian.replace_var, gaussian.replace_w2_sq, gaussian.replace_mean_sq):
        assert law(20_000, 10, sampling_bias=1.5) == np.inf
    assert gaussian.replace_var_sd(1e6, 3, unbiased=True) == np.inf
    assert gaussian_paths.kl_from_truth(1e5, 4) == np.inf


def test_divergence_is_infinite_where_its_mean_does_not_exist() -> None:
    kl = gaussian_paths.kl_from_truth
    assert kl([0, 1], 3).tolist() == [0.0, np.inf] and np.isfinite(kl(1, 4))
    assert kl(1, 5, d=3) == np.inf and np.isfinite(kl(1, 6, d=3))
    assert np.isfinite(kl(1, 3, d=2, structure="isotropic"))
    assert kl(1, 2, d=2, structure="isotropic") == np.inf
    assert kl(1, 3, d=3, structure="diagonal") == np.inf
    assert gaussian_paths.kl_to_truth(1, 3, d=3) == np.inf


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("structure", ["full", "diagonal", "isotropic"])
def test_three_dimensions_agree_with_raw_samples(structure: Structure, unbiased: bool) -> None:
    rng, n, d, reps, steps = np.random.default_rng(11), 12, 3, 8_000, 3
    mean, root = np.zeros((reps, d)), np.broadcast_to(np.eye(d), (reps, d, d))
    for _ in range(steps):
        x = mean[:, None] + rng.standard_normal((reps, n, d)) @ np.swapaxes(root, 1, 2)
        mean = x.mean(axis=1)
        gap = x - mean[:, None]
        cov = np.swapaxes(gap, 1, 2) @ gap / (n - unbiased)
        diagonal = np.diagonal(cov, axis1=1, axis2=2)
        if structure == "isotropic":
            diagonal = np.repeat(diagonal.mean(axis=1, keepdims=True), d, axis=1)
        if structure != "full":
            cov = diagonal[:, :, None] * np.eye(d)
        root = np.linalg.cholesky(cov)
    values = np.linalg.eigvalsh(cov)
    log_det, trace = np.log(values).sum(axis=1), values.sum(axis=1)
    far = (mean**2).sum(axis=1)
    s = {"unbiased": unbiased, "d": d, "structure": structure}
    assert agrees(trace / d, gaussian.replace_var(steps, n, unbiased=unbiased))
    assert agrees(far, gaussian.replace_mean_sq(steps, n, unbiased=unbiased, d=d))
    w2 = far + trace + d - 2 * np.sqrt(values).sum(axis=1)
    bound = gaussian.replace_w2_sq(steps, n, **s)  # type: ignore[arg-type]
    assert (w2.mean() > bound) if structure == "full" else agrees(w2, bound)
    inner = np.linalg.solve(cov, mean[:, :, None])[:, :, 0]
    kl = 0.5 * (log_det + (1 / values).sum(axis=1) + (mean * inner).sum(axis=1) - d)
    assert agrees(kl, gaussian_paths.kl_from_truth(steps, n, **s))  # type: ignore[arg-type]
    kl_back = 0.5 * (trace + far - d - log_det)
    assert agrees(kl_back, gaussian_paths.kl_to_truth(steps, n, **s))  # type: ignore[arg-type]
    first = diagonal[:, 0]
    assert agrees(np.log(first), gaussian.replace_log_var(steps, n, **s))  # type: ignore[arg-type]
    if structure == "full":
        assert agrees(log_det, wishart.log_det_mean(steps, n, d, unbiased=unbiased))
        spread = (log_det - wishart.log_det_mean(steps, n, d, unbiased=unbiased)) ** 2
        assert agrees(spread, wishart.log_det_sd(steps, n, d) ** 2)
        wrong = wishart.log_det_mean(steps, n, d, unbiased=not unbiased)
        assert not agrees(log_det, wrong)


def test_too_few_samples_leave_a_covariance_of_lower_rank() -> None:
    rng, n, d = np.random.default_rng(0), 4, 6
    x = rng.standard_normal((n, d))
    for t in range(1, 5):
        gap = x - x.mean(axis=0)
        assert np.linalg.matrix_rank(gap, tol=1e-9) == wishart.rank(t, n, d) == 3
        u = rng.standard_normal((n, n))
        x = x.mean(axis=0) + u @ gap / np.sqrt(n)
    assert wishart.rank([0, 3], 9, 6).tolist() == [6, 6]
    assert wishart.log_det_mean([0, 1], 6, 6).tolist() == [0.0, -np.inf]
    assert np.isfinite(wishart.log_det_mean(1, 7, 6))


def test_eigenvalues_of_a_full_covariance_drift_apart_at_the_stated_rates() -> None:
    rng, n, d, reps = np.random.default_rng(5), 10, 2, 1_000
    root, logs = np.broadcast_to(np.eye(d), (reps, d, d)), {}
    for t in range(1, 91):
        drawn = root @ rng.standard_normal((reps, d, n))
        gap = drawn - drawn.mean(axis=2, keepdims=True)
        cov = gap @ np.swapaxes(gap, 1, 2) / n
        root = np.linalg.cholesky(cov)
        logs[t] = np.log(np.linalg.eigvalsh(cov)[:, ::-1])
    rates = wishart.log_eigenvalue_rates(n, d)
    assert agrees((logs[90] - logs[45]) / 45, rates)
    assert not agrees((logs[90] - logs[45]) / 45, np.full(d, rates.mean()))
    assert rates.sum() == pytest.approx(float(wishart.log_det_mean(1, n, d)))
    assert np.isneginf(wishart.log_eigenvalue_rates(3, 4)[2:]).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gaussian.replace_var(-1, 10), "t"),
        (lambda: gaussian.replace_var(1.5, 10), "t"),
        (lambda: gaussian.replace_var(1, 1, unbiased=True), "n"),
        (lambda: gaussian.replace_var(1, 10, sampling_bias=-1), "sampling_bias"),
        (lambda: gaussian.replace_var(1, 10, var0=-1), "var0"),
        (lambda: gaussian.replace_sd(1, 10, structure="round"), "structure"),  # type: ignore[arg-type]
        (lambda: gaussian_paths.var_quantile(1.5, 1, 10), "q"),
        (lambda: gaussian_paths.sd_exceeds(0.1, 1, 1), "n >= 2"),
        (lambda: gaussian.replace_var(float("nan"), 10), "t"),
    ],
)
def test_bad_settings_are_named_in_one_line(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()  # type: ignore[operator]
