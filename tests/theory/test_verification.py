"""Filtered labels: breakdown point, limits, and quadrature against trained classifiers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from theory_cases import Floats, agrees

from tailguard.errors import InputError
from tailguard.theory import verification


def trained(
    n: int,
    p: float,
    phi: float,
    psi: float,
    *,
    snr: float,
    d: int,
    reps: int,
    rng: np.random.Generator,
) -> Floats:
    """Accuracies of classifiers trained on raw filtered inputs."""
    mu = np.zeros(d)
    mu[0] = snr
    y = rng.choice([-1.0, 1.0], (reps, n))
    x = y[..., None] * mu + rng.standard_normal((reps, n, d))
    right = rng.random((reps, n)) < p
    kept = rng.random((reps, n)) < np.where(right, phi, psi)
    label = np.where(right, y, -y) * kept
    w = np.einsum("rn,rnd->rd", label, x)
    length = np.linalg.norm(w, axis=1)
    return ndtr(np.where(length > 0, w @ mu / np.where(length > 0, length, 1.0), 0.0))


@pytest.mark.parametrize(
    ("n", "p", "phi", "psi", "snr", "d"),
    [
        (40, 0.4, 1.0, 1.0, 1.5, 3),
        (40, 0.4, 1.0, 0.5, 1.5, 3),
        (6, 0.7, 0.3, 0.2, 1.0, 4),
        (15, 0.9, 1.0, 0.0, 0.7, 1),
        (30, 0.3, 0.9, 0.1, 1.0, 2),
        (10, 1.0, 1.0, 0.4, 0.5, 25),
    ],
)
def test_accuracy_agrees_with_trained_classifiers(
    n: int, p: float, phi: float, psi: float, snr: float, d: int
) -> None:
    rng = np.random.default_rng(n + d)
    accuracy = trained(n, p, phi, psi, snr=snr, d=d, reps=8_000, rng=rng)
    expected = verification.verified_accuracy(n, p, phi, psi, snr=snr, d=d)
    assert agrees(accuracy, expected)


def test_exchanged_verifier_rates_or_dimensions_are_rejected() -> None:
    rng = np.random.default_rng(1)
    accuracy = trained(40, 0.4, 1.0, 0.5, snr=1.5, d=3, reps=8_000, rng=rng)
    for wrong in ((0.4, 0.5, 1.0, 3), (0.4, 1.0, 1.0, 3), (0.45, 1.0, 0.5, 3), (0.4, 1.0, 0.5, 8)):
        p, phi, psi, d = wrong
        assert not agrees(
            accuracy, verification.verified_accuracy(40, p, phi, psi, snr=1.5, d=int(d))
        )


def test_row_19_filtering_flips_the_accuracy() -> None:
    figures = [
        verification.verified_accuracy(2_000, 0.4, 1.0, psi, snr=1.5, d=10) for psi in (1.0, 0.5)
    ]
    assert figures == pytest.approx([0.07, 0.92], abs=0.005)
    limits = verification.verified_accuracy_limit(0.4, 1.0, [1.0, 0.5], snr=1.5)
    assert limits == pytest.approx([0.067, 0.933], abs=5e-4)


def test_normal_counts_take_over_without_a_step() -> None:
    for p, psi in ((0.4, 1.0), (0.4, 0.5), (0.9, 0.3)):
        exact = verification.verified_accuracy(1_000, p, 1.0, psi, snr=1.2, d=20)
        normal = verification.verified_accuracy(1_001, p, 1.0, psi, snr=1.2, d=20)
        assert exact == pytest.approx(normal, abs=3e-4)


def test_the_flip_is_at_the_breakdown_point() -> None:
    for phi, psi in ((1.0, 1.0), (0.8, 0.4), (0.3, 0.9)):
        p = float(verification.breakdown_point(phi, psi))
        assert p == pytest.approx(1 / (1 + phi / psi))
        assert verification.kept_accuracy(p, phi, psi) == pytest.approx(0.5)
        low, high = p - 0.05, p + 0.05
        settings = {"snr": 2.0, "d": 5}
        below = verification.verified_accuracy(20_000, low, phi, psi, **settings)  # type: ignore[arg-type]
        above = verification.verified_accuracy(20_000, high, phi, psi, **settings)  # type: ignore[arg-type]
        assert below < 0.05 and above > 0.95
        at = verification.verified_accuracy(500, p, phi, psi, **settings)  # type: ignore[arg-type]
        assert at == pytest.approx(0.5, abs=1e-6)
    assert np.isnan(verification.breakdown_point(0.0, 0.0))
    assert verification.breakdown_point(0.7, 0.0) == 0


def test_accuracy_has_its_limits_in_n_and_d() -> None:
    for p in (0.2, 0.6):
        limit = verification.verified_accuracy_limit(p, 0.9, 0.6, snr=1.3)
        far = verification.verified_accuracy(10**7, p, 0.9, 0.6, snr=1.3, d=4)
        assert far == pytest.approx(float(limit), abs=1e-4)
        wide = verification.verified_accuracy(100_000, p, 0.9, 0.6, snr=1.3, d=20_000)
        large = verification.verified_accuracy_large(100_000, p, 0.9, 0.6, snr=1.3, d=20_000)
        assert wide == pytest.approx(float(large), abs=1e-4)
    assert verification.verified_accuracy(50, 0.4, 0.0, 0.0, snr=1.0, d=3) == 0.5
    assert verification.verified_accuracy_limit(0.5, 1.0, 1.0, snr=3.0) == 0.5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: verification.breakdown_point(1.5, 0.1), "phi"),
        (lambda: verification.verified_accuracy(0, 0.5, 1, 1, snr=1, d=2), "n"),
        (lambda: verification.verified_accuracy(9, -0.5, 1, 1, snr=1, d=2), "p"),
        (lambda: verification.verified_accuracy(9, 0.5, 1, 1, snr=-1, d=2), "snr"),
    ],
)
def test_bad_verification_settings_are_named(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()  # type: ignore[operator]
