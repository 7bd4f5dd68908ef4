"""Regimes that keep, add or renew data: theory against simulation, and one regime as another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from loop_runs import agrees, close, gaussian_loop, real, refused, written

from tailguard.theory import anchor, mixing
from tailguard.theory.gaussian import replace_mean_sq, replace_var

R = 20_000
STEPS = 7
Both = pytest.mark.parametrize("unbiased", [False, True])


@Both
@pytest.mark.parametrize(("emitted", "n_real"), [(5, 5), (7, 3), (2, 9)])
def test_accumulate_has_the_moments_that_theory_gives(
    emitted: int, n_real: int, unbiased: bool
) -> None:
    rng = np.random.default_rng(emitted)

    def train(i: int, model: Any, data: Any) -> Any:
        return np.concatenate([data, written(model, emitted, rng)], axis=1)

    models = gaussian_loop(real(n_real, R, rng), train, STEPS, unbiased=unbiased)

    def law(t: Any, unbiased: bool = unbiased) -> anchor.Moments:
        return mixing.accumulate(t, 5, emitted=emitted, n_real=n_real, unbiased=unbiased)

    assert agrees(models, law)
    assert not agrees(models, lambda t: law(t, not unbiased))
    if unbiased:  # the plausible "an unbiased estimator keeps the variance" is wrong here
        assert not close(models[:, 1], np.ones(STEPS))


@Both
@pytest.mark.parametrize(("n", "emitted", "n_real"), [(5, 5, 5), (6, 2, 9), (4, 7, 3)])
def test_accumulate_subsample_has_the_moments_that_theory_gives(
    n: int, emitted: int, n_real: int, unbiased: bool
) -> None:
    rng = np.random.default_rng(n)
    pool, models = real(n_real, R, rng), []
    for _ in range(STEPS):
        chosen = np.argsort(rng.random(pool.shape), axis=1)[:, :n]
        data = np.take_along_axis(pool, chosen, axis=1)
        models.append((data.mean(axis=1), data.var(axis=1, ddof=int(unbiased))))
        pool = np.concatenate([pool, written(models[-1], emitted, rng)], axis=1)
    seen = np.moveaxis(np.array(models), (0, 1, 2), (2, 1, 0))
    sizes: dict[str, Any] = {"emitted": emitted, "n_real": n_real, "unbiased": unbiased}
    assert agrees(seen, lambda t: mixing.accumulate_subsample(t, n, **sizes))
    assert not agrees(seen, lambda t: mixing.accumulate(t, n, **sizes))
    assert not agrees(seen, lambda t: mixing.accumulate_subsample(t, n + 1, **sizes))


@Both
@pytest.mark.parametrize(("width", "wrong"), [(1, 2), (3, 4), (20, 4)])
def test_a_window_has_the_moments_that_theory_gives(width: int, wrong: int, unbiased: bool) -> None:
    rng, n = np.random.default_rng(width), 5

    def train(i: int, model: Any, data: Any) -> Any:
        return np.concatenate([data, written(model, n, rng)], axis=1)[:, -n * width :]

    models = gaussian_loop(real(n, R, rng), train, STEPS, unbiased=unbiased)
    assert agrees(models, lambda t: mixing.window(t, n, width, unbiased=unbiased))
    assert not agrees(models, lambda t: mixing.window(t, n, wrong, unbiased=unbiased))


@Both
@pytest.mark.parametrize("law", [mixing.fixed_real, mixing.fresh_real])
def test_mixed_data_have_the_moments_that_theory_gives(law: Any, unbiased: bool) -> None:
    rng, n, kept = np.random.default_rng(4), 8, 3
    fixed = law is mixing.fixed_real

    def train(i: int, model: Any, data: Any) -> Any:
        old = data[:, :kept] if fixed else real(kept, R, rng)
        return np.concatenate([old, written(model, n - kept, rng)], axis=1)

    models = gaussian_loop(real(n, R, rng), train, STEPS, unbiased=unbiased)
    assert agrees(models, lambda t: law(t, n, 0.4, unbiased=unbiased))
    assert not agrees(models, lambda t: law(t, n, 0.5, unbiased=unbiased))


@Both
@pytest.mark.parametrize(("every", "kept"), [(3, 6), (2, 2)])
def test_refresh_has_the_moments_that_theory_gives(every: int, kept: int, unbiased: bool) -> None:
    rng, n = np.random.default_rng(every), 6

    def train(i: int, model: Any, data: Any) -> Any:
        k = kept if i % every == 0 else 0
        return np.concatenate([real(k, R, rng), written(model, n - k, rng)], axis=1)

    models = gaussian_loop(real(n, R, rng), train, STEPS, unbiased=unbiased)
    settings: dict[str, Any] = {"real_frac": kept / n, "unbiased": unbiased}
    assert agrees(models, lambda t: mixing.refresh(t, n, every, **settings))
    assert not agrees(models, lambda t: mixing.refresh(t, n, every + 1, **settings))


def categorical(train: Callable[..., Any], n: int, steps: int) -> tuple[Any, float]:
    """Heterozygosities of categoricals fitted to ``train(rng, i, p, counts, p0)``."""
    rng, p0 = np.random.default_rng(6), np.array([0.5, 0.3, 0.15, 0.05])
    counts = rng.multinomial(n, np.tile(p0, (R, 1)))
    seen = []
    for i in range(1, steps + 1):
        p = counts / counts.sum(axis=1, keepdims=True)
        seen.append(1 - (p**2).sum(axis=1))
        counts = train(rng, i, p, counts, p0)
    return np.array(seen).T, float(1 - (p0**2).sum())


REGIMES: dict[str, tuple[dict[str, Any], Callable[..., Any]]] = {
    "accumulate": ({}, lambda rng, i, p, counts, p0: counts + rng.multinomial(8, p)),
    "fresh-real": (
        {"real_frac": 0.25},
        lambda rng, i, p, counts, p0: (
            rng.multinomial(2, np.tile(p0, (R, 1))) + rng.multinomial(6, p)
        ),
    ),
    "refresh": (
        {"every": 3},
        lambda rng, i, p, counts, p0: rng.multinomial(8, p if i % 3 else np.tile(p0, (R, 1))),
    ),
}


@pytest.mark.parametrize("regime", REGIMES)
def test_heterozygosity_follows_the_law_of_the_variance(regime: str) -> None:
    settings, train = REGIMES[regime]
    seen, h0 = categorical(train, 8, STEPS)
    source = getattr(mixing, regime.replace("-", "_"))
    law = anchor.law_of(source, "var", rename={"var0": "h0"}, held={"unbiased": False})
    t = np.arange(1, STEPS + 1)
    assert close(seen, law(t, n=8, h0=h0, **settings))
    assert not close(seen, law(t, n=9, h0=h0, **settings))


@pytest.mark.parametrize("family", ["poisson", "exponential"])
def test_other_families_obey_the_law_of_their_curvature(family: str) -> None:
    rng, n, steps, mean0 = np.random.default_rng(7), 3, 5, 2.0
    poisson = family == "poisson"
    right, wrong = (0.0, 1.0) if poisson else (1.0, 0.0)
    var0 = mean0 if poisson else mean0**2
    t = np.arange(1, steps + 1)

    def draw(mean: Any) -> Any:
        shape = (2 * R, n)
        return (
            rng.poisson(mean[:, None], shape) if poisson else rng.exponential(mean[:, None], shape)
        )

    def fits(choose: Callable[[list[Any], int], Any]) -> Any:
        blocks, seen = [draw(np.full(2 * R, mean0))], []
        for i in range(1, steps + 1):
            mean = choose(blocks, i).mean(axis=1)
            seen.append((mean - mean0) ** 2)
            blocks.append(draw(mean if i % 3 else np.full(2 * R, mean0)) if choose is newest
                          else draw(mean))  # fmt: skip
        return np.array(seen).T

    def newest(blocks: list[Any], i: int) -> Any:
        return blocks[-1]

    def some(blocks: list[Any], i: int) -> Any:
        pool = np.concatenate(blocks, axis=1)
        chosen = np.argpartition(rng.random(pool.shape), n - 1, axis=1)[:, :n]
        return np.take_along_axis(pool, chosen, axis=1)

    def last(blocks: list[Any], i: int) -> Any:
        return np.concatenate(blocks[-2:], axis=1)

    def whole(blocks: list[Any], i: int) -> Any:
        return np.concatenate(blocks, axis=1)

    laws: dict[Any, Any] = {
        newest: lambda c: mixing.refresh(t, n, 3, curvature=c, var0=var0),
        some: lambda c: mixing.accumulate_subsample(t, n, curvature=c, var0=var0),
        last: lambda c: mixing.window(t, n, 2, curvature=c, var0=var0),
        whole: lambda c: mixing.accumulate(t, n, curvature=c, var0=var0),
    }
    for choose, law in laws.items():
        seen = fits(choose)
        assert close(seen, law(right).mean_sq), choose
        assert not close(seen, law(wrong).mean_sq), choose


def test_the_curvature_of_a_gaussian_gives_the_law_of_a_gaussian() -> None:
    t, near = np.arange(30), -1 + 1e-12
    laws: tuple[Callable[[float], Any], ...] = (
        lambda c: mixing.accumulate(t, 6, emitted=4, n_real=3, curvature=c),
        lambda c: mixing.accumulate_subsample(t, 6, emitted=4, n_real=9, curvature=c),
        lambda c: mixing.window(t, 6, 4, curvature=c),
    )
    for law in laws:
        np.testing.assert_allclose(law(near), law(-1.0), rtol=1e-8)


def test_figures_of_the_literature_are_met() -> None:
    row9 = mixing.accumulate(100, 10)
    assert row9.var == pytest.approx(0.8443, abs=5e-5)
    assert row9.mean_sq == pytest.approx(0.1557, abs=5e-5)
    # Variance of the mean relative to real data only, n_s = n_r: 2/3 and 4/3 (large n).
    n = 10**6
    for law, ratio in ((mixing.fresh_real, 2 / 3), (mixing.fixed_real, 4 / 3)):
        assert law(10**4, 2 * n, 0.5).mean_sq * n == pytest.approx(ratio, rel=1e-5)


@Both
@pytest.mark.parametrize(("emitted", "n_real"), [(10, 10), (7, 3), (1, 2)])
def test_accumulate_ends_at_its_limit(emitted: int, n_real: int, unbiased: bool) -> None:
    sizes: dict[str, Any] = {"emitted": emitted, "n_real": n_real, "unbiased": unbiased}
    limit = mixing.accumulate_limit(10, **sizes)
    late = [mixing.accumulate(t, 10, **sizes) for t in (10**5, 2 * 10**5)]
    for part, (one, two) in zip(limit, zip(*late, strict=True), strict=True):
        # What is left after t is proportional to 1/t: extrapolate it away.
        assert part == pytest.approx(float(2 * two - one), rel=1e-8)


def test_accumulate_subsample_ends_at_its_limit_or_grows_without_one() -> None:
    for n in (2, 10, 300):
        one, two = (mixing.accumulate_subsample(t, n) for t in (10**5, 2 * 10**5))
        limit = mixing.accumulate_subsample_limit(n)
        assert limit.var == pytest.approx(float(2 * two.var - one.var), rel=1e-8)
        assert 0 < limit.var < mixing.accumulate_limit(n).var
        assert limit.mean_sq == pytest.approx(1 - float(limit.var))
    grown = mixing.accumulate_subsample([10**4, 10**5], 10, unbiased=True).var
    assert grown[1] / grown[0] == pytest.approx(10**0.1, rel=1e-3)
    assert np.isinf(mixing.accumulate_subsample_limit(10, unbiased=True).var)


@Both
def test_regimes_meet_where_their_settings_do(unbiased: bool) -> None:
    t, n = np.arange(60), 9

    def same(one: anchor.Moments, two: anchor.Moments) -> None:
        np.testing.assert_allclose(one.var, two.var, rtol=1e-9)
        np.testing.assert_allclose(one.mean_sq, two.mean_sq, rtol=1e-9)

    replace = anchor.Moments(
        replace_var(t, n, unbiased=unbiased), replace_mean_sq(t, n, unbiased=unbiased)
    )
    both: dict[str, Any] = {"unbiased": unbiased}
    same(mixing.fixed_real(t, n, 0.0, **both), replace)
    same(mixing.fresh_real(t, n, 0.0, **both), replace)
    same(mixing.refresh(t, n, 1000, **both), replace)
    same(mixing.refresh(t, n, 3, real_frac=0.0, **both), replace)
    same(mixing.window(t, n, 1, **both), replace)
    same(mixing.window(t, n, 60, **both), mixing.accumulate(t, n, **both))
    same(mixing.accumulate_subsample(t, 9 * 60, n_real=n, emitted=n, **both),
         mixing.accumulate(t, n, **both))  # fmt: skip
    same(mixing.refresh(t, n, 1, real_frac=1 / 3, **both), mixing.fresh_real(t, n, 1 / 3, **both))
    same(mixing.fixed_real(t, n, 1.0, **both), mixing.fresh_real(t, n, 1.0, **both))


def test_maximum_likelihood_only_moves_variance_into_the_mean() -> None:
    t = np.arange(50)
    for law in (
        mixing.accumulate(t, 6, emitted=4, n_real=3),
        mixing.accumulate_subsample(t, 6),
        mixing.window(t, 6, 4),
        mixing.refresh(t, 6, 5, real_frac=0.5),
        mixing.fixed_real(t, 6, 0.5),
        mixing.fresh_real(t, 6, 0.5),
    ):
        np.testing.assert_allclose(law.var + law.mean_sq, 1.0)


@pytest.mark.parametrize("width", [1, 2, 4, 9])
def test_a_window_decays_as_slowly_as_a_seed_bank(width: int) -> None:
    var = mixing.window(np.array([900, 901]), 2_000, width).var
    assert 1 - var[1] / var[0] == pytest.approx(mixing.window_decay(2_000, width), rel=2e-3)
    assert 1 - var[1] / var[0] != pytest.approx(1 / (2_000 * width), rel=2e-2) or width == 1


def test_laws_take_settings_by_name_and_scale_with_the_real_variance() -> None:
    t = np.arange(4)
    settings: dict[str, Any] = {"n": 6, "real_frac": 0.5, "every": 2, "width": 2}
    assert len(mixing.LAWS) == len({(x.regimes, x.families, x.quantity) for x in mixing.LAWS})
    for law in mixing.LAWS:
        unit = law.at(t, **settings)
        scale = {"h0" if law.quantity == "heterozygosity" else "var0": 0.25}
        np.testing.assert_allclose(law.at(t, **settings, **scale), unit * 0.25)
        if law.quantity == "mean_sq":
            np.testing.assert_allclose(law.at(t, **settings, d=3), unit * 3)
        if law.quantity == "heterozygosity":
            np.testing.assert_allclose(law.at(t, **settings, unbiased=True), unit)


def test_mixtures_that_make_no_sense_are_refused() -> None:
    assert "real_frac" in refused(lambda: mixing.fresh_real(1, 5, 1.2))
    assert "width" in refused(lambda: mixing.window(1, 5, 0))
    assert "every" in refused(lambda: mixing.refresh(1, 5, 0))
    assert "emitted" in refused(lambda: mixing.accumulate(1, 5, emitted=0))
    assert "n_real" in refused(lambda: mixing.accumulate(1, 5, n_real=1))
    assert "n:" in refused(lambda: mixing.accumulate_subsample(1, 1))
