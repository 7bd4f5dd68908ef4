"""Depth of single records: the columnar way agrees with the graph, one record at a time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from lineage_cases import TRAINING, graph_of_records, record_rows, records

from tailguard.provenance.lineage.base import Depth
from tailguard.provenance.lineage.columns import origins
from tailguard.provenance.lineage.depth import graph_depths
from tailguard.provenance.lineage.records import descendants, record_depths

Rows = list[dict[str, Any]]


@settings(max_examples=80, deadline=None)
@given(record_rows())
def test_columnar_depths_are_those_of_the_graph_of_all_records(rows: Rows) -> None:
    slow = graph_depths(graph_of_records(rows)).nodes
    fast = record_depths(records(rows), TRAINING)
    for i, row in enumerate(rows):
        expected = slow[f"dataset:{row['id']}"]
        hi = None if fast.hi[i] < 0 else int(fast.hi[i])
        assert (Depth(int(fast.lo[i]), hi), bool(fast.disputed[i])) == (
            expected.depth,
            expected.disputed,
        ), row


@settings(max_examples=20, deadline=None)
@given(record_rows())
def test_depth_does_not_depend_on_the_order_of_records(rows: Rows) -> None:
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    straight = record_depths(records(rows), TRAINING)
    shuffled = record_depths(records([rows[i] for i in order]), TRAINING)
    assert straight.lo[order].tolist() == shuffled.lo.tolist()
    assert straight.hi[order].tolist() == shuffled.hi.tolist()


def test_a_record_that_says_nothing_is_unknown_and_never_zero() -> None:
    found = record_depths(records([{"id": "a"}, {"id": "b", "parents": ["a"]}]))
    assert found.lo.tolist() == [0, 0] and found.hi.tolist() == [-1, -1]


def test_without_a_named_generator_a_synthetic_record_may_be_a_copy_of_its_parent() -> None:
    rows: Rows = [
        {"id": "a", "kind": "synthetic", "generation": 3},
        {"id": "b", "kind": "synthetic", "parents": ["a"]},
        {"id": "c", "kind": "synthetic", "generator": "known", "parents": ["a"]},
    ]
    found = record_depths(records(rows), TRAINING)
    assert (found.lo[1], found.hi[1]) == (3, -1) and (found.lo[2], found.hi[2]) == (4, 4)


def test_parents_with_a_shared_id_are_unknown_not_guessed() -> None:
    rows: Rows = [
        {"id": "a", "kind": "human"},
        {"id": "a", "kind": "synthetic", "generation": 5},
        {"id": "b", "kind": "synthetic", "generator": "known", "parents": ["a"]},
    ]
    found = record_depths(records(rows), TRAINING)
    assert (found.lo[2], found.hi[2], found.orphans) == (2, -1, 1)


def test_records_in_a_cycle_are_named_and_unbounded() -> None:
    rows: Rows = [
        {"id": "a", "kind": "synthetic", "parents": ["c"]},
        {"id": "b", "kind": "synthetic", "parents": ["a"]},
        {"id": "c", "kind": "synthetic", "parents": ["b"]},
        {"id": "d", "kind": "synthetic", "parents": ["c"]},
        {"id": "e", "kind": "unknown", "parents": ["e"]},
        {"id": "f", "kind": "human"},
    ]
    found = record_depths(records(rows))
    assert found.cycles == (("a", "b", "c"), ("e",))
    assert (found.hi[:5] == -1).all() and (found.lo[:4] >= 1).all()
    assert (found.lo[5], found.hi[5]) == (0, 0)


def test_an_absurd_generation_is_at_least_a_bound_and_overflows_nothing() -> None:
    rows: Rows = [
        {"id": "a", "kind": "synthetic", "generation": 2**62},
        {"id": "b", "kind": "synthetic", "generator": "m", "parents": ["a"]},
    ]
    found = record_depths(records(rows))
    assert found.lo[0] >= 1_000_000 and found.hi[0] == -1
    assert found.lo[1] == found.lo[0] + 1


def test_null_parents_and_null_ids_among_them_are_harmless() -> None:
    batch = pa.record_batch(
        {
            "id": pa.array(["a", "b"]),
            "kind": pa.array(["human", "human"]),
            "parents": pa.array([None, [None, "a"]], pa.list_(pa.string())),
        }
    )
    found = record_depths(origins(batch))
    assert found.lo.tolist() == [0, 0] and found.hi.tolist() == [0, 0]


def test_descendants_are_followed_through_every_step_with_the_way() -> None:
    rows: Rows = [
        {"id": "a"},
        {"id": "b", "parents": ["a"]},
        {"id": "c", "parents": ["b"]},
        {"id": "d", "parents": ["x"]},
    ]
    reached, via = descendants(records(rows), np.array([True, False, False, False]))
    assert reached.tolist() == [True, True, True, False]
    assert via.tolist() == [-1, 0, 1, -1]


def test_taint_of_any_record_of_an_id_reaches_its_children() -> None:
    rows: Rows = [{"id": "a"}, {"id": "a"}, {"id": "b", "parents": ["a"]}]
    reached, via = descendants(records(rows), np.array([False, True, False]))
    assert reached.tolist() == [False, True, True] and via[2] == 1


def test_two_hundred_thousand_records_in_a_chain_take_seconds() -> None:
    n = 200_000
    ids = pa.array([f"record-{i}" for i in range(n)])
    parents = pa.array([None] + [[f"record-{i}"] for i in range(n - 1)], pa.list_(pa.string()))
    batch = origins(pa.record_batch({"id": ids, "parents": parents}))
    record_depths(batch.slice(0, 10))  # compiled before the clock starts
    start = time.perf_counter()
    found = record_depths(batch)
    assert time.perf_counter() - start < 6
    assert len(found.lo) == n and not found.cycles
