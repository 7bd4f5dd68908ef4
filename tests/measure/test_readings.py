"""Readings: choosing metrics, intervals that cover, and p-values under gold's own splits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest

from tailguard.errors import InputError
from tailguard.measure.profile import Profile, profile_texts
from tailguard.measure.readings import (
    METRICS,
    choose,
    evaluate,
    jackknife,
    leave_outs,
    read,
)
from tailguard.measure.view import View


def documents(n: int, seed: int, words: int = 40) -> list[str]:
    """Documents of a Zipf law each with a topic of its own and sometimes a repeated stretch."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 40, n)
    out = []
    for row, shift in zip(rng.zipf(1.5, (n, words)) % 4000, topic, strict=True):
        said = [f"w{x}" if x < 20 else f"t{x + 100 * shift}" for x in row]
        if rng.random() < 0.3:
            said[20:30] = said[:10]
        out.append(" ".join(said))
    return out


def metrics(*names: str) -> list[str]:
    return [metric.name for metric in choose(names, compared=True)]


def test_metrics_are_chosen_by_name_stage_axis_and_all() -> None:
    assert metrics("hill_1") == ["hill_1"]
    assert metrics("all") == list(METRICS)
    assert set(metrics("early", "mid", "late")) == set(METRICS)
    assert set(metrics("T", "S", "N", "R")) == set(METRICS)
    assert {METRICS[n].axis for n in metrics("T")} == {"T"}
    assert metrics("hill_1", "hill_1", "hill_0") == ["hill_1", "hill_0"]
    alone = {m.name for m in choose("all", compared=False)}
    assert alone == {m.name for m in METRICS.values() if not m.needs_gold}


def test_an_unknown_metric_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'hill_0'"):
        choose("hil_0", compared=False)
    with pytest.raises(InputError, match="tailguard metrics list"):
        choose(["qqq"], compared=False)
    with pytest.raises(InputError, match="second corpus"):
        choose(["rare_recall"], compared=False)


def test_fewer_documents_than_a_metric_needs_give_nan_and_a_note() -> None:
    gold = profile_texts(documents(40, 0))
    for metric in METRICS.values():
        few = profile_texts(documents(metric.min_n - 1, 1)) if metric.min_n > 1 else Profile.empty()
        assert math.isnan(evaluate(metric, View.whole(few), View.whole(gold))), metric.name
        (reading,) = read([metric], few, gold)
        assert math.isnan(reading.value) and math.isnan(reading.lo) and reading.note, metric.name
        if metric.needs_gold:
            assert math.isnan(evaluate(metric, View.whole(gold), View.whole(few))), metric.name


def test_an_empty_corpus_has_only_undefined_readings() -> None:
    for gold in (None, Profile.empty(), profile_texts(documents(30, 0))):
        for reading in read(choose("all", compared=gold is not None), Profile.empty(), gold):
            assert math.isnan(reading.value) and reading.n == 0
            assert reading.note.startswith("undefined")


def test_one_document_has_a_value_without_an_interval() -> None:
    (reading,) = read([METRICS["hill_0"]], profile_texts(["one two three two"]))
    assert reading.value == 3 and math.isnan(reading.lo) and math.isnan(reading.hi)
    assert reading.note == "too few documents for an interval"


def test_intervals_hold_the_value_and_stay_within_bounds() -> None:
    ours, gold = profile_texts(documents(60, 0)), profile_texts(documents(90, 1))
    for reading in read(choose("all", compared=True), ours, gold):
        low, high = METRICS[reading.metric].bounds
        if math.isfinite(reading.lo):
            assert low <= reading.lo <= reading.value <= reading.hi <= high, reading.metric
        assert reading.n == 60


def test_gold_is_read_at_equal_size() -> None:
    ours, gold = profile_texts(documents(50, 0)), profile_texts(documents(800, 1))
    (reading,) = read([METRICS["hill_0"]], ours, gold)
    alone = evaluate(METRICS["hill_0"], View.whole(gold), None)
    assert reading.gold == pytest.approx(reading.value, rel=0.15)
    assert reading.gold < 0.5 * alone


