"""CycloneDX 1.7: data sets are components of type ``data``, models ``machine-learning-model``.

Edges are ``dependencies``; a model's data are in its model card too. Facts that CycloneDX has no
field for are ``properties`` named ``tailguard:<fact>``. Documents of other versions are read, and
keep their version. Source: CycloneDX specification 1.7 (ECMA-424).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from hashlib import sha256
from typing import Any

from tailguard.provenance.lineage.base import NODE_KINDS, Graph, Node, NodeKind
from tailguard.provenance.standards.base import (
    Facts,
    Found,
    Imported,
    StandardError,
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

NAME = "cyclonedx"
VERSION = "1.7"
PREFIX = "tailguard:"

_ALGORITHMS = {"sha256": "SHA-256", "sha512": "SHA-512", "sha384": "SHA-384", "sha1": "SHA-1"}
_TYPES: dict[str, NodeKind] = {"data": "dataset", "machine-learning-model": "model"}
_FIELDS = ("description", "publisher", "version")
_NUMBERS, _MANY = ("generation", "records"), ("languages", "opt_out")


def read(data: bytes, *, who: str = NAME) -> Imported:
    """A bill of materials in JSON. Raises :class:`StandardError` for what is none."""
    document = demand(load_json(data, who), dict, who, "a JSON object")
    if document.get("bomFormat") != "CycloneDX":
        got = repr(document.get("bomFormat"))[:60]
        raise StandardError(who, "bomFormat CycloneDX", got, "export it as CycloneDX JSON")
    found = graph_in(document, who)
    about = tuple(found.graph.nodes)
    return Imported(NAME, found.graph, about, document, sha256(data).hexdigest())


def write(graph: Graph, about: str = "", document: Any = None) -> bytes:
    """The graph as a bill of materials: ``document`` with what it does not say yet."""
    return dump_json(extend(graph, document if document is not None else blank()))


def blank() -> dict[str, Any]:
    """A document that says nothing yet."""
    return {"bomFormat": "CycloneDX", "specVersion": VERSION, "version": 1}


def graph_in(document: Mapping[str, Any], who: str = NAME) -> Found:
    """The data and models among the components, and the edges between them."""
    found = Found()
    nodes: dict[str, str] = {}
    for component in bounded(_components(document), who):
        facts, kind = _facts(component)
        ref = text_of(component.get("bom-ref"))
        if found.graph.named(kind, facts.get("name", "")) and "digests" not in facts:
            apart = facts.get("version") or ref or str(len(found.graph.nodes))
            facts["name"] = f"{facts.get('name', '')}@{apart}"
        node = add_facts(found.graph, facts, "CycloneDX document", kind)
        if ref is not None:
            nodes[ref] = node
            found.ids.setdefault(node, ref)
    for child, parent in bounded(_edges(document, found, nodes), who):
        kinds = found.graph.nodes[child].kind, found.graph.nodes[parent].kind
        found.graph.link(child, relation_between(*kinds), parent, by="CycloneDX document")
    return found


def extend(graph: Graph, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the nodes, facts and edges of ``graph`` that it lacks."""
    out = deepcopy(dict(document))
    found = graph_in(out)
    refs: dict[str, str] = {}
    held = {c["bom-ref"]: c for c in _components(out) if text_of(c.get("bom-ref"))}
    lacking = list(missing_edges(graph, found.graph))
    linked = {end for edge in lacking for end in (edge.child, edge.parent)}
    for node in graph.nodes.values():
        known = found.graph.known(node)
        wanted = own_facts(graph, node.id)
        if known is not None and known not in found.ids and node.id not in linked and not wanted:
            continue  # named in the document without a component of its own
        if known is not None and known in found.ids:
            refs[node.id] = found.ids[known]
            fresh = changed(own_facts(found.graph, known), wanted)
            _patch(held[refs[node.id]], fresh)
        else:
            refs[node.id] = _free(f"tailguard/{node.id}", held)
            component = _component(node, refs[node.id])
            _patch(component, wanted)
            held[refs[node.id]] = component
            out.setdefault("components", []).append(component)
    for edge in lacking:
        _depend(out, refs[edge.child], refs[edge.parent])
        kinds = graph.nodes[edge.child].kind, graph.nodes[edge.parent].kind
        if kinds == ("model", "dataset"):
            card = held[refs[edge.child]].setdefault("modelCard", {})
            datasets = card.setdefault("modelParameters", {}).setdefault("datasets", [])
            datasets.append({"ref": refs[edge.parent]})
    return out


