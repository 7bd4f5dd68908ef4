"""Weights bring a mixed corpus back to its humans where theory says, at the cost it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.stats import norm

from tailguard.detect.base import DetectorError
from tailguard.detect.tails.weights import (
    LikelihoodRatio,
    clip_weights,
    effective_size,
    importance_weights,
    resample,
)
from tailguard.measure.base import Floats

SHIFT, SHARE = 1.5, 0.4
POSITIVE = st.floats(1e-6, 1e6)


def mixed(n: int, rng: np.random.Generator, share: float = SHARE) -> tuple[Floats, Floats]:
    """Scores of humans N(0, 1) and synthetic documents N(SHIFT, 1), and which are synthetic."""
    made = rng.random(n) < share
    return rng.normal(size=n) + SHIFT * made, made.astype(float)


def true_ratio(t: Floats) -> Floats:
    return np.asarray(np.exp(SHIFT * t - SHIFT**2 / 2))


def human_mean(f: object, share: float, power: int = 1) -> float:
    """The mean over humans of w^(power - 1) f, by quadrature."""
    w = lambda t: 1 / (1 - share + share * true_ratio(t))  # noqa: E731
    return float(quad(lambda t: norm.pdf(t) * w(t) ** (power - 1) * f(t), -10, 10)[0])  # type: ignore[operator]


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_weighted_means_are_the_humans_where_the_ratio_is_known(share: float) -> None:
    rng = np.random.default_rng(int(share * 10))
    n = 400_000
    t, _ = mixed(n, rng, share)
    w = importance_weights(true_ratio(t), share)
    for f, truth in ((lambda x: x, 0.0), (lambda x: x**2, 1.0), (lambda x: x > 2, norm.sf(2))):
        terms = w * f(t)
        error = (terms.mean() - truth) / (terms.std() / np.sqrt(n))
        assert abs(error) < 4.5
        plain = (f(t).mean() - truth) / (f(t).std() / np.sqrt(n))
        assert abs(plain) > 20  # the negative control: without weights it is off
    assert w.mean() == pytest.approx(1.0, abs=5 * w.std() / np.sqrt(n))


def test_the_human_tail_keeps_its_mass_where_deletion_leaves_none() -> None:
    rng = np.random.default_rng(1)
    limit = norm.isf(0.05)
    t, _ = mixed(400_000, rng)
    w = clip_weights(importance_weights(true_ratio(t), SHARE)).weights
    high = t > limit
    assert w[high].sum() / w.sum() == pytest.approx(0.05, rel=0.02)
    kept = ~high
    assert high[kept].mean() == 0.0
    # The negative control: random deletion of as many leaves the mixture's mass, not the humans'.
    some = rng.permutation(kept)
    mixture = (1 - SHARE) * 0.05 + SHARE * norm.sf(limit - SHIFT)
    assert high[some].mean() == pytest.approx(mixture, rel=0.02) and mixture > 0.19


def test_effective_size_is_what_the_laws_of_the_scores_give() -> None:
    rng = np.random.default_rng(2)
    n = 200_000
    t, made = mixed(n, rng)
    found = effective_size(importance_weights(true_ratio(t), SHARE)) / n
    # E_q w^2 = E_h w, and E_q w = 1.
    assert found == pytest.approx(1 / human_mean(lambda t: 1.0, SHARE, 2), rel=0.01)
    assert found > 1 - SHARE
    perfect = importance_weights(np.where(made > 0, np.inf, 0.0), SHARE)
    assert effective_size(perfect) == pytest.approx(n - made.sum())
    assert effective_size(importance_weights(np.ones(n), SHARE)) == pytest.approx(n)


def test_without_synthetic_records_every_weight_is_one() -> None:
    ratios = np.array([0.0, 1e-9, 1.0, 1e9, np.inf, np.nan])
    w = importance_weights(ratios, 0.0)
    assert w[:5].tolist() == [1.0] * 5 and np.isnan(w[5])
    assert clip_weights(w).weights[:5].tolist() == [1.0] * 5


@settings(deadline=None)
@given(arrays(float, st.integers(1, 40), elements=st.floats(0, 1e12)), st.floats(0, 0.999))
def test_weights_never_rise_with_the_ratio_and_stay_bounded(r: Floats, share: float) -> None:
    w = importance_weights(np.sort(r), share)
    assert (np.diff(w) <= 0).all()
    assert (w >= 0).all() and (w <= (1 + 1e-12) / (1 - share)).all()


@settings(deadline=None)
@given(st.data())
def test_clipping_moves_no_mean_further_than_the_bound(data: st.DataObject) -> None:
    w = data.draw(arrays(float, st.integers(2, 40), elements=POSITIVE))
    f = data.draw(arrays(float, len(w), elements=st.floats(-5, 5)))
    cap = data.draw(st.floats(1.0, 10.0))
    found = clip_weights(w, cap)
    off = abs(float(found.weights @ f) / len(w) - float(w @ f) / w.sum())
    assert off <= found.removed * (f.max() - f.min()) + 1e-9
    moved = np.abs(found.weights / len(w) - w / w.sum()).sum() / 2
    assert moved <= found.removed + 1e-9
    assert found.weights.mean() == pytest.approx(1.0)
    assert found.size >= len(w) * (1 - found.removed) / cap * (1 - 1e-9)
    assert (np.diff(found.weights[np.argsort(w)]) >= -1e-12).all()
    assert np.allclose(found.of(w), found.weights)


def test_the_bound_on_clipping_is_reached_by_a_law_that_sits_above_the_cap() -> None:
    # Weights 1/2 and 5.5, cap 2: f that tells the two apart loses nearly the removed mass.
    w = np.array([0.5] * 9 + [5.5])
    found = clip_weights(w, 2.0)
    heavy = np.array([0.0] * 9 + [1.0])
    off = abs(float(found.weights @ heavy) / 10 - 0.55)
    assert found.removed == pytest.approx(0.35) and found.clipped == 1
    assert 0.6 * found.removed < off <= found.removed


def test_clipping_trades_variance_for_a_bias_that_it_bounds() -> None:
    rng = np.random.default_rng(3)
    share, n, rounds = 0.97, 2_000, 500
    means = {(limit, f): [] for limit in (np.inf, 3.0) for f in ("score", "noise")}
    sizes, removed = {np.inf: [], 3.0: []}, []
    for _ in range(rounds):
        t, _ = mixed(n, rng, share)
        w = importance_weights(true_ratio(t), share)
        values = {"score": (t < 0).astype(float), "noise": rng.normal(size=n)}
        for limit, size in sizes.items():
            found = clip_weights(w, limit)
            size.append(found.size)
            for f, x in values.items():
                means[limit, f].append(float(found.weights @ x) / n)
        removed.append(found.removed)
    assert abs(np.mean(means[np.inf, "score"]) - 0.5) < 0.01
    assert 0.03 < abs(np.mean(means[3.0, "score"]) - 0.5) <= np.mean(removed)
    # What the score says nothing of has variance 1 / size, whatever the weights.
    for limit, size in sizes.items():
        ratio = np.var(means[limit, "noise"]) * np.mean(size)
        assert abs(ratio - 1) < 4.5 * np.sqrt(2 / rounds)
    assert np.mean(sizes[3.0]) > 2 * np.mean(sizes[np.inf])


@settings(deadline=None)
@given(arrays(float, st.integers(1, 40), elements=POSITIVE), st.floats(1, 9), st.floats(1, 9))
def test_a_lower_cap_never_lowers_the_effective_size(w: Floats, a: float, b: float) -> None:
    low, high = clip_weights(w, min(a, b)), clip_weights(w, max(a, b))
    assert low.size >= high.size * (1 - 1e-9)
    assert low.removed >= high.removed - 1e-12


def test_the_cap_is_the_root_of_the_records_unless_it_is_given() -> None:
    w = np.append(np.ones(99), 1e6)
    assert clip_weights(w).cap == 10.0 and clip_weights(w).clipped == 1
    assert clip_weights(np.append(w, np.nan)).cap == 10.0


def test_the_ratio_found_on_held_out_scores_is_that_of_each_bin() -> None:
    rng = np.random.default_rng(4)
    n = 20_000
    found = LikelihoodRatio.fit(rng.normal(size=n), rng.normal(SHIFT, 1.0, n))
    assert len(found.ratios) == 20
    ends = np.concatenate([[-np.inf], found.edges, [np.inf]])
    human, made = np.diff(norm.cdf(ends)), np.diff(norm.cdf(ends - SHIFT))
    spread = np.sqrt((1 / human + 1 / made) / n)
    assert (np.abs(np.log(found.ratios * human / made)) < 4.5 * spread).all()
    middle = (ends[1:-2] + ends[2:-1]) / 2
    assert np.allclose(found.at(middle), found.ratios[1:-1])
    assert np.isnan(found.at(np.array([np.nan]))[0])
    # The negative control: kinds exchanged give the reciprocal, which cannot fall: all 1.
    wrong = LikelihoodRatio.fit(rng.normal(SHIFT, 1.0, n), rng.normal(size=n))
    assert np.allclose(wrong.ratios, 1.0, atol=0.05)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 3.0]))
def test_the_ratio_is_positive_finite_and_never_falls(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    human, made = rng.normal(size=120).round(1), rng.normal(shift, 1.0, 150).round(1)
    ratios = LikelihoodRatio.fit(human, made).at(np.linspace(-9, 9, 80))
    assert (ratios > 0).all() and np.isfinite(ratios).all() and (np.diff(ratios) >= -1e-12).all()


def test_estimated_weights_leave_only_what_the_width_of_bins_leaves() -> None:
    rng = np.random.default_rng(5)
    n = 40_000
    law = LikelihoodRatio.fit(rng.normal(size=n), rng.normal(SHIFT, 1.0, n))
    t, _ = mixed(200_000, rng)
    w = clip_weights(importance_weights(law.at(t), SHARE)).weights
    ends = np.concatenate([[-np.inf], law.edges, [np.inf]])

    def in_bins(shift: float) -> tuple[Floats, Floats]:
        mass = np.diff(norm.cdf(ends - shift))
        return mass, shift * mass - np.diff(norm.pdf(ends - shift))

    (human, low), (made, high) = in_bins(0.0), in_bins(SHIFT)
    mixture = (1 - SHARE) * human + SHARE * made
    left = float((human / mixture) @ ((1 - SHARE) * low + SHARE * high))
    assert abs(left) < 0.1 * SHARE * SHIFT  # of a pull of .6 by the synthetic records
    assert abs(float(w @ t) / len(t) - left) < 4.5 * np.sqrt(2 / n)


def test_what_the_score_does_not_see_stays_in_the_weighted_mean() -> None:
    rng = np.random.default_rng(6)
    t, made = mixed(400_000, rng)
    w = importance_weights(true_ratio(t), SHARE)
    # A trait of synthetic documents that does not show in the score: mean 1 there, 0 in humans.
    left = float(w @ made) / len(t)
    # E_q[w 1(synthetic)] = E_h[P(synthetic | t)] = 1 - (1 - a) E_h[w]
    expected = 1 - (1 - SHARE) * human_mean(lambda t: 1.0, SHARE, 2)
    assert left == pytest.approx(expected, rel=0.02) and 0.15 < expected < SHARE


@settings(deadline=None)
@given(arrays(float, st.integers(1, 30), elements=st.floats(0, 100)), st.integers(1, 200),
       st.integers(0, 999))  # fmt: skip
def test_systematic_draws_are_the_expected_number_rounded(w: Floats, n: int, seed: int) -> None:
    w = np.append(w, 1.0)
    drawn = resample(w, n, rng=np.random.default_rng(seed))
    times = np.zeros(len(w))
    times[drawn.rows] = drawn.times
    expected = n * w / w.sum()
    assert times.sum() == n and (drawn.times > 0).all()
    assert (np.abs(times - expected) < 1 + 1e-9).all()
    assert (times[w == 0] == 0).all()


@pytest.mark.parametrize("method", ["systematic", "multinomial"])
def test_draws_come_as_often_as_their_weights_say(method: str) -> None:
    rng = np.random.default_rng(7)
    w = np.array([0.3, 0.0, 1.7, 1.0, 4.0])
    rounds, times = 4_000, np.zeros(5)
    for _ in range(rounds):
        drawn = resample(w, 3, rng=rng, method=method)  # type: ignore[arg-type]
        times[drawn.rows] += drawn.times
    share = w / w.sum()
    error = np.sqrt(3 * rounds * share * (1 - share))
    assert (np.abs(times - 3 * rounds * share) <= 4.5 * error).all()


def test_unusable_weights_shares_and_scores_are_refused_in_one_line() -> None:
    rng = np.random.default_rng(8)
    good = rng.normal(size=200)
    for bad in ([], [np.nan, 1.0], [-1.0, 2.0], [0.0, 0.0], [np.inf]):
        with pytest.raises(DetectorError, match="weights"):
            resample(np.array(bad), 3, rng=rng)
    for attempt in (
        lambda: resample(np.ones(3), 0, rng=rng),
        lambda: resample(np.ones(3), 1, rng=rng, method="other"),  # type: ignore[arg-type]
        lambda: importance_weights(np.ones(3), 1.01),
        lambda: importance_weights(np.ones(3), float("nan")),
        lambda: importance_weights(-np.ones(3), 0.5),
        lambda: clip_weights(np.ones(3), 0.5),
        lambda: clip_weights(np.full(3, np.nan)),
        lambda: clip_weights(importance_weights(np.zeros(3), 1.0)),
        lambda: LikelihoodRatio.fit(good[:99], good),
        lambda: LikelihoodRatio.fit(good, np.append(good, np.nan)),
    ):
        with pytest.raises(DetectorError) as caught:
            attempt()
        assert "\n" not in str(caught.value)
