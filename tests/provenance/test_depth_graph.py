"""Depth of data sets and models: theory, intervals, cycles, evidence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_cases import chain, statement

from tailguard.provenance.lineage.base import (
    UNKNOWN,
    Claim,
    Depth,
    Graph,
    LineageError,
    deepest,
    weakest,
)
from tailguard.provenance.lineage.depth import graph_depths
from tailguard.provenance.lineage.statements import graph_of

DEPTHS = st.builds(
    lambda lo, more: Depth(lo, None if more is None else lo + more),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(0, 3)),
)


@pytest.mark.parametrize("generations", [0, 1, 5, 400])
def test_output_of_a_model_trained_on_depth_g_minus_one_has_depth_g(generations: int) -> None:
    found = graph_depths(chain(generations)).nodes
    for g in range(generations + 1):
        assert found[f"dataset:d{g}"].depth == Depth(g, g)
        if g:
            assert found[f"model:m{g}"].depth == Depth(g - 1, g - 1)


def test_a_chain_without_a_known_beginning_is_at_least_its_length() -> None:
    found = graph_depths(chain(3, human=False)).nodes
    assert found["dataset:d0"].depth == UNKNOWN
    assert [found[f"dataset:d{g}"].depth for g in (1, 2, 3)] == [Depth(g, None) for g in (1, 2, 3)]
    assert str(found["dataset:d3"].depth) == "at least 3"


def test_one_unknown_parent_makes_everything_downstream_unbounded() -> None:
    graph = chain(2)
    mixed = graph.add("dataset", "mixed")
    for parent in ("d2", "crawl"):
        graph.link(mixed, "derived-from", graph.add("dataset", parent))
    assert graph_depths(graph).nodes[mixed].depth == Depth(2, None)


def test_copying_and_mixing_add_no_generation() -> None:
    graph = chain(1)
    copy = graph.add("dataset", "copy")
    for parent in ("d0", "d1"):
        graph.link(copy, "derived-from", graph.add("dataset", parent))
    plan = graph.add("plan", "p")
    graph.link(plan, "derived-from", copy)
    found = graph_depths(graph).nodes
    assert found[copy].depth == found[plan].depth == Depth(1, 1)


def test_prompts_deeper_than_the_models_training_count_too() -> None:
    graph = chain(3)
    out = graph.add("dataset", "out")
    graph.link(out, "sampled-from", graph.add("model", "m1"))  # trained on depth 0
    graph.link(out, "derived-from", graph.add("dataset", "d3"))
    assert graph_depths(graph).nodes[out].depth == Depth(4, 4)


def test_synthetic_data_without_a_known_generator_is_at_least_one() -> None:
    graph = Graph()
    node = graph.add("dataset", "a", claims=[Claim("kind", "synthetic")])
    parent = graph.add("dataset", "h", claims=[Claim("kind", "human")])
    graph.link(node, "derived-from", parent)
    assert graph_depths(graph).nodes[node].depth == Depth(1, None)


def test_a_stated_generation_narrows_what_is_only_at_least() -> None:
    graph = chain(1, human=False)
    graph.add("dataset", "d1", claims=[Claim("generation", 3, "audited")])
    found = graph_depths(graph).nodes["dataset:d1"]
    assert (found.depth, found.evidence, found.disputed) == (Depth(3, 3), "audited", False)


def test_a_statement_against_the_lineage_spans_both_and_is_disputed() -> None:
    graph = chain(2)
    graph.add("dataset", "d2", claims=[Claim("kind", "human", "declared")])
    found = graph_depths(graph).nodes["dataset:d2"]
    assert (found.depth, found.disputed) == (Depth(0, 2), True)


def test_of_kind_and_generation_the_better_evidence_decides() -> None:
    for grade, expected in (("attested", Depth(0, 0)), ("detected", Depth(2, 2))):
        graph = Graph()
        node = graph.add(
            "dataset",
            "a",
            claims=[Claim("kind", "human", grade), Claim("generation", 2)],  # type: ignore[arg-type]
        )
        found = graph_depths(graph).nodes[node]
        assert found.depth == expected and not found.disputed
    graph = Graph()
    node = graph.add("dataset", "a", claims=[Claim("kind", "human"), Claim("generation", 2)])
    assert graph_depths(graph).nodes[node].depth == Depth(0, 2)
    assert graph_depths(graph).nodes[node].disputed


def test_evidence_of_a_depth_is_the_weakest_of_all_that_it_rests_on() -> None:
    graph = Graph()
    good = graph.add("dataset", "good", claims=[Claim("kind", "human", "attested")])
    weak = graph.add("dataset", "weak", claims=[Claim("kind", "human", "detected")])
    model = graph.add("model", "m")
    graph.link(model, "trained-on", good, evidence="attested")
    assert graph_depths(graph).nodes[model].evidence == "attested"
    graph.link(model, "trained-on", weak, evidence="attested")
    assert graph_depths(graph).nodes[model].evidence == "detected"


def test_a_depth_comes_with_the_path_to_where_it_is_from() -> None:
    found = graph_depths(chain(2)).nodes["dataset:d2"]
    assert found.path == ("dataset:d2", "model:m2", "dataset:d1", "model:m1", "dataset:d0")


def test_a_cycle_is_named_and_has_no_upper_bound() -> None:
    graph = chain(1)
    graph.link("dataset:d0", "derived-from", "dataset:d1")
    below = graph.add("dataset", "below")
    graph.link(below, "derived-from", "dataset:d1")
    found = graph_depths(graph)
    assert found.cycles == (("dataset:d0", "dataset:d1", "model:m1"),)
    assert found.nodes["model:m1"].depth == Depth(1, None)
    assert found.nodes[below].depth == Depth(1, None)
    # It says human, and is made of its own model's output.
    assert found.nodes["dataset:d0"].disputed


def test_what_enters_a_cycle_from_outside_bounds_it_from_below() -> None:
    graph = chain(4)
    a, b = graph.add("dataset", "a"), graph.add("dataset", "b")
    graph.link(a, "derived-from", b)
    graph.link(b, "derived-from", a)
    graph.link(b, "derived-from", "dataset:d4")
    found = graph_depths(graph).nodes
    assert found[a].depth == found[b].depth == Depth(4, None)


def test_a_node_that_is_its_own_parent_is_a_cycle() -> None:
    graph = Graph()
    node = graph.add("dataset", "a")
    graph.link(node, "derived-from", node)
    assert graph_depths(graph).cycles == (("dataset:a",),)


def test_a_chain_of_thousands_needs_no_recursion() -> None:
    assert graph_depths(chain(1_500)).nodes["dataset:d1500"].depth == Depth(1_500, 1_500)


@given(DEPTHS, DEPTHS, DEPTHS)
def test_deepest_and_within_are_commutative_and_never_lose_a_possible_depth(
    a: Depth, b: Depth, c: Depth
) -> None:
    assert deepest([a, b, c]) == deepest([c, deepest([b, a])])
    assert a.within(b) == b.within(a)
    both = a.within(b)
    for depth in range(10):
        inside = [d.lo <= depth and (d.hi is None or depth <= d.hi) for d in (a, b)]
        if all(inside):
            assert both.lo <= depth and (both.hi is None or depth <= both.hi)


@given(DEPTHS, DEPTHS)
def test_a_narrower_parent_never_widens_the_child(a: Depth, b: Depth) -> None:
    merged, alone = deepest([a.within(b), Depth(1, 1)]), deepest([a, Depth(1, 1)])
    if a.meets(b):
        assert merged.lo >= alone.lo
        assert alone.hi is None or (merged.hi is not None and merged.hi <= alone.hi)


def test_weakest_of_nothing_is_no_excuse_for_none() -> None:
    assert weakest([]) == "attested"
    assert weakest(["none", "attested"]) == "none"


def test_statements_of_a_ledger_become_the_graph_they_tell_of() -> None:
    reading = graph_of(
        [
            statement("gold-release", "gold", root="0" * 64, records=10),
            statement("model-trained", "m@1", plan="p1", data=["gold"], base=["base@0"]),
            statement("samples-drawn", "out", model="m@1", prompts=["gold"], records=5),
            statement("review-decision", "gold", decision="human", reviewer="x"),
            statement("verdict", "out", status="pass"),
            ("ledger entry 9", {"predicate": None}),
        ]
    )
    edges = {(e.child, e.relation, e.parent) for e in reading.graph.edges()}
    assert edges == {
        ("model:m@1", "trained-on", "plan:p1"),
        ("plan:p1", "derived-from", "dataset:gold"),
        ("model:m@1", "derived-from", "model:base@0"),
        ("dataset:out", "sampled-from", "model:m@1"),
        ("dataset:out", "derived-from", "dataset:gold"),
    }
    assert reading.read == 4
    assert [p.split(":")[0] for p in reading.problems] == ["statement 4", "ledger entry 9"]
    # The base model's training is unknown, and so is all that stands on it.
    assert graph_depths(reading.graph).nodes["dataset:out"].depth == Depth(1, None)


def test_a_generator_named_by_records_is_the_model_that_a_statement_describes() -> None:
    graph = Graph()
    graph.add("generator", "m@1")
    model = graph.add("model", "m@1")
    assert list(graph.nodes) == [model] and graph.nodes[model].kind == "model"


def test_one_name_with_two_digests_is_two_versions_and_alone_means_any() -> None:
    graph = Graph()
    first = graph.add("dataset", "web", digests=["sha256:aa"], claims=[Claim("kind", "human")])
    assert graph.add("dataset", "web") == first
    second = graph.add("dataset", "web", digests=["sha256:bb"])
    assert second != first
    assert graph.add("dataset", "web", digests=["sha256:aa"]) == first
    anything = graph.add("dataset", "web")
    assert anything not in (first, second)
    assert set(graph.named("dataset", "web")) == {first, second, anything}


def test_one_digest_under_two_names_is_one_node() -> None:
    graph = Graph()
    first = graph.add("dataset", "web", digests=["sha256:aa"])
    assert graph.add("dataset", "crawl", digests=["sha256:aa", "sha512:cc"]) == first
    assert graph.add("dataset", "other", digests=["sha512:cc"]) == first


def test_a_model_trained_on_an_ambiguous_name_is_as_deep_as_its_deepest_version() -> None:
    deep = {"kind": "synthetic", "generation": 3}
    reading = graph_of(
        [
            statement("data-registered", "web", "aaaa", origin={"kind": "human"}),
            statement("data-registered", "web", "bbbb", origin=deep),
            statement("model-trained", "m", plan="p", data=["web"]),
        ]
    )
    assert graph_depths(reading.graph).nodes["model:m"].depth == Depth(3, 3)


@pytest.mark.parametrize("bad", ["robot", "", 3])
def test_an_unknown_kind_of_node_is_refused_in_one_line(bad: object) -> None:
    with pytest.raises(LineageError, match="kind of node"):
        Graph().add(bad, "x")  # type: ignore[arg-type]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
@settings(max_examples=40, deadline=None)
def test_no_statement_can_break_the_reading(junk: object) -> None:
    for kind in ("data-registered", "model-trained", "samples-drawn", "review-decision"):
        item = statement(kind, "a", origin=junk, plan=junk, data=junk, model=junk, parents=junk,
                         records=junk, created=junk, evidence=junk, decision=junk)  # fmt: skip
        graph_depths(graph_of([item, junk]).graph)  # type: ignore[list-item]
