"""Generation depth of every node of a graph: how deep at least and at most, and how we know.

Depth = 1 + max(depth of parents, training depth of the generator); the training depth of a model is
the largest depth of what it was trained on. Human is 0. Copying, filtering and mixing add nothing:
only a model's sampling makes the next generation. Synthetic data whose generator nobody names is at
least 1, and at least as deep as its parents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tailguard.corpus.base import Evidence
from tailguard.provenance.lineage.base import (
    COUNTED,
    UNKNOWN,
    Claim,
    Depth,
    Edge,
    Graph,
    deepest,
    stronger,
    weakest,
)

DEPTH_OF_KIND = {"human": Depth(0, 0), "synthetic": Depth(1, None), "mixed": Depth(1, None)}
"""What a kind alone says of depth; ``unknown`` says nothing."""


@dataclass(frozen=True, slots=True)
class NodeDepth:
    """A node's depth (for a model: its training depth), its evidence, and what decides it.

    ``evidence`` is the weakest grade among the claims and edges that the interval rests on.
    ``path`` leads from the node to where the depth comes from. ``disputed``: what was stated and
    what follows from the parents have no depth in common; the interval then spans both.
    """

    depth: Depth
    evidence: Evidence
    path: tuple[str, ...]
    disputed: bool = False


@dataclass(frozen=True, slots=True)
class GraphDepths:
    """``nodes``: id to depth. ``cycles``: ids that were, as stated, made out of themselves."""

    nodes: dict[str, NodeDepth]
    cycles: tuple[tuple[str, ...], ...]


def graph_depths(graph: Graph) -> GraphDepths:
    """Depth of every node, parents first; linear in nodes and edges.

    A node nothing is known of is [0, unknown]. What stands on an unknown is "at least". Nodes of a
    cycle have no largest depth: theirs is "at least" what enters the cycle from outside, or 1 if
    sampling is part of it.

    >>> graph = Graph()
    >>> web = graph.add("dataset", "web", claims=[Claim("kind", "human")])
    >>> m1, m2 = graph.add("model", "m1"), graph.add("model", "m2")
    >>> out = graph.add("dataset", "out")
    >>> graph.link(m1, "trained-on", web)
    >>> graph.link(out, "sampled-from", m1)
    >>> graph.link(m2, "trained-on", out)
    >>> found = graph_depths(graph).nodes
    >>> [str(found[node].depth) for node in (web, m1, out, m2)]
    ['0', '0', '1', '1']
    """
    known: dict[str, NodeDepth] = {}
    cycles: list[tuple[str, ...]] = []
    for members in components(graph):
        first = members[0]
        if len(members) > 1 or any(edge.parent == first for edge in graph.parents(first)):
            cycles.append(tuple(sorted(members)))
            known |= _cyclic(graph, members, known)
        else:
            known[first] = _single(graph, first, known)
    return GraphDepths(known, tuple(sorted(cycles)))


class Stated(NamedTuple):
    """The depth that claims state, the claim it rests on, and whether equal claims disagree."""

    depth: Depth
    claim: Claim
    disputed: bool = False


def stated_depth(graph: Graph, node_id: str) -> Stated | None:
    """What the strongest claims state; none where nothing is stated.

    A claim on ``depth`` (an interval, counted over records) goes before all others. Where kind and
    generation disagree, the better evidence decides; between equals, the depth spans both.
    """
    counted = graph.settled(node_id, "depth")
    if counted is not None and isinstance(counted.value, Depth):
        return Stated(counted.value, counted)
    generation = graph.settled(node_id, "generation")
    kind = graph.settled(node_id, "kind")
    by_kind = None if kind is None else DEPTH_OF_KIND.get(kind.value)
    if generation is None or not isinstance(generation.value, int):
        return None if by_kind is None or kind is None else Stated(by_kind, kind)
    exact = Depth(generation.value, generation.value)
    if by_kind is None or kind is None or by_kind.meets(exact):
        return Stated(exact, generation)
    if stronger(kind.evidence, generation.evidence):
        return Stated(by_kind, kind)
    if stronger(generation.evidence, kind.evidence):
        return Stated(exact, generation)
    return Stated(by_kind.within(exact), generation, True)


def components(graph: Graph) -> Iterator[list[str]]:
    """Strongly connected components, each after all it depends on (Tarjan 1972, no recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    held: set[str] = set()
    for root in sorted(graph.nodes):
        if root in index:
            continue
        work = [(root, iter(_targets(graph, root)))]
        while work:
            node, targets = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                held.add(node)
            for target in targets:
                if target not in index:
                    work.append((target, iter(_targets(graph, target))))
                    break
                if target in held:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    members = [stack.pop()]
                    while members[-1] != node:
                        members.append(stack.pop())
                    held.difference_update(members)
                    yield members


def _targets(graph: Graph, node: str) -> list[str]:
    return [edge.parent for edge in graph.parents(node)]


def _derived(graph: Graph, node_id: str, known: dict[str, NodeDepth]) -> Depth:
    """What follows from the parents. Without a named generator, data that may have had one has no
    upper bound, unless its records were counted; it may be a copy, so nothing is added either."""
    edges = graph.parents(node_id)
    depths = [known[edge.parent].depth for edge in edges if edge.parent in known]
    sampled = any(edge.relation == "sampled-from" for edge in edges)
    counted = any(edge.by == COUNTED for edge in edges)
    kind = graph.settled(node_id, "kind")
    open_ended = kind is not None and kind.value != "human" and not sampled and not counted
    if not depths or open_ended:
        depths.append(UNKNOWN)
    return deepest(depths).plus(int(sampled))


def _single(graph: Graph, node_id: str, known: dict[str, NodeDepth]) -> NodeDepth:
    edges = graph.parents(node_id)
    stated = stated_depth(graph, node_id)
    derived = _derived(graph, node_id, known)
    grade = weakest([e.evidence for e in edges] + [known[e.parent].evidence for e in edges])
    if stated is None:
        if not edges:
            return NodeDepth(derived, "none", (node_id,))
        return NodeDepth(derived, grade, (node_id, *_deciding(edges, known)))
    depth, claim, clash = stated
    if not edges:
        both = depth.within(derived)
        return NodeDepth(both, claim.evidence, (node_id,), clash or not depth.meets(derived))
    both = depth.within(derived)
    disputed = clash or not depth.meets(derived)
    path = (node_id, *_deciding(edges, known))
    if both == depth and not (both == derived and stronger(grade, claim.evidence)):
        return NodeDepth(both, claim.evidence, (node_id,), disputed)
    if both == derived:
        return NodeDepth(both, grade, path, disputed)
    return NodeDepth(both, weakest([grade, claim.evidence]), path, disputed)


def _deciding(edges: list[Edge], known: dict[str, NodeDepth]) -> tuple[str, ...]:
    """The path on from the deepest parent; of equals, the one without an upper bound."""

    def depth_of(edge: Edge) -> tuple[int, bool, int]:
        depth = known[edge.parent].depth
        return depth.lo, depth.hi is None, depth.hi or 0

    return known[max(edges, key=depth_of).parent].path


def _cyclic(graph: Graph, members: list[str], known: dict[str, NodeDepth]) -> dict[str, NodeDepth]:
    inside = set(members)
    lo = 0
    grades: list[Evidence] = []
    for node in members:
        for edge in graph.parents(node):
            grades.append(edge.evidence)
            sampled = edge.relation == "sampled-from"
            entering = 0 if edge.parent in inside else known[edge.parent].depth.lo
            lo = max(lo, entering + sampled)
    depth = Depth(lo, None)
    found = {}
    for node in members:
        stated = stated_depth(graph, node)
        if stated is None:
            found[node] = NodeDepth(depth, weakest(grades), (node,))
        else:
            both, disputed = stated.depth.within(depth), not stated.depth.meets(depth)
            grade = weakest([*grades, stated.claim.evidence])
            found[node] = NodeDepth(both, grade, (node,), disputed or stated.disputed)
    return found
