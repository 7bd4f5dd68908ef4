"""in-toto statements: the ledger's own form, bare or in DSSE envelopes, one or many.

Read are the kinds of a Tailguard ledger and SLSA provenance (what a subject was built from). What
is signed is not verified here. Written are statements for what a document does not say yet; such a
statement is a claim to be signed by whoever makes it.
Source: in-toto Attestation Framework v1; SLSA provenance v1; DSSE v1.0.2.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from tailguard.provenance.ledger.statements import PREFIX, STATEMENT, kind_of
from tailguard.provenance.lineage.base import Graph, Node
from tailguard.provenance.lineage.statements import STAND_INS, graph_of
from tailguard.provenance.standards.base import (
    Found,
    Imported,
    StandardError,
    bounded,
    changed,
    load_json,
    missing_edges,
    own_facts,
)

NAME = "in-toto"
SLSA = "https://slsa.dev/provenance/v1"
NAME_DIGEST = STAND_INS[1]
"""Algorithm of the digest that stands for data known by name only: SHA-256 of the name."""


def read(data: bytes, *, who: str = NAME) -> Imported:
    """Statements or envelopes: one JSON object, a list, or one a line."""
    documents = _documents(data, who)
    found = graph_in(documents, who)
    about = tuple(found.graph.nodes)
    digest = sha256(data).hexdigest()
    return Imported(NAME, found.graph, about, documents, digest, tuple(found.notes))


def write(graph: Graph, about: str = "", document: Any = None) -> bytes:
    """The graph as statements, one a line: those of ``document``, and what they do not say yet.

    A ledger takes a model's statement only with a plan; one is not made up here.
    """
    lines = [
        json.dumps(item, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        for item in extend(graph, document if document is not None else [])
    ]
    return "".join(line + "\n" for line in lines).encode()


def graph_in(documents: list[Any], who: str = NAME) -> Found:
    """The graph that statements tell of."""
    statements = [(f"{who} {i}", _opened(item, who)) for i, item in enumerate(documents)]
    known = [item for item in statements if not _is_slsa(item[1])]
    reading = graph_of(known)
    found = Found(reading.graph, {}, reading.problems)
    for by, statement in statements:
        if _is_slsa(statement):
            _built(found, by, statement)
    return found


def extend(graph: Graph, documents: list[Any]) -> list[Any]:
    """The documents, and statements for the nodes, facts and edges of ``graph`` that they lack."""
    found = graph_in(documents)
    out = list(documents)
    lacking = {edge.child for edge in missing_edges(graph, found.graph)}
    for node in graph.nodes.values():
        known = found.graph.known(node)
        said = {} if known is None else own_facts(found.graph, known)
        fresh = changed(said, own_facts(graph, node.id))
        if node.kind in ("dataset", "group") and (known is None or node.id in lacking or fresh):
            out += _of_data(graph, node)
        elif node.kind in ("model", "generator") and node.id in lacking:
            out += _of_model(graph, node)
    return out


def statement_of(kind: str, node: Node, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """A statement about one node; one without a digest gets that of its name."""
    return {
        "_type": STATEMENT,
        "subject": [_reference(node)],
        "predicateType": f"{PREFIX}{kind}/v1",
        "predicate": dict(predicate),
    }


def _of_data(graph: Graph, node: Node) -> Iterator[dict[str, Any]]:
    facts = own_facts(graph, node.id)
    edges = graph.parents(node.id)
    records = facts.pop("records", None)
    facts.pop("digests", None)
    origin = {"kind": "unknown"} | {k: _plain(v) for k, v in facts.items()}
    predicate: dict[str, Any] = {"origin": origin}
    if records is not None:
        predicate["records"] = records
    parents = [e.parent for e in edges if e.relation == "derived-from"]
    if parents:
        predicate["parents"] = [_reference(graph.nodes[parent]) for parent in parents]
    yield statement_of("data-registered", node, predicate)
    for edge in edges:
        if edge.relation == "sampled-from":
            drawn = {"model": _reference(graph.nodes[edge.parent]), "evidence": edge.evidence}
            yield statement_of("samples-drawn", node, drawn)


def _of_model(graph: Graph, node: Node) -> Iterator[dict[str, Any]]:
    edges = graph.parents(node.id)
    base = [graph.nodes[e.parent] for e in edges if e.relation == "derived-from"]
    content = [graph.nodes[e.parent] for e in edges if e.relation == "trained-on"]
    created = graph.settled(node.id, "created")
    common: dict[str, Any] = {} if created is None else {"created": created.value}
    if base:
        common["base"] = [_reference(above) for above in base]
    plans = [above for above in content if above.kind == "plan"]
    for plan in plans:
        drawn = [graph.nodes[edge.parent] for edge in graph.parents(plan.id)]
        predicate = {"plan": _reference(plan), "data": [_reference(d) for d in drawn], **common}
        yield statement_of("model-trained", node, predicate)
    data = [_reference(above) for above in content if above.kind != "plan"]
    if data or (base and not plans):
        yield statement_of("model-trained", node, {"data": data, **common})


def _reference(node: Node) -> dict[str, Any]:
    digest = dict(d.split(":", 1) for d in sorted(node.digests))
    named = {NAME_DIGEST: sha256(node.name.encode()).hexdigest()}
    return {"name": node.name, "digest": digest or named}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _documents(data: bytes, who: str) -> list[Any]:
    stripped = data.strip()
    if not stripped:
        raise StandardError(who, "at least one statement", "an empty file", "check the file")
    lines = stripped.split(b"\n")
    if len(lines) > 1 and lines[0].rstrip().endswith(b"}") and lines[0].startswith(b"{"):
        kept = [line for line in bounded(lines, who) if line.strip()]
        return [load_json(line, f"{who}, line {i + 1}") for i, line in enumerate(kept)]
    document = load_json(data, who)
    return document if isinstance(document, list) else [document]


def _opened(item: Any, who: str) -> Any:
    """The statement in an envelope; anything else as it is."""
    if not isinstance(item, Mapping) or "payload" not in item or "_type" in item:
        return item
    try:
        payload = b64decode(str(item["payload"]), validate=True)
    except ValueError:
        raise StandardError(who, "a payload in base64", "something else", "fetch it") from None
    return load_json(payload, who)


def _is_slsa(statement: Any) -> bool:
    return isinstance(statement, Mapping) and statement.get("predicateType") == SLSA


def _built(found: Found, by: str, statement: Mapping[str, Any]) -> None:
    inner: Any = statement
    for key in ("predicate", "buildDefinition", "resolvedDependencies"):
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    registered = {
        "subject": statement.get("subject"),
        "predicateType": f"{PREFIX}data-registered/v1",
        "predicate": {"parents": inner if isinstance(inner, list) else []},
    }
    assert kind_of(registered) == "data-registered"
    part = graph_of([(by, registered)])
    found.notes.extend(part.problems)
    for node in part.graph.nodes.values():
        found.graph.add(node.kind, node.name, digests=node.digests)
    for edge in part.graph.edges():
        ends = (part.graph.nodes[end] for end in (edge.child, edge.parent))
        child, parent = (found.graph.add(n.kind, n.name, digests=n.digests) for n in ends)
        found.graph.link(child, "derived-from", parent, by=by)
