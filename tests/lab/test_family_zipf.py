"""Zipf's tail against the exact probability that a type is missed."""

from __future__ import annotations

import numpy as np
import pytest
from family_cases import REGIMES_TO_TRY, family_of, near, paths_agree, refused, run, same_bytes

from tailguard.lab.families.zipf import Zipf
from tailguard.lab.simulate import Setting, planned

SMALL = Zipf(types=40)


def test_the_true_probabilities_fall_by_the_power_law() -> None:
    p = Zipf(exponent=2.0, types=1_000).truth(2).probabilities
    assert np.allclose(p[0, 0] / p[0, [1, 9, 99]], [4, 100, 10_000])
    assert np.allclose(p.sum(axis=1), 1.0) and np.array_equal(p[0], p[1])


@pytest.mark.parametrize("regime", REGIMES_TO_TRY)
def test_samples_and_statistics_give_the_same_law(regime: str) -> None:
    true = SMALL.truth(1).probabilities[0]
    summaries = {
        "unseen": lambda m: (m.probabilities == 0) @ true,
        "rarest": lambda m: m.probabilities[:, 20:].sum(axis=1),
    }
    paths_agree(SMALL, regime, summaries)


@pytest.mark.parametrize("path", ["samples", "statistics"])
def test_the_mass_missed_in_one_step_is_exact(path: str) -> None:
    family, n = Zipf(types=2_000), 2_000
    true = family.truth(1).probabilities[0]
    model = run(family, path=path, n=n, generations=1, replicates=300)
    assert near((model.probabilities == 0) @ true, float(true @ (1 - true) ** n))


def test_unseen_mass_grows_as_dohmatob_and_others_say() -> None:
    # A type with probability p survives t steps of replacement with probability 1 - e^{-n p g_t},
    # g_1 = 1, g_{t+1} = 1 - e^{-g_t}, as n grows: for V = n = 20,000, exponent 1.5 the true mass
    # of lost types is .0294 at t = 1 and .0571 at t = 10.
    family, g = Zipf(), 1.0
    true = family.truth(1).probabilities[0]
    for t, printed in ((1, 0.0294), (10, 0.0571)):
        expected = float(true @ np.exp(-20_000 * true * g))
        assert expected == pytest.approx(printed, rel=0.03)
        model = run(family, n=20_000, generations=t, replicates=10)
        found = (model.probabilities == 0) @ true
        assert found.mean() == pytest.approx(expected, rel=0.03)
        for _ in range(9):
            g = 1.0 - np.exp(-g)


def test_the_same_seed_gives_the_same_bytes() -> None:
    same_bytes(SMALL.truth(50))


def test_bad_settings_are_refused_in_one_line() -> None:
    refused("types at least 1", lambda: family_of("zipf", types=0))
    refused("exponent at least 0", lambda: family_of("zipf", exponent=-0.5))
    refused("prior at least 0", lambda: family_of("zipf", prior=-0.5))
    refused("zipf: expected types 0 to 39", lambda: SMALL.fit(np.array([[40]]), rng=None))


def test_a_wide_model_runs_in_chunks_of_bounded_memory() -> None:
    sizes = {
        types: planned(Setting(family="zipf", family_settings={"types": types}, replicates=10**6))[
            1
        ]
        for types in (10, 1_000, 20_000)
    }
    assert sizes[20_000] * 20_000 <= 500_000 and sizes[1_000] * 1_000 <= 500_000
    assert sizes[10] > 10_000
