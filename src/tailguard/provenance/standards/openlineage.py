"""OpenLineage run events: a run's outputs come from its inputs; models are data sets of type MODEL.

Events of one run are read together, as some tools tell inputs at its start and outputs at its end.
Outputs of runs that failed or were aborted are not believed. Facts stand in a facet of our own.
Source: OpenLineage specification 2-0-2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from tailguard.provenance.lineage.base import NODE_KINDS, Edge, Graph, NodeKind
from tailguard.provenance.lineage.dates import iso_now, span_of
from tailguard.provenance.standards.base import (
    TERMS,
    Facts,
    Found,
    Imported,
    StandardError,
    add_facts,
    bounded,
    changed,
    clean_facts,
    dump_json,
    load_json,
    missing_edges,
    own_facts,
    relation_between,
)

NAME = "openlineage"
NAMESPACE = "tailguard"
FACET = "tailguard_origin"
PRODUCER = "urn:tailguard:openlineage"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"

_FAILED = ("FAIL", "ABORT")


def read(data: bytes, *, who: str = NAME) -> Imported:
    """Events: one JSON object, a list of them, or one a line. Raises :class:`StandardError`."""
    events = _events(data, who)
    found = graph_in(events, who)
    about = tuple(found.graph.nodes)
    digest = sha256(data).hexdigest()
    return Imported(NAME, found.graph, about, events, digest, tuple(found.notes))


def write(graph: Graph, about: str = "", document: Any = None, *, at: str | None = None) -> bytes:
    """The graph as a list of events: those of ``document``, and one for each node it lacks.

    ``at`` is the time of events whose node has no date; the present if it is not given.
    """
    return dump_json(extend(graph, document if document is not None else [], at=at))


def graph_in(events: Iterable[Any], who: str = NAME) -> Found:
    """The data sets, models and edges that events tell of."""
    found = Found()
    runs: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for number, event in enumerate(bounded(events, who)):
        if not isinstance(event, Mapping):
            found.notes.append(f"event {number}: no object")
            continue
        run = event.get("run")
        run_id = run.get("runId") if isinstance(run, Mapping) else None
        inputs, outputs = runs.setdefault(str(run_id or f"event {number}"), ({}, {}))
        for told, known in (("inputs", inputs), ("outputs", outputs)):
            listed = event.get(told)
            if told == "outputs" and event.get("eventType") in _FAILED:
                found.notes.append(f"event {number}: outputs of a run that failed are left out")
                continue
            for item in bounded(listed if isinstance(listed, list) else (), who):
                if isinstance(item, Mapping):
                    known[_add(found, item)] = None
        if isinstance(event.get("dataset"), Mapping):
            _add(found, event["dataset"])
    graph = found.graph
    total = sum(len(inputs) * len(outputs) for inputs, outputs in runs.values())
    bounded(range(min(total, 1 << 20)), who)
    for inputs, outputs in runs.values():
        for child in outputs:
            for parent in inputs:
                if child != parent:
                    kinds = graph.nodes[child].kind, graph.nodes[parent].kind
                    graph.link(child, relation_between(*kinds), parent, by="OpenLineage event")
    return found


def extend(graph: Graph, events: list[Any], *, at: str | None = None) -> list[Any]:
    """The events, and one for each node of ``graph`` whose facts or edges they lack."""
    found = graph_in(events)
    edges: dict[str, list[Edge]] = {}
    for edge in missing_edges(graph, found.graph):
        edges.setdefault(edge.child, []).append(edge)
    out = list(events)
    moment = at or iso_now()
    for node in graph.nodes.values():
        known = found.graph.known(node)
        said = own_facts(found.graph, known) if known is not None else None
        fresh = said is None or changed(said, own_facts(graph, node.id))
        if node.id in edges:
            out.append(_run_event(graph, node.id, edges[node.id], found, moment))
        elif fresh:
            dataset = _dataset(graph, node.id, found)
            out.append(_event("DatasetEvent", _time(graph, node.id, moment)) | {"dataset": dataset})
    return out


def _events(data: bytes, who: str) -> list[Any]:
    if not data.strip():
        raise StandardError(who, "at least one event", "an empty file", "check the file")
    lines = data.strip().split(b"\n")
    if len(lines) > 1 and _is_object(lines[0]):
        return [
            load_json(line, f"{who}, line {i + 1}") for i, line in enumerate(lines) if line.strip()
        ]
    document = load_json(data, who)
    return document if isinstance(document, list) else [document]


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _add(found: Found, item: Mapping[str, Any]) -> str:
    namespace, name = str(item.get("namespace", "")), str(item.get("name", ""))
    facets = item.get("facets")
    facets = facets if isinstance(facets, Mapping) else {}
    facts, kind = _facts(facets)
    facts["name"] = name if namespace in ("", NAMESPACE) else f"{namespace}/{name}"
    node = add_facts(found.graph, clean_facts(facts), "OpenLineage event", kind)
    found.ids.setdefault(node, json.dumps([namespace, name]))
    return node


def _facts(facets: Mapping[str, Any]) -> tuple[Facts, NodeKind]:
    def of(facet: str, key: str) -> Any:
        held = facets.get(facet)
        return held.get(key) if isinstance(held, Mapping) else None

    own = facets.get(FACET)
    facts: Facts = dict(own) if isinstance(own, Mapping) else {}
    facts.setdefault("description", of("documentation", "description"))
    facts.setdefault("version", of("version", "datasetVersion"))
    facts.setdefault("url", of("dataSource", "uri"))
    told = facts.get("node")
    kind: NodeKind = next((known for known in NODE_KINDS if known == told), "dataset")
    if told is None and str(of("datasetType", "datasetType")).upper() == "MODEL":
        kind = "model"
    return facts, kind


def _dataset(graph: Graph, node_id: str, found: Found) -> dict[str, Any]:
    node = graph.nodes[node_id]
    known = found.graph.known(node)
    namespace, name = NAMESPACE, node.name
    if known is not None and known in found.ids:
        namespace, name = json.loads(found.ids[known])
    facts = {
        k: list(v) if isinstance(v, tuple) else v for k, v in own_facts(graph, node_id).items()
    }
    facets: dict[str, Any] = {FACET: _base_facet("OriginFacet") | facts | {"node": node.kind}}
    if node.kind in ("model", "generator"):
        facets["datasetType"] = {
            "_producer": PRODUCER,
            "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/DatasetTypeDatasetFacet.json"
            "#/$defs/DatasetTypeDatasetFacet",
            "datasetType": "MODEL",
        }
    return {"namespace": namespace, "name": name, "facets": facets}


def _base_facet(name: str) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{TERMS}{name}"}


def _run_event(
    graph: Graph, node_id: str, edges: list[Edge], found: Found, at: str
) -> dict[str, Any]:
    moment = _time(graph, node_id, at)
    # The same lineage is the same run, however often it is written.
    made_of = "\n".join(sorted(edge.parent for edge in edges))
    run = str(uuid5(NAMESPACE_URL, f"{TERMS}run/{node_id}\n{made_of}"))
    relations = "+".join(sorted({edge.relation for edge in edges}))
    return _event("RunEvent", moment) | {
        "eventType": "COMPLETE",
        "run": {"runId": run, "facets": {}},
        "job": {
            "namespace": NAMESPACE,
            "name": f"{relations}/{graph.nodes[node_id].name}",
            "facets": {},
        },
        "inputs": [_dataset(graph, edge.parent, found) for edge in edges],
        "outputs": [_dataset(graph, node_id, found)],
    }


def _event(kind: str, at: str) -> dict[str, Any]:
    return {"eventTime": at, "producer": PRODUCER, "schemaURL": SCHEMA + kind}


def _time(graph: Graph, node_id: str, at: str) -> str:
    created = graph.settled(node_id, "created")
    start = span_of(None if created is None else str(created.value)).start[0]
    return at if np.isnat(start) else f"{start}Z"
