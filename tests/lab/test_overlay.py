"""Runs beside theory: true laws are kept, false ones flagged, each at the stated rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tailguard.lab.overlay import ALPHA, MOST_SKEWED, Overlay, applicable, hall, overlays, trusted
from tailguard.lab.simulate import Run, Setting, simulate
from tailguard.lab.store import QUANTILES, StoredRun, Summary, summarised
from tailguard.lab.trajectory import Trajectory
from tailguard.theory.base import Law, every_law

N, T = 20, 12
SETTING = Setting(n=N, generations=T, replicates=10_000)
REPLACE, GAUSSIAN = ("replace",), ("gaussian",)


@cache
def run_of(setting_seed: int = 0, unbiased: bool = False) -> Run:
    setting = replace(SETTING, seed=setting_seed, family_settings={"unbiased": unbiased})
    return simulate(setting, engine="serial")


def variance(factor: float = 1.0) -> Callable[..., Any]:
    def law(*, t: Any, n: int, unbiased: bool = False, var0: float = 1.0) -> Any:
        return var0 * (1.0 if unbiased else (1 - factor / n)) ** np.asarray(t, float)

    return law


def only(run: StoredRun, law: Law, **options: Any) -> Overlay:
    (found,) = overlays(run, laws=[law], **options)
    return found


def law(fn: Callable[..., Any], **more: Any) -> Law:
    return Law("a law", fn, REPLACE, GAUSSIAN, more.pop("quantity", "var"), **more)


def parts(run: Run, size: int) -> list[StoredRun]:
    """Many small runs out of the kept replicates of a large one."""
    setting = replace(run.setting, replicates=size)
    found = []
    for at in range(0, len(run.trajectories["var"].kept) - size + 1, size):
        cut = {m: Trajectory.of(t.kept[at : at + size]) for m, t in run.trajectories.items()}
        found.append(summarised(Run(setting, run.path, cut)))
    return found


def test_a_right_law_is_drawn_with_the_settings_of_the_run() -> None:
    setting = replace(SETTING, truth_settings={"var": 4.0, "mean": 3.0}, replicates=2_000)
    found = only(summarised(simulate(setting, engine="serial")), law(variance()))
    assert np.allclose(found.value, 4.0 * (1 - 1 / N) ** np.arange(T + 1))
    assert not found.flagged and found.checked.size > 5


@pytest.mark.parametrize("factor", [0.0, 0.8, 1.2])
def test_a_slightly_wrong_law_is_flagged(factor: float) -> None:
    found = only(summarised(run_of()), law(variance(factor)))
    assert found.flagged and found.outside.min() > 0


def test_a_law_wrong_at_the_truth_alone_is_flagged_there() -> None:
    def wrong(*, t: Any, n: int) -> Any:
        return variance()(t=t, n=n) + 0.001 * (np.asarray(t) == 0)

    assert only(summarised(run_of()), law(wrong)).outside.tolist() == [0]


def test_every_law_of_the_library_keeps_to_a_run_it_speaks_of() -> None:
    found = overlays(summarised(run_of()))
    assert {o.law.quantity for o in found} == {"var", "log_var", "mean_sq"}
    assert not any(o.flagged for o in found)
    assert all(o.checked.size > 2 for o in found)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("size", [100, 500])
def test_true_laws_are_flagged_no_more_often_than_stated(unbiased: bool, size: int) -> None:
    alpha = 0.05
    laws = [replace(known, band=None) for known in every_law()]
    flags = []
    for seed in range(4 if size == 500 else 1):
        for run in parts(run_of(seed, unbiased), size):
            flags += [
                o.flagged for o in overlays(run, laws=laws, alpha=alpha) if o.checked.size > 1
            ]
    assert len(flags) > 150
    # One-sided 99.9% limit for a rate of alpha.
    assert sum(flags) <= stats.binom.ppf(0.999, len(flags), alpha), sum(flags) / len(flags)


def test_quantiles_of_a_true_band_are_flagged_no_more_often_than_stated() -> None:
    flags = []
    for run in parts(run_of(), 50):
        flags += [o.flagged for o in overlays(run, laws=[exact_band(1.0)], alpha=0.1)]
    assert len(flags) == 200
    assert sum(flags) <= stats.binom.ppf(0.999, len(flags), 0.1)


def exact_band(stretch: float) -> Law:
    """Generation 1 alone: n·var/var0 is χ²(n - 1). ``stretch`` widens it."""

    def band(*, t: Any, level: float, n: int) -> tuple[Any, Any]:
        ends = []
        for q in ((1 - level) / 2, (1 + level) / 2):
            one = stats.chi2.ppf(q, n - 1) / n
            ends.append(np.where(np.asarray(t) == 1, 1 + stretch * (one - 1), np.nan))
        return ends[0], ends[1]

    def fn(*, t: Any, n: int) -> Any:
        return np.where(np.asarray(t) <= 1, variance()(t=t, n=n), np.nan)

    return law(fn, band=band)


def test_a_band_that_is_too_wide_is_flagged_though_its_mean_is_right() -> None:
    run = summarised(run_of())
    assert not only(run, exact_band(1.0)).flagged
    wrong = only(run, exact_band(1.3))
    assert wrong.outside.tolist() == [1]
    assert only(run, replace(exact_band(1.3), band=None)).outside.size == 0


def test_a_bound_is_flagged_only_when_it_is_crossed() -> None:
    run = summarised(run_of())
    for factor, note, crossed in (
        (0.5, "from above", False),
        (1.5, "from above", True),
        (1.5, "from below", False),
        (0.5, "from below", True),
        (1.0, "from above", False),
    ):
        found = only(run, law(variance(factor), kind="bound", note=note))
        assert found.flagged == crossed, (factor, note)


def test_asymptotic_laws_and_unclear_bounds_are_drawn_but_never_flagged() -> None:
    run = summarised(run_of())
    for kind, note in (("asymptotic", "n to infinity"), ("bound", "loose")):
        found = only(run, law(variance(5.0), kind=kind, note=note))
        assert not found.flagged and not found.checked.size and "drawn only" in found.how


def test_a_mean_that_few_replicates_carry_is_not_compared() -> None:
    setting = Setting(n=10, generations=60, replicates=300, measurements=("var",), seed=3)
    run = summarised(simulate(setting, engine="serial"))
    found = only(run, law(variance()))
    skewness = run.summaries["var"].skewness
    late = np.abs(skewness) > MOST_SKEWED * np.sqrt(300)
    assert late[30:].all() and not set(np.flatnonzero(late)) & set(found.checked)
    assert "too few replicates" in found.how and not found.flagged


def test_replicates_that_do_not_differ_say_nothing_but_at_the_truth() -> None:
    # Nothing was seen in 100 replicates; that does not refute a chance of 1 in 10,000.
    zeros = Trajectory.of(np.zeros((100, 3)))
    setting = replace(SETTING, generations=2, replicates=100, measurements=("var",))
    run = summarised(Run(setting, "samples", {"var": zeros}))
    rare = law(lambda *, t, n: np.where(np.asarray(t) == 0, 0.0, 1e-4))
    assert not only(run, rare).flagged
    assert only(run, rare).checked.tolist() == [0]
    assert only(run, law(lambda *, t, n: np.full(3, 1e-4))).outside.tolist() == [0]


def test_a_replicate_without_a_number_makes_the_mean_no_evidence() -> None:
    values = np.random.default_rng(0).standard_normal((1_000, 3))
    values[0, 1] = -np.inf
    assert trusted(_summary(values), 1_000).tolist() == [True, False, True]
    assert not trusted(_summary(values[:20]), 20).any()


def _summary(values: Any) -> Summary:
    t = Trajectory.of(values)
    quantiles = np.stack([t.quantile(q) for q in QUANTILES])
    return Summary(t.count, t.mean, t.error, t.skewness, quantiles)


def test_halls_statistic_has_the_tails_that_the_plain_one_lacks() -> None:
    rng, size, level = np.random.default_rng(5), 60, 0.005
    draws = rng.exponential(size=(40_000, size))
    gap = draws.mean(axis=1) - 1
    error = draws.std(axis=1, ddof=1) / np.sqrt(size)
    skewness = stats.skew(draws, axis=1)
    limit = stats.t.isf(level, size - 1)
    plain = float((gap / error < -limit).mean())
    better = float((hall(gap / error, skewness, size) < -limit).mean())
    assert plain > 3 * level
    assert better < 2 * level


def test_a_bound_that_is_met_exactly_is_flagged_no_more_often_than_stated() -> None:
    # Each column stands for a generation; the plain t statistic would flag twice as many.
    size, columns, each = 450, 16_000, 0.004
    values = np.random.default_rng(2).exponential(size=(size, columns))
    setting = replace(SETTING, generations=columns - 1, replicates=size, measurements=("var",))
    run = StoredRun(setting, "samples", {"var": _summary(values)})
    one = law(lambda *, t, n: np.ones(len(t)), kind="bound", note="from below")
    found = only(run, one, alpha=each * columns)
    checked = found.checked.size
    assert checked > columns / 2
    flags = only(run, one, alpha=each * checked).outside.size
    assert flags <= stats.binom.ppf(0.999, checked, each), flags / checked


@pytest.mark.parametrize(
    ("change", "speaks"),
    [
        ({}, True),
        ({"truth_settings": {"mean": 5.0}}, True),
        ({"truth_settings": {"var": 5.0}}, False),
        ({"family_settings": {"unbiased": True}}, False),
        ({"family_settings": {"unbiased": False}}, True),
        ({"truth": "exponential"}, False),
        ({"truth": "gaussian"}, True),
        ({"regime": "accumulate"}, False),
        ({"family": "nobody's"}, False),
    ],
)
def test_a_law_is_silent_about_settings_it_does_not_know(
    change: dict[str, Any], speaks: bool
) -> None:
    def ignorant(*, t: Any, n: int) -> Any:
        return np.asarray(t, float)

    setting = replace(SETTING, **change)
    found = list(applicable(setting, "var", np.arange(3), [law(ignorant)]))
    assert bool(found) == speaks
    assert not list(applicable(setting, "log_var", np.arange(3), [law(ignorant)]))


def test_a_law_that_needs_more_or_refuses_is_left_out() -> None:
    laws = [
        law(lambda *, t, n, real_frac: np.zeros(3)),
        next(one for one in every_law() if one.name == "replace: variance"),
    ]
    found = list(applicable(replace(SETTING, n=2), "var", np.arange(3), laws))
    assert [one.name for one, *_ in found] == ["replace: variance"]
    broken = law(variance(), quantity="var")
    out = replace(broken, fn=lambda *, t, n: laws[1].fn(t, n=0))
    assert not list(applicable(SETTING, "var", np.arange(3), [out]))


def test_the_same_law_stated_twice_is_drawn_once() -> None:
    laws = [law(variance()), replace(law(variance()), name="again")]
    assert len(overlays(summarised(run_of()), laws=laws)) == 1


def test_settings_of_the_truths_shape_do_not_silence_a_law() -> None:
    setting = Setting(
        family="categorical", family_settings={"k": 7}, n=20, generations=5, replicates=500,
        measurements=("heterozygosity",),
    )  # fmt: skip
    found = overlays(summarised(simulate(setting, engine="serial")))
    assert found and not any(o.flagged for o in found)
    assert np.isclose(found[0].value[0], 6 / 7)


def test_more_comparisons_make_each_of_them_stricter() -> None:
    run = summarised(run_of())
    close = law(variance(1.08))
    loose, strict = only(run, close, alpha=0.5), only(run, close, alpha=1e-9)
    assert loose.outside.size > strict.outside.size
    assert only(run, close).alpha == ALPHA
