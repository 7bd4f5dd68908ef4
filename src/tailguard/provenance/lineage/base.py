"""The nouns of lineage: claims, nodes, edges, the graph, and depth as an interval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from tailguard.corpus.base import EVIDENCE, Evidence
from tailguard.provenance.base import ProvenanceError

NodeKind = Literal["dataset", "group", "model", "generator", "plan"]
Relation = Literal["derived-from", "trained-on", "sampled-from"]

NODE_KINDS: tuple[NodeKind, ...] = get_args(NodeKind)
RELATIONS: tuple[Relation, ...] = get_args(Relation)
COUNTED = "counted"
"""Says who an edge is ``by``: the child's records were counted, and the parents are all of them."""

GRADES: dict[str, int] = {grade: rank for rank, grade in enumerate(EVIDENCE)}
"""Evidence to its rank; 0 is the best."""


class LineageError(ProvenanceError):
    """What was said of data and models cannot be read as lineage."""


def stronger(a: str, b: str) -> bool:
    """Whether evidence ``a`` outranks ``b``: attested > watermark > ... > none.

    >>> stronger("attested", "declared"), stronger("declared", "declared")
    (True, False)
    """
    return GRADES[a] < GRADES[b]


def weakest(grades: Iterable[str]) -> Evidence:
    """The worst of the grades, which is that of a chain made of them; ``attested`` of none.

    >>> weakest(["attested", "declared", "audited"])
    'declared'
    """
    return EVIDENCE[max((GRADES[grade] for grade in grades), default=0)]


class Depth(NamedTuple):
    """Generation depth as the interval [``lo``, ``hi``]; ``hi`` is none where no bound is known.

    0 is human, g the output of a model trained on depth g−1. Unknown is [0, none], never 0;
    "at least k" is [k, none].

    >>> str(Depth(0, 0)), str(Depth(2, None)), str(Depth(1, 3)), str(Depth(0, None))
    ('0', 'at least 2', '1 to 3', 'unknown')
    """

    lo: int
    hi: int | None

    def __str__(self) -> str:
        if self.hi is None:
            return f"at least {self.lo}" if self.lo else "unknown"
        return str(self.lo) if self.lo == self.hi else f"{self.lo} to {self.hi}"

    def plus(self, steps: int) -> Depth:
        """Deeper by ``steps``."""
        return Depth(self.lo + steps, None if self.hi is None else self.hi + steps)

    def meets(self, other: Depth) -> bool:
        """Whether some depth lies in both intervals."""
        return not (
            (self.hi is not None and self.hi < other.lo)
            or (other.hi is not None and other.hi < self.lo)
        )

    def within(self, other: Depth) -> Depth:
        """What both intervals allow; where they disagree, the span of both, the safe reading.

        >>> Depth(1, None).within(Depth(2, 2)), Depth(0, 0).within(Depth(2, 3))
        (Depth(lo=2, hi=2), Depth(lo=0, hi=3))
        """
        if self.meets(other):
            bounds = [hi for hi in (self.hi, other.hi) if hi is not None]
            return Depth(max(self.lo, other.lo), min(bounds) if bounds else None)
        hi = None if self.hi is None or other.hi is None else max(self.hi, other.hi)
        return Depth(min(self.lo, other.lo), hi)


UNKNOWN = Depth(0, None)


