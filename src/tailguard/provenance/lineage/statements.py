"""From in-toto statements, as a ledger holds them, to the graph of data and models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tailguard.corpus.base import EVIDENCE, KINDS, Evidence
from tailguard.provenance.ledger.statements import kind_of
from tailguard.provenance.lineage.base import ANY, Claim, Graph, NodeKind, Relation

ORIGIN_FIELDS = (
    "kind", "generation", "generator", "source", "created", "captured", "license", "creator",
    "digital_source_type",
)  # fmt: skip
"""Fields of an origin that become claims; ``parents`` and ``generator`` also become edges."""

BESIDE = ("description", "version", "url", "publisher", "consent", "languages", "opt_out")
"""Facts beside the origin that become claims."""

STAND_INS = ("tailguardDocument", "tailguardName")
"""Digests of a document, or of a name, that stand for data without one: they tell nothing apart."""

Digests = frozenset[str]
Statements = Iterable[Mapping[str, Any] | tuple[str, Mapping[str, Any]]]
"""in-toto statements, each alone or as ``(label, statement)``."""

MAX_REFERENCES = 100_000
"""References read from one list; more are cut off and told."""


@dataclass(slots=True)
class Reading:
    """The graph so far, and what of the statements could not be read: told, never dropped."""

    graph: Graph = field(default_factory=Graph)
    problems: list[str] = field(default_factory=list)
    read: int = 0

    def problem(self, by: str, what: str) -> None:
        """Note what is wrong with a statement."""
        self.problems.append(f"{by}: {what}")


def graph_of(statements: Statements) -> Reading:
    """Build the graph that statements tell of; each may come with a label, as ``(label, it)``.

    Understood are these kinds of a ledger's entries: ``data-registered`` (``origin``, ``parents``,
    ``records``), ``model-trained`` (``plan``, ``data`` that the plan draws on, ``base`` models,
    ``created``), ``samples-drawn`` (``model``, ``prompts``, ``created``), ``review-decision``
    (``decision``, a kind), ``gold-release`` (``previous``). References are names, or names with
    digests. Any may say its ``evidence``. Statements of other types are told in ``problems``. A
    name without a digest, where several versions are known, means any of them, so that nothing
    downstream is missed.

    >>> registered = {"subject": [{"name": "web", "digest": {"sha256": "ab"}}],
    ...               "predicateType": "urn:tailguard:ledger/data-registered/v1",
    ...               "predicate": {"origin": {"kind": "human"}}}
    >>> reading = graph_of([registered])
    >>> list(reading.graph.nodes), reading.problems
    (['dataset:web'], [])
    """
    reading = Reading()
    for number, item in enumerate(statements):
        by, statement = item if isinstance(item, tuple) else (f"statement {number}", item)
        _read(reading, str(by), statement)
    _any_version(reading.graph)
    return reading


def origin_claims(origin: Mapping[str, Any], by: str) -> list[Claim]:
    """One claim for each field of an origin that says something, all with its evidence."""
    evidence = grade_of(origin.get("evidence"), "declared")
    claims = []
    for what in ORIGIN_FIELDS:
        value = origin.get(what)
        if what == "kind" and value not in KINDS:
            value = None
        if what == "generation" and (not isinstance(value, int) or isinstance(value, bool)):
            value = None
        if what == "generation" and value is not None and value < 0:
            value = None
        if value is not None:
            claims.append(Claim(what, value if what == "generation" else str(value), evidence, by))
    return claims


def grade_of(value: Any, default: Evidence) -> Evidence:
    """The evidence that a value names, or the default."""
    return value if value in EVIDENCE else default


def add_origin(graph: Graph, node_id: str, origin: Mapping[str, Any], by: str) -> None:
    """Add an origin's claims to a node, and edges to its generator and parents."""
    node = graph.nodes[node_id]
    claims = origin_claims(origin, by)
    graph.add(node.kind, node.name, digests=node.digests, claims=claims)
    evidence = grade_of(origin.get("evidence"), "declared")
    generator = origin.get("generator")
    if isinstance(generator, str) and generator:
        maker = graph.add("generator", generator)
        graph.link(node_id, "sampled-from", maker, evidence=evidence, by=by)
    for name, digest in _named(origin.get("parents"))[0]:
        above = graph.add("dataset", name, digests=digest)
        graph.link(node_id, "derived-from", above, evidence=evidence, by=by)


def _read(reading: Reading, by: str, statement: Any) -> None:
    if not isinstance(statement, Mapping) or not isinstance(statement.get("predicate"), Mapping):
        return reading.problem(by, "not a statement with a predicate")
    reader = _READERS.get(kind_of(statement))
    if reader is None:
        kind = str(statement.get("predicateType"))[:80]
        return reading.problem(by, f"a predicate that says nothing of lineage ({kind})")
    subjects = _references(reading, by, statement.get("subject"))
    if not subjects:
        return reading.problem(by, "no subject with a name")
    predicate = statement["predicate"]
    for name, digest in subjects:
        reader(reading, by, name, digest, predicate)
    reading.read += 1


def _references(reading: Reading, by: str, value: Any) -> list[tuple[str, Digests]]:
    found, problems = _named(value)
    for problem in problems:
        reading.problem(by, problem)
    return found


def _named(value: Any) -> tuple[list[tuple[str, Digests]], list[str]]:
    """Names and digests out of a name, a ``{name, digest}``, or a list of these; and problems."""
    items = value if isinstance(value, list | tuple) else [] if value is None else [value]
    problems = []
    if len(items) > MAX_REFERENCES:
        problems.append(f"{len(items):,} references, of which {MAX_REFERENCES:,} are read")
    found = []
    for item in items[:MAX_REFERENCES]:
        name, digest = item, frozenset[str]()
        if isinstance(item, Mapping):
            name = item.get("name") or item.get("uri")
            digest = _digests(item.get("digest"))
        if isinstance(name, str) and name:
            found.append((name, digest))
        else:
            problems.append(f"a reference without a name ({str(item)[:60]})")
    return found, problems


