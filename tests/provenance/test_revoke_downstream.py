"""Everything downstream of a source: data, models and records, with the way that leads there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_cases import chain, record_rows, records, statement

from tailguard.provenance.lineage.base import Graph, LineageError
from tailguard.provenance.lineage.revoke import revoke, revoked_records
from tailguard.provenance.lineage.statements import graph_of

Rows = list[dict[str, Any]]


def test_revoking_a_generator_reaches_data_and_models_with_the_path() -> None:
    found = revoke(chain(3), "model:m2")
    assert [node.node for node in found.nodes] == ["dataset:d2", "model:m3", "dataset:d3"]
    last = found.nodes[-1]
    assert last.path == ("model:m2", "dataset:d2", "model:m3", "dataset:d3")
    assert last.relations == ("sampled-from", "trained-on", "sampled-from")


def test_nothing_upstream_or_beside_is_revoked() -> None:
    graph = chain(2)
    graph.link(graph.add("model", "other"), "trained-on", "dataset:d0")
    assert {node.node for node in revoke(graph, "generator:m2").nodes} == {"dataset:d2"}


def test_revoking_a_data_set_reaches_the_models_trained_on_a_plan_that_used_it() -> None:
    reading = graph_of(
        [
            statement("model-trained", "m@1", plan="p", data=["bad", "good"]),
            statement("samples-drawn", "out", model="m@1", records=17),
        ]
    )
    found = {node.node: node for node in revoke(reading.graph, "dataset:bad").nodes}
    assert set(found) == {"plan:p", "model:m@1", "dataset:out"}
    assert found["dataset:out"].records == 17


def test_a_generator_without_a_revision_means_all_of_them() -> None:
    graph = Graph()
    for name in ("gpt@1", "gpt@2", "gpt-mini@1"):
        data = graph.add("dataset", f"of {name}")
        graph.link(data, "sampled-from", graph.add("generator", name))
    found = revoke(graph, "generator:gpt")
    assert {node.name for node in found.nodes} == {"of gpt@1", "of gpt@2"}
    assert {node.name for node in revoke(graph, "generator:gpt@2").nodes} == {"of gpt@2"}


def test_the_evidence_of_a_path_is_its_weakest_step() -> None:
    graph = Graph()
    a, b, c = (graph.add("dataset", name) for name in "abc")
    graph.link(b, "derived-from", a, evidence="attested")
    graph.link(c, "derived-from", b, evidence="detected")
    assert [node.evidence for node in revoke(graph, a).nodes] == ["attested", "detected"]


def test_a_cycle_does_not_revoke_for_ever() -> None:
    graph = chain(1)
    graph.link("dataset:d0", "derived-from", "dataset:d1")
    assert len(revoke(graph, "model:m1").nodes) == 2


def test_records_are_followed_by_generator_by_model_and_by_parents() -> None:
    graph = chain(2)
    table = records(
        [
            {"id": "a", "generator": "m1"},
            {"id": "b", "generator": "m2"},  # trained on m1's output
            {"id": "c", "generator": "else", "parents": ["a"]},
            {"id": "d", "parents": ["c"]},
            {"id": "e", "generator": "else"},
            {"id": "f"},
        ]
    )
    found = revoke(graph, "generator:m1", table).records
    assert found is not None
    assert found.mask.tolist() == [True, True, True, True, False, False]
    assert (found.direct, found.derived) == (2, 2)
    assert found.by_generator == {"m1": 1, "m2": 1, "else": 1, "": 1}
    assert ("a", "c", "d") in found.paths


def test_a_generator_that_only_records_name_can_be_revoked() -> None:
    table = records([{"id": "a", "generator": "m@3"}, {"id": "b"}])
    found = revoke(Graph(), "generator:m", table)
    assert found.revoked == ("generator:m@3",) and found.records is not None
    assert found.records.mask.tolist() == [True, False]


@settings(max_examples=60, deadline=None)
@given(record_rows(), st.sampled_from(["known", "half", "stranger"]))
def test_revoked_records_are_those_with_a_revoked_ancestor(rows: Rows, name: str) -> None:
    by_id = {row["id"]: row for row in rows}

    def tainted(row: dict[str, Any]) -> bool:
        parents = [by_id[p] for p in row["parents"] or () if p in by_id]
        return row["generator"] == name or any(map(tainted, parents))

    found = revoked_records(records(rows), {name})
    assert found.mask.tolist() == [tainted(row) for row in rows]


@pytest.mark.parametrize("name", ["generator:nobody", "", "dataset:", "model:m1@9"])
def test_an_unknown_source_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(LineageError, match="something known"):
        revoke(chain(1), name)
