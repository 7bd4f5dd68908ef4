"""The nouns of the standards: facts, what was imported, and the reading of hostile documents.

A standard that describes one data set is a pair of functions: ``facts(document)`` reads what we
know words for, ``patch(document, facts)`` writes it. Two laws hold for each and are tested:

* ``patch(document, facts(document)) == document``: what we have no words for survives;
* ``facts(patch(blank, facts)) == facts``: what we have words for arrives.

A standard that describes many things reads to a :class:`Graph` and writes what a document does not
say already. No document is ever fetched, no context or schema resolved, no code loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tailguard.corpus.base import EVIDENCE, KINDS
from tailguard.provenance.base import EnvelopeError, ProvenanceError
from tailguard.provenance.envelope import parse_json
from tailguard.provenance.lineage.base import Claim, Edge, Graph, NodeKind, Relation, weakest

TERMS = "urn:tailguard:terms:"
"""Namespace of our terms in documents that have namespaces; prefix ``tg``."""

LARGEST_BYTES = 16 << 20
"""A document longer than this is not read."""

DEEPEST = 64
"""Nor one nested more deeply."""

MOST_ITEMS = 100_000
"""Nor one with more nodes, edges or events."""

LONGEST_TEXT = 65_536
"""A text longer than this is no fact."""

TEXTS = (
    "description", "version", "url", "publisher", "creator", "license", "source", "created",
    "captured", "digital_source_type", "consent",
)  # fmt: skip
UNNAMED = "unnamed "
"""Begins the name of what a document describes without naming it; never written."""

LISTS = ("languages", "generators", "parents", "opt_out")

Facts = dict[str, Any]
"""What is said of one data set: ``name`` and any of ``TEXTS`` (texts), ``LISTS`` (tuples of texts),
``kind``, ``evidence``, ``generation``, ``records``, ``digests`` (algorithm to hex). A fact that is
not said is not there. ``opt_out`` are signals as captured, see :mod:`.opt_out`."""


class StandardError(ProvenanceError):
    """A document is not what its standard says, or cannot be written in it."""


@dataclass(slots=True)
class Imported:
    """What a document says: a graph, the nodes it is about, and the document as it was.

    ``document`` holds everything, also what we have no words for; ``sha256`` is of its bytes.
    """

    standard: str
    graph: Graph
    about: tuple[str, ...]
    document: Any
    sha256: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A graph read out of a document, and the ids that nodes have in that document."""

    graph: Graph = field(default_factory=Graph)
    ids: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def load_json(data: bytes, who: str) -> Any:
    """A JSON document from outside, bounded. Raises :class:`StandardError`.

    >>> load_json(b'{"a": [1]}', "x.json")
    {'a': [1]}
    """
    try:
        return parse_json(data, who=who, limit=LARGEST_BYTES, deepest=DEEPEST)
    except EnvelopeError as error:
        raise StandardError(who, error.expected, error.got, error.next_step) from None


def dump_json(document: Any) -> bytes:
    """A document as UTF-8 JSON, in the order it has.

    >>> dump_json({"b": 1, "a": "é"}).decode()
    '{\\n  "b": 1,\\n  "a": "é"\\n}\\n'
    """
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def demand(document: Any, kind: type, who: str, expected: str) -> Any:
    """The document, if it is of the type; else :class:`StandardError`."""
    if not isinstance(document, kind):
        raise StandardError(who, expected, type(document).__name__, "check the file")
    return document


def text_of(value: Any) -> str | None:
    """A text, or none for anything that is no text, empty or too long."""
    sound = isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT
    return value if sound else None


def texts_of(value: Any) -> tuple[str, ...]:
    """The texts in a text or a list; anything else in it is left where it is.

    >>> texts_of("a"), texts_of(["a", 1, "b"]), texts_of(None)
    (('a',), ('a', 'b'), ())
    """
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(text for item in items[:MOST_ITEMS] if (text := text_of(item)) is not None)


def whole_of(value: Any) -> int | None:
    """A whole number from 0, or none."""
    return value if type(value) is int and 0 <= value < 1 << 53 else None


def clean_facts(facts: Mapping[str, Any]) -> Facts:
    """Facts without what is empty or of the wrong type.

    What is said of kind or generation has evidence: ``declared``, unless a better or worse is said.

    >>> clean_facts({"name": "a", "kind": "robotic", "generation": 1, "parents": [], "url": ""})
    {'name': 'a', 'evidence': 'declared', 'generation': 1}
    """
    out: Facts = {}
    for key in ("name", *TEXTS):
        if (text := text_of(facts.get(key))) is not None:
            out[key] = text
    if facts.get("kind") in KINDS:
        out["kind"] = facts["kind"]
    if "kind" in out or whole_of(facts.get("generation")) is not None:
        said = facts.get("evidence")
        out["evidence"] = said if said in EVIDENCE else "declared"
    for key in ("generation", "records"):
        if (number := whole_of(facts.get(key))) is not None:
            out[key] = number
    for key in LISTS:
        if listed := tuple(dict.fromkeys(texts_of(facts.get(key)))):
            out[key] = listed
    digests = facts.get("digests")
    if isinstance(digests, Mapping):
        held = {str(k): v for k, v in list(digests.items())[:16] if text_of(v) is not None}
        if held:
            out["digests"] = held
    return out


