"""Claims that disagree: each rule sees its case, says both claims, and lets the better win."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from lineage_cases import chain, record_rows, records, statement

from tailguard.corpus.origin import IPTC
from tailguard.provenance.lineage.base import Claim, Graph
from tailguard.provenance.lineage.contradictions import (
    RULES,
    RecordContradictions,
    in_graph,
    in_records,
)
from tailguard.provenance.lineage.depth import graph_depths
from tailguard.provenance.lineage.licences import conflict, terms_of
from tailguard.provenance.lineage.records import record_depths
from tailguard.provenance.lineage.statements import graph_of


def found_in(
    rows: list[dict[str, Any]], born: dict[str, str] | None = None
) -> RecordContradictions:
    table = records(rows)
    return in_records(table, record_depths(table), born)


CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "human_but_watermark": (
        [{"kind": "human", "watermark": "kgw", "evidence": "declared"}],
        "second",
    ),
    "kind_against_source_type": (
        [
            {
                "kind": "human",
                "digital_source_type": IPTC + "trainedAlgorithmicMedia",
                "evidence": "audited",
            }
        ],
        "first",
    ),
    "generator_of_human": ([{"kind": "human", "generator": "m", "generation": 0}], "neither"),
    "kind_against_generation": ([{"kind": "human", "generation": 2}], "neither"),
    "older_than_generator": (
        [{"kind": "synthetic", "generator": "m@1", "captured": "2021", "evidence": "attested"}],
        "first",
    ),
    "captured_before_created": ([{"created": "2023-05", "captured": "2023-04-30"}], "neither"),
    "generation_against_lineage": (
        [
            {"id": "p", "kind": "synthetic", "generation": 3},
            {"id": "c", "kind": "synthetic", "generation": 1, "parents": ["p"], "evidence": "none"},
        ],
        "second",
    ),
    "child_before_parent": (
        [
            {"id": "p", "created": "2024-02-01", "evidence": "attested"},
            {"id": "c", "created": "2024-01", "parents": ["p"], "evidence": "declared"},
        ],
        "second",
    ),
    "human_of_synthetic": (
        [
            {"id": "p", "kind": "synthetic", "evidence": "detected"},
            {"id": "c", "kind": "human", "parents": ["p"], "evidence": "audited"},
        ],
        "first",
    ),
    "license_conflict": (
        [
            {"id": "p", "license": "CC-BY-NC-4.0"},
            {"id": "c", "license": "MIT", "parents": ["p"]},
        ],
        "neither",
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_every_rule_of_records_sees_its_case_and_names_the_winner(rule: str) -> None:
    rows, winner = CASES[rule]
    found = found_in(rows, {"m@1": "2022-06-01"})
    assert found.counts[rule] == 1
    example = next(e for e in found.examples if e.rule == rule)
    assert example.winner == winner
    assert example.first.what and example.second.what and rule in RULES


def test_every_rule_has_a_case_or_is_one_of_the_graph() -> None:
    assert set(RULES) - set(CASES) == {"claims_disagree", "cycle"}


def test_sound_records_contradict_nothing() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "h", "kind": "human", "generation": 0, "created": "2019", "captured": "2020",
         "license": "cc-by-4.0", "digital_source_type": IPTC + "digitalCreation"},
        {"id": "s", "kind": "synthetic", "generator": "m@1", "generation": 1, "parents": ["h"],
         "created": "2023", "license": "cc-by-4.0",
         "digital_source_type": IPTC + "trainedAlgorithmicMedia", "watermark": "kgw"},
        {"id": "u"},
    ]  # fmt: skip
    found = found_in(rows, {"m@1": "2022"})
    assert found.counts == {} and not found.records.any()


def test_dates_that_may_agree_are_no_contradiction() -> None:
    rows: list[dict[str, Any]] = [
        {"created": "2023", "captured": "2023-01-05"},
        {"generator": "m@1", "captured": "2022"},
        {"generator": "m@1", "captured": None},
    ]
    assert found_in(rows, {"m@1": "2022-06-01"}).counts == {}


def test_evidence_of_a_watermark_is_not_credited_to_the_word_it_refutes() -> None:
    (example,) = found_in([{"kind": "human", "evidence": "watermark"}]).examples
    assert (example.first.evidence, example.second.evidence) == ("declared", "watermark")
    assert example.winner == "second"


def test_all_records_are_counted_and_only_some_are_shown() -> None:
    rows = [{"kind": "human", "watermark": "x"} for _ in range(500)]
    table = records(rows)
    found = in_records(table, record_depths(table), examples=7)
    assert found.counts == {"human_but_watermark": 500} and len(found.examples) == 7
    assert found.records.all()


def test_one_record_that_breaks_a_rule_twice_counts_once() -> None:
    rows = [{"generator": "m@1", "captured": "2020", "created": "2019"}]
    assert found_in(rows, {"m@1": "2022"}).counts == {"older_than_generator": 1}


@settings(max_examples=60, deadline=None)
@given(record_rows())
def test_disputed_depths_are_never_without_a_contradiction(rows: list[dict[str, Any]]) -> None:
    table = records(rows)
    depths = record_depths(table)
    found = in_records(table, depths)
    assert (found.records | ~depths.disputed).all()


def test_a_card_that_says_human_over_a_synthetic_parent_is_found_with_the_path() -> None:
    graph = chain(1)
    card = graph.add("dataset", "clean", claims=[Claim("kind", "human", "declared", "card")])
    graph.link(card, "derived-from", "dataset:d1")
    (found,) = in_graph(graph, graph_depths(graph))
    assert (found.rule, found.subject) == ("human_of_synthetic", card)
    assert found.first.by == "card" and "dataset:d1" in found.detail


def test_statements_of_one_data_set_that_disagree_are_found_and_graded() -> None:
    reading = graph_of(
        [
            statement(
                "data-registered", "web", "aa", origin={"kind": "human", "evidence": "declared"}
            ),
            statement("review-decision", "web", "aa", decision="mixed", reviewer="r"),
        ]
    )
    found = in_graph(reading.graph, graph_depths(reading.graph))
    (example,) = [one for one in found if one.rule == "claims_disagree"]
    assert (example.first.value, example.first.evidence) == ("mixed", "audited")
    assert (example.second.value, example.winner) == ("human", "first")


def test_samples_older_than_their_model_are_found_in_the_graph() -> None:
    reading = graph_of(
        [
            statement("model-trained", "m", plan="p", created="2024-05-01"),
            statement("samples-drawn", "out", model="m", created="2024-04"),
            statement("data-registered", "out", origin={"kind": "synthetic", "captured": "2023"}),
        ]
    )
    rules = {one.rule for one in in_graph(reading.graph, graph_depths(reading.graph))}
    assert {"child_before_parent", "older_than_generator"} <= rules


def test_cycles_and_licences_are_found_in_the_graph() -> None:
    graph = Graph()
    a = graph.add("dataset", "a", claims=[Claim("license", "cc-by-nd-4.0")])
    b = graph.add("dataset", "b", claims=[Claim("license", "mit")])
    graph.link(b, "derived-from", a)
    graph.link(a, "derived-from", b)
    rules = sorted(one.rule for one in in_graph(graph, graph_depths(graph)))
    assert rules == ["cycle", "license_conflict"]


@pytest.mark.parametrize(
    ("child", "parent", "wrong"),
    [
        ("MIT", "CC-BY-NC-SA-4.0", True),
        ("CC-BY-NC-4.0", "https://creativecommons.org/licenses/by-nc/4.0/", False),
        ("cc-by-4.0", "cc-by-sa-4.0", True),
        ("gpl-3.0", "cc-by-sa-4.0", False),
        ("cc-by-sa-4.0", "gpl-3.0", True),
        ("cc0-1.0", "cc-by-4.0", False),
        ("cc-by-nd-4.0", "cc-by-nd-4.0", True),
        ("house rules", "cc-by-nc-4.0", False),
        ("mit", "house rules", False),
        (None, "cc-by-nd-4.0", False),
        ("mit", "All rights reserved", True),
    ],
)
def test_licences_conflict_where_their_names_say_so(
    child: str | None, parent: str, wrong: bool
) -> None:
    assert (conflict(child, parent) is not None) == wrong


def test_a_licence_of_unknown_name_has_no_terms() -> None:
    assert terms_of("creative") is None and terms_of("") is None
    assert terms_of("Creative Commons Attribution 4.0") is not None
