"""The guarantee holds, and refusals say what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, kstest

from tailguard.detect.base import DetectorError
from tailguard.detect.calibration import (
    Calibration,
    Target,
    benjamini_hochberg,
    conformal_p,
    threshold,
)


@settings(deadline=None)
@given(st.floats(0.001, 0.3), st.floats(0.5, 0.99), st.integers(1, 5_000))
def test_rank_is_the_largest_that_keeps_the_bound(rate: float, sure: float, n: int) -> None:
    target = Target(rate, sure)
    r = target.rank(n)
    assert (r > 0) == (n >= target.needed)
    if r:
        assert beta.sf(rate, r, n + 1 - r) <= 1 - sure + 1e-9
    if r < n:
        assert binom.cdf(r, n, rate) > 1 - sure


def test_false_positive_rate_exceeds_its_bound_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(0)
    target = Target(0.05, 0.9)
    scores = rng.random((4_000, 300))
    over = np.mean([1 - threshold(row, target) > 0.05 for row in scores])
    exact = binom.cdf(target.rank(300) - 1, 300, 0.05)
    assert exact <= 0.1
    assert abs(over - exact) < 4 * np.sqrt(exact * (1 - exact) / 4_000)
    # The negative control: the usual conformal quantile breaks the promise nearly half the time.
    plain = np.sort(scores, axis=1)[:, int(np.ceil(301 * 0.95)) - 1]
    assert np.mean(1 - plain > 0.05) > 0.3


def test_ties_only_lower_the_false_positive_rate() -> None:
    human = np.repeat([0.0, 1.0], [900, 100])
    limit = threshold(human, Target(0.05, 0.95))
    assert (human > limit).mean() == 0.0


def test_a_score_equal_to_the_humans_counts_as_theirs() -> None:
    human = np.repeat([0.0, 1.0], [900, 100])
    assert conformal_p(np.array([1.0, 1.1]), human).tolist() == [101 / 1001, 1 / 1001]
    pool = Calibration(human, np.full(1_000, 100), np.full(1_000, -1), ())
    found = pool.decide(np.array([1.0, 1.1]), np.full(2, 100), [None, None], Target(0.05))
    assert found.thresholds.tolist() == [1.0, 1.0]
    assert found.decisions[0] != "synthetic" and found.decisions[1] == "synthetic"


def test_refusal_counts_the_missing_humans() -> None:
    for rate, needed in ((0.05, 59), (0.01, 299), (0.001, 2995)):
        target = Target(rate, 0.95)
        assert target.needed == needed
        with pytest.raises(DetectorError, match=r"add 1 human doc"):
            threshold(np.arange(needed - 1.0), target)
        assert threshold(np.arange(float(needed)), target) == needed - 1
    with pytest.raises(DetectorError, match="max-fpr"):
        Target(0.0)
    with pytest.raises(DetectorError, match="finite"):
        threshold(np.full(400, np.nan), Target())


def test_conformal_p_values_of_humans_are_uniform() -> None:
    rng = np.random.default_rng(1)
    p = np.concatenate([conformal_p(rng.normal(size=1), rng.normal(size=99)) for _ in range(3_000)])
    assert kstest(p - rng.random(3_000) / 100, "uniform").pvalue > 0.001
    assert np.isnan(conformal_p(np.array([np.nan]), np.arange(5.0))).all()


def test_benjamini_hochberg_keeps_the_false_discovery_rate() -> None:
    rng = np.random.default_rng(2)
    false = []
    for _ in range(300):
        human = rng.normal(size=400)
        scores = np.concatenate([rng.normal(size=180), rng.normal(4.0, 1.0, 20)])
        found = benjamini_hochberg(conformal_p(scores, human), 0.2)
        false.append(found[:180].sum() / max(found.sum(), 1))
        assert found[180:].sum() >= 1
    assert np.mean(false) < 0.2
    assert not benjamini_hochberg(np.array([np.nan, 0.9]), 0.05).any()
    assert not benjamini_hochberg(np.zeros(0), 0.05).any()


def calibration(rng: np.random.Generator) -> Calibration:
    """Two sources; the second's humans score two higher; few texts are short."""
    source = np.repeat([0, 1], [400, 400])
    words = np.where(np.arange(800) % 20 == 0, 30, 100)
    return Calibration(rng.normal(size=800) + 2 * source, words, source, ("news", "law"))


def test_each_source_has_its_own_operating_point() -> None:
    found = calibration(np.random.default_rng(3))
    scores = np.full(4, 4.2)
    decided = found.decide(scores, np.full(4, 100), ["news", "law", "blog", None], Target())
    assert decided.decisions[:2] == ["synthetic", "abstain"]
    assert decided.levels == ["source x length", "source x length", "length", "length"]
    assert decided.thresholds[0] < decided.thresholds[2]


def test_small_cells_fall_back_to_coarser_ones() -> None:
    found = calibration(np.random.default_rng(4))
    decided = found.decide(np.zeros(2), np.array([30, 3]), ["news", "news"], Target())
    assert decided.levels == ["source", "source"]
    strict = found.decide(np.zeros(1), np.array([30]), ["news"], Target(0.005))
    assert strict.levels == ["pooled"]
    with pytest.raises(DetectorError, match=r"2,995.*add 2,195"):
        found.decide(np.zeros(1), np.array([30]), ["news"], Target(0.001))


def test_decisions_abstain_between_the_two_and_without_a_score() -> None:
    found = calibration(np.random.default_rng(5))
    scores = np.array([9.0, 0.0, 1.8, np.nan])
    decided = found.decide(scores, np.full(4, 100), ["news"] * 4, Target())
    assert decided.decisions == ["synthetic", "human-like", "abstain", "abstain"]
    held = decided.withheld()
    assert held.decisions == ["abstain"] * 4 and np.isnan(held.p).all()


def test_table_says_what_every_cell_lacks() -> None:
    rows = {name: row for _, name, *row in calibration(np.random.default_rng(6)).table(Target())}
    assert rows["news, 25-49 words"][0] == 20 and rows["news, 25-49 words"][2] == 279
    assert rows["all"][2] == 0 and np.isfinite(rows["all"][1])