def test_jackknife_of_a_mean_is_the_textbook_standard_error() -> None:
    view = View.whole(profile_texts(documents(600, 3)))
    empties = View.whole(profile_texts([*documents(40, 0), "", "  "]))
    groups = len(view.blocks)
    error = jackknife(leave_outs(view, groups), lambda v: v.ratio("unfinished", "documents"))
    assert error == pytest.approx(0, abs=1e-12)
    # Tokens per document are equal here, so this share is a plain mean over documents.
    error = jackknife(leave_outs(view, groups), lambda v: v.ratio("repeats", "grams"))
    table = view.profile.table
    shares = (table.column("repeats") / np.maximum(table.column("grams"), 1))[view.chosen]
    assert error == pytest.approx(shares.std(ddof=1) / math.sqrt(groups), rel=0.1)
    assert math.isnan(jackknife(leave_outs(empties, 2), lambda v: 1.0))


def test_nominal_intervals_cover_the_mean_of_many_resamples() -> None:
    names = ["missing_mass", "hill_2", "distinct_2_pooled", "repeated_4grams_128"]
    chosen = [METRICS[name] for name in names]
    found = [read(chosen, profile_texts(documents(250, seed))) for seed in range(120)]
    for j, name in enumerate(names):
        truth = float(np.mean([row[j].value for row in found]))
        covered = np.mean([row[j].lo <= truth <= row[j].hi for row in found])
        assert 0.88 <= covered <= 0.99, (name, covered)


@pytest.mark.parametrize("batch_size", [60, 120, 400])
def test_another_draw_of_gold_has_no_extreme_p_value(batch_size: int) -> None:
    """Whether gold is larger than the batch, as large or smaller: sizes are matched."""
    gold = profile_texts(documents(120, 100))
    chosen = [METRICS[n] for n in ("missing_mass", "hill_0", "rare_recall", "distinct_2_pooled")]
    p = np.array(
        [
            [
                r.null_p
                for r in read(chosen, profile_texts(documents(batch_size, s)), gold, splits=39)
            ]
            for s in range(16)
        ]
    )
    # One gold is shared by all draws, so only gross misfits can be told from chance.
    assert (p > 0).all() and (np.median(p, axis=0) > 0.05).all(), np.median(p, axis=0)


def test_p_values_over_many_golds_are_spread_over_the_unit_interval() -> None:
    p = []
    for seed in range(60):
        gold, batch = profile_texts(documents(160, 2 * seed)), documents(60, 2 * seed + 1)
        p.append(read([METRICS["hill_0"]], profile_texts(batch), gold, splits=39)[0].null_p)
    assert kstest(p, "uniform").pvalue > 0.001


def test_damage_has_a_small_p_value_and_splits_repeat_by_seed() -> None:
    gold, texts = profile_texts(documents(200, 0)), documents(90, 1)
    batch = profile_texts([text.replace("t1", "w1 t") for text in texts] + texts[:10])
    chosen = [METRICS["hill_0"], METRICS["cross_entropy"], METRICS["near_duplicate_rate"]]
    first = read(chosen, batch, gold, splits=59, seed=4)
    assert [r.null_p for r in first] == [
        r.null_p for r in read(chosen, batch, gold, splits=59, seed=4)
    ]
    assert all(r.null_p <= 0.05 for r in first)
    assert all(math.isnan(r.null_p) for r in read(chosen, batch, gold))


def test_readings_of_one_profile_are_the_same_every_time() -> None:
    ours, gold = profile_texts(documents(40, 0)), profile_texts(documents(40, 1))
    chosen = choose("all", compared=True)
    assert repr(read(chosen, ours, gold)) == repr(read(chosen, ours, gold))
