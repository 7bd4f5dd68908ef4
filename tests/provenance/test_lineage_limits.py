"""Limits on origin, and the summary they are tested on: bounds, merging, bounded memory."""

from __future__ import annotations

from typing import Any

import cloudpickle
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_cases import record_rows, records

from tailguard.corpus import open_corpus
from tailguard.errors import InputError
from tailguard.provenance import summary as summary_module
from tailguard.provenance.limits import (
    LimitError,
    Limits,
    check_limits,
    parse_limits,
    unverified_synthetic,
    verified_human,
)
from tailguard.provenance.lineage.records import record_depths
from tailguard.provenance.summary import OTHERS, ProvenanceSummary, counting, summarise


def summary_of(rows: list[dict[str, Any]], **how: Any) -> ProvenanceSummary:
    way = counting(**how)
    out = way.empty()
    table = records(rows)
    way.count(out, table, record_depths(table, way.training))
    return out


def rules(summary: ProvenanceSummary, **limits: Any) -> list[tuple[str, bool]]:
    return [(f.rule, f.proven) for f in check_limits(summary, parse_limits(limits))]


Rows = list[dict[str, Any]]
HUMAN = {"kind": "human", "evidence": "audited"}
SAID = {"kind": "human", "evidence": "declared"}
SYNTHETIC = {"kind": "synthetic", "evidence": "declared", "generation": 1}
UNSAID: dict[str, Any] = {"kind": "unknown"}


def test_min_verified_human_is_tested_at_the_lower_bound() -> None:
    summary = summary_of(5 * [HUMAN] + 5 * [SAID])
    assert (verified_human(summary).lo, verified_human(summary).hi) == (0.5, 1.0)
    assert rules(summary, min_verified_human=0.5) == []
    assert rules(summary, min_verified_human=0.51) == [("min_verified_human", False)]


def test_a_shortfall_that_no_unknown_could_fill_is_proven() -> None:
    sure = {"kind": "synthetic", "evidence": "attested", "generation": 1}
    summary = summary_of(2 * [HUMAN] + 8 * [sure])
    assert rules(summary, min_verified_human=0.5) == [("min_verified_human", True)]


def test_a_human_record_whose_claims_disagree_is_not_verified() -> None:
    summary = summary_of([HUMAN | {"watermark": "kgw"}, HUMAN])
    assert verified_human(summary).lo == 0.5
    assert rules(summary, max_contradictory=0.4) == [("max_contradictory", True)]


def test_unknown_records_may_be_unverified_synthetic_ones() -> None:
    summary = summary_of(6 * [HUMAN] + 2 * [SYNTHETIC] + 2 * [UNSAID])
    share = unverified_synthetic(summary)
    assert (share.lo, share.hi) == (0.2, 0.4)
    assert rules(summary, max_unverified_synthetic=0.4) == []
    assert rules(summary, max_unverified_synthetic=0.3) == [("max_unverified_synthetic", False)]
    assert rules(summary, max_unverified_synthetic=0.1) == [("max_unverified_synthetic", True)]


def test_verified_synthetic_data_is_not_unverified() -> None:
    summary = summary_of([SYNTHETIC | {"evidence": "attested"}, HUMAN])
    assert unverified_synthetic(summary).hi == 0
    assert unverified_synthetic(summary, "watermark").hi == 0


def test_max_generation_fails_for_deeper_records_and_for_what_may_be_deeper() -> None:
    deep = {"kind": "synthetic", "generation": 3}
    assert rules(summary_of([HUMAN, deep]), max_generation=2) == [("max_generation", True)]
    assert rules(summary_of([HUMAN, deep]), max_generation=3) == []
    open_ended = summary_of([HUMAN, {"kind": "synthetic"}])
    assert rules(open_ended, max_generation=2) == [("max_generation", False)]
    assert rules(open_ended, max_generation=2, max_unknown_generation=0.5) == []


def test_a_registered_training_depth_makes_an_open_depth_known() -> None:
    from tailguard.provenance.lineage.base import Depth

    rows = [{"kind": "synthetic", "generator": "m@1"}]
    known = summary_of(rows, training={"m@1": Depth(0, 0)})
    assert rules(known, max_generation=1) == []


def test_tiers_have_limits_and_shares_of_their_own() -> None:
    tiers = [{"name": "web", "publishers": ["web"]}]
    rows = 3 * [SAID | {"source": "web"}] + [HUMAN]
    summary = summary_of(rows, tiers=tiers)
    assert rules(summary, tiers={"web": {"max_frac": 0.5, "min_verified_human": 0.1}}) == [
        ("min_verified_human", False),
        ("max_frac", True),
    ]
    assert rules(summary, tiers={"rest": {"min_frac": 0.2, "min_verified_human": 1.0}}) == []
    with pytest.raises(LimitError, match="a tier"):
        rules(summary, tiers={"press": {"max_frac": 0.5}})