def changed(document: Facts, wanted: Mapping[str, Any]) -> Facts:
    """The facts that a document does not say, or says differently."""
    return {key: value for key, value in wanted.items() if document.get(key) != value}


def add_facts(graph: Graph, facts: Mapping[str, Any], by: str, kind: NodeKind = "dataset") -> str:
    """A node with all its facts as claims, and edges to generators and parents; the node's id."""
    evidence = facts.get("evidence", "declared")
    said = ("kind", "generation", "languages", "opt_out", *TEXTS)
    claims = [Claim(what, facts[what], evidence, by) for what in said if what in facts]
    digests = [f"{algorithm}:{value}" for algorithm, value in facts.get("digests", {}).items()]
    node = graph.add(
        kind,
        facts.get("name", "unnamed"),
        digests=digests,
        records=facts.get("records"),
        claims=claims,
    )
    for generator in facts.get("generators", ()):
        maker = graph.add("generator", generator)
        graph.link(node, "sampled-from", maker, evidence=evidence, by=by)
    for parent in facts.get("parents", ()):
        above = graph.add("dataset", parent)
        graph.link(node, "derived-from", above, evidence=evidence, by=by)
    return node


def facts_of(graph: Graph, node_id: str) -> Facts:
    """The facts of a node: of each the claim with the best evidence; evidence is the weakest of
    what is said of kind and generation."""
    node = graph.nodes[node_id]
    facts: Facts = {} if node.name.startswith(UNNAMED) else {"name": node.name}
    grades = []
    for what in ("kind", "generation", "languages", "opt_out", *TEXTS):
        claim = graph.settled(node_id, what)
        if claim is not None:
            facts[what] = claim.value
            if what in ("kind", "generation"):
                grades.append(claim.evidence)
    if grades:
        facts["evidence"] = weakest(grades)
    edges = graph.parents(node_id)
    for key, relation in (("generators", "sampled-from"), ("parents", "derived-from")):
        facts[key] = tuple(graph.nodes[e.parent].name for e in edges if e.relation == relation)
    if node.records is not None:
        facts["records"] = node.records
    facts["digests"] = dict(sorted(digest.split(":", 1) for digest in node.digests))
    return clean_facts(facts)


def relation_between(child: str, parent: str) -> Relation:
    """The relation that the kinds of two nodes imply.

    >>> relation_between("model", "dataset"), relation_between("dataset", "generator")
    ('trained-on', 'sampled-from')
    """
    models = ("model", "generator")
    if child in models and parent not in models:
        return "trained-on"
    return "sampled-from" if parent in models and child not in models else "derived-from"


def own_facts(graph: Graph, node_id: str) -> Facts:
    """The facts of a node without its name and its edges, for documents that have edges apart."""
    apart = ("name", "parents", "generators")
    return {key: value for key, value in facts_of(graph, node_id).items() if key not in apart}


def missing_edges(graph: Graph, known: Graph) -> Iterator[Edge]:
    """The edges of ``graph`` that ``known`` does not have between the same nodes."""
    there = {node.id: known.known(node) for node in graph.nodes.values()}
    have = {(edge.child, edge.parent) for edge in known.edges()}
    for edge in graph.edges():
        child, parent = there[edge.child], there[edge.parent]
        if child is None or parent is None or (child, parent) not in have:
            yield edge


def bounded(items: Iterable[Any], who: str) -> list[Any]:
    """The items, or :class:`StandardError` where there are more than anybody needs."""
    held = list(items)
    if len(held) > MOST_ITEMS:
        raise StandardError(
            who, f"at most {MOST_ITEMS:,} items", f"{len(held):,}", "split the file"
        )
    return held


def imported(standard: str, data: bytes, document: Any, facts: Iterable[Facts]) -> Imported:
    """What a document about single data sets says, as a graph; what has no name gets one."""
    graph = Graph()
    digest = sha256(data).hexdigest()
    by, name = f"{standard} document", f"{UNNAMED}{digest[:16]}"
    about = tuple(add_facts(graph, {"name": name, **one}, by) for one in facts)
    return Imported(standard, graph, about, document, digest)
