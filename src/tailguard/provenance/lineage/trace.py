"""The lineage of a corpus: how deep every slice of it is, how we know, and what is around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tailguard.corpus import Corpus, Quarantine
from tailguard.engine.progress import progress
from tailguard.provenance.lineage.base import (
    COUNTED,
    Claim,
    Depth,
    Graph,
    LineageError,
    deepest,
    weakest,
)
from tailguard.provenance.lineage.columns import Table, gathered, has_parents, origin_table
from tailguard.provenance.lineage.contradictions import EXAMPLES, Contradiction, in_graph
from tailguard.provenance.lineage.depth import GraphDepths, NodeDepth, graph_depths
from tailguard.provenance.lineage.records import record_depths
from tailguard.provenance.lineage.statements import Statements, graph_of
from tailguard.provenance.summary import Cell, Count, Counting, ProvenanceSummary, counting

MAX_GROUPS = 40
"""Groups of records that become nodes of the graph; the rest is one node."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Records with one value on one axis, how deep they are, and how we know.

    ``depth`` is that of the deepest record, ``depths`` and ``evidence`` count records by depth and
    by grade, ``how`` says in words what the depth rests on.
    """

    axis: str
    value: str
    records: int
    depth: Depth
    depths: dict[str, int]
    evidence: dict[str, int]
    how: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is known of where a corpus comes from.

    ``data`` is its node in ``graph``, ``model`` that of the model asked for. ``orphans`` counts
    parents that no record of the corpus is. ``problems`` are statements that could not be read.
    """

    name: str
    data: str
    model: str | None
    depth: NodeDepth
    slices: tuple[Slice, ...]
    summary: ProvenanceSummary
    graph: Graph
    depths: GraphDepths
    contradictions: tuple[Contradiction, ...]
    contradiction_counts: dict[str, int]
    cycles: tuple[tuple[str, ...], ...]
    orphans: int
    problems: tuple[str, ...]


def trace(
    corpus: Corpus,
    statements: Statements = (),
    *,
    model: str | None = None,
    name: str | None = None,
    by: Sequence[str] = ("source",),
    tiers: Any = (),
) -> Lineage:
    """Generation depth of every slice of ``corpus`` by generator, kind and the columns ``by``.

    ``statements`` (of a ledger) tell what generators were trained on and where data sets come from.
    One pass in bounded memory; where records name parents, the origin columns are then held in
    memory and parents joined. ``model`` is looked up in the statements; ``name`` is the data set's
    name there, if it is not the corpus's. Raises :class:`LineageError` for an unknown model.

    >>> import pyarrow as pa
    >>> from tailguard.corpus import open_corpus
    >>> table = pa.table({"text": ["a", "b"], "kind": ["human", "synthetic"],
    ...                   "generator": [None, "m@1"]})
    >>> found = trace(open_corpus(table))
    >>> str(found.depth.depth), [(s.value, str(s.depth)) for s in found.slices[:2]]
    ('at least 1', [('', '0'), ('m@1', 'at least 1')])
    """
    reading = graph_of(statements)
    graph = reading.graph
    training, born = _of_models(graph)
    how = counting(by=by, tiers=tiers, training=training, born=born)
    counted = _count(corpus, how)
    data = _place(graph, corpus, name)
    _add_groups(graph, data, counted.summary)
    model_id = _model(graph, model)
    depths = graph_depths(graph)
    in_data = counted.contradictions
    in_nodes = in_graph(graph, depths)
    counts = dict(counted.summary.rules)
    for found in in_nodes:
        counts[found.rule] = counts.get(found.rule, 0) + 1
    return Lineage(
        corpus.name,
        data,
        model_id,
        depths.nodes[data],
        tuple(_slices(counted.summary, graph, depths)),
        counted.summary,
        graph,
        depths,
        (*in_nodes, *in_data),
        dict(sorted(counts.items())),
        (*depths.cycles, *counted.cycles),
        counted.orphans,
        tuple(reading.problems),
    )


def ancestors(graph: Graph, start: Iterable[str]) -> list[str]:
    """The nodes and all they were made of, nearest first."""
    found = dict.fromkeys(start)
    queue = list(found)
    for node in queue:
        for edge in graph.parents(node):
            if edge.parent not in found:
                found[edge.parent] = None
                queue.append(edge.parent)
    return queue


@dataclass(frozen=True, slots=True)
class _Counted:
    summary: ProvenanceSummary
    contradictions: tuple[Contradiction, ...]
    cycles: tuple[tuple[str, ...], ...]
    orphans: int


def _count(corpus: Corpus, how: Counting) -> _Counted:
    """Stream as long as no record names a parent; from there on, begin again with all in memory."""
    summary, bad = how.empty(), Quarantine()
    examples: dict[str, list[Contradiction]] = {}
    with progress("reading origins", corpus.n_bytes, in_bytes=True) as advance:
        for shard in corpus.shards:
            for table in gathered(shard.batches(bad), how.by):
                if has_parents(table):
                    return _joined(corpus, how)
                _show(how, summary, table, examples)
            advance(shard.n_bytes)
    summary.quarantined = bad.total
    shown = tuple(found for of_rule in examples.values() for found in of_rule)
    return _Counted(summary, shown, (), 0)


def _show(
    how: Counting,
    summary: ProvenanceSummary,
    table: Table,
    examples: dict[str, list[Contradiction]],
) -> None:
    depths = record_depths(table, how.training)
    for found in how.count(summary, table, depths, examples=EXAMPLES).examples:
        shown = examples.setdefault(found.rule, [])
        if len(shown) < EXAMPLES:
            shown.append(found)