def _components(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Data and models, also inside other components and as the document's own subject."""
    metadata = document.get("metadata")
    own = metadata.get("component") if isinstance(metadata, Mapping) else None
    listed = document.get("components")
    queue = [*(listed if isinstance(listed, list) else []), own]
    while queue:
        component = queue.pop(0)
        if isinstance(component, dict):
            if str(component.get("type")) in _TYPES:
                yield component
            inner = component.get("components")
            queue += inner if isinstance(inner, list) else []


def _facts(component: Mapping[str, Any]) -> tuple[Facts, NodeKind]:
    facts: dict[str, Any] = {field: component.get(field) for field in _FIELDS}
    kind = _TYPES[component["type"]]
    name, version = str(component.get("name", "")), text_of(component.get("version"))
    if kind == "model" and version and "@" not in name:
        name = f"{name}@{version}"
    facts["name"] = name
    facts["license"] = " AND ".join(_licences(component))
    hashes = component.get("hashes")
    names = {written: algorithm for algorithm, written in _ALGORITHMS.items()}
    facts["digests"] = {
        names.get(str(entry.get("alg")), str(entry.get("alg"))): entry.get("content")
        for entry in (hashes if isinstance(hashes, list) else [])
        if isinstance(entry, Mapping)
    }
    for key, value in _properties(component):
        if key == "node":
            kind = next((known for known in NODE_KINDS if known == value), kind)
        elif key.startswith("digest:"):
            facts["digests"][key.removeprefix("digest:")] = value
        elif key in _NUMBERS:
            facts[key] = int(value) if value.isascii() and value.isdigit() else None
        elif key in _MANY:
            facts[key] = [*(facts.get(key) or []), value]
        else:
            facts[key] = value
    return clean_facts(facts), kind


def _properties(component: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    properties = component.get("properties")
    for entry in properties if isinstance(properties, list) else ():
        if isinstance(entry, Mapping) and str(entry.get("name")).startswith(PREFIX):
            yield str(entry["name"]).removeprefix(PREFIX), str(entry.get("value", ""))


def _licences(component: Mapping[str, Any]) -> Iterator[str]:
    listed = component.get("licenses")
    for choice in listed if isinstance(listed, list) else ():
        if isinstance(choice, Mapping):
            held = choice.get("license")
            inner = held if isinstance(held, Mapping) else {}
            name = text_of(choice.get("expression") or inner.get("id") or inner.get("name"))
            if name is not None:
                yield name


def _edges(
    document: Mapping[str, Any], found: Found, nodes: dict[str, str]
) -> Iterator[tuple[str, str]]:
    listed = document.get("dependencies")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and entry.get("ref") in nodes:
            above = entry.get("dependsOn")
            for ref in above if isinstance(above, list) else ():
                if isinstance(ref, str) and ref in nodes:
                    yield nodes[entry["ref"]], nodes[ref]
    for component in _components(document):
        child = nodes.get(str(component.get("bom-ref")))
        if child is None:
            continue
        for dataset in _card_datasets(component):
            if dataset.get("ref") in nodes:
                yield child, nodes[dataset["ref"]]
            elif text_of(dataset.get("name")):
                yield child, found.graph.add("dataset", dataset["name"])
        pedigree = component.get("pedigree")
        ancestors = pedigree.get("ancestors") if isinstance(pedigree, Mapping) else None
        for ancestor in ancestors if isinstance(ancestors, list) else ():
            if isinstance(ancestor, Mapping) and text_of(ancestor.get("name")):
                kind = _TYPES.get(str(ancestor.get("type")), found.graph.nodes[child].kind)
                yield child, found.graph.add(kind, ancestor["name"])


def _card_datasets(component: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    inner: Any = component
    for key in ("modelCard", "modelParameters", "datasets"):
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    for dataset in inner if isinstance(inner, list) else ():
        if isinstance(dataset, Mapping):
            yield dataset


def _component(node: Node, ref: str) -> dict[str, Any]:
    properties = [{"name": f"{PREFIX}node", "value": node.kind}]
    if node.kind in ("model", "generator"):
        return {
            "type": "machine-learning-model",
            "bom-ref": ref,
            "name": node.name,
            "properties": properties,
        }
    theme = "configuration" if node.kind == "plan" else "dataset"
    return {
        "type": "data",
        "bom-ref": ref,
        "name": node.name,
        "data": [{"type": theme, "name": node.name}],
        "properties": properties,
    }


def _patch(component: dict[str, Any], facts: Facts) -> None:
    for key, value in facts.items():
        # A model without a version in its name would get one.
        fits = key != "version" or component["type"] == "data" or "@" in component["name"]
        if key in _FIELDS and fits:
            component[key] = value
        elif key == "license":
            component["licenses"] = [{"license": {"name": value}}]
        elif key == "digests":
            _put_digests(component, value)
        else:
            listed = value if isinstance(value, tuple) else (str(value),)
            _put(component, key, listed)


def _put(component: dict[str, Any], key: str, values: tuple[str, ...]) -> None:
    kept = [p for p in component.get("properties", []) if p.get("name") != PREFIX + key]
    component["properties"] = [*kept, *({"name": PREFIX + key, "value": v} for v in values)]


def _put_digests(component: dict[str, Any], digests: Mapping[str, str]) -> None:
    hashes = []
    for algorithm, content in sorted(digests.items()):
        if algorithm in _ALGORITHMS and _is_hash(algorithm, content):
            hashes.append({"alg": _ALGORITHMS[algorithm], "content": content})
        else:
            _put(component, f"digest:{algorithm}", (content,))
    if hashes:
        component["hashes"] = hashes


def _is_hash(algorithm: str, content: str) -> bool:
    sizes = {"sha256": 64, "sha512": 128, "sha384": 96, "sha1": 40}
    return len(content) == sizes[algorithm] and all(c in "0123456789abcdefABCDEF" for c in content)


def _depend(document: dict[str, Any], child: str, parent: str) -> None:
    entries = document.setdefault("dependencies", [])
    entry = next((e for e in entries if isinstance(e, dict) and e.get("ref") == child), None)
    if entry is None:
        entry = {"ref": child}
        entries.append(entry)
    above = entry.setdefault("dependsOn", [])
    if parent not in above:
        above.append(parent)


def _free(wanted: str, taken: Mapping[str, Any]) -> str:
    ref, number = wanted, 1
    while ref in taken:
        number += 1
        ref = f"{wanted}~{number}"
    return ref
