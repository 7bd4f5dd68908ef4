"""Contaminated streams: theory against simulation, fixed points and rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_runs import close, refused

from tailguard.theory import anchor
from tailguard.theory import contamination as theory

R = 40_000
STEPS = 6


def next_batch(
    model: tuple[Any, Any], n: int, frac: float, counts: bool, shift: float, rng: Any
) -> Any:
    """n samples of each replicate, a share of them synthetic."""
    mean, var = model
    noise = rng.standard_normal((len(mean), n))
    share = np.arange(n) < round(frac * n) if counts else rng.random(noise.shape) < frac
    return np.where(share, shift + noise, mean[:, None] + np.sqrt(var)[:, None] * noise)


def variances(data: Any, kind: str) -> Any:
    return np.ones(len(data)) if kind == "known" else data.var(axis=1, ddof=int(kind == "unbiased"))


def agrees(models: list[Any], law: theory.Risk) -> bool:
    mean, var = (np.array(x).T for x in zip(*models, strict=True))
    return (
        close(mean, law.bias)
        and close(mean**2, law.mean_sq)
        and close(var, law.var)
        and close((mean - law.bias) ** 2, law.variance)
    )


VARIANCES = pytest.mark.parametrize("kind", ["ml", "unbiased", "known"])


@VARIANCES
@pytest.mark.parametrize("counts", [False, True])
def test_batches_have_the_risk_that_theory_gives(counts: bool, kind: str) -> None:
    rng, n, frac = np.random.default_rng(1), 10, 0.4
    start, real_bias, fit_bias = 0.5, -0.3, 0.2
    model, models = (np.full(R, start), np.ones(R)), []
    for _ in range(STEPS):
        data = next_batch(model, n, frac, counts, real_bias, rng)
        var = variances(data, kind)
        model = data.mean(axis=1) + fit_bias, var
        models.append(model)
    t = np.arange(1, STEPS + 1)
    settings: dict[str, Any] = {
        "n": n, "real_frac": frac, "counts": counts, "known_var": kind == "known",
        "unbiased": kind == "unbiased", "start": start, "real_bias": real_bias,
        "fit_bias": fit_bias,
    }  # fmt: skip
    assert agrees(models, theory.batch(t, **settings))
    for wrong in ("counts", "known_var"):
        assert not agrees(models, theory.batch(t, **settings | {wrong: not settings[wrong]}))
    for wrong in ("start", "real_bias", "fit_bias"):
        assert not agrees(models, theory.batch(t, **settings | {wrong: 0.0}))


@VARIANCES
@pytest.mark.parametrize("counts", [False, True])
def test_streams_have_the_risk_that_theory_gives(counts: bool, kind: str) -> None:
    rng, n, n_real, frac, start = np.random.default_rng(2), 5, 7, 0.4, 0.6
    pool, models = start + rng.standard_normal((R, n_real)), []
    for _ in range(STEPS):
        models.append((pool.mean(axis=1), variances(pool, kind)))
        pool = np.concatenate([pool, next_batch(models[-1], n, frac, counts, 0.0, rng)], axis=1)
    t = np.arange(1, STEPS + 1)
    settings: dict[str, Any] = {
        "n": n, "real_frac": frac, "n_real": n_real, "counts": counts, "known_var": kind == "known",
        "unbiased": kind == "unbiased", "start": start,
    }  # fmt: skip
    assert agrees(models, theory.stream(t, **settings))
    assert not agrees(models, theory.stream(t, **settings | {"known_var": kind != "known"}))
    assert not agrees(models, theory.stream(t, **settings | {"real_frac": 0.6}))
    if kind != "known":
        assert not agrees(models, theory.stream(t, **settings | {"unbiased": kind == "ml"}))
    assert not agrees(models, theory.batch(t, n, frac, counts=counts))


@given(st.floats(0, 1), st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_the_bias_of_batches_is_geometric(f: float, start: float, real: float, fit: float) -> None:
    settings: dict[str, Any] = {"start": start, "real_bias": real, "fit_bias": fit}
    t = np.arange(12)
    np.testing.assert_allclose(
        theory.batch_bias(t, f, **settings), theory.batch(t, 9, f, **settings).bias, atol=1e-9
    )


def test_a_bias_of_each_fit_is_amplified_by_what_is_not_real() -> None:
    assert theory.batch_bias(10**4, 0.2, fit_bias=0.1) == pytest.approx(0.5)
    assert theory.batch_bias(10**4, 0.2, real_bias=0.1) == pytest.approx(0.1)
    assert theory.batch_bias(30, 0.0, fit_bias=0.1) == pytest.approx(3.0)


@pytest.mark.parametrize("known_var", [False, True])
@pytest.mark.parametrize("counts", [False, True])
def test_batches_end_at_their_fixed_point(counts: bool, known_var: bool) -> None:
    for f in (1.0, 0.6, 0.2):
        settings: dict[str, Any] = {"counts": counts, "known_var": known_var, "var0": 2.0}
        late, limit = theory.batch(5_000, 8, f, **settings), theory.batch_limit(8, f, **settings)
        np.testing.assert_allclose(late, limit, atol=1e-9)
    lost = theory.batch_limit(8, 0.0, counts=counts, known_var=known_var)
    assert lost.mean_sq == (np.inf if known_var else 1.0)


def test_exact_shares_are_fresh_real_data() -> None:
    t = np.arange(40)
    mixed = anchor.real_mix(t, 3, 9)
    batch = theory.batch(t, 12, 0.25, counts=True)
    np.testing.assert_allclose(batch.var, mixed.var)
    np.testing.assert_allclose(batch.mean_sq, mixed.mean_sq)
    # Chance in the share costs a little more, and only where both kinds are present.
    assert (theory.batch(t, 12, 0.25).mean_sq[2:] > batch.mean_sq[2:]).all()
    for f in (0.0, 1.0):
        plain, counted = (theory.batch(t, 12, f, counts=c).mean_sq for c in (False, True))
        np.testing.assert_allclose(plain, counted)


def test_a_stream_with_no_real_data_is_accumulate() -> None:
    from tailguard.theory import mixing

    t = np.arange(40)
    pool, stream = mixing.accumulate(t, 6, n_real=4), theory.stream(t, 6, 0.0, n_real=4)
    np.testing.assert_allclose(stream.var, pool.var)
    np.testing.assert_allclose(stream.mean_sq, pool.mean_sq)
    clean = theory.stream(t[1:], 6, 1.0).mean_sq
    np.testing.assert_allclose(clean, 1 / (6 * t[1:]))


@pytest.mark.parametrize("real_frac", [0.15, 0.3, 0.7, 1.0])
def test_streams_converge_at_the_rate_of_wang_niu_and_li(real_frac: float) -> None:
    t = np.array([20_000, 80_000])
    bias = theory.stream_bias(t, real_frac)
    assert -np.log(bias[1] / bias[0]) / np.log(4) == pytest.approx(real_frac, abs=1e-4)
    np.testing.assert_allclose(
        theory.stream_bias(np.arange(1, 50), real_frac, start=0.3),
        theory.stream(np.arange(1, 50), 7, real_frac, start=0.3).bias,
    )
    error = theory.stream(t, 10, real_frac, known_var=True, start=0.2).mean_sq ** 0.5
    slope = -np.log(error[1] / error[0]) / np.log(4)
    assert slope == pytest.approx(theory.stream_rate(real_frac), abs=0.02)
    assert theory.stream_rate(real_frac, baseline=0.2) == min(0.2, real_frac)


def test_laws_of_contamination_take_a_real_share() -> None:
    t = np.arange(5)
    for regime, third in (("contaminated", 0.2), ("contaminated-stream", 0.125)):
        every = [law for law in theory.LAWS if law.regimes == (regime,)]
        laws = {law.quantity: law for law in every if law.families != ("poisson",)}
        poisson = next(law for law in every if law.families == ("poisson",))
        assert poisson.at(t, n=10, real_frac=0.0)[2] == pytest.approx(third)
        at = {name: law.at(t, n=10, real_frac=0.46) for name, law in laws.items()}
        np.testing.assert_allclose(at["var"] + at["mean_sq"], 1.0)
        np.testing.assert_allclose(at["heterozygosity"], at["var"])
        # By count, shares are of whole samples.
        exact = [laws["var"].at(t, n=10, real_frac=f, counts=True) for f in (0.46, 0.5, 0.44)]
        np.testing.assert_allclose(exact[0], exact[1])
        assert not np.allclose(exact[0], exact[2])
        assert not np.allclose(laws["var"].at(t, n=10, real_frac=0.5, unbiased=True), exact[1])


def test_contaminations_that_make_no_sense_are_refused() -> None:
    assert "real_frac" in refused(lambda: theory.batch(1, 10, -0.1))
    assert "real_frac" in refused(lambda: theory.stream_rate(2.0))
    assert "n:" in refused(lambda: theory.stream(1, 0, 0.5))
    assert "n:" in refused(lambda: theory.batch(1, 1, 0.5, unbiased=True))
