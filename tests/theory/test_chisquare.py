"""Products of chi-squares: quadrature against closed distributions, into far tails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import k0

from tailguard.theory import chisquare


@pytest.mark.parametrize("nu", [1, 2, 9, 99, 9_999])
def test_one_factor_is_a_chi_square_into_far_tails(nu: int) -> None:
    law = stats.chi2(nu)
    x = law.isf([1e-200, 1e-20, 1e-5, 0.1, 0.45, 0.5, 0.55, 0.6, 0.9, 1 - 1e-9])
    assert chisquare.sf(x, 1, nu=nu, scale=1.0) == pytest.approx(law.sf(x), rel=1e-9)
    assert chisquare.cdf(x, 1, nu=nu, scale=1.0) == pytest.approx(law.cdf(x), rel=1e-9)
    low = law.ppf([1e-20, 1e-5])
    assert chisquare.cdf(low, 1, nu=nu, scale=1.0) == pytest.approx(law.cdf(low), rel=1e-9)
    q = np.array([1e-9, 0.025, 0.5, 0.975, 1 - 1e-9])
    got = chisquare.quantile(q, 1, nu=nu, scale=2.0)
    assert got == pytest.approx(2 * law.ppf(q), rel=1e-7)


def test_two_factors_of_one_degree_are_a_bessel_integral() -> None:
    for x in (1e-6, 0.3, 4.0, 100.0, 2_500.0):
        tail = integrate.quad(k0, np.sqrt(x), np.inf, epsabs=0, epsrel=1e-11)[0] * 2 / np.pi
        assert float(chisquare.sf(x, 2, nu=1, scale=1.0)) == pytest.approx(tail, rel=1e-9)


@pytest.mark.parametrize("nu", [2, 5, 30])
def test_two_factors_are_the_integral_over_one_of_them(nu: int) -> None:
    law = stats.chi2(nu)
    for x in (0.01, nu, nu**2, 3.0 * nu**2):
        tail = integrate.quad(
            lambda y, x=x: law.sf(x * np.exp(-y)) * law.pdf(np.exp(y)) * np.exp(y),
            -40, 9, points=[0, np.log(nu)], limit=500, epsabs=0, epsrel=1e-11,
        )[0]  # fmt: skip
        assert float(chisquare.sf(x, 2, nu=nu, scale=1.0)) == pytest.approx(tail, rel=1e-8)


def test_many_factors_are_nearly_log_normal() -> None:
    t, nu = 100_000, 100
    scale = 0.5 / np.exp(float(chisquare.log_mean(1, nu=nu, scale=0.5)))  # no drift
    sd = float(np.sqrt(chisquare.log_variance(t, nu=nu)))
    q = stats.norm.cdf([-2.0, 0.0, 1.0])
    levels = np.log(chisquare.quantile(q, t, nu=nu, scale=scale))
    assert levels / sd == pytest.approx([-2.0, 0.0, 1.0], abs=0.01)
    assert chisquare.quantile(0.5, t, nu=nu, scale=2 * scale) == np.inf


def test_large_samples_keep_their_digits() -> None:
    nu = 10**8  # Wilson–Hilferty is right to 1e-6 here; SciPy's lower tail is off by a fifth
    z = np.array([-9.0, -6.0, -2.0, 0.5, 6.0, 9.0])
    x = (1 - 2 / (9 * nu) + z * np.sqrt(2 / (9 * nu))) ** 3
    below, above = (f(x, 1, nu=nu, scale=1 / nu) for f in (chisquare.cdf, chisquare.sf))
    assert below == pytest.approx(stats.norm.cdf(z), rel=2e-6)
    assert above == pytest.approx(stats.norm.sf(z), rel=2e-6)
    t, n = 1_000, 10**8  # log V is normal to 1e-7 here, with drift -1/n and variance 2/n a step
    sd = np.sqrt(2 * t / n)
    levels = np.log(chisquare.quantile([0.025, 0.5, 0.975], t, nu=n - 1, scale=1 / (n - 1)))
    expected = stats.norm.ppf([0.025, 0.5, 0.975]) - t / n / sd
    assert levels / sd == pytest.approx(expected, abs=1e-5)


def test_moments_agree_with_the_chi_square_and_with_stirling() -> None:
    draws = np.random.default_rng(1).chisquare(7, 400_000)
    for s in (-1.0, 0.5, 1.5):
        exact = float(np.exp(chisquare.log_moment(1, s, nu=7, scale=1.0)))
        error = (draws**s).std() / np.sqrt(len(draws))
        assert abs((draws**s).mean() - exact) < 4.5 * error
    assert chisquare.log_moment([0, 1], -3.5, nu=7, scale=1.0).tolist() == [0.0, np.inf]
    for s in (-2.5, 0.5, 1.0):  # the series takes over from gammaln without a step
        below, above = chisquare.log_gamma_ratio([1e4, np.nextafter(1e4, 1e5)], s)
        assert below == pytest.approx(above, rel=1e-10)
    exact = np.log(2e4 * 20_001 * 20_002)
    assert chisquare.log_gamma_ratio(2e4, 3.0) == pytest.approx(exact, abs=5e-11)
    assert chisquare.log_gamma_ratio(1e9, 3.0) == pytest.approx(np.log(1e9 * (1e9 + 1) * (1e9 + 2)))


def test_edges_of_the_distribution_are_certain() -> None:
    assert chisquare.cdf([0.0, 0.5, 1.0, np.inf], 0, nu=3, scale=1.0).tolist() == [0, 0, 1, 1]
    assert chisquare.cdf([0.0, np.inf], 2, nu=3, scale=1.0).tolist() == [0, 1]
    assert chisquare.quantile([0.0, 1.0], 2, nu=3, scale=1.0).tolist() == [0, np.inf]
    assert chisquare.quantile(0.3, 0, nu=3, scale=1.0) == 1