def test_an_empty_corpus_keeps_no_minimum_and_breaks_no_maximum() -> None:
    empty = counting().empty()
    assert rules(empty, min_verified_human=0.1) == [("min_verified_human", False)]
    assert rules(empty, max_unverified_synthetic=0.0, max_generation=0) == []


@settings(max_examples=20, deadline=None)
@given(record_rows(), st.floats(0, 1), st.integers(0, 4))
def test_proving_that_unknown_records_are_human_breaks_no_limit_that_was_kept(
    rows: Rows, share: float, depth: int
) -> None:
    limits = Limits(
        max_unverified_synthetic=share, max_generation=depth, min_verified_human=1 - share
    )
    proven = [HUMAN | {"id": row["id"]} if row["kind"] == "unknown" else row for row in rows]
    before = {found.rule for found in check_limits(summary_of(rows), limits)}
    after = {found.rule for found in check_limits(summary_of(proven), limits)}
    assert after <= before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "keys and values"),
        ({"max_generation": -1}, "max_generation"),
        ({"min_verified_human": 1.5}, "min_verified_human"),
        ({"max_synthetic": 0.5}, "max_synthetic"),
        ({"tiers": {"web": {"colour": 1}}}, "colour"),
        ({"verified": "hearsay"}, "verified"),
    ],
)
def test_limits_that_make_no_sense_are_refused_in_one_line(given: Any, words: str) -> None:
    with pytest.raises(LimitError, match=words) as refused:
        parse_limits(given)
    assert "\n" not in str(refused.value)


@settings(max_examples=20, deadline=None)
@given(record_rows(20), st.integers(1, 30), st.randoms(use_true_random=False))
def test_pieces_merge_to_the_summary_of_the_whole_in_any_order(
    rows: Rows, cells: int, rnd: Any
) -> None:
    rows = [row | {"parents": None, "source": f"s{i % 9}"} for i, row in enumerate(rows)]
    old = summary_module.MAX_CELLS
    summary_module.MAX_CELLS = cells  # so small that texts must be thinned
    try:
        whole = summary_of(rows)
        pieces = [summary_of([row]) for row in rows]
        rnd.shuffle(pieces)
        while len(pieces) > 1:
            i = rnd.randrange(len(pieces) - 1)
            pieces[i : i + 2] = [pieces[i].merge(pieces[i + 1])]
    finally:
        summary_module.MAX_CELLS = old
    assert pieces[0].to_json() == whole.to_json()
    assert whole.records == len(rows)


def test_any_number_of_hostile_generators_is_counted_in_few_cells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(summary_module, "MAX_CELLS", 1_000)
    rows = [{"kind": "synthetic", "generator": f"m{i}" * 200} for i in range(20_000)]
    summary = summary_of(rows)
    assert len(summary.cells) <= 1_000 and summary.records == 20_000
    counts = summary.counts("generator")
    assert counts[OTHERS] > 15_000 and sum(counts.values()) == 20_000
    assert all(len(name) < 250 for name in counts)


def test_files_and_shards_give_the_summary_of_the_whole_table(tmp_path: Any) -> None:
    table = pa.table(
        {
            "text": [f"text {i}" for i in range(400)],
            "kind": ["human" if i % 3 else "synthetic" for i in range(400)],
            "source": [f"s{i % 5}" for i in range(400)],
        }
    )
    for i in range(4):
        pq.write_table(table.slice(i * 100, 100), tmp_path / f"{i}.parquet")
    whole = summarise(open_corpus(table))
    parts = summarise(open_corpus(str(tmp_path)))
    assert parts.to_json() == whole.to_json()
    assert whole.counts("source")["s0"] == 80 and whole.counts("kind")["human"] == 266


def test_the_way_of_counting_can_be_sent_to_other_processes() -> None:
    way = counting(tiers=[{"name": "old", "captured_before": "2022"}], born={"m": "2020"})
    assert cloudpickle.loads(cloudpickle.dumps(way)) == way
    assert cloudpickle.loads(cloudpickle.dumps(way.empty())) == way.empty()


def test_an_axis_that_was_not_counted_is_refused() -> None:
    with pytest.raises(InputError, match="an axis"):
        summary_of([HUMAN]).counts("license")


def test_bytes_and_tokens_are_summed_and_untold_tokens_counted() -> None:
    from tailguard.provenance.lineage.columns import origins

    batch = pa.record_batch(
        {"text": ["ab", "é"], "kind": ["human", "human"], "tokens": pa.array([2, None])}
    )
    table = origins(batch)
    way = counting()
    out = way.empty()
    way.count(out, table, record_depths(table))
    (count,) = out.cells.values()
    assert (count.records, count.bytes, count.tokens, count.untold) == (2, 4, 2, 1)
