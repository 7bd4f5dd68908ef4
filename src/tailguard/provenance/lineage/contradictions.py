"""Claims that disagree: in single records, between a record and its parents, and in the graph.

Each contradiction has both claims and their evidence; the better evidence wins (attested >
watermark > audited > declared > detected > none), and between equals neither does. A contradiction
says that a claim is wrong, not which: the winner is the one to believe until somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tailguard.corpus.base import KINDS, Evidence
from tailguard.corpus.origin import KIND_OF_SOURCE_TYPE
from tailguard.provenance.lineage.base import GRADES, Claim, Graph, stronger
from tailguard.provenance.lineage.columns import (
    Table,
    codes,
    flat,
    generations,
    grades,
    kinds,
    parent_lists,
)
from tailguard.provenance.lineage.dates import Spans, span_of, spans
from tailguard.provenance.lineage.licences import conflict
from tailguard.provenance.lineage.records import (
    HUMAN,
    MIXED,
    SYNTHETIC,
    Ints,
    RecordDepths,
    rows_of,
)

Mask = NDArray[np.bool_]
Winner = Literal["first", "second", "neither"]
EXAMPLES = 20
"""Contradictions shown of each rule; all are counted."""

RULES: dict[str, str] = {
    "human_but_watermark": "said to be human, but a watermark was found",
    "kind_against_source_type": "kind and digital source type disagree",
    "generator_of_human": "said to be human or of generation 0, but a generator is given",
    "kind_against_generation": "kind and generation disagree",
    "older_than_generator": "captured or created before its generator existed",
    "captured_before_created": "captured before it was created",
    "generation_against_lineage": "the generation stated is not what generator and parents imply",
    "child_before_parent": "created before what it was made of",
    "human_of_synthetic": "said to be human, but made of synthetic data",
    "license_conflict": "its licence does not go with that of what it was made of",
    "claims_disagree": "two statements say different things",
    "cycle": "made, as stated, out of itself",
}
"""Every rule and what it finds."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two claims on one subject (a record's or node's id) that cannot both be, and which wins."""

    rule: str
    subject: str
    first: Claim
    second: Claim
    detail: str = ""

    @property
    def winner(self) -> Winner:
        """The claim with the better evidence."""
        if stronger(self.first.evidence, self.second.evidence):
            return "first"
        return "second" if stronger(self.second.evidence, self.first.evidence) else "neither"


@dataclass(frozen=True, slots=True)
class RecordContradictions:
    """``counts``: records by rule. ``records`` (n,): which have any. ``examples``: some of each."""

    counts: dict[str, int]
    records: Mask
    examples: tuple[Contradiction, ...]


def in_records(
    table: Table,
    depths: RecordDepths,
    born: Mapping[str, str] | None = None,
    *,
    examples: int = EXAMPLES,
) -> RecordContradictions:
    """Records whose claims disagree; columnar, all rules in one look at each column.

    ``born`` tells when generators came into being, by name. Parents are looked at where they are
    among the records. Not seen: claims that are wrong but agree.

    >>> from tailguard.provenance.lineage.columns import origins
    >>> from tailguard.provenance.lineage.records import record_depths
    >>> table = origins(pa.record_batch({"id": ["a"], "kind": ["human"], "watermark": ["kgw"],
    ...                                  "evidence": ["declared"]}))
    >>> found = in_records(table, record_depths(table))
    >>> found.counts, found.examples[0].winner
    ({'human_but_watermark': 1}, 'second')
    """
    masks: dict[str, Mask] = {}
    shown: list[Contradiction] = []
    for rule, hits, describe in _record_rules(table, depths, born or {}):
        fresh = np.zeros(table.num_rows, bool)
        fresh[hits] = True
        seen = masks.setdefault(rule, np.zeros(table.num_rows, bool))
        room = examples - min(int(seen.sum()), examples)
        rows = np.flatnonzero(fresh & ~seen)[:room]
        shown += [Contradiction(rule, _value(table, "id", i), *describe(i)) for i in rows]
        seen |= fresh
    counts = {rule: int(mask.sum()) for rule, mask in masks.items() if mask.any()}
    any_rule = np.zeros(table.num_rows, bool)
    for mask in masks.values():
        any_rule |= mask
    return RecordContradictions(counts, any_rule, tuple(shown))


_Describe = Callable[[int], tuple[Claim, Claim]]
_Hit = tuple[str, Any, _Describe]


