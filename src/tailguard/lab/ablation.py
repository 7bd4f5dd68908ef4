"""Which error does the damage: finite samples, a family that cannot fit, or an estimate cut short.

Shumailov et al. (2024) name three sources. Each can be switched off: *statistical* by taking the
statistics of samples at their expectation (or, for families without them, a hundred times the
samples), *expressivity* by letting the truth be the family's own best fit to it, *approximation*
by the settings that make the fit exact. All eight combinations are run and what is lost is shared
out by Shapley values: the mean over the orders in which the sources could have been switched on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from tailguard.errors import InputError
from tailguard.lab.families import FAMILIES
from tailguard.lab.measurements import chosen
from tailguard.lab.recursion import recurse
from tailguard.lab.simulate import Setting, built, planned, simulate, true_model

SOURCES = ("statistical", "expressivity", "approximation")
BOOST = 100
"""Times the samples that stand for infinitely many."""
PROJECTION = 200_000
"""Samples of the truth on which the family's best fit to it is found."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """The measurement with every set of sources switched on, and each source's share.

    ``values[on]`` is the median over replicates in the last generation; ``none`` is
    ``values[frozenset()]``. ``share[source]`` is its Shapley value in the units of the measurement:
    the shares add up to values[all] - values[none]. ``error`` are standard errors of the shares,
    from the spread of the medians.
    """

    setting: Setting
    measurement: str
    values: dict[frozenset[str], float]
    share: dict[str, float]
    error: dict[str, float]


def ablate(
    setting: Setting, measurement: str, *, exact: Mapping[str, Any] | None = None
) -> Ablation:
    """Run a setting with every combination of error sources.

    ``exact`` are family settings without approximation error, as {"unbiased": True} or
    {"steps": 1000, "tol": 1e-9}; without any, that source is not ablated and has share 0. The same
    holds for expressivity where the truth is of the family.

    >>> setting = Setting(n=20, generations=30, replicates=2_000)
    >>> found = ablate(setting, "log_var", exact={"unbiased": True})
    >>> round(found.values[frozenset({"approximation"})], 2)  # of (1 - 1/20)^30, without chance
    -1.54

    Raises InputError for unknown names and settings.
    """
    built(replace(setting, measurements=(measurement,)))
    active = {"statistical"}
    if exact:
        FAMILIES.make(setting.family, **{**setting.family_settings, **exact})
        active.add("approximation")
    if setting.truth is not None and setting.truth != setting.family:
        active.add("expressivity")
    values: dict[frozenset[str], float] = {}
    errors: dict[frozenset[str], float] = {}
    for size in range(len(active) + 1):
        for on in map(frozenset, combinations(sorted(active), size)):
            values[on], errors[on] = _median(setting, measurement, on, exact or {})
    share, error = {}, {}
    for source in SOURCES:
        weights = _shapley(source, active)
        share[source] = float(sum(weight * values[on] for on, weight in weights.items()))
        error[source] = math.sqrt(sum((w * errors[on]) ** 2 for on, w in weights.items()))
    return Ablation(setting, measurement, values, share, error)


def _shapley(source: str, active: set[str]) -> dict[frozenset[str], float]:
    """Weights of every combination in the Shapley value of a source."""
    weights: dict[frozenset[str], float] = {}
    if source not in active:
        return weights
    others, n = sorted(active - {source}), len(active)
    for size in range(n):
        for before in map(frozenset, combinations(others, size)):
            part = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            weights[before | {source}] = weights.get(before | {source}, 0.0) + part
            weights[before] = weights.get(before, 0.0) - part
    return weights


def _median(
    setting: Setting, measurement: str, on: frozenset[str], exact: Mapping[str, Any]
) -> tuple[float, float]:
    """Median of the measurement in the last generation with these sources on, and its error."""
    settings = dict(setting.family_settings)
    if "approximation" not in on:
        settings |= exact
    changed = replace(setting, family_settings=settings, measurements=(measurement,))
    if "statistical" not in on:
        endless = replace(changed, path="expected", replicates=1)
        try:
            planned(endless)
            changed = endless
        except InputError:
            changed = replace(changed, n=setting.n * BOOST, replicates=min(8, setting.replicates))
    if "expressivity" in on or setting.truth is None or setting.truth == setting.family:
        kept = simulate(changed, engine="serial").trajectories[measurement].kept[:, -1]
    else:
        kept = _projected(changed, measurement)
    centre = float(np.median(kept))
    # A median's standard error, from the spread of the middle half: 1.2533 sd, sd = IQR / 1.349.
    low, high = np.quantile(kept, [0.25, 0.75])
    return centre, float(1.2533 * (high - low) / 1.349 / math.sqrt(len(kept)))


def _projected(setting: Setting, measurement: str) -> Any:
    """The last generation where the truth is the family's own best fit to the truth."""
    family, rule = built(setting)
    rng = np.random.default_rng(np.random.SeedSequence(setting.seed))
    best = family.fit(true_model(setting, family, 1).sample(PROJECTION, rng=rng), rng=rng)
    path = setting.path if setting.path != "auto" else "samples"
    found = []
    for seed in np.random.SeedSequence(setting.seed).spawn(setting.replicates):
        *_, last = recurse(
            best, family, rule, generations=setting.generations, n=setting.n, seed=seed, path=path
        )
        found.append(chosen([measurement])[0].fn(last, best)[0])
    return np.array(found)
