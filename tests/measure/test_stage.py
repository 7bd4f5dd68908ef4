"""From evidence to a stage: every branch of the rule, on evidence made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy.stats import binom, hypergeom

from tailguard.measure.base import Axis
from tailguard.measure.contrast import Contrast, Evidence
from tailguard.measure.stage import (
    DEGENERATE_RATE,
    FOREIGN,
    HEADLINE,
    RULE_SHARE,
    Diagnosis,
    degenerate_evidence,
    diagnose,
    permutation_level,
)

ALPHA, MARGIN, RESOLUTION = 0.01, 0.02, 0.25
CLEAN = degenerate_evidence((0, 1_000), (0, 1_000))


def evidence(
    name: str,
    axis: Axis | None,
    *,
    retention: float = 1.0,
    p: float = 1.0,
    half: float = 0.01,
    se: float = 0.01,
    z: float | None = None,
) -> Evidence:
    side = (retention - 1) * 100 if z is None else z
    return Evidence(name, axis, side, p, retention, retention - half, retention + half, se)


def contrast_of(
    *more: Evidence, foreign_lo: float = 1.0, novelty: float = 1.0, se: float = 0.01
) -> Contrast:
    """The headline statistic of every axis at 1, where ``more`` does not name it."""
    named = {e.name for e in more}
    quiet = [evidence(name, axis, se=se) for axis, name in HEADLINE.items() if name not in named]
    return Contrast((*quiet, *more), 3.0, foreign_lo + 0.1, foreign_lo, novelty, (100, 100))


def stage_of(found: Contrast, degenerate: Evidence = CLEAN, **changed: Any) -> Diagnosis:
    options: dict[str, Any] = {
        "alpha": ALPHA, "margin": MARGIN, "resolution": RESOLUTION, "documents": 100,
    } | changed  # fmt: skip
    return diagnose(found, degenerate, **options)


def lost(name: str, axis: Axis | None, retention: float = 0.8) -> Evidence:
    return evidence(name, axis, retention=retention, p=0.001)


TAIL, SHARP = lost("rare_words", "T"), lost("next_word_variety", "S")
NARROW, REPEAT = lost("own_phrases", "N"), lost("no_repeats", "R")
TOPICS = evidence("same_topics", None, retention=math.nan, p=0.001, z=-5.0)
LOOPS = degenerate_evidence((30, 1_000), (0, 1_000))

TRUTH: dict[str, tuple[tuple[Evidence, ...], dict[str, float], Evidence, str]] = {
    "nothing": ((), {}, CLEAN, "healthy"),
    "tail": ((TAIL,), {}, CLEAN, "early"),
    "sharpening": ((SHARP,), {}, CLEAN, "early"),
    "narrowing": ((NARROW,), {}, CLEAN, "mid"),
    "narrowing and tail": ((NARROW, TAIL), {}, CLEAN, "mid"),
    "repetition": ((REPEAT,), {}, CLEAN, "late"),
    "all": ((TAIL, SHARP, NARROW, REPEAT), {}, CLEAN, "late"),
    "degenerate documents alone": ((), {}, LOOPS, "late"),
    "tail and degenerate documents": ((TAIL,), {}, LOOPS, "late"),
    "topics alone": ((TOPICS,), {}, CLEAN, "shifted"),
    "tail and topics": ((TAIL, TOPICS), {}, CLEAN, "early"),
    "a gain is no loss": (
        (evidence("rare_words", "T", retention=1.3, p=0.001, z=9.0),), {}, CLEAN, "healthy",
    ),
    "significant, within the margin": ((lost("rare_words", "T", 0.985),), {}, CLEAN, "healthy"),
    "large, not significant": (
        (evidence("rare_words", "T", retention=0.7, p=0.2),), {}, CLEAN, "healthy",
    ),
    "large, interval reaches the margin": (
        (evidence("rare_words", "T", retention=0.9, p=0.001, half=0.09),), {}, CLEAN, "healthy",
    ),
    "foreign with tail": ((TAIL, TOPICS), {"foreign_lo": 1.5, "novelty": 2.0}, CLEAN, "shifted"),
    "foreign with narrowing": ((NARROW,), {"foreign_lo": 1.5, "novelty": 2.0}, CLEAN, "shifted"),
    "foreign with repetition": ((REPEAT,), {"foreign_lo": 1.5, "novelty": 2.0}, CLEAN, "shifted"),
    "foreign with loops": (
        (lost("no_loops", "R"),), {"foreign_lo": 1.5, "novelty": 2.0}, CLEAN, "late",
    ),
    "foreign with copies": (
        (lost("not_a_copy", "R"),), {"foreign_lo": 1.5, "novelty": 2.0}, CLEAN, "late",
    ),
    "foreign with degenerate documents": (
        (), {"foreign_lo": 1.5, "novelty": 2.0}, LOOPS, "late",
    ),
    "new words, yet nothing new": ((TAIL,), {"foreign_lo": 1.5, "novelty": 0.9}, CLEAN, "early"),
    "at the border of foreign": ((TAIL,), {"foreign_lo": FOREIGN, "novelty": 1.4}, CLEAN, "early"),
    "many new words of its own": (
        (TAIL,), {"foreign_lo": 0.9, "novelty": 1.9}, CLEAN, "shifted",
    ),
    "many new words said again and again": (
        (TAIL,), {"foreign_lo": 0.4, "novelty": 1.9}, CLEAN, "early",
    ),
    "unknown foreignness": ((TAIL,), {"foreign_lo": math.nan, "novelty": 2.0}, CLEAN, "early"),
    "too noisy to tell": ((), {"se": 0.5}, CLEAN, "insufficient"),
    "damage seen through noise": ((TAIL,), {"se": 0.5}, CLEAN, "early"),
}  # fmt: skip


@pytest.mark.parametrize("case", TRUTH)
def test_the_stage_follows_from_the_evidence(case: str) -> None:
    more, options, degenerate, stage = TRUTH[case]
    assert stage_of(contrast_of(*more, **options), degenerate).stage == stage


def test_the_table_reaches_every_stage() -> None:
    stages = {"healthy", "early", "mid", "late", "shifted", "insufficient"}
    assert {stage for *_, stage in TRUTH.values()} == stages


def test_no_evidence_at_all_is_too_little() -> None:
    found = Contrast((), math.inf, math.nan, math.nan, math.nan, (2, 2))
    state = stage_of(found)
    assert (state.stage, state.documents_needed) == ("insufficient", None)
    assert math.isnan(state.score)


def test_functional_is_repetition_and_structural_is_all_else() -> None:
    kinds = {}
    for name, more in {"R": (REPEAT,), "N": (NARROW,), "both": (TAIL, REPEAT), "no": ()}.items():
        state = stage_of(contrast_of(*more))
        kinds[name] = (state.functional, state.structural)
    assert kinds == {
        "R": (True, False), "N": (False, True), "both": (True, True), "no": (False, False),
    }  # fmt: skip


def test_the_score_is_one_minus_the_smallest_retention_with_its_interval() -> None:
    state = stage_of(contrast_of(TAIL, lost("own_phrases", "N", 0.6), lost("no_repeats", "R", 0.9)))
    assert {a.axis: a.retention for a in state.axes} == {"T": 0.8, "S": 1.0, "N": 0.6, "R": 0.9}
    assert (state.score, state.score_lo, state.score_hi) == pytest.approx((0.4, 0.39, 0.41))


def test_a_dead_axis_is_not_averaged_away() -> None:
    assert stage_of(contrast_of(lost("no_repeats", "R", 0.01))).score == pytest.approx(0.99)


def test_retention_above_one_is_shown_as_one() -> None:
    gain = evidence("rare_words", "T", retention=1.4, half=0.6)
    axis = stage_of(contrast_of(gain)).axes[0]
    assert (axis.retention, axis.lo, axis.hi) == pytest.approx((1.0, 0.8, 1.0))


def test_permutation_p_values_pay_for_the_rule_on_degenerate_documents() -> None:
    assert permutation_level(ALPHA) == pytest.approx(ALPHA * (1 - RULE_SHARE))
    at_level = replace(TAIL, p=0.0081)
    assert stage_of(contrast_of(at_level)).stage == "healthy"
    assert stage_of(contrast_of(replace(TAIL, p=0.0079))).stage == "early"
    reported = [e for e in stage_of(contrast_of(at_level)).evidence if e.name == "rare_words"]
    assert reported[0].p == pytest.approx(0.0081 / 0.8)


def test_an_axis_shows_its_surest_loss_among_what_fired() -> None:
    narrow = lost("rare_mass", "T", 0.5)
    axis = stage_of(contrast_of(TAIL, narrow)).axes[0]
    assert (axis.metric, axis.retention) == ("rare_mass", 0.5)
    quiet = stage_of(contrast_of(evidence("rare_words|topic", "T", retention=0.97))).axes[0]
    assert (quiet.metric, quiet.retention) == ("rare_words|topic", 0.97)


def test_detectable_is_the_loss_seen_with_power_of_four_fifths() -> None:
    axis = stage_of(contrast_of(se=0.05)).axes[0]
    assert axis.detectable == pytest.approx(1 - math.exp(-(3.0 + 0.8416212) * 0.05))


@pytest.mark.parametrize("times", [2, 3, 5])
def test_documents_needed_grow_with_the_square_of_the_error(times: int) -> None:
    once, more = (stage_of(contrast_of(se=se)).documents_needed for se in (0.1, 0.1 * times))
    assert once is not None and more is not None
    assert more == pytest.approx(once * times**2, rel=0.01)
    # By hand: 100 documents see (3 + z(.8)) se in log retention, log(1 - .25) is wanted.
    assert once == math.ceil(100 * (3.8416212 * 0.1 / -math.log(0.75)) ** 2)


def test_documents_needed_grow_with_the_documents_there_are() -> None:
    few, many = (stage_of(contrast_of(se=0.2), documents=n).documents_needed for n in (50, 500))
    assert few is not None and many == pytest.approx(10 * few, rel=0.02)


def test_a_thousand_times_more_text_is_no_advice() -> None:
    assert stage_of(contrast_of(se=9.0)).documents_needed is None


def test_the_rule_on_degenerate_documents_is_binomial_where_gold_is_clean() -> None:
    found = degenerate_evidence((2, 200), (0, 200))
    by_hand = 1 - sum(
        math.comb(200, x) * DEGENERATE_RATE**x * (1 - DEGENERATE_RATE) ** (200 - x) for x in (0, 1)
    )
    assert found.p == pytest.approx(by_hand / RULE_SHARE, rel=1e-6)
    assert found.p < 0.05 and found.z < 0
    assert found.retention == pytest.approx(0.99)


def test_the_rule_on_degenerate_documents_is_fisher_where_gold_loops_too() -> None:
    assert binom.sf(9, 200, DEGENERATE_RATE) < 0.05  # ten of gold's 200 contradict the rate
    found = degenerate_evidence((30, 200), (10, 200))
    by_hand = float(hypergeom.sf(29, 400, 40, 200))
    assert found.p == pytest.approx(by_hand / RULE_SHARE, rel=1e-6)
    assert found.retention == pytest.approx((1 - 0.15) / (1 - 0.05))
    assert degenerate_evidence((10, 200), (10, 200)).p > 0.5


def test_clean_documents_are_no_evidence_and_a_wholly_looping_batch_is_all_of_it() -> None:
    assert CLEAN.p == 1.0 and CLEAN.retention == 1.0
    dead = degenerate_evidence((100, 100), (0, 100))
    assert dead.p < 1e-9 and dead.retention == 0.0 and dead.hi < 0.1
    assert stage_of(contrast_of(), dead).score == 1.0