def _joined(corpus: Corpus, how: Counting) -> _Counted:
    bad = Quarantine()
    table = origin_table(corpus, how.by, bad)
    depths = record_depths(table, how.training)
    summary = how.empty()
    found = how.count(summary, table, depths, examples=EXAMPLES)
    summary.quarantined = bad.total
    return _Counted(summary, found.examples, depths.cycles, depths.orphans)


def _of_models(graph: Graph) -> tuple[dict[str, Depth], dict[str, str]]:
    """Training depth, and date of birth, of every generator that statements tell of, by name."""
    known = graph_depths(graph).nodes
    training: dict[str, Depth] = {}
    born: dict[str, str] = {}
    for node in graph.nodes.values():
        if node.kind in ("model", "generator"):
            depth = known[node.id].depth
            training[node.name] = deepest([depth, training.get(node.name, Depth(0, 0))])
            created = graph.settled(node.id, "created")
            if created is not None:
                # Of several versions, the first one that existed.
                born[node.name] = min(str(created.value), born.get(node.name, "9999"))
    return training, born


def _place(graph: Graph, corpus: Corpus, name: str | None) -> str:
    """The corpus's own node: the data set of that name, or of its file's name, or a new one."""
    base = PurePath(corpus.name).name
    for candidate in (name, corpus.name, base, PurePath(base).stem):
        known = graph.named("dataset", candidate) if candidate else []
        if known:
            return known[-1]
    return graph.add("dataset", name or corpus.name)


def _add_groups(graph: Graph, data: str, summary: ProvenanceSummary) -> None:
    """A node for each generator's records, and for each kind of those that name none."""
    groups: dict[tuple[str, str], dict[Cell, Count]] = {}
    for cell, count in summary.cells.items():
        generator = summary.value(cell, "generator")
        key = (generator, "" if generator else cell.kind)
        groups.setdefault(key, {})[cell] = count
    size = {key: sum(c.records for c in cells.values()) for key, cells in groups.items()}
    ranked = sorted(groups, key=lambda key: (-size[key], key))
    for generator, kind in ranked[:MAX_GROUPS]:
        label = f"by {generator}" if generator else kind
        group = _group(graph, data, label, groups[generator, kind])
        if generator:
            maker = graph.add("generator", generator)
            grade = weakest(cell.evidence for cell in groups[generator, kind])
            graph.link(group, "sampled-from", maker, evidence=grade, by="its records")
    rest: dict[Cell, Count] = {}
    for key in ranked[MAX_GROUPS:]:
        rest |= groups[key]
    if rest:
        _group(graph, data, f"{len(ranked) - MAX_GROUPS} more groups", rest)


def _group(graph: Graph, data: str, label: str, cells: Mapping[Cell, Count]) -> str:
    grade = weakest(cell.evidence for cell in cells)
    kinds = {cell.kind for cell in cells}
    records = sum(count.records for count in cells.values())
    claims = [Claim("depth", deepest(cell.depth for cell in cells), grade, "its records")]
    if len(kinds) == 1:
        claims.append(Claim("kind", kinds.pop(), grade, "its records"))
    name = f"{graph.nodes[data].name} · {label}"
    group = graph.add("group", name, records=records, claims=claims)
    graph.link(data, "derived-from", group, evidence="attested", by=COUNTED, records=records)
    return group


def _model(graph: Graph, model: str | None) -> str | None:
    if model is None:
        return None
    found = [
        i for i in graph.find(f"model:{model}") if graph.nodes[i].kind in ("model", "generator")
    ]
    if not found:
        known = ", ".join(sorted(n.name for n in graph.nodes.values() if n.kind == "model")[:5])
        raise LineageError(
            "--model", f"a known model ({known or 'none'})", repr(model)[:80], "register it"
        )
    return found[0]


def _slices(summary: ProvenanceSummary, graph: Graph, depths: GraphDepths) -> Iterable[Slice]:
    for axis in ("generator", "kind", *summary.by[1:]):
        for value, cells in summary.slices(axis).items():
            by_depth: dict[str, int] = {}
            by_grade: dict[str, int] = {}
            for cell, count in cells.items():
                by_depth[str(cell.depth)] = by_depth.get(str(cell.depth), 0) + count.records
                by_grade[cell.evidence] = by_grade.get(cell.evidence, 0) + count.records
            yield Slice(
                axis,
                value,
                sum(count.records for count in cells.values()),
                deepest(cell.depth for cell in cells),
                dict(sorted(by_depth.items())),
                dict(sorted(by_grade.items())),
                tuple(_how(axis, value, by_grade, graph, depths)),
            )


def _how(
    axis: str, value: str, by_grade: Mapping[str, int], graph: Graph, depths: GraphDepths
) -> Iterable[str]:
    said = ", ".join(f"{n:,} {grade}" for grade, n in sorted(by_grade.items()))
    if axis != "generator" or not value:
        yield f"its records say so (evidence: {said})"
        return
    yield f"its records name {value} (evidence: {said})"
    for node_id in graph.named("model", value):
        known = depths.nodes[node_id]
        if len(known.path) > 1 or known.evidence != "none":
            way = " ← ".join(graph.nodes[step].name for step in known.path)
            yield f"{value} was trained on depth {known.depth}: {way} (evidence: {known.evidence})"
        else:
            yield f"what {value} was trained on is not known"
