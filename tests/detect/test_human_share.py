"""The human share from evidence of all grades: covered as often as stated, and never hidden."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom

from tailguard.corpus import Quarantine, open_corpus
from tailguard.corpus.base import EVIDENCE, KINDS
from tailguard.detect.base import DetectorError
from tailguard.detect.prevalence.human_share import (
    HumanShare,
    estimates_in,
    human_share,
    split_level,
    strata_of,
)
from tailguard.detect.prevalence.strata import (
    Audit,
    Auditor,
    Detected,
    ScoredAudit,
    Stratum,
    binomial_interval,
    false_marks,
    finite_interval,
)

exactly = functools.cache(finite_interval)


def enough(covered: int, rounds: int, level: float = 0.95) -> bool:
    """Whether so few would happen once in a thousand times at most, were the level right."""
    return covered >= binom.ppf(0.001, rounds, level)


@pytest.mark.parametrize(("n", "m"), [(12, 5), (25, 10), (40, 39), (200, 20)])
def test_finite_intervals_cover_every_population_exactly(n: int, m: int) -> None:
    k = np.arange(m + 1)
    ends = [exactly(int(i), m, n, 0.95) for i in k]
    lo, hi = (np.round(np.array(end) * n).astype(int) for end in zip(*ends, strict=True))
    cover = [hypergeom.pmf(k, n, K, m)[(lo <= K) & (hi >= K)].sum() for K in range(n + 1)]
    assert min(cover) >= 0.95
    # The negative control: the textbook interval of the normal law does not.
    half = 1.96 * np.sqrt(k / m * (1 - k / m) / m * (1 - m / n))
    wald = [
        hypergeom.pmf(k, n, K, m)[np.abs(k / m - K / n) <= half + 1e-12].sum() for K in range(n + 1)
    ]
    assert min(wald) < 0.9


def test_binomial_intervals_leave_half_the_error_on_each_side() -> None:
    lo, hi = binomial_interval(7, 30, 0.9)
    assert binom.sf(6, 30, lo) == pytest.approx(0.05) == binom.cdf(7, 30, hi)
    assert binomial_interval(0, 5, 0.9)[0] == 0 and binomial_interval(5, 5, 0.9)[1] == 1


def test_errors_of_the_people_who_audit_are_corrected_for() -> None:
    rng = np.random.default_rng(1)
    n, truth, rounds = 3_000, 0.7, 300
    human = np.arange(n) < truth * n
    plain = corrected = 0
    for _ in range(rounds):
        checked = rng.choice(human, 400, replace=False)
        called = np.where(checked, rng.random(400) < 0.8, rng.random(400) < 0.1)
        people = Auditor(int(rng.binomial(200, 0.8)), 200, int(rng.binomial(200, 0.9)), 200)
        audit = Audit(int(called.sum()), 400)
        lo, hi = exactly(audit.human, 400, n, 0.95)
        plain += lo <= truth <= hi
        found = replace(audit, auditor=people).estimate(n, 0.95)
        corrected += found.lo <= truth <= found.hi
        assert found.lo <= found.share <= found.hi
    assert plain < 0.2 * rounds
    assert enough(corrected, rounds)


def test_people_no_better_than_chance_tell_nothing() -> None:
    found = Audit(30, 60, auditor=Auditor(11, 20, 11, 20)).estimate(1_000, 0.95)
    assert (found.lo, found.hi) == (0.0, 1.0)


def test_undecided_records_count_against_both_ends() -> None:
    found = Audit(20, 40, undecided=10).estimate(500, 0.95)
    assert found.lo == exactly(20, 40, 500, 0.95)[0]
    assert found.hi == exactly(30, 40, 500, 0.95)[1]
    assert found.share == pytest.approx(2 / 3)


@pytest.mark.parametrize(("truth", "m"), [(0.5, 60), (0.5, 300), (0.15, 300), (0.02, 150)])
def test_scores_narrow_an_audit_that_corrects_their_bias(truth: float, m: int) -> None:
    rng = np.random.default_rng(int(1000 * truth) + m)
    n, rounds = 4_000, 200
    human = np.arange(n) < truth * n
    covered = alone = 0
    widths = []
    for _ in range(rounds):
        # A detector that takes a third of the synthetic records for human.
        says = np.where(human, rng.beta(8, 2, n), np.where(rng.random(n) < 0.3, 0.8, 0.1))
        chosen = rng.choice(n, m, replace=False)
        found = ScoredAudit(human[chosen], says[chosen], float(says.mean())).estimate(n, 0.95)
        covered += found.lo <= truth <= found.hi
        alone += abs(says.mean() - truth) <= 1.96 * says.std() / math.sqrt(n)
        lo, hi = exactly(int(human[chosen].sum()), m, n, 0.95)
        widths.append((found.hi - found.lo) / (hi - lo))
    assert alone == 0
    assert enough(covered, rounds)
    assert np.mean(widths) <= (0.8 if truth == 0.5 and m == 300 else 1.0 + 1e-9)


def test_scored_audits_agree_with_the_regression_estimator_by_hand() -> None:
    y = np.array([1, 0] * 20, bool)
    f = np.where(y, 0.9, 0.3) + np.tile([0.0, 0.0, 0.1, 0.1], 10)
    found = ScoredAudit(y, f, 0.7).estimate(400, 0.95)
    spread = ((f - f.mean()) ** 2).sum()
    slope = ((y - 0.5) * (f - f.mean())).sum() / spread
    rest = (y - 0.5) - slope * (f - f.mean())
    leverage = (1 - 40 / 400) / 40 + (0.7 - f.mean()) ** 2 / spread
    error = np.sqrt((rest**2).sum() / 38 * leverage)
    assert found.share == pytest.approx(0.5 + slope * (0.7 - f.mean()))
    assert found.hi - found.lo == pytest.approx(2 * 2.024394 * error, rel=1e-6)


def test_few_or_faultless_labels_leave_scores_aside() -> None:
    rng = np.random.default_rng(3)
    y = rng.random(60) < 0.5
    for labels, scores in (
        (y[:20], rng.random(20)),  # few
        (y, y.astype(float)),  # no error seen is no proof that there is none
        (y, np.full(60, 0.4)),  # scores that say nothing
        (np.arange(60) < 1, rng.random(60)),  # one of sixty: far from normal
    ):
        found = ScoredAudit(labels, scores, 0.5).estimate(900, 0.95)
        assert (found.lo, found.hi) == exactly(int(labels.sum()), len(labels), 900, 0.95)


@pytest.mark.parametrize("true_marks", [0, 40, 5_000])
def test_false_marks_are_bounded_as_often_as_stated(true_marks: int) -> None:
    rng = np.random.default_rng(true_marks)
    tested, alpha, rounds = 20_000, 1e-3, 400
    false = rng.binomial(tested - true_marks, alpha, rounds)
    bounds = [false_marks(true_marks + f, tested, alpha, 0.95) for f in false.tolist()]
    assert enough(int((false <= bounds).sum()), rounds)
    # Not by being careless: never beyond the 95% quantile of all tested records.
    assert max(bounds) <= binom.ppf(0.95, tested, alpha)
    # The negative control: believing every mark.
    assert (false > 0).mean() > 0.95


def test_shares_of_known_strata_are_hand_computed() -> None:
    strata = [
        Stratum("attested", 50, "human", error=0.02),
        Stratum("attested", 10, "synthetic"),
        Stratum("audited", 10, "mixed"),
        Stratum("declared", 20, "human"),
        Stratum("declared", 5, "synthetic"),
        Stratum("none", 5),
    ]
    found = human_share(strata)
    assert found.lo == pytest.approx(0.49) and found.hi == pytest.approx(0.75)
    assert found.trusted.lo == pytest.approx(0.69) and found.trusted.hi == pytest.approx(0.75)
    assert math.isnan(found.share) and found.as_dict()["share"] is None
    assert found.line == (
        "49.0% to 75.0% of 100 records are human (at 95%); 69.0% to 75.0% if declarations are true"
    )
    assert "nobody falsely declares a record synthetic" in found.assumptions
    assert human_share(strata, believe_synthetic=False).hi == pytest.approx(0.8)
    honest = [*strata[:3], replace(strata[3], error=0.1), *strata[4:]]
    assert human_share(honest).lo == pytest.approx(0.49 + 0.18)


def simulated(rng: np.random.Generator) -> tuple[float, HumanShare]:
    """A corpus of every grade whose declarers lie and whose detector errs; and what is found."""
    attested = Stratum("attested", 300, "human")
    marked, unmarked, alpha = 200, 1_500, 2e-3
    false = int(rng.binomial(unmarked, alpha))
    marks = Stratum("watermark", marked + false, tested=3_000, mark_level=alpha)
    declared = rng.random(800) < 0.6
    rest = rng.random(700) < 0.35
    truth = (300 + false + declared.sum() + rest.sum()) / (500 + false + 1_500)
    checked = rng.choice(declared, 120, replace=False)
    said = Stratum("declared", 800, "human", audit=Audit(int(checked.sum()), 120))
    noise = np.where(rest, 0.7, 0.3) + rng.normal(0, 0.2, 700)
    chosen = rng.choice(700, 100, replace=False)
    scored = ScoredAudit(rest[chosen], noise[chosen], float(noise.mean()))
    level = split_level(4)
    # A detector's own interval, exact at this level: a sample of 150 seen without error.
    seen = rng.choice(rest, 150, replace=False)
    lo, hi = exactly(int(seen.sum()), 150, 700, level)
    other = Stratum(
        "detected", 700, audit=scored, detected=Detected(float(seen.mean()), lo, hi, level)
    )
    strata = [attested, marks, said, other]
    assert estimates_in(strata) == 4
    return float(truth), human_share(strata)


def test_the_combined_interval_covers_and_belief_in_liars_does_not() -> None:
    rng = np.random.default_rng(7)
    rounds = 200
    found = [simulated(rng) for _ in range(rounds)]
    assert enough(sum(h.lo <= truth <= h.hi for truth, h in found), rounds)
    assert np.mean([h.hi - h.lo for _, h in found]) < 0.25
    believed = [replace(h, parts=()) for _, h in found]
    liars = human_share([Stratum("declared", 800, "human"), Stratum("attested", 200, "human")])
    assert liars.trusted.lo == 1.0 and liars.lo == pytest.approx(0.2)
    assert all(any("declared human" in text for text in h.contradictions) for h in believed)


def test_evidence_that_cannot_all_hold_is_told_and_spanned() -> None:
    audit = Audit(5, 100)
    found = human_share([Stratum("attested", 1_000, "human", audit=audit)])
    assert len(found.contradictions) == 1 and "attested human" in found.contradictions[0]
    assert found.hi == 1.0 and found.lo == exactly(5, 100, 1_000, 0.95)[0]
    assert "1 contradiction" in found.line
    agreeing = human_share([Stratum("attested", 1_000, "human", audit=Audit(100, 100))])
    assert not agreeing.contradictions and agreeing.lo == agreeing.hi == 1.0
    at_odds = Stratum("none", 500, detected=Detected(0.1, 0.05, 0.2, 0.975), audit=Audit(90, 100))
    both = human_share([at_odds])
    assert both.contradictions and both.lo == 0.05 and both.hi > 0.9
    whole = human_share([Stratum("attested", 1_000, "human")], audit=Audit(10, 50))
    assert "all records" in whole.contradictions[0] and whole.hi == 1.0


def test_an_audit_of_all_records_narrows_what_strata_leave_open() -> None:
    strata = [Stratum("attested", 400, "human"), Stratum("none", 600)]
    alone, audited = human_share(strata), human_share(strata, audit=Audit(140, 200))
    assert (alone.lo, alone.hi) == (0.4, 1.0)
    assert (audited.lo, audited.hi) == exactly(140, 200, 1_000, 0.95)
    believed = human_share([Stratum("declared", 1_000, "human")], audit=Audit(100, 200))
    assert "belief in declarations" in believed.contradictions[0]
    assert (believed.trusted.lo, believed.trusted.hi) == (believed.lo, believed.hi)


@st.composite
def strata(draw: st.DrawFn) -> list[Stratum]:
    """Strata of any grade and kind, some audited, some detected."""
    out = []
    for _ in range(draw(st.integers(1, 5))):
        n = draw(st.integers(1, 500))
        checked = draw(st.integers(1, n))
        human = draw(st.integers(0, checked))
        lo, hi = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
        out.append(
            Stratum(
                draw(st.sampled_from(EVIDENCE)), n, draw(st.sampled_from(KINDS)),
                tested=draw(st.integers(n, 10_000)), mark_level=draw(st.sampled_from([0.0, 0.01])),
                error=draw(st.sampled_from([None, 0.0, 0.3])),
                audit=Audit(human, checked) if draw(st.booleans()) else None,
                detected=Detected(lo, lo, hi, 0.999) if draw(st.booleans()) else None,
            )
        )  # fmt: skip
    return out


@settings(max_examples=60, deadline=None)
@given(strata(), st.randoms(use_true_random=False), st.booleans())
def test_shares_lie_in_their_interval_whatever_the_order(some, random, believe) -> None:  # type: ignore[no-untyped-def]
    found = human_share(some, believe_synthetic=believe)
    for share, lo, hi in ((found.share, found.lo, found.hi), found.trusted[:3]):
        assert 0 <= lo <= hi <= 1
        assert math.isnan(share) or lo - 1e-12 <= share <= hi + 1e-12
    mixed = list(some)
    random.shuffle(mixed)
    other = human_share(mixed, believe_synthetic=believe)
    assert (other.lo, other.hi, other.trusted[1:3]) == (found.lo, found.hi, found.trusted[1:3])
    assert sorted(other.contradictions) == sorted(found.contradictions)


@settings(max_examples=60, deadline=None)
@given(strata(), st.integers(0, 300), st.integers(1, 300))
def test_more_attested_humans_never_lower_the_interval(some, few, more) -> None:  # type: ignore[no-untyped-def]
    less, greater = (
        human_share([*some, Stratum("attested", n, "human")]) for n in (few, few + more)
    )
    assert greater.lo >= less.lo - 1e-12 and greater.hi >= less.hi - 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.data())
def test_claims_without_estimates_sum_as_fractions(n, data) -> None:  # type: ignore[no-untyped-def]
    human = data.draw(st.integers(0, n))
    rest = data.draw(st.integers(0, 60))
    found = human_share([Stratum("attested", human, "human"), Stratum("audited", n - human,
                        "synthetic"), Stratum("none", rest, "human")])  # fmt: skip
    assert found.lo == float(Fraction(human, n + rest))
    assert found.hi == float(Fraction(human + rest, n + rest))


def test_bad_input_is_refused_in_one_clear_line() -> None:
    good = Stratum("none", 100)
    low = replace(good, detected=Detected(0.5, 0.4, 0.6, 0.95), audit=Audit(5, 10))
    for make in (
        lambda: human_share([]),
        lambda: human_share([Stratum("attested", 0, "human")]),
        lambda: human_share([good], level=1.0),
        lambda: human_share([low]),
        lambda: human_share([replace(good, audit=Audit(5, 101))]),
        lambda: Stratum("proven", 5),  # type: ignore[arg-type]
        lambda: Stratum("none", -1),
        lambda: Stratum("watermark", 5),
        lambda: Stratum("watermark", 5, tested=4),
        lambda: Stratum("attested", 5, "human", error=1.5),
        lambda: Audit(11, 10),
        lambda: Audit(0, 0),
        lambda: Audit(6, 10, undecided=5),
        lambda: Auditor(1, 0, 1, 1),
        lambda: Detected(0.5, 0.6, 0.4, 0.95),
        lambda: ScoredAudit(np.ones(3, bool), np.ones(2), 0.5),
        lambda: ScoredAudit(np.ones(2, bool), np.array([0.1, np.nan]), 0.5),
    ):
        with pytest.raises(DetectorError) as caught:
            make()
        assert "\n" not in str(caught.value)


def corpus_of(**columns: Sequence[str | None]) -> pa.Table:
    """Short texts with origin columns."""
    n = len(next(iter(columns.values())))
    return pa.table({"text": [f"text number {i}" for i in range(n)]} | columns)


def test_origin_columns_are_counted_into_strata() -> None:
    rows = [
        ("human", "attested"), ("synthetic", "attested"), ("mixed", "audited"),
        ("synthetic", "watermark"), ("unknown", "watermark"), ("human", "declared"),
        ("mixed", "declared"), ("human", "detected"), ("human", "none"), ("unknown", "attested"),
        ("nonsense", "nonsense"), (None, None), ("human", "watermark"),
    ]  # fmt: skip
    kinds, grades = zip(*rows, strict=True)
    table = corpus_of(kind=list(kinds), evidence=list(grades))
    found = strata_of(open_corpus(table), quarantine=Quarantine())
    counts = {(s.grade, s.kind): s.n for s in found}
    assert counts == {
        ("attested", "human"): 1, ("attested", "synthetic"): 1, ("watermark", "synthetic"): 2,
        ("audited", "synthetic"): 1, ("declared", "human"): 1, ("declared", "synthetic"): 1,
        ("none", "unknown"): 6,
    }  # fmt: skip
    share = human_share(found)
    # A mark on what is said to be human: neither is believed, and it is told.
    assert found[-1].disagree == 1 and "contradict each other" in share.contradictions[0]
    assert share.lo == pytest.approx(1 / 13)
    assert {s.tested for s in found if s.grade == "watermark"} == {13}


def test_an_audited_column_is_a_sample_of_each_stratum() -> None:
    kind = ["human"] * 600 + ["synthetic"] * 100 + ["unknown"] * 300
    grade = ["declared"] * 700 + ["none"] * 300
    label: list[str | None] = [None] * 1_000
    label[:100] = ["human"] * 80 + ["Synthetic"] * 15 + ["unknown"] * 5
    label[700:750] = ["human"] * 10 + ["mixed"] * 40
    table = corpus_of(kind=kind, evidence=grade, checked=label)
    found = strata_of(open_corpus(table), audit_column="checked", quarantine=Quarantine())
    audits = {s.name: s.audit for s in found}
    assert audits == {"declared human": Audit(80, 100, 5), "declared synthetic": None,
                      "not verified": Audit(10, 50)}  # fmt: skip
    share, each = human_share(found), split_level(2)
    assert share.lo == pytest.approx(
        0.6 * exactly(80, 100, 600, each)[0] + 0.3 * exactly(10, 50, 300, each)[0]
    )
    assert any("declared human" in text for text in share.contradictions)
    with pytest.raises(DetectorError, match="audited records, got none"):
        strata_of(open_corpus(table), audit_column="chekced", quarantine=Quarantine())
    table = corpus_of(checked=["human", "robot"])
    with pytest.raises(DetectorError, match=r"one of human.*'robot'"):
        strata_of(open_corpus(table), audit_column="checked", quarantine=Quarantine())
