"""Corpora, graphs and statements that the tests of lineage share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from tailguard.provenance.lineage.base import Claim, Depth, Graph
from tailguard.provenance.lineage.columns import origins

PREFIX = "urn:tailguard:ledger/"
KINDS = ("human", "synthetic", "mixed", "unknown")


def statement(kind: str, name: str, digest: str = "", **predicate: Any) -> dict[str, Any]:
    """An in-toto statement about one name."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": name,
                "digest": {"sha256": digest or sha256(name.encode("utf-8", "replace")).hexdigest()},
            }
        ],
        "predicateType": f"{PREFIX}{kind}/v1",
        "predicate": predicate,
    }


def records(rows: Iterable[Mapping[str, Any]]) -> pa.RecordBatch:
    """Origin columns of records; what a row does not say is null."""
    held = list(rows)
    names = list(dict.fromkeys(name for row in held for name in row))
    columns = {name: [row.get(name) for row in held] for name in names}
    columns.setdefault("id", [f"r{i}" for i in range(len(held))])
    typed = {
        name: pa.array(values, pa.list_(pa.string())) if name == "parents" else pa.array(values)
        for name, values in columns.items()
    }
    return origins(pa.record_batch(typed))


def chain(generations: int, *, human: bool = True) -> Graph:
    """Human data, a model on it, its output, a model on that, ...: data sets d0, d1, ..."""
    graph = Graph()
    claims = [Claim("kind", "human", "audited")] if human else []
    data = graph.add("dataset", "d0", claims=claims)
    for g in range(1, generations + 1):
        model = graph.add("model", f"m{g}")
        graph.link(model, "trained-on", data)
        data = graph.add("dataset", f"d{g}")
        graph.link(data, "sampled-from", model)
    return graph


@st.composite
def record_rows(draw: st.DrawFn, most: int = 12) -> list[dict[str, Any]]:
    """Records with every kind of claim, and parents among earlier ones, unknown ones or none."""
    rows: list[dict[str, Any]] = []
    for i in range(draw(st.integers(1, most))):
        earlier = [f"r{j}" for j in range(i)]
        parents = draw(st.lists(st.sampled_from([*earlier, "lost"]), max_size=3, unique=True))
        rows.append(
            {
                "id": f"r{i}",
                "kind": draw(st.sampled_from(KINDS)),
                "generation": draw(st.one_of(st.none(), st.integers(0, 4))),
                "generator": draw(st.sampled_from([None, None, "known", "half", "stranger"])),
                "parents": parents or None,
                "evidence": "declared",
            }
        )
    return rows


TRAINING = {"known": Depth(1, 1), "half": Depth(2, None)}


def graph_of_records(rows: Iterable[Mapping[str, Any]]) -> Graph:
    """The same records as a graph, one node each: the slow way to their depth."""
    graph = Graph()
    for name, depth in TRAINING.items():
        graph.add("generator", name, claims=[Claim("depth", depth)])
    graph.add("dataset", "lost")
    for row in rows:
        claims = [Claim("kind", row["kind"])]
        if row["generation"] is not None:
            claims.append(Claim("generation", row["generation"]))
        node = graph.add("dataset", row["id"], claims=claims)
        if row["generator"]:
            graph.link(node, "sampled-from", graph.add("generator", row["generator"]))
        for parent in row["parents"] or ():
            graph.link(node, "derived-from", graph.add("dataset", parent))
    return graph
