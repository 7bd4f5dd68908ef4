"""Measurements of a generation, against closed forms and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from tailguard.errors import InputError
from tailguard.lab.families.categorical import Categorical, CategoricalModel
from tailguard.lab.families.gaussian import Gaussian, GaussianModel
from tailguard.lab.families.multivariate import Multivariate, MultivariateModel
from tailguard.lab.measurements import chosen, measurements
from tailguard.lab.recursion import Generation, recurse
from tailguard.mix.base import Block, TrainingSet
from tailguard.mix.samples import Arrays


def of(model: Any, samples: Any = None) -> Generation:
    """A generation whose model this is."""
    values = np.zeros((1, 2)) if samples is None else samples
    block = Block(Arrays(values), np.ones(values.shape[1], np.int64))
    return Generation(1, TrainingSet((block,)), model)


def measured(name: str, model: Any, truth: Any) -> float:
    """One measurement of the first replicate."""
    return float(measurements()[name].fn(of(model), truth)[0])


def line(mean: float, var: float) -> GaussianModel:
    return GaussianModel(np.array([mean]), np.array([var]))


TRUE, MODEL = line(0.0, 1.0), line(0.4, 0.5)
P, Q = stats.norm(0, 1), stats.norm(0.4, np.sqrt(0.5))


def test_distances_on_a_line_are_the_integrals_that_define_them() -> None:
    kl = integrate.quad(lambda x: P.pdf(x) * (P.logpdf(x) - Q.logpdf(x)), -12, 12)[0]
    back = integrate.quad(lambda x: Q.pdf(x) * (Q.logpdf(x) - P.logpdf(x)), -12, 12)[0]
    w1 = integrate.quad(lambda x: abs(P.cdf(x) - Q.cdf(x)), -12, 12)[0]
    w2 = integrate.quad(lambda u: (P.ppf(u) - Q.ppf(u)) ** 2, 1e-9, 1 - 1e-9, limit=200)[0]
    for name, expected in (("kl", kl), ("kl_reverse", back), ("w1", w1), ("w2_sq", w2)):
        assert measured(name, MODEL, TRUE) == pytest.approx(expected, abs=1e-5), name
        assert measured(name, TRUE, TRUE) == pytest.approx(0, abs=1e-12), name


def test_the_kernel_discrepancy_is_the_gap_between_characteristic_functions() -> None:
    # A Gaussian kernel of width 1 is the transform of N(0, 1): MMD² = E_ω |φ_P(ω) - φ_Q(ω)|².
    def gap(w: float) -> float:
        ours, theirs = (np.exp(1j * w * d.mean() - d.var() * w**2 / 2) for d in (P, Q))
        return float(abs(ours - theirs) ** 2 * stats.norm.pdf(w))

    expected = integrate.quad(gap, -12, 12)[0]
    assert measured("mmd_sq", MODEL, TRUE) == pytest.approx(expected, abs=1e-8)


def test_transport_between_full_covariances_reduces_to_the_diagonal_case() -> None:
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])

    def turned(a: float, b: float) -> MultivariateModel:
        return MultivariateModel(np.zeros((1, 2)), (turn @ np.diag([a, b]) @ turn.T)[None])

    expected = (2 - 1) ** 2 + (3 - 1.5) ** 2
    assert measured("w2_sq", turned(4.0, 9.0), turned(1.0, 2.25)) == pytest.approx(expected)


def test_the_tail_that_is_lost_is_the_mass_beyond_true_quantiles() -> None:
    low, high = P.ppf([0.025, 0.975])
    mass = Q.cdf(low) + Q.sf(high)
    assert measured("tail_mass", MODEL, TRUE) == pytest.approx(mass)
    assert measured("tail_mass_lost", MODEL, TRUE) == pytest.approx(1 - mass / 0.05)
    assert measured("tail_mass_lost", TRUE, TRUE) == pytest.approx(0, abs=1e-12)
    assert measured("tail_mass_lost", line(0, 0), TRUE) == 1
    assert measured("tail_mass_lost", line(0, 9), TRUE) == 0
    assert measured("hallucinated_mass", line(9, 1), TRUE) > 0.99


def test_types_are_counted_as_their_definitions_say() -> None:
    truth = CategoricalModel(np.array([[0.5, 0.3, 0.16, 0.04]]))
    model = CategoricalModel(np.array([[0.75, 0.25, 0.0, 0.0]]))
    expected = {
        "survivors": 2, "survival": 0.5, "unseen_mass": 0.2, "tail_mass_lost": 1.0,
        "heterozygosity": 1 - 0.75**2 - 0.25**2, "absorbed": 0, "kl": np.inf,
        "entropy": -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), "w1": 0.25,
        "kl_reverse": 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.3), "alive": 0,
    }  # fmt: skip
    for name, value in expected.items():
        assert measured(name, model, truth) == pytest.approx(value), name
    one = CategoricalModel(np.array([[0.0, 1.0, 0.0, 0.0]]))
    assert measured("absorbed", one, truth) == 1
    unreal = CategoricalModel(np.array([[1.0, 0.0, 0.0, 0.0]]))
    assert measured("hallucinated_mass", model, unreal) == 0.25


def test_neighbours_tell_a_narrow_model_from_a_wide_one() -> None:
    rng = np.random.default_rng(1)
    truth = Multivariate().truth(2, d=2)
    narrow = 0.1 * rng.standard_normal((2, 300, 2))
    for name, low, high in (("precision", 0.9, 1), ("recall", 0, 0.3), ("coverage", 0, 0.5)):
        found = measurements()[name].fn(of(truth, narrow), truth)
        assert np.all((found >= low) & (found <= high)), name


def test_what_is_undefined_for_a_model_is_nan_and_not_a_guess() -> None:
    truth = Multivariate().truth(1, d=2)
    for name in ("tail_mass", "heterozygosity", "kl", "risk"):
        assert np.isnan(measured(name, truth, truth)), name


def test_every_measurement_has_one_value_for_each_replicate() -> None:
    for family in (Gaussian(), Categorical(k=5), Multivariate()):
        truth = family.truth(7)
        *_, last = recurse(truth, family, generations=2, n=12, seed=0)
        for sheet in measurements().values():
            found = sheet.fn(last, truth)
            assert found.shape == (7,) and found.dtype == np.float64, sheet.name
            assert sheet.meaning.endswith(".") and sheet.worse in ("lower", "higher", "both")


def test_an_unknown_measurement_names_the_nearest_known_one() -> None:
    with pytest.raises(InputError, match="did you mean 'survivors'"):
        chosen(["survivers"])
