"""A lineage and a revocation in plain words, line by line, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from tailguard.provenance.lineage.contradictions import RULES
from tailguard.provenance.lineage.draw import shown
from tailguard.provenance.lineage.revoke import Revocation
from tailguard.provenance.lineage.trace import Lineage, ancestors

SHOWN = 12
"""Slices, contradictions and nodes that are printed; the rest is in --json and the page."""


def lineage_lines(lineage: Lineage) -> Iterator[str]:
    """The depth of the corpus and its slices, how we know, and what disagrees."""
    depth, summary = lineage.depth, lineage.summary
    disputed = ", disputed" if depth.disputed else ""
    yield (
        f"{shown(lineage.name)}: {summary.records:,} records, generation {depth.depth} "
        f"(evidence: {depth.evidence}{disputed})"
    )
    axis = ""
    left = 0
    for part in lineage.slices:
        if part.axis != axis:
            if left > SHOWN:
                yield f"  ... and {left - SHOWN:,} more"
            axis, left = part.axis, 0
            yield f"by {axis}"
        left += 1
        if left <= SHOWN:
            name = shown(part.value, 60) or "(none given)"
            yield f"  {name}: {part.records:,} records, generation {part.depth}"
            yield from (f"    {shown(how, 300)}" for how in part.how)
    if left > SHOWN:
        yield f"  ... and {left - SHOWN:,} more"
    if lineage.orphans:
        yield f"{lineage.orphans:,} parents are not among the records: their depth is unknown"
    if summary.quarantined:
        yield f"{summary.quarantined:,} rows could not be read"
    if lineage.model is not None:
        yield from _model_lines(lineage, lineage.model)
    for cycle in lineage.cycles[:SHOWN]:
        yield f"cycle: {shown(', '.join(cycle), 300)}"
    for rule, n in lineage.contradiction_counts.items():
        yield f"{n:,} × {RULES[rule]}"
    for found in lineage.contradictions[:SHOWN]:
        winner = {"first": "the first is believed", "second": "the second is believed"}
        first, second = (
            f"{c.what} {shown(str(c.value), 60)} ({c.evidence})"
            for c in (found.first, found.second)
        )
        verdict = winner.get(found.winner, "neither is believed")
        yield f"  {shown(found.subject, 80)}: {first} against {second}; {verdict}"
    if lineage.problems:
        yield f"{len(lineage.problems):,} statements say nothing of lineage"


def revocation_lines(found: Revocation) -> Iterator[str]:
    """What is downstream, nearest first, and the way to it."""
    names = ", ".join(shown(node, 60) for node in found.revoked)
    yield f"downstream of {names}: {len(found.nodes):,} data sets and models"
    for node in found.nodes:
        count = "" if node.records is None else f", {node.records:,} records"
        yield f"  {node.kind} {shown(node.name, 80)}{count} (evidence: {node.evidence})"
        way = " → ".join(shown(step, 60) for step in node.path)
        yield f"    {way}"
    if found.records is not None:
        of = found.records
        yield f"records: {of.direct:,} made by it, {of.derived:,} derived from these"
        for path in of.paths[:SHOWN]:
            yield f"    {' → '.join(shown(step, 60) for step in path)}"


def _model_lines(lineage: Lineage, model: str) -> Iterator[str]:
    known, node = lineage.depths.nodes[model], lineage.graph.nodes[model]
    above = ancestors(lineage.graph, [model])[1:]
    yield f"{shown(node.name)}: trained on generation {known.depth} (evidence: {known.evidence})"
    if len(known.path) > 1:
        way = " ← ".join(shown(lineage.graph.nodes[step].name, 60) for step in known.path)
        yield f"  {way}"
    used = lineage.data in above
    yield f"  {'this data is' if used else 'this data is not known to be'} part of its training"
