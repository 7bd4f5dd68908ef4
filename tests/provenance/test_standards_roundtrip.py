"""The two laws of every standard: unknown fields survive, known facts arrive."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standards_cases import FOREIGN, JSON, edges, facts, plain, story

from tailguard.provenance.lineage.base import Depth
from tailguard.provenance.lineage.depth import graph_depths
from tailguard.provenance.standards import (
    croissant,
    cyclonedx,
    dpi,
    dta,
    eu_summary,
    hf_card,
    in_toto,
    openlineage,
    prov_json,
)
from tailguard.provenance.standards.base import Facts, facts_of
from tailguard.provenance.standards.exchange import STANDARDS, export, recognise

BLANKS: dict[ModuleType, Any] = {
    croissant: croissant.blank(),
    dta: dta.blank(),
    dpi: dpi.blank(),
    hf_card: "# A card\n\nText --- with dashes.\n",
}
OF_ONE = pytest.mark.parametrize("standard", BLANKS, ids=lambda module: module.NAME)
OF_MANY = pytest.mark.parametrize(
    "standard", [prov_json, openlineage, cyclonedx, in_toto], ids=lambda module: module.NAME
)


@OF_ONE
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_facts_that_are_written_are_read_again(standard: Any, data: st.DataObject) -> None:
    wanted: Facts = data.draw(facts())
    found = standard.facts(standard.patch(BLANKS[standard], wanted))
    assert {key: found.get(key) for key in wanted} == wanted


@OF_ONE
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_patching_a_document_with_its_own_facts_changes_nothing(
    standard: Any, data: st.DataObject
) -> None:
    document = standard.patch(BLANKS[standard], data.draw(facts()))
    if isinstance(document, dict):
        document |= data.draw(st.dictionaries(st.text(min_size=3, max_size=9), JSON, max_size=3))
    said = standard.facts(document)
    assert standard.patch(document, said) == document
    assert json.dumps(standard.patch(document, said)) == json.dumps(document)  # the order, too


@OF_ONE
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_what_a_document_says_besides_survives_new_facts(
    standard: Any, data: st.DataObject
) -> None:
    first, second = data.draw(facts()), data.draw(facts())
    document = standard.patch(BLANKS[standard], first)
    if isinstance(document, str):
        document = document.replace("---\n", "---\n# a comment\nx-other: {a: [1, no]}\n", 1)
        patched = standard.patch(document, second)
        assert "# a comment\nx-other: {a: [1, no]}\n" in patched
        assert patched.endswith("# A card\n\nText --- with dashes.\n")
    else:
        document["x-other"] = {"a": [1, None, "é"]}
        assert standard.patch(document, second)["x-other"] == {"a": [1, None, "é"]}


@OF_ONE
def test_a_document_of_one_goes_through_the_graph_unchanged(standard: Any) -> None:
    graph = story()
    about = graph.find("dataset:batch")[0]
    first = standard.write(graph, about)
    read = standard.read(first)
    second = standard.write(read.graph, read.about[0], read.document)
    assert second == first
    assert facts_of(read.graph, read.about[0]) == facts_of(graph, about)


@OF_MANY
def test_the_whole_story_survives_with_its_edges_facts_and_depth(standard: Any) -> None:
    graph = story()
    read = standard.read(standard.write(graph))
    assert edges(read.graph) == edges(graph)
    for node in graph.nodes.values():
        if node.kind == "plan":
            continue
        (other,) = read.graph.named(node.kind, node.name)
        before, after = facts_of(graph, node.id), facts_of(read.graph, other)
        if standard is in_toto:  # a model's statement has no room for facts; names get a digest
            before.pop("digests", None), after.pop("digests", None)
        assert after == before
    depths = graph_depths(read.graph).nodes
    assert depths[read.graph.find('dataset:samples: é "quoted"')[0]].depth == Depth(1, 1)


@OF_MANY
def test_writing_what_was_read_adds_nothing(standard: Any) -> None:
    first = standard.write(story())
    read = standard.read(first)
    assert standard.write(read.graph, "", read.document) == first


@OF_MANY
def test_a_document_keeps_all_it_has_when_more_is_written_to_it(standard: Any) -> None:
    read = standard.read(FOREIGN[standard.NAME])
    assert plain(standard.write(read.graph, "", read.document)) == read.document
    more = story()
    written = standard.write(more, "", read.document)
    assert contains(plain(written), read.document)
    assert edges(more) <= edges(standard.read(written).graph)


def contains(whole: Any, part: Any) -> bool:
    """Whether everything in ``part`` is still somewhere in its place in ``whole``."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            k in whole and contains(whole[k], v) for k, v in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains(w, p) for w in whole) for p in part)
    return bool(whole == part)