def deepest(depths: Iterable[Depth]) -> Depth:
    """The largest depth: the largest of both bounds, none as soon as one is none; 0 of nothing.

    >>> deepest([Depth(0, 0), Depth(2, None)])
    Depth(lo=2, hi=None)
    """
    lo, hi = 0, 0
    unbounded = False
    for depth in depths:
        lo = max(lo, depth.lo)
        unbounded = unbounded or depth.hi is None
        hi = max(hi, depth.hi or 0)
    return Depth(lo, None if unbounded else hi)


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's word on one fact of a node or record: what, value, evidence, and by whom."""

    what: str
    value: Any
    evidence: Evidence = "declared"
    by: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A data set, a group of its records, a model, a generator known by name only, or a plan.

    ``id`` is ``<kind>:<name>``, followed by ``#<digest>`` where a digest tells versions apart.
    ``digests`` are ``<algorithm>:<value>``.
    """

    id: str
    kind: NodeKind
    name: str
    digests: frozenset[str] = frozenset()
    records: int | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """``child`` was derived from, trained on or sampled from ``parent``; who says so, how well."""

    child: str
    relation: Relation
    parent: str
    evidence: Evidence = "declared"
    by: str = ""
    records: int | None = None


@dataclass(slots=True)
class Graph:
    """What is known of data and models: nodes, edges from child to parent, claims about nodes.

    >>> graph = Graph()
    >>> web = graph.add("dataset", "web", claims=[Claim("kind", "human")])
    >>> model = graph.add("model", "m@1")
    >>> graph.link(model, "trained-on", web)
    >>> [edge.parent for edge in graph.parents(model)], graph.find("generator:m@1")
    (['dataset:web'], ('model:m@1',))
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    claims: dict[str, dict[Claim, None]] = field(default_factory=dict)
    _up: dict[str, dict[tuple[str, Relation], Edge]] = field(default_factory=dict)
    _down: dict[str, dict[tuple[str, Relation], Edge]] = field(default_factory=dict)
    _versions: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _of_digest: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(
        self,
        kind: NodeKind,
        name: str,
        *,
        digests: Iterable[str] = (),
        records: int | None = None,
        claims: Iterable[Claim] = (),
    ) -> str:
        """Add a node, or to what is known of it, and return its id.

        A generator whose name is a known model's is that model. What shares a digest is one node,
        whatever it is called. What shares a name is one node unless digests of one algorithm
        differ: these are versions. A name alone, where there are several versions, is a node of
        its own that means any of them.
        """
        if kind not in NODE_KINDS:
            raise LineageError("lineage", "a kind of node", repr(kind)[:40], "use one of these")
        given = frozenset(digests)
        node_id = self._place(kind, name, given)
        old = self.nodes.get(node_id)
        if old is None:
            node = Node(node_id, kind, name, given, records)
        else:
            settled = kind if (old.kind, kind) == ("generator", "model") else old.kind
            count = old.records if records is None else records
            node = Node(node_id, settled, old.name, old.digests | given, count)
        self.nodes[node_id] = node
        self._of_digest |= {(_family(kind), digest): node_id for digest in given}
        self.claims.setdefault(node_id, {}).update(dict.fromkeys(claims))
        return node_id

    def link(
        self,
        child: str,
        relation: Relation,
        parent: str,
        *,
        evidence: Evidence = "declared",
        by: str = "",
        records: int | None = None,
    ) -> None:
        """Add an edge between two nodes; said twice, the better evidence stays."""
        for end in (child, parent):
            if end not in self.nodes:
                raise LineageError("lineage", "two known nodes", repr(end)[:80], "add it first")
        if relation not in RELATIONS:
            raise LineageError("lineage", "a relation", repr(relation)[:40], ", ".join(RELATIONS))
        edge = Edge(child, relation, parent, evidence, by, records)
        old = self._up.setdefault(child, {}).get((parent, relation))
        if old is None or stronger(evidence, old.evidence):
            self._up[child][parent, relation] = edge
            self._down.setdefault(parent, {})[child, relation] = edge

    def parents(self, node_id: str) -> list[Edge]:
        """Edges to what the node was made of."""
        return list(self._up.get(node_id, {}).values())

    def children(self, node_id: str) -> list[Edge]:
        """Edges from what was made of the node."""
        return list(self._down.get(node_id, {}).values())

    def edges(self) -> Iterator[Edge]:
        """All edges."""
        for edges in self._up.values():
            yield from edges.values()

    def settled(self, node_id: str, what: str) -> Claim | None:
        """The claim on ``what`` with the best evidence, the first of equals; none if none is."""
        said = [claim for claim in self.claims.get(node_id, ()) if claim.what == what]
        return min(said, key=lambda claim: GRADES[claim.evidence], default=None)

    def find(self, name: str) -> tuple[str, ...]:
        """Ids that ``name`` may mean: an id, ``<kind>:<name>`` or a bare name, all versions.

        A model or generator without a revision means every ``<name>@<revision>`` too.
        """
        kind, _, bare = name.partition(":")
        kinds: tuple[str, ...] = (kind,) if kind in NODE_KINDS else NODE_KINDS
        if kind not in NODE_KINDS:
            bare = name
        if "model" in kinds or "generator" in kinds:
            kinds = tuple(dict.fromkeys((*kinds, "model", "generator")))
        found = [name] if name in self.nodes else []
        for node in self.nodes.values():
            same = node.name == bare or (
                node.kind in ("model", "generator") and node.name.startswith(f"{bare}@")
            )
            if node.kind in kinds and same and node.id not in found:
                found.append(node.id)
        return tuple(found)

    def known(self, node: Node) -> str | None:
        """The id here of another graph's node: by a digest, else by its name; none if unknown."""
        family = _family(node.kind)
        for digest in sorted(node.digests):
            if (family, digest) in self._of_digest:
                return self._of_digest[family, digest]
        versions = self._versions.get((family, node.name), [])
        return versions[0] if versions else None

    def named(self, kind: NodeKind, name: str) -> list[str]:
        """Ids of all versions of that name; generator and model are one family."""
        return list(self._versions.get((_family(kind), name), ()))

    def _place(self, kind: NodeKind, name: str, digests: frozenset[str]) -> str:
        family = _family(kind)
        for digest in sorted(digests):
            if (family, digest) in self._of_digest:
                return self._of_digest[family, digest]
        versions = self._versions.setdefault((family, name), [])
        fitting = [v for v in versions if not _differ(self.nodes[v].digests, digests)]
        if len(fitting) == 1 and not fitting[0].endswith(ANY):
            return fitting[0]
        anything = [v for v in versions if v.endswith(ANY)]
        if anything and not digests:
            return anything[0]
        node_id = f"{kind}:{name}"
        if versions:
            node_id += f"#{min(digests)}" if digests else ANY
        versions.append(node_id)
        return node_id


ANY = "#any"
"""Ends the id of a node that means any version of a name."""


def _family(kind: str) -> str:
    return "model" if kind == "generator" else kind


def _differ(known: frozenset[str], given: frozenset[str]) -> bool:
    """Whether an algorithm has two values, so that these are two things."""
    of = {digest.partition(":")[0]: digest for digest in known}
    return any(of.get(d.partition(":")[0], d) != d for d in given)
