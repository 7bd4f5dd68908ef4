"""A graph of data and models as one ``<svg>``: what came first stands left.

Nothing is told by colour alone: kinds have shapes, depth and evidence are written, and the strokes
of edges differ. Colours are CSS variables with fallbacks, so the drawing reads on light and dark.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tailguard.provenance.lineage.base import Edge, Graph, Node
from tailguard.provenance.lineage.depth import GraphDepths, components

MOST_DRAWN = 60
"""More nodes than this make no picture; the nearest are drawn, the table has the others."""

WIDTH, HEIGHT = 214, 52
GAP_X, GAP_Y = 74, 22
MARGIN = 20
NAME_CHARS = 24

# Okabe & Ito (2008): green, blue, orange, vermilion; grey for what is not known.
_DEPTH_COLOURS = ("--d0, #009e73", "--d1, #0072b2", "--d2, #e69f00", "--d3, #d55e00")
_UNKNOWN_COLOUR = "--du, #777777"
_STROKE = {"attested": "", "watermark": "", "audited": "", "declared": "7 4"}
_LOOSE = "2 4"
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202f\u2066-\u2069\ufeff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The ``<svg>``, and how many nodes are not in it."""

    svg: str
    left_out: int


def shown(text: str, limit: int = 200) -> str:
    """``text`` on one line, its controls and direction marks made visible, cut at ``limit``.

    >>> shown("a\\x1b[31m\\nb"), shown("abcdef", 4)
    ('a�[31m�b', 'abc…')
    """
    clean = _CONTROLS.sub("\ufffd", text[: 4 * limit])
    clean = clean.encode("utf-8", "replace").decode()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def draw(graph: Graph, depths: GraphDepths, chosen: Sequence[str], title: str) -> Drawing:
    """Draw the ``chosen`` nodes (the most important first) and the edges between them.

    The same graph always gives the same text; the text holds no script, link or foreign markup.
    """
    kept = list(dict.fromkeys(chosen))[:MOST_DRAWN]
    edges = [e for e in graph.edges() if e.child in kept and e.parent in kept]
    place = _places(graph, kept, edges)
    wide = max((x for x, _ in place.values()), default=0) + WIDTH + MARGIN
    high = max((y for _, y in place.values()), default=0) + HEIGHT + GAP_Y + MARGIN
    names = ", ".join(shown(graph.nodes[node].name, 40) for node in kept[:8])
    alt = f"{len(kept)} nodes and {len(edges)} edges, earliest left: {names}"
    parts = [
        f'<svg class="graph" viewBox="0 0 {wide} {high}" width="{wide}" role="img" '
        f'aria-labelledby="graph-title graph-desc" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="graph-title">{html.escape(shown(title, 120))}</title>',
        f'<desc id="graph-desc">{html.escape(alt)}</desc>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="var(--soft, #666666)"/>'
        "</marker></defs>",
    ]
    parts += [_edge(graph, edge, place) for edge in edges]
    parts += [_node(graph.nodes[node], depths, place[node]) for node in kept]
    return Drawing("\n".join([*parts, "</svg>"]), len(dict.fromkeys(chosen)) - len(kept))


def _places(graph: Graph, kept: list[str], edges: list[Edge]) -> dict[str, tuple[int, int]]:
    """Layers by the longest way from an origin; within a layer, near one's parents."""
    parents: dict[str, list[str]] = {node: [] for node in kept}
    for edge in edges:
        parents[edge.child].append(edge.parent)
    layer = _layers(graph, parents)
    columns: dict[int, list[str]] = {}
    for node in sorted(kept, key=lambda n: (layer[n], kept.index(n))):
        columns.setdefault(layer[node], []).append(node)
    row: dict[str, float] = {}
    for number in sorted(columns):
        column = columns[number]
        home = {
            node: sum(row[p] for p in parents[node] if p in row) / max(1, len(parents[node]))
            if any(p in row for p in parents[node])
            else float(i)
            for i, node in enumerate(column)
        }
        column.sort(key=lambda node: (home[node], column.index(node) if node in column else 0))
        middle = sum(home.values()) / len(home) - (len(column) - 1) / 2 if number else 0.0
        for i, node in enumerate(column):
            row[node] = max(0.0, middle) + i
    return {
        node: (
            MARGIN + layer[node] * (WIDTH + GAP_X),
            MARGIN + round(row[node] * (HEIGHT + GAP_Y)),
        )
        for node in kept
    }


def _layers(graph: Graph, parents: dict[str, list[str]]) -> dict[str, int]:
    """Behind all parents, and then as near to the children as that allows; cycles stay together."""
    children: dict[str, list[str]] = {node: [] for node in parents}
    for node, origins in parents.items():
        for parent in origins:
            children[parent].append(node)
    layer: dict[str, int] = {}
    together = [[n for n in members if n in parents] for members in components(graph)]
    for members in together:
        above = [layer[p] for node in members for p in parents[node] if p in layer]
        layer |= dict.fromkeys(members, max(above, default=-1) + 1)
    for members in reversed(together):
        below = [layer[c] for node in members for c in children[node] if c not in members]
        if below:
            layer |= dict.fromkeys(members, min(below) - 1)
    return layer