def test_foreign_documents_are_understood_as_their_standards_mean_them() -> None:
    found = {name: STANDARDS[name].read(data).graph for name, data in FOREIGN.items()}
    assert ("clean", "derived-from", "raw web") in edges(found["prov"])
    assert edges(found["openlineage"]) == {("s3://b/clean", "derived-from", "s3://b/raw")}
    assert edges(found["cyclonedx"]) == {
        ("net@2", "trained-on", "corpus"),
        ("net@2", "trained-on", "inline set"),
    }
    assert edges(found["in-toto"]) == {("built", "derived-from", "source")}


def test_outputs_of_failed_runs_are_left_out_and_told() -> None:
    read = openlineage.read(FOREIGN["openlineage"])
    assert not read.graph.named("dataset", "n/bad") and any("failed" in n for n in read.notes)


def test_entities_that_share_a_label_stay_two() -> None:
    document = {"entity": {"e:1": {"prov:label": "data"}, "e:2": {"prov:label": "data"}}}
    assert len(prov_json.graph_in(document).graph.nodes) == 2


def test_summaries_say_no_only_where_every_ancestor_is_known_to_be_human() -> None:
    graph = story()
    trained = graph.add("model", "clean@1")
    graph.link(trained, "trained-on", graph.find("dataset:gold 2021")[0])
    assert eu_summary.section_of(graph, trained)["used"] == "no"
    graph.link(trained, "trained-on", graph.add("dataset", "crawl"))
    assert eu_summary.section_of(graph, trained)["used"] == "unknown"
    graph.link(trained, "trained-on", graph.find("dataset:batch")[0])
    section = eu_summary.section_of(graph, trained, on_market=("other@3",))
    assert section["used"] == "yes" and section["models"] == ["other@3"]
    assert section["other_models"] == ["m@1"] and "generation 0" in section["other_models_training"]


@pytest.mark.parametrize("markdown", [False, True])
def test_a_summary_survives_in_both_forms_with_the_providers_own_lines(markdown: bool) -> None:
    graph = story()
    model = graph.add("model", "m@2")
    graph.link(model, "trained-on", graph.find("dataset:batch")[0])
    first = eu_summary.write(graph, model, markdown=markdown)
    if markdown:
        first = b"# Public summary\n\n**Provider:** Example\n\n" + first
    else:
        first = json.dumps(json.loads(first) | {"provider": {"name": "Example"}}).encode()
    read = eu_summary.read(first)
    again = eu_summary.write(read.graph, read.about[0], read.document)
    assert again == first if markdown else json.loads(again) == json.loads(first)
    assert b"Example" in again
    makers = {name for _, relation, name in edges(read.graph) if relation == "sampled-from"}
    assert makers == {"m@1", "other@3"}


@pytest.mark.parametrize("name", STANDARDS)
def test_every_standard_is_recognised_by_what_it_wrote(name: str) -> None:
    graph = story()
    about = graph.find("model:m@1" if name == "eu-summary" else "dataset:batch")[0]
    assert recognise(export(graph, name, about), "file") == name