def _record_rules(table: Table, depths: RecordDepths, born: Mapping[str, str]) -> Iterator[_Hit]:
    kind, generation = kinds(table), generations(table)
    human = kind == HUMAN
    made = np.asarray(flat(table.column("generator")).is_valid())

    def own(what: str) -> Callable[[int], Claim]:
        return lambda i: Claim(what, _value(table, what, i), _grade(table, i), "record")

    def pair(first: str, second: Callable[[int], Claim]) -> _Describe:
        return lambda i: (own(first)(i), second(i))

    found = np.asarray(flat(table.column("watermark")).is_valid())
    marked = human & (found | (grades(table) == GRADES["watermark"]))
    yield "human_but_watermark", marked, lambda i: _watermark(table, i)
    told = _source_kinds(table)
    against = (human & ((told == SYNTHETIC) | (told == MIXED))) | (
        (kind == SYNTHETIC) & (told == HUMAN)
    )
    yield (
        "kind_against_source_type",
        against,
        pair(
            "kind",
            lambda i: Claim(
                "digital_source_type", _value(table, "digital_source_type", i), "declared", "record"
            ),
        ),
    )
    zero = human | (generation == 0)
    yield "generator_of_human", zero & made, lambda i: _zero(table, i)
    clash = (human & (generation > 0)) | (
        ((kind == SYNTHETIC) | (kind == MIXED)) & (generation == 0)
    )
    yield "kind_against_generation", clash, pair("kind", own("generation"))
    captured, created = spans(table.column("captured")), spans(table.column("created"))
    yield from _ages(table, captured, created, born)
    early = created.surely_after(captured)
    yield "captured_before_created", early, pair("captured", own("created"))
    lineage = depths.disputed & ~clash & ~(zero & made)
    yield (
        "generation_against_lineage",
        lineage,
        pair("generation", lambda i: Claim("lineage", _span(depths, i), "declared", "lineage")),
    )
    yield from _with_parents(table, kind, created)


def _ages(table: Table, captured: Spans, created: Spans, born: Mapping[str, str]) -> Iterator[_Hit]:
    names = list(born)
    if not names:
        return
    births = spans(pa.array([born[name] for name in names], pa.large_string()))
    which = codes(table.column("generator"), pa.array(names, pa.large_string()), len(names))
    nothing = np.array(["NaT"], "M8[s]")
    start = np.concatenate([births.start, nothing])[which]
    for what, dates in (("captured", captured), ("created", created)):
        yield (
            "older_than_generator",
            dates.surely_before(start),
            lambda i, what=what: (  # type: ignore[misc]
                Claim(what, _value(table, what, i), _grade(table, i), "record"),
                Claim("created", born[_value(table, "generator", i)], "declared", "its generator"),
            ),
        )


def _with_parents(table: Table, kind: Ints, created: Spans) -> Iterator[_Hit]:
    offsets, names = parent_lists(table)
    if not offsets[-1]:
        return
    rows, _ = rows_of(table, names)
    child = np.repeat(np.arange(table.num_rows), np.diff(offsets))[rows >= 0]
    parent = rows[rows >= 0]
    parent_of: dict[int, int] = {}

    def hits(wrong: Mask) -> Ints:
        parent_of.update(
            zip(child[wrong][::-1].tolist(), parent[wrong][::-1].tolist(), strict=True)
        )
        return np.unique(child[wrong])

    def against(what: str) -> _Describe:
        return lambda i: (
            Claim(what, _value(table, what, i), _grade(table, i), "record"),
            Claim(
                what,
                _value(table, what, parent_of[int(i)]),
                _grade(table, parent_of[int(i)]),
                f"its parent {_value(table, 'id', parent_of[int(i)])}",
            ),
        )

    parents = Spans(created.start[parent], created.stop[parent])
    children = Spans(created.start[child], created.stop[child])
    yield "child_before_parent", hits(parents.surely_after(children)), against("created")
    synthetic = (kind[child] == HUMAN) & ((kind[parent] == SYNTHETIC) | (kind[parent] == MIXED))
    parent_of.clear()
    yield "human_of_synthetic", hits(synthetic), against("kind")
    parent_of.clear()
    yield "license_conflict", hits(_licence_conflicts(table, child, parent)), against("license")


