"""A lineage as JSON, and as one self-contained HTML page: no script, no request, light and dark."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tailguard.corpus.atomic import replacing
from tailguard.provenance.lineage.base import Claim, Graph
from tailguard.provenance.lineage.contradictions import RULES, Contradiction
from tailguard.provenance.lineage.depth import GraphDepths, NodeDepth
from tailguard.provenance.lineage.draw import Drawing, draw, nearest, shown
from tailguard.provenance.lineage.revoke import downstream
from tailguard.provenance.lineage.trace import Lineage, ancestors

SHOWN_ROWS = 200
"""Rows of each table on the page; the JSON has all."""


def drawing_of(lineage: Lineage) -> Drawing:
    """The graph around the corpus and the model asked for."""
    graph = lineage.graph
    title = f"Lineage of {lineage.name}"
    return draw(graph, lineage.depths, _around(lineage), title)


def lineage_json(lineage: Lineage) -> dict[str, Any]:
    """The lineage as plain JSON; unbounded depths are null, unknown is [0, null].

    The graph is whole: also what has nothing to do with the corpus.
    """
    nodes = lineage.depths.nodes
    return {
        "format": "tailguard-lineage-v1",
        "name": lineage.name,
        "data": lineage.data,
        "model": None if lineage.model is None else _model_json(lineage, lineage.model),
        "records": lineage.summary.records,
        "quarantined": lineage.summary.quarantined,
        **_depth_json(lineage.depth),
        "slices": [
            {
                "axis": part.axis,
                "value": part.value,
                "records": part.records,
                "depth": list(part.depth),
                "records_by_depth": part.depths,
                "records_by_evidence": part.evidence,
                "how": list(part.how),
            }
            for part in lineage.slices
        ],
        "contradiction_counts": lineage.contradiction_counts,
        "contradictions": [contradiction_json(found) for found in lineage.contradictions],
        "cycles": [list(cycle) for cycle in lineage.cycles],
        "parents_not_found": lineage.orphans,
        "nodes": [
            {
                "id": node.id,
                "kind": node.kind,
                "name": node.name,
                "digests": sorted(node.digests),
                "records": node.records,
                **_depth_json(nodes[node.id]),
                "claims": [_claim_json(c) for c in lineage.graph.claims.get(node.id, ())],
            }
            for node in lineage.graph.nodes.values()
        ],
        "edges": [
            {
                "child": edge.child,
                "relation": edge.relation,
                "parent": edge.parent,
                "evidence": edge.evidence,
                "by": edge.by,
                "records": edge.records,
            }
            for edge in lineage.graph.edges()
        ],
        "statements_not_read": list(lineage.problems),
    }


def contradiction_json(found: Contradiction) -> dict[str, Any]:
    """A contradiction as plain JSON, with the winner."""
    return {
        "rule": found.rule,
        "meaning": RULES[found.rule],
        "subject": found.subject,
        "first": _claim_json(found.first),
        "second": _claim_json(found.second),
        "winner": found.winner,
        "detail": found.detail,
    }


def lineage_html(lineage: Lineage) -> str:
    """The lineage as one HTML page. The same lineage always gives the same text."""
    drawing = drawing_of(lineage)
    around = _around(lineage)
    return _template().render(
        name=lineage.name,
        records=lineage.summary.records,
        quarantined=lineage.summary.quarantined,
        depth=lineage.depth,
        orphans=lineage.orphans,
        drawing={"svg": Markup(drawing.svg), "left_out": drawing.left_out},
        slices=lineage.slices[:SHOWN_ROWS],
        more_slices=max(0, len(lineage.slices) - SHOWN_ROWS),
        counts=lineage.contradiction_counts,
        rules=RULES,
        contradictions=lineage.contradictions[:SHOWN_ROWS],
        cycles=lineage.cycles[:SHOWN_ROWS],
        nodes=_rows(lineage.graph, lineage.depths, around[:SHOWN_ROWS]),
        problems=lineage.problems[:SHOWN_ROWS],
    )


def write_lineage(lineage: Lineage, path: str | Path) -> None:
    """Write the lineage as a page, or only the graph where ``path`` ends in ``.svg``."""
    svg = str(path).lower().endswith(".svg")
    text = drawing_of(lineage).svg + "\n" if svg else lineage_html(lineage)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _around(lineage: Lineage) -> list[str]:
    graph = lineage.graph
    wanted = [ancestors(graph, [lineage.data]), list(downstream(graph, (lineage.data,)))]
    if lineage.model is not None:
        wanted.append(ancestors(graph, [lineage.model]))
    return nearest(graph, wanted)


def _model_json(lineage: Lineage, node_id: str) -> dict[str, Any]:
    node = lineage.graph.nodes[node_id]
    known = lineage.depths.nodes[node_id]
    made_of = ancestors(lineage.graph, [node_id])[1:]
    used = lineage.data in made_of
    return {"id": node_id, "name": node.name, **_depth_json(known), "trained_on_data": used,
            "made_of": made_of}  # fmt: skip


def _rows(graph: Graph, depths: GraphDepths, chosen: list[str]) -> list[dict[str, Any]]:
    rows = []
    for node_id in chosen:
        node, known = graph.nodes[node_id], depths.nodes[node_id]
        made_of = [
            {"relation": e.relation, "name": graph.nodes[e.parent].name, "evidence": e.evidence}
            for e in graph.parents(node_id)[:20]
        ]
        rows.append(
            {
                "name": node.name,
                "kind": node.kind,
                "records": node.records,
                "depth": known.depth,
                "evidence": known.evidence,
                "made_of": made_of,
            }
        )
    return rows


def _depth_json(known: NodeDepth) -> dict[str, Any]:
    return {
        "depth": list(known.depth),
        "evidence": known.evidence,
        "path": list(known.path),
        "disputed": known.disputed,
    }


def _claim_json(claim: Claim) -> dict[str, Any]:
    value = list(claim.value) if isinstance(claim.value, tuple) else claim.value
    return {"what": claim.what, "value": value, "evidence": claim.evidence, "by": claim.by}


def _finalize(value: Any) -> Any:
    return shown(value, 2000) if isinstance(value, str) and not isinstance(value, Markup) else value


def _number(value: int) -> str:
    return f"{value:,}"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tailguard.provenance.lineage"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cut=shown, number=_number)
    return environment.get_template("lineage.html.j2")
