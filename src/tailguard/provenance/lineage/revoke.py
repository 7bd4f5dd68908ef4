"""What is downstream of a generator, model or data set: records, data sets, models, and the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.corpus import Corpus
from tailguard.corpus.base import Evidence
from tailguard.provenance.lineage.base import Edge, Graph, LineageError, weakest
from tailguard.provenance.lineage.columns import Table, flat, generations, origin_table
from tailguard.provenance.lineage.records import descendants
from tailguard.provenance.lineage.statements import Statements, graph_of

PATHS = 20
"""Paths of single records that are shown."""


@dataclass(frozen=True, slots=True)
class Affected:
    """A node downstream of what is revoked.

    ``path`` leads from the revoked node to this one, ``relations`` name the steps between them, and
    ``evidence`` is the weakest of the steps. ``records`` is how many records the node has, none
    where nobody said.
    """

    node: str
    kind: str
    name: str
    records: int | None
    path: tuple[str, ...]
    relations: tuple[str, ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class AffectedRecords:
    """Records of a corpus that are downstream.

    ``mask`` (n,) marks them; ``direct`` were made by what is revoked, ``derived`` have such an
    ancestor. ``paths`` lead from a direct record to a derived one, some of them.
    """

    mask: NDArray[np.bool_]
    direct: int
    derived: int
    by_generator: dict[str, int]
    paths: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Revocation:
    """Everything downstream of ``revoked`` (ids of nodes), nearest first."""

    revoked: tuple[str, ...]
    nodes: tuple[Affected, ...]
    records: AffectedRecords | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        found = self.records
        return {
            "revoked": list(self.revoked),
            "downstream": [
                {
                    "node": node.node,
                    "kind": node.kind,
                    "name": node.name,
                    "records": node.records,
                    "path": list(node.path),
                    "relations": list(node.relations),
                    "evidence": node.evidence,
                }
                for node in self.nodes
            ],
            "records": None
            if found is None
            else {
                "direct": found.direct,
                "derived": found.derived,
                "by_generator": found.by_generator,
                "paths": [list(path) for path in found.paths],
            },
        }


def revoke(graph: Graph, name: str, table: Table | None = None) -> Revocation:
    """All that was made, in any number of steps, of the node that ``name`` means.

    ``name`` is an id or ``generator:X``, ``model:X``, ``dataset:X``; a generator without a revision
    means all its revisions. With ``table`` (``origins`` columns of a corpus), its records are
    followed too: those whose generator is revoked or downstream of it, and their descendants by
    ``parents``. Raises :class:`LineageError` where neither graph nor table knows the name.

    >>> graph = Graph()
    >>> bad, out = graph.add("generator", "m@1"), graph.add("dataset", "out", records=7)
    >>> graph.link(out, "sampled-from", bad)
    >>> [(found.node, found.records) for found in revoke(graph, "generator:m").nodes]
    [('dataset:out', 7)]
    """
    start = graph.find(name)
    makers = _makers(table, name) if table is not None else ()
    if not start and not makers:
        known = ", ".join(sorted(graph.nodes)[:5]) or "none"
        raise LineageError(
            "revoke", f"something known (such as {known})", repr(name)[:80], "check its name"
        )
    reached = downstream(graph, start)
    found = tuple(_affected(graph, node, reached) for node in reached if node not in start)
    records = None
    if table is not None:
        models = [graph.nodes[node] for node in (*start, *reached)]
        tainted = {node.name for node in models if node.kind in ("model", "generator")}
        records = revoked_records(table, tainted | set(makers))
    named = start or tuple(f"generator:{maker}" for maker in makers)
    return Revocation(named, found, records)


def revoke_in(statements: Statements, name: str, corpus: Corpus | None = None) -> Revocation:
    """:func:`revoke` in what statements tell of; with a corpus, in its records too."""
    table = None if corpus is None else origin_table(corpus)
    return revoke(graph_of(statements).graph, name, table)


def revoked_records(table: Table, generators: set[str]) -> AffectedRecords:
    """The records made by any of ``generators``, and all their descendants; linear time."""
    column = flat(table.column("generator"))
    names = column.dictionary.to_pylist()
    hit = np.array([*(name in generators for name in names), False], bool)
    code = np.asarray(column.indices.fill_null(len(names))).astype(np.int64)
    direct = hit[code]
    mask, via = descendants(table, direct)
    derived = np.flatnonzero(mask & ~direct)
    counts = np.bincount(code[mask], minlength=len(names) + 1)
    by = {str(name or ""): int(n) for name, n in zip([*names, None], counts, strict=True) if n}
    ids = table.column("id")
    # The longest ways are the ones nobody would have found by hand.
    stated = generations(table)[derived]
    order = derived[np.argsort(-stated, kind="stable")][:PATHS]
    paths = tuple(_way(int(i), via, ids) for i in order)
    return AffectedRecords(mask, int(direct.sum()), len(derived), by, paths)


def _way(i: int, via: NDArray[np.int64], ids: pa.ChunkedArray) -> tuple[str, ...]:
    steps = [str(ids[i].as_py())]
    while via[i] >= 0 and len(steps) < 1000:
        i = int(via[i])
        steps.append(str(ids[i].as_py()))
    return tuple(reversed(steps))


def _makers(table: Table, name: str) -> tuple[str, ...]:
    """Generators of the records that ``name`` means."""
    kind, _, bare = name.partition(":")
    if kind not in ("generator", "model"):
        bare = name
    known = flat(table.column("generator")).dictionary.to_pylist()
    return tuple(n for n in known if n and (n == bare or n.startswith(f"{bare}@")))


def downstream(graph: Graph, start: tuple[str, ...]) -> Mapping[str, Edge | None]:
    """Every node below ``start``, nearest first, and the edge that led there."""
    via: dict[str, Edge | None] = dict.fromkeys(start)
    queue = deque(start)
    while queue:
        for edge in graph.children(queue.popleft()):
            if edge.child not in via:
                via[edge.child] = edge
                queue.append(edge.child)
    return via


def _affected(graph: Graph, node_id: str, via: Mapping[str, Edge | None]) -> Affected:
    edges: list[Edge] = []
    at = node_id
    while (edge := via[at]) is not None:
        edges.append(edge)
        at = edge.parent
    edges.reverse()
    node = graph.nodes[node_id]
    return Affected(
        node_id,
        node.kind,
        node.name,
        node.records,
        (at, *(edge.child for edge in edges)),
        tuple(edge.relation for edge in edges),
        weakest(edge.evidence for edge in edges),
    )