def _node(node: Node, depths: GraphDepths, at: tuple[int, int]) -> str:
    x, y = at
    known = depths.nodes[node.id]
    colour = _colour(known.depth.lo, known.depth.hi)
    word = "trained on" if node.kind in ("model", "generator") else "generation"
    second = f"{word} {known.depth} · {known.evidence}"
    count = "" if node.records is None else f", {node.records:,} records"
    hint = f"{node.kind} {shown(node.name)}: {word} {known.depth}, evidence {known.evidence}{count}"
    dash = ' stroke-dasharray="5 3"' if node.kind in ("generator", "group") else ""
    return (
        f'<g><title>{html.escape(hint)}</title><path d="{_outline(node.kind, x, y)}" '
        f'fill="var(--card, #ffffff)" stroke="var({colour})" stroke-width="2.5"{dash}/>'
        f'<text x="{x + WIDTH / 2:g}" y="{y + 21}" text-anchor="middle" '
        f'fill="var(--ink, #222222)" font-weight="600">'
        f"{html.escape(shown(_short(node), NAME_CHARS))}</text>"
        f'<text x="{x + WIDTH / 2:g}" y="{y + 39}" text-anchor="middle" '
        f'fill="var(--soft, #555555)" font-size="11.5">{html.escape(shown(second, 34))}</text></g>'
    )


def _short(node: Node) -> str:
    """What of a name is told apart best: of a group the group, of a path the file."""
    return node.name.rsplit(" · ", 1)[-1] if node.kind == "group" else node.name.rsplit("/", 1)[-1]


def _outline(kind: str, x: int, y: int) -> str:
    """Data are boxes (groups rounded), models hexagons, plans slanted."""
    w, h, s = WIDTH, HEIGHT, 14
    if kind in ("model", "generator"):
        right, left = f"L{x + w} {y + h // 2}L{x + w - s} {y + h}", f"L{x} {y + h // 2}"
        return f"M{x + s} {y}H{x + w - s}{right}H{x + s}{left}z"
    if kind == "plan":
        return f"M{x + s} {y}H{x + w}L{x + w - s} {y + h}H{x}z"
    if kind == "group":
        return (
            f"M{x + s} {y}H{x + w - s}q{s} 0 {s} {s}V{y + h - s}q0 {s} -{s} {s}"
            f"H{x + s}q-{s} 0 -{s} -{s}V{y + s}q0 -{s} {s} -{s}z"
        )
    return f"M{x} {y}H{x + w}V{y + h}H{x}z"


def _edge(graph: Graph, edge: Edge, place: dict[str, tuple[int, int]]) -> str:
    x1, y1 = place[edge.parent][0] + WIDTH, place[edge.parent][1] + HEIGHT // 2
    x2, y2 = place[edge.child][0], place[edge.child][1] + HEIGHT // 2
    if x2 < x1:  # within a cycle, back around
        x1 -= WIDTH
        bend = GAP_X // 2
        way = f"M{x1} {y1}C{x1 - bend} {y1} {x2 - bend} {y2} {x2} {y2}"
    elif x2 - x1 > GAP_X:  # past other nodes: below them
        low = HEIGHT + GAP_Y
        way = f"M{x1} {y1}C{x1 + GAP_X} {y1 + low} {x2 - GAP_X} {y2 + low} {x2} {y2}"
    else:
        middle = (x1 + x2) // 2
        way = f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
    dashes = _STROKE.get(edge.evidence, _LOOSE)
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    child, parent = graph.nodes[edge.child].name, graph.nodes[edge.parent].name
    ends = f"{shown(child)} {edge.relation} {shown(parent)}"
    return (
        f'<g><title>{html.escape(ends)} ({edge.evidence})</title><path d="{way}" fill="none" '
        f'stroke="var(--soft, #666666)" stroke-width="1.6"{dash} marker-end="url(#tip)"/></g>'
    )


def _colour(lo: int, hi: int | None) -> str:
    if hi is None and lo == 0:
        return _UNKNOWN_COLOUR
    return _DEPTH_COLOURS[min(max(lo, hi or 0), len(_DEPTH_COLOURS) - 1)]


def nearest(graph: Graph, groups: Iterable[Iterable[str]]) -> list[str]:
    """Several lists of nodes as one, in turn from each, so that none is pushed out."""
    lists = [[node for node in group if node in graph.nodes] for group in groups]
    out: dict[str, None] = {}
    for i in range(max(map(len, lists), default=0)):
        for group in lists:
            if i < len(group):
                out[group[i]] = None
    return list(out)