def _licence_conflicts(table: Table, child: Ints, parent: Ints) -> Mask:
    """Each distinct pair of licences is looked at once."""
    column = flat(table.column("license"))
    names = [*column.dictionary.to_pylist(), None]
    code = np.asarray(column.indices.fill_null(len(names) - 1)).astype(np.int64)
    pairs, back = np.unique(code[child] * len(names) + code[parent], return_inverse=True)
    wrong = [conflict(names[p // len(names)], names[p % len(names)]) is not None for p in pairs]
    return np.array(wrong, bool)[back] if len(pairs) else np.zeros(0, bool)


def _source_kinds(table: Table) -> Ints:
    column = flat(table.column("digital_source_type"))
    known = [
        KINDS.index(KIND_OF_SOURCE_TYPE.get(str(v).rstrip("/").rsplit("/", 1)[-1], "unknown"))
        for v in column.dictionary.to_pylist()
    ]
    at = np.asarray(column.indices.fill_null(len(known))).astype(np.int64)
    return np.array([*known, KINDS.index("unknown")], np.int64)[at]


def _watermark(table: Table, i: int) -> tuple[Claim, Claim]:
    # A record graded "watermark" owes that grade to the mark, not to its word on being human.
    grade = _grade(table, i)
    said: Evidence = "declared" if grade == "watermark" else grade
    mark = _value(table, "watermark", i) or "found"
    return Claim("kind", "human", said, "record"), Claim("watermark", mark, "watermark", "detector")


def _zero(table: Table, i: int) -> tuple[Claim, Claim]:
    what = "kind" if _value(table, "kind", i) == "human" else "generation"
    grade = _grade(table, i)
    return (
        Claim(what, _value(table, what, i), grade, "record"),
        Claim("generator", _value(table, "generator", i), grade, "record"),
    )


def _span(depths: RecordDepths, i: int) -> str:
    hi = int(depths.hi[i])
    return f"{int(depths.lo[i])} to {hi if hi >= 0 else 'unknown'}, with what is stated"


def _grade(table: Table, i: int) -> Evidence:
    grade = _value(table, "evidence", i)
    return grade if grade in GRADES else "none"


def _value(table: Table, what: str, i: int) -> Any:
    return table.column(what)[int(i)].as_py()


def in_graph(graph: Graph, depths: Any) -> list[Contradiction]:
    """Data sets and models whose claims disagree with each other or with their ancestors.

    ``depths`` are the graph's, of :func:`~tailguard.provenance.lineage.depth.graph_depths`.
    """
    found: list[Contradiction] = []
    for node_id in graph.nodes:
        found += _disagreeing(graph, node_id)
        found += _against_parents(graph, node_id)
        known = depths.nodes[node_id]
        said = graph.settled(node_id, "kind")
        if said is not None and said.value == "human" and known.disputed:
            source = known.path[-1]
            other = graph.settled(source, "kind") or Claim("depth", str(known.depth))
            second = Claim(other.what, other.value, known.evidence, source)
            found.append(
                Contradiction("human_of_synthetic", node_id, said, second, " ← ".join(known.path))
            )
        elif known.disputed:
            stated = graph.settled(node_id, "generation") or said or Claim("kind", "unknown")
            implied = Claim("lineage", str(known.depth), known.evidence, "lineage")
            found.append(
                Contradiction(
                    "generation_against_lineage", node_id, stated, implied, " ← ".join(known.path)
                )
            )
    for cycle in depths.cycles:
        edge = next(e for e in graph.parents(cycle[0]) if e.parent in cycle)
        first = Claim(edge.relation, edge.parent, edge.evidence, edge.by)
        second = Claim("made of", cycle[0], edge.evidence, edge.by)
        found.append(Contradiction("cycle", cycle[0], first, second, ", ".join(cycle)))
    return found


def _disagreeing(graph: Graph, node_id: str) -> Iterator[Contradiction]:
    for what in ("kind", "generation", "license"):
        said = [c for c in graph.claims.get(node_id, ()) if c.what == what and c.value != "unknown"]
        said.sort(key=lambda claim: GRADES[claim.evidence])
        for other in said[1:]:
            if other.value != said[0].value:
                yield Contradiction("claims_disagree", node_id, said[0], other)
                break


def _against_parents(graph: Graph, node_id: str) -> Iterator[Contradiction]:
    created, licence = graph.settled(node_id, "created"), graph.settled(node_id, "license")
    for edge in graph.parents(node_id):
        before = graph.settled(edge.parent, "created")
        if before is not None:
            theirs = span_of(str(before.value))
            if created is not None and theirs.surely_after(span_of(str(created.value)))[0]:
                by = Claim("created", before.value, before.evidence, edge.parent)
                yield Contradiction("child_before_parent", node_id, created, by)
            seen = graph.settled(node_id, "captured")
            sampled = edge.relation == "sampled-from"
            mine = span_of(None if seen is None else str(seen.value))
            old = sampled and mine.surely_before(theirs.start)[0]
            if seen is not None and old:
                by = Claim("created", before.value, before.evidence, edge.parent)
                yield Contradiction("older_than_generator", node_id, seen, by)
        above = graph.settled(edge.parent, "license")
        if edge.relation == "derived-from" and licence is not None and above is not None:
            reason = conflict(str(licence.value), str(above.value))
            if reason:
                by = Claim("license", above.value, above.evidence, edge.parent)
                yield Contradiction("license_conflict", node_id, licence, by, reason)
