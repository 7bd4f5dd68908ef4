"""W3C PROV-JSON: data, models and plans are entities, edges are derivations.

Reads ``wasDerivedFrom``, ``used`` with ``wasGeneratedBy`` through an activity, and software agents
that an activity was associated with, also in bundles; writes derivations. Names, kinds of nodes and
facts are attributes under our prefix. Source: The PROV-JSON Serialization (W3C Submission, 2013).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from tailguard.provenance.lineage.base import NODE_KINDS, Graph, NodeKind
from tailguard.provenance.lineage.statements import grade_of
from tailguard.provenance.standards.base import (
    TERMS,
    UNNAMED,
    Facts,
    Found,
    Imported,
    add_facts,
    bounded,
    changed,
    clean_facts,
    demand,
    dump_json,
    load_json,
    missing_edges,
    own_facts,
    relation_between,
    text_of,
)

NAME = "prov"
PROV = "http://www.w3.org/ns/prov#"
NODES = "urn:tailguard:node:"

_DIGEST, _NUMBERS, _MANY = "digest", ("generation", "records"), ("languages", "opt_out")


def read(data: bytes, *, who: str = NAME) -> Imported:
    """A PROV-JSON document. Raises :class:`StandardError` for what is none."""
    document = demand(load_json(data, who), dict, who, "a JSON object")
    found = graph_in(document, who)
    about = tuple(found.graph.nodes)
    return Imported(NAME, found.graph, about, document, sha256(data).hexdigest())


def write(graph: Graph, about: str = "", document: Any = None) -> bytes:
    """The graph as PROV-JSON: ``document`` with what it does not say yet."""
    return dump_json(extend(graph, document if document is not None else {}))


def graph_in(document: Mapping[str, Any], who: str = NAME) -> Found:
    """The nodes and edges that a document tells of, and their ids in it."""
    found = Found()
    nodes: dict[str, str] = {}
    for part, names in _parts(document):
        for entity, attributes in _records(part, "entity", who):
            facts, kind = _facts(attributes, entity, names)
            if entity in nodes:
                facts["name"] = found.graph.nodes[nodes[entity]].name
            elif found.graph.named(kind, facts["name"]):
                facts["name"] = entity  # labels need not be unique
            nodes[entity] = add_facts(found.graph, facts, "PROV document", kind)
            found.ids.setdefault(nodes[entity], entity)
    for part, names in _parts(document):
        for child, parent, evidence in _derivations(part, names, who):
            for end in (child, parent):
                if end not in nodes:
                    nodes[end] = found.graph.add("dataset", end)
                    found.ids.setdefault(nodes[end], end)
            ends = [found.graph.nodes[nodes[end]].kind for end in (child, parent)]
            found.graph.link(
                nodes[child],
                relation_between(*ends),
                nodes[parent],
                evidence=grade_of(evidence, "declared"),
                by="PROV document",
            )
        for child, agent in _made_by(part, names, who):
            if child in nodes:
                maker = found.graph.add("generator", agent)
                found.graph.link(nodes[child], "sampled-from", maker, by="PROV document")
    return found


def extend(graph: Graph, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the nodes, facts and edges of ``graph`` that it lacks."""
    out = deepcopy(dict(document))
    found = graph_in(document)
    names = _Names(out.get("prefix"))
    ids: dict[str, str] = {}
    lacking = list(missing_edges(graph, found.graph))
    linked = {end for edge in lacking for end in (edge.child, edge.parent)}
    for node in graph.nodes.values():
        known = found.graph.known(node)
        wanted = own_facts(graph, node.id)
        if known is not None and known not in found.ids and node.id not in linked and not wanted:
            continue  # an agent, no entity
        fresh = wanted if known is None else changed(own_facts(found.graph, known), wanted)
        if known is not None and known in found.ids:
            ids[node.id] = found.ids[known]
        else:
            ids[node.id] = f"tgn:{quote(node.id, safe='')}"
            fresh = wanted
            kind = {"$": f"tg:{node.kind}", "type": "prov:QUALIFIED_NAME"}
            _record(out, "entity", ids[node.id]).update(
                {"prov:label": node.name, "prov:type": kind}
            )
        if fresh:
            holder = _record(out, "entity", ids[node.id])
            for key in [k for k in holder if names.term(k) in map(_term_of, fresh)]:
                del holder[key]
            holder.update(_attributes(fresh))
    for edge in lacking:
        number = len(out.get("wasDerivedFrom", {}))
        while f"_:tg{number}" in out.get("wasDerivedFrom", {}):
            number += 1
        said = {"prov:generatedEntity": ids[edge.child], "prov:usedEntity": ids[edge.parent]}
        _record(out, "wasDerivedFrom", f"_:tg{number}").update(
            {**said, "tg:evidence": edge.evidence, "tg:relation": edge.relation}
        )
    if out != document:
        prefixes = out.setdefault("prefix", {})
        for prefix, iri in (("prov", PROV), ("tg", TERMS), ("tgn", NODES)):
            prefixes.setdefault(prefix, iri)
    return out


