"""Curation: quadrature against full enumeration and samples, limits, and the paper's bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from theory_cases import share_agrees

from tailguard.errors import InputError
from tailguard.theory import curation

P, R = np.array([0.6, 0.3, 0.1]), np.array([0.0, 1.0, 2.0])


def enumerated(p: NDArray[np.float64], r: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Every tuple of K candidates, each kept with its Plackett–Luce probability."""
    out = np.zeros(len(p))
    for rows in itertools.product(range(len(p)), repeat=k):
        w = np.exp(r[list(rows)])
        np.add.at(out, list(rows), p[list(rows)].prod() * w / w.sum())
    return out


def test_row_1_figures_after_five_rounds() -> None:
    p = curation.curated(5, P, R, 2)
    assert p == pytest.approx([0.0483, 0.3395, 0.6122], abs=5e-5)
    assert curation.curated_reward(5, P, R, 2) == pytest.approx(1.5639, abs=5e-5)
    logistic = 1 / (1 + np.exp(R - R[:, None]))
    assert curation.curate(P, R, 2) == pytest.approx(2 * P * (logistic @ P), abs=1e-13)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 7])
def test_quadrature_agrees_with_full_enumeration(k: int) -> None:
    rng = np.random.default_rng(k)
    for spread in (0.1, 3.0, 30.0):
        p, r = rng.dirichlet(np.ones(4)), rng.normal(scale=spread, size=4)
        got = curation.curate(p, r, k)
        assert got == pytest.approx(enumerated(p, r, k), rel=1e-10, abs=1e-300)
        if k > 1 and spread == 3.0:
            assert got != pytest.approx(enumerated(p, r, k - 1), rel=1e-3)


def test_quadrature_agrees_with_sampled_tournaments() -> None:
    rng, k = np.random.default_rng(3), 40
    drawn = rng.choice(3, size=(40_000, k), p=P)
    noisy = R[drawn] + rng.gumbel(size=drawn.shape)  # the largest is a Plackett–Luce choice
    kept = drawn[np.arange(len(drawn)), noisy.argmax(axis=1)]
    assert share_agrees(kept[:, None] == np.arange(3), curation.curate(P, R, k))
    assert not share_agrees(kept[:, None] == np.arange(3), curation.curate(P, R, 4))


def test_many_candidates_tilt_by_the_exponential_of_the_reward() -> None:
    tilted = P * np.exp(R) / (P @ np.exp(R))
    assert curation.curate(P, R, np.inf) == pytest.approx(tilted, rel=1e-14)
    gaps = [np.abs(curation.curate(P, R, k) - tilted).max() for k in (10, 100, 1_000, 10**6)]
    assert np.all(np.array(gaps[1:]) < np.array(gaps[:-1]) / 8) and gaps[-1] < 1e-5


@given(
    weights=st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    scale=st.floats(0, 20),
    shift=st.floats(-50, 50),
    k=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_a_round_keeps_its_invariants(
    weights: list[float], scale: float, shift: float, k: int, seed: int
) -> None:
    p = np.array(weights) / sum(weights)
    r = scale * np.random.default_rng(seed).uniform(size=len(p))
    after = curation.curate(p, r, k)
    assert after.sum() == pytest.approx(1, abs=1e-12) and np.all(after > 0)
    assert curation.curate(p, r + shift, k) == pytest.approx(after, rel=1e-8)
    order = np.argsort(r)
    assert np.all(np.diff((after / p)[order]) > -1e-9)
    gain = (after - p) @ np.exp(r)
    assert gain >= curation.reward_gain_bound(p, r, k) * (1 - 1e-9) - 1e-9 * np.exp(r.max())


def test_pure_curation_ends_on_the_best_and_real_data_prevent_it() -> None:
    p, r = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.0, 1.0, 2.0, 2.0])
    end = curation.curated_limit(p, r, 3)
    assert end == pytest.approx([0, 0, 0.75, 0.25])
    assert curation.curated(400, p, r, 3) == pytest.approx(end, abs=1e-9)
    for a in (0.01, 0.3, 1.0):
        mixed = curation.curated_limit(p, r, 3, real_frac=a)
        late = curation.curated(3_000, p, r, 3, real_frac=a)
        assert late == pytest.approx(mixed, abs=1e-9) and np.all(mixed >= a * p)
    rewards = curation.curated_reward(np.arange(30), p, r, 3)
    assert np.all(np.diff(rewards) > 0) and rewards[0] == pytest.approx(p @ r)
    assert curation.curated_limit(p, r, 1) == pytest.approx(p)
    assert curation.curated([0, 7], p, r, 3, real_frac=1.0) == pytest.approx(np.array([p, p]))


def test_absent_categories_stay_absent() -> None:
    p, r = [0.0, 0.7, 0.3], [9.0, 0.0, 1.0]
    assert curation.curated(4, p, r, 4)[0] == 0
    assert curation.curated_limit(p, r, 4).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: curation.curate([0.5, 0.4], [0, 1], 2), "sum 1"),
        (lambda: curation.curate([0.5, 0.5], [0, 1, 2], 2), "one per category"),
        (lambda: curation.curate([0.5, 0.5], [0, 1e4], 2), "within 600"),
        (lambda: curation.curate([0.5, 0.5], [0, 1], 0), "candidates"),
        (lambda: curation.curated(1, P, R, 2, real_frac=-0.1), "real_frac"),
        (lambda: curation.curate([0.5, 0.5], [0, np.nan], 2), "reward"),
    ],
)
def test_bad_curation_settings_are_named(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()  # type: ignore[operator]
