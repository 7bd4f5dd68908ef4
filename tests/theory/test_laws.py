"""The registry of laws: every law can be called, starts from the truth, and has a sound band."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest
from theory_cases import agrees, share_agrees

from tailguard.errors import InputError
from tailguard.theory import base, gaussian, gaussian_laws, gaussian_paths
from tailguard.theory.base import Law

OWN = ("gaussian_laws", "accumulating", "survival", "drift", "zipf", "kernel")
SETTINGS: dict[str, object] = {
    "n": 20, "p": np.array([0.5, 0.3, 0.2]), "bandwidth": 0.1, "types": 50, "exponent": 1.5,
    "unbiased": True, "var0": 2.0, "h0": 0.62, "sampling_bias": 0.9, "temperature": 1.2,
}  # fmt: skip
ENTROPY = float(-(np.array([0.5, 0.3, 0.2]) * np.log([0.5, 0.3, 0.2])).sum())
START = {
    "var": 2.0, "log_var": np.log(2.0), "mean_sq": 0.0, "w2_sq": 0.0, "survival": 1.0,
    "unseen_mass": 0.0, "kl": 0.0, "kl_reverse": 0.0, "wide": 1.0, "alive": 1.0, "absorbed": 0.0,
    "entropy": ENTROPY, "sample_var": 1.9,
}  # fmt: skip


def own_laws() -> list[Law]:
    modules = (importlib.import_module(f"tailguard.theory.{name}") for name in OWN)
    return [law for module in modules for law in module.LAWS]


@pytest.mark.parametrize("law", own_laws(), ids=lambda law: f"{law.name} of {law.families[0]}")
def test_a_law_starts_at_the_truth_and_is_an_array_over_time(law: Law) -> None:
    assert (
        set(law.required) <= set(SETTINGS)
        and law.cite
        and law.applies(law.families[0], law.regimes[0])
    )
    settings = {k: v for k, v in SETTINGS.items() if k in inspect.signature(law.fn).parameters}
    path = law.at(np.arange(6), **SETTINGS)
    assert path.shape == (6,) and np.all(np.isfinite(path))
    assert path == pytest.approx([float(law.fn(t=k, **settings)) for k in range(6)])
    zipf = "types" in settings
    shares = np.arange(1, 51) ** -1.5 / (np.arange(1, 51) ** -1.5).sum()
    known = {"survivors": 3.0, "heterozygosity": 0.62}
    if zipf:
        known = {"survivors": 50.0, "heterozygosity": 1 - (shares**2).sum()}
    assert path[0] == pytest.approx((START | known)[law.quantity], abs=1e-4)
    if law.band is not None:
        lo, hi = law.band(t=np.arange(6), level=0.9, **settings)
        assert np.all(lo <= hi) and lo[0] == hi[0] == pytest.approx(path[0])
        assert np.all((lo < path) & (path < hi) | (np.arange(6) == 0))
    with pytest.raises(InputError):
        law.at(-1, **SETTINGS)


def test_laws_have_distinct_names_and_are_found() -> None:
    names = [law.name for law in own_laws()]
    assert len(set(names)) == len(names) >= 25
    assert set(names) <= {law.name for law in base.every_law()}


@pytest.mark.parametrize("factor", [0.5, 1.3])
def test_decoded_runs_are_fitted_to_plain_real_data_first(factor: float) -> None:
    rng, n, reps, steps = np.random.default_rng(3), 8, 20_000, 5
    mean, var = np.zeros((reps, steps + 1)), np.full((reps, steps + 1), 2.0)
    for now in range(steps):
        spread = np.sqrt(var[:, now] * (factor if now else 1.0))[:, None]
        x = mean[:, now, None] + spread * rng.standard_normal((reps, n))
        mean[:, now + 1], var[:, now + 1] = x.mean(axis=1), x.var(axis=1)
    t = np.arange(steps + 1)
    s = {"n": n, "factor": factor, "var0": 2.0}
    assert agrees(var, gaussian_laws.decoded_var(t, **s))  # type: ignore[arg-type]
    assert agrees(np.log(var), gaussian_laws.decoded_log_var(t, **s))  # type: ignore[arg-type]
    assert agrees(mean**2, gaussian_laws.decoded_mean_sq(t, **s))  # type: ignore[arg-type]
    lo, hi = gaussian_laws.decoded_var_band(t[1:], level=0.7, **s)  # type: ignore[arg-type]
    assert share_agrees((var[:, 1:] < lo) | (var[:, 1:] > hi), np.full(steps, 0.3))
    assert not agrees(var, gaussian.replace_var(t, n, sampling_bias=factor, var0=2.0))


def test_wide_counts_models_above_a_tenth_of_the_true_deviation() -> None:
    t = np.array([0, 5, 40])
    exact = gaussian_paths.sd_exceeds(0.3, t, 6, var0=9.0)
    assert gaussian_laws.wide(t, 6, var0=9.0) == pytest.approx(exact)


def test_checked_refuses_what_is_no_number_in_range() -> None:
    for bad in (np.nan, -1, 2.5, [1, 11]):
        with pytest.raises(InputError, match="size"):
            base.checked("size", bad, 0, 10, whole=True)
    assert base.checked("size", 2.5, 0, 10) == 2.5