class _Names:
    """Qualified names of one part of a document."""

    def __init__(self, prefix: Any) -> None:
        given = prefix if isinstance(prefix, Mapping) else {}
        self.prefixes = {"prov": PROV, "tg": TERMS} | {
            str(k): v for k, v in given.items() if isinstance(v, str)
        }

    def expand(self, name: Any) -> str:
        """The IRI of a qualified name."""
        prefix, colon, rest = str(name).partition(":")
        if not colon:
            return self.prefixes.get("default", "") + str(name)
        return self.prefixes[prefix] + rest if prefix in self.prefixes else str(name)

    def term(self, name: Any) -> str:
        """The local part of one of our terms, empty for any other name."""
        iri = self.expand(name)
        return iri.removeprefix(TERMS) if iri.startswith(TERMS) else ""


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], _Names]]:
    """The document and its bundles, each with its prefixes."""
    outer = document.get("prefix")
    yield document, _Names(outer)
    bundles = document.get("bundle")
    for bundle in bundles.values() if isinstance(bundles, Mapping) else ():
        if isinstance(bundle, Mapping):
            inner = bundle.get("prefix")
            both = {**(outer if isinstance(outer, Mapping) else {}),
                    **(inner if isinstance(inner, Mapping) else {})}  # fmt: skip
            yield bundle, _Names(both)


def _records(
    part: Mapping[str, Any], kind: str, who: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    held = part.get(kind)
    for name, values in bounded(held.items() if isinstance(held, Mapping) else (), who):
        # One identifier may have several records of attributes.
        for attributes in values if isinstance(values, list) else [values]:
            if isinstance(attributes, Mapping):
                yield str(name), attributes


def _record(document: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """The record to write to; of several with one identifier, the first."""
    held = document.setdefault(kind, {}).setdefault(name, {})
    first: dict[str, Any] = held[0] if isinstance(held, list) and held else held
    return first


def _values(value: Any) -> list[Any]:
    """Plain values of an attribute, whatever their wrapping."""
    items = value if isinstance(value, list) else [value]
    return [item.get("$") if isinstance(item, Mapping) else item for item in items]


def _facts(attributes: Mapping[str, Any], entity: str, names: _Names) -> tuple[Facts, NodeKind]:
    label = text_of(next(iter(_values(attributes.get("prov:label"))), None))
    facts: dict[str, Any] = {"name": label or entity}
    kind: NodeKind = "dataset"
    for key, value in attributes.items():
        term, plain = names.term(key), _values(value)
        if names.expand(key) == PROV + "type":
            for told in plain:
                kind = next((k for k in NODE_KINDS if names.term(told) == k), kind)
        elif term == _DIGEST:
            facts["digests"] = dict(str(v).split(":", 1) for v in plain if ":" in str(v))
        elif term in _NUMBERS:
            digits = str(plain[0]) if plain else ""
            facts[term] = int(digits) if digits.isascii() and digits.isdigit() else None
        elif term in _MANY:
            facts[term] = plain
        elif term:
            facts[term] = plain[0] if plain else None
    named = f"{UNNAMED}{sha256(entity.encode('utf-8', 'replace')).hexdigest()[:16]}"
    return {"name": named, **clean_facts(facts)}, kind


def _attributes(facts: Facts) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in facts.items():
        if key == "digests":
            out["tg:digest"] = [f"{k}:{v}" for k, v in sorted(value.items())]
        elif key in _NUMBERS:
            out[f"tg:{key}"] = {"$": str(value), "type": "xsd:long"}
        else:
            out[f"tg:{key}"] = list(value) if isinstance(value, tuple) else value
    return out


def _term_of(fact: str) -> str:
    return _DIGEST if fact == "digests" else fact


def _derivations(
    part: Mapping[str, Any], names: _Names, who: str
) -> Iterator[tuple[str, str, Any]]:
    for _, said in _records(part, "wasDerivedFrom", who):
        child, parent = said.get("prov:generatedEntity"), said.get("prov:usedEntity")
        if isinstance(child, str) and isinstance(parent, str):
            told = [_values(v)[0] for k, v in said.items() if names.term(k) == "evidence"]
            yield child, parent, told[0] if told else None
    used: dict[str, list[str]] = {}
    for _, said in _records(part, "used", who):
        activity, entity = said.get("prov:activity"), said.get("prov:entity")
        if isinstance(activity, str) and isinstance(entity, str):
            used.setdefault(activity, []).append(entity)
    pairs = 0
    for _, said in _records(part, "wasGeneratedBy", who):
        entity, activity = said.get("prov:entity"), said.get("prov:activity")
        for parent in used.get(activity, ()) if isinstance(activity, str) else ():
            pairs += 1
            if isinstance(entity, str) and parent != entity and pairs <= 10 * 100_000:
                yield entity, parent, None


def _made_by(part: Mapping[str, Any], names: _Names, who: str) -> Iterator[tuple[str, str]]:
    """Entities, and the software agents that the activity which made them was associated with."""
    software: dict[str, str] = {}
    for agent, attributes in _records(part, "agent", who):
        types = _values(attributes.get("prov:type"))
        if any(names.expand(told) == PROV + "SoftwareAgent" for told in types):
            label = text_of(next(iter(_values(attributes.get("prov:label"))), None))
            software[agent] = label or agent
    of: dict[str, list[str]] = {}
    for _, said in _records(part, "wasAssociatedWith", who):
        activity, helper = said.get("prov:activity"), said.get("prov:agent")
        if isinstance(activity, str) and isinstance(helper, str) and helper in software:
            of.setdefault(activity, []).append(software[helper])
    for _, said in _records(part, "wasGeneratedBy", who):
        made, activity = said.get("prov:entity"), said.get("prov:activity")
        for agent in of.get(activity, ()) if isinstance(activity, str) else ():
            yield str(made), agent