def _digests(value: Any) -> Digests:
    """``<algorithm>:<value>`` of each."""
    if isinstance(value, str):
        return frozenset([value if ":" in value else f"digest:{value}"])
    if isinstance(value, Mapping):
        held = [(str(a), str(text)) for a, text in list(value.items())[:16] if a not in STAND_INS]
        return frozenset(f"{algorithm}:{text}" for algorithm, text in held)
    return frozenset()


def _count(predicate: Mapping[str, Any]) -> int | None:
    records = predicate.get("records")
    sound = isinstance(records, int) and not isinstance(records, bool) and records >= 0
    return records if sound else None


def _link_all(
    reading: Reading,
    by: str,
    child: str,
    relation: Relation,
    kind: NodeKind,
    predicate: Mapping[str, Any],
    keys: tuple[str, ...],
) -> None:
    evidence = grade_of(predicate.get("evidence"), "declared")
    for key in keys:
        for name, digest in _references(reading, by, predicate.get(key)):
            above = reading.graph.add(kind, name, digests=digest)
            reading.graph.link(
                child, relation, above, evidence=evidence, by=by, records=_count(predicate)
            )


def _data(
    reading: Reading, by: str, name: str, digest: Digests, predicate: Mapping[str, Any]
) -> None:
    graph = reading.graph
    node = graph.add("dataset", name, digests=digest, records=_count(predicate))
    origin = predicate.get("origin")
    if isinstance(origin, Mapping):
        add_origin(graph, node, origin, by)
        evidence = grade_of(origin.get("evidence"), "declared")
        for maker, maker_digests in _references(reading, by, predicate.get("generators")):
            above = graph.add("generator", maker, digests=maker_digests)
            graph.link(node, "sampled-from", above, evidence=evidence, by=by)
    said = [Claim(w, _held(predicate[w]), "declared", by) for w in BESIDE if predicate.get(w)]
    graph.add("dataset", name, digests=digest, claims=said)
    _link_all(reading, by, node, "derived-from", "dataset", predicate, ("parents",))


def _held(value: Any) -> Any:
    return tuple(str(v) for v in value[:MAX_REFERENCES]) if isinstance(value, list) else str(value)


def _trained(
    reading: Reading, by: str, name: str, digest: Digests, predicate: Mapping[str, Any]
) -> None:
    graph = reading.graph
    created = predicate.get("created")
    claims = [Claim("created", str(created), "declared", by)] if created else []
    model = graph.add("model", name, digests=digest, claims=claims)
    _link_all(reading, by, model, "derived-from", "model", predicate, ("base",))
    plans = [
        graph.add("plan", plan, digests=plan_digest)
        for plan, plan_digest in _references(reading, by, predicate.get("plan"))
    ]
    evidence = grade_of(predicate.get("evidence"), "declared")
    for plan in plans:
        graph.link(model, "trained-on", plan, evidence=evidence, by=by)
        _link_all(reading, by, plan, "derived-from", "dataset", predicate, ("data",))
    if not plans:
        _link_all(reading, by, model, "trained-on", "dataset", predicate, ("data",))


def _sampled(
    reading: Reading, by: str, name: str, digest: Digests, predicate: Mapping[str, Any]
) -> None:
    evidence = grade_of(predicate.get("evidence"), "declared")
    claims = [Claim("kind", "synthetic", evidence, by)]
    created = predicate.get("created")
    if created:
        claims.append(Claim("created", str(created), evidence, by))
    graph = reading.graph
    node = graph.add("dataset", name, digests=digest, records=_count(predicate), claims=claims)
    _link_all(reading, by, node, "sampled-from", "generator", predicate, ("model",))
    _link_all(reading, by, node, "derived-from", "dataset", predicate, ("prompts",))


def _review(
    reading: Reading, by: str, name: str, digest: Digests, predicate: Mapping[str, Any]
) -> None:
    kind = predicate.get("kind") or predicate.get("decision")
    if kind not in KINDS:
        return reading.problem(by, f"a review that decides no kind ({str(kind)[:40]})")
    evidence = grade_of(predicate.get("evidence"), "audited")
    reading.graph.add("dataset", name, digests=digest, claims=[Claim("kind", kind, evidence, by)])
    return None


def _gold(
    reading: Reading, by: str, name: str, digest: Digests, predicate: Mapping[str, Any]
) -> None:
    evidence = grade_of(predicate.get("evidence"), "audited")
    node = reading.graph.add(
        "dataset",
        name,
        digests=digest,
        records=_count(predicate),
        claims=[Claim("kind", "human", evidence, by)],
    )
    for old, old_digest in _references(reading, by, predicate.get("previous")):
        if old_digest or old != name:
            above = reading.graph.add("dataset", old, digests=old_digest)
            reading.graph.link(node, "derived-from", above, evidence=evidence, by=by)


_Reader = Callable[[Reading, str, str, Digests, Mapping[str, Any]], None]
_READERS: dict[str, _Reader] = {
    "data-registered": _data,
    "model-trained": _trained,
    "samples-drawn": _sampled,
    "review-decision": _review,
    "gold-release": _gold,
}


def _any_version(graph: Graph) -> None:
    """A node that means any version of a name stands downstream of every one of them."""
    for node in list(graph.nodes.values()):
        if node.id.endswith(ANY):
            for other in graph.named(node.kind, node.name):
                if other != node.id:
                    graph.link(node.id, "derived-from", other, by="a name without a digest")
