"""Criteria of neural detectors: the published formulas, and what must be undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_cases import law, published

from tailguard.detect.neural import causal, criteria
from tailguard.detect.neural.criteria import TokenStatistics
from tailguard.detect.neural.encoding import batches

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

CRITERIA = {
    "likelihood": criteria.likelihood,
    "log-rank": criteria.log_rank,
    "lrr": criteria.log_rank_ratio,
    "entropy": criteria.entropy,
    "fast-detectgpt": criteria.fast_detectgpt,
    "binoculars": criteria.binoculars,
}
ROUNDED = 12 * 10 * 1.2e-7
"""The error of a sum of 12 log-probabilities of up to 10 nats in 32-bit floats: a discrepancy is a
difference of such sums over a deviation above one, and may be near zero."""
SEEDS = st.integers(0, 10**6)


def drawn(seed: int, n: int = 12, width: int = 50, spread: float = 2.0) -> tuple[Any, Any, Any]:
    """Logits of two models and the ids of one text."""
    rng = np.random.default_rng(seed)
    scoring, reference = rng.normal(0, spread, (2, n, width)).astype(np.float32)
    return scoring, reference, rng.integers(0, width, n)


def statistics(scoring: Any, reference: Any, ids: Any) -> TokenStatistics:
    one, two = torch.tensor(scoring), torch.tensor(reference)
    return causal.token_statistics(one, one if scoring is reference else two, torch.tensor(ids))


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from(sorted(CRITERIA)), st.booleans())
def test_every_criterion_equals_its_published_formula(seed: int, kind: str, same: bool) -> None:
    scoring, reference, ids = drawn(seed)
    reference = scoring if same or kind == "entropy" else reference
    found = CRITERIA[kind](statistics(scoring, reference, ids))
    expected = published(kind, scoring, reference, ids.tolist())
    assert found == pytest.approx(expected, rel=1e-5, abs=ROUNDED)


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.floats(-20, 20))
def test_shifted_logits_and_renamed_tokens_change_no_criterion(seed: int, shift: float) -> None:
    scoring, reference, ids = drawn(seed)
    order = np.random.default_rng(seed + 1).permutation(scoring.shape[1])
    moved = (scoring[:, order] + np.float32(shift), reference[:, order] - np.float32(shift))
    before = statistics(scoring, reference, ids)
    after = statistics(*moved, np.argsort(order)[ids])
    for kind, criterion in CRITERIA.items():
        if kind != "entropy":
            close = pytest.approx(criterion(before), rel=1e-4, abs=5 * ROUNDED)
            assert criterion(after) == close, kind


def test_analytic_discrepancy_equals_that_of_drawn_samples() -> None:
    scoring, reference, ids = drawn(3, n=20)
    rng = np.random.default_rng(4)
    draws = 20_000
    log_p, q = np.log(law(scoring)), law(reference)
    total = np.zeros(draws)
    for row in range(len(ids)):
        total += log_p[row, rng.choice(q.shape[1], draws, p=q[row])]
    tokens = statistics(scoring, reference, ids)
    deviation = total.std(ddof=1)
    assert abs(total.mean() - tokens.mean.sum()) < 4 * deviation / np.sqrt(draws)
    # The error of a standard deviation needs the fourth moment, which is near the normal one here.
    assert abs(deviation / np.sqrt(tokens.variance.sum()) - 1) < 4 / np.sqrt(2 * draws)
    sampled = (tokens.log_p.sum() - total.mean()) / deviation
    assert criteria.fast_detectgpt(tokens) == pytest.approx(sampled, abs=0.1)


def test_texts_of_the_reference_model_have_discrepancy_of_mean_zero_and_deviation_one() -> None:
    scoring, reference, _ = drawn(5, n=30)
    rng = np.random.default_rng(6)
    q = law(reference)
    ids = np.array([rng.choice(q.shape[1], 800, p=row) for row in q]).T
    found = np.array([criteria.fast_detectgpt(statistics(scoring, reference, i)) for i in ids])
    assert abs(found.mean()) < 4 / np.sqrt(len(found))
    assert abs(found.std() - 1) < 4 / np.sqrt(2 * len(found))


def test_binoculars_with_one_model_is_perplexity_over_entropy() -> None:
    scoring, _, ids = drawn(7)
    tokens = statistics(scoring, scoring, ids)
    ratio = criteria.likelihood(tokens) / criteria.entropy(tokens)
    assert criteria.binoculars(tokens) == pytest.approx(ratio)
    assert ratio < 0


def test_observer_weights_and_performer_surprise_are_not_exchanged() -> None:
    scoring, reference, ids = drawn(8)
    one = criteria.binoculars(statistics(scoring, reference, ids))
    two = criteria.binoculars(statistics(reference, scoring, ids))
    assert abs(one - two) > 0.01
    assert one == pytest.approx(published("binoculars", scoring, reference, ids.tolist()), rel=1e-5)


def test_ratios_without_a_denominator_are_undefined() -> None:
    flat = np.zeros((5, 40), np.float32)
    assert np.isnan(criteria.fast_detectgpt(statistics(flat, flat, np.arange(5))))
    sure = np.full((5, 40), -1e4, np.float32)
    sure[:, 7] = 1e4
    certain = statistics(sure, sure, np.full(5, 7))
    for criterion in (criteria.log_rank_ratio, criteria.binoculars, criteria.fast_detectgpt):
        assert np.isnan(criterion(certain))
    assert criteria.likelihood(certain) == 0
    nothing = TokenStatistics(*np.zeros((4, 0)))
    assert all(np.isnan(criterion(nothing)) for criterion in CRITERIA.values())


def test_tokens_that_the_model_masks_leave_statistics_finite() -> None:
    scoring, reference, ids = drawn(9)
    full = statistics(scoring[:, :40], reference[:, :40], ids % 40)
    for logits in (scoring, reference):
        logits[:, 40:] = -np.inf
    masked = statistics(scoring, reference, ids % 40)
    assert np.allclose(masked.mean, full.mean, atol=1e-5)
    assert np.allclose(masked.variance, full.variance, atol=1e-5)


def test_equal_tokens_share_the_best_rank() -> None:
    logits = np.array([[1.0, 1.0, 0.0, 0.0]], np.float32)
    ranks = [np.exp(statistics(logits, logits, np.array([i])).log_rank[0]) for i in range(4)]
    assert ranks == pytest.approx([1, 1, 3, 3])


def test_variance_survives_large_log_probabilities() -> None:
    rng = np.random.default_rng(10)
    logits = rng.normal(0, 1e-3, (4, 50_000)).astype(np.float32)
    exact = [float((row * (np.log(row) - (row * np.log(row)).sum()) ** 2).sum())
             for row in law(logits)]  # fmt: skip
    assert statistics(logits, logits, np.arange(4)).variance == pytest.approx(exact, rel=0.02)


def test_working_in_blocks_changes_no_statistic(monkeypatch: pytest.MonkeyPatch) -> None:
    scoring, reference, ids = drawn(11)
    whole = statistics(scoring, reference, ids)
    monkeypatch.setattr(causal, "_AT_ONCE", 3 * scoring.shape[1])
    blocks = statistics(scoring, reference, ids)
    for name in ("log_p", "log_rank", "mean", "variance"):
        assert np.allclose(getattr(whole, name), getattr(blocks, name), atol=1e-6)


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 120), st.sampled_from([None, 1]))
def test_batches_hold_every_row_once_within_the_budget(
    sizes: list[int], budget: int, most: int | None
) -> None:
    lengths = np.array(sizes, np.int64)
    found = [rows.tolist() for rows in batches(lengths, budget, most)]
    assert sorted(row for rows in found for row in rows) == list(range(len(sizes)))
    for rows in found:
        assert len(rows) == 1 or (most is None and len(rows) * lengths[rows].max() <= budget)
