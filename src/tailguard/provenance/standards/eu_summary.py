"""The public summary of training content, section 2.5 "Synthetic data", as JSON and Markdown.

The AI Act (Regulation (EU) 2024/1689, Article 53(1)(d)) asks providers of general-purpose models
for a summary after the Commission's template (C(2025) 8311, 5 December 2025; first published on 24
July 2025). Its section 2.5 asks whether synthetic data made by or for the provider was used to
train the model, of which modality, by which models on the market, and what there is to say of
others.

A summary is about a model: what is known of its training data decides the answers. "No" is only
written where every ancestor's depth is known to be 0. Fields that are not ours survive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from hashlib import sha256
from typing import Any

from tailguard.provenance.lineage.base import Claim, Graph
from tailguard.provenance.lineage.depth import graph_depths
from tailguard.provenance.lineage.trace import ancestors
from tailguard.provenance.standards.base import (
    LARGEST_BYTES,
    Imported,
    StandardError,
    demand,
    dump_json,
    load_json,
    text_of,
    texts_of,
)

NAME = "eu-summary"
SECTION = "synthetic_data"

LABELS: dict[str, str] = {
    "used": "Synthetic AI-generated data created by or on behalf of the provider used for training",
    "modalities": "Modality of the synthetic data",
    "models": "General-purpose AI models on the market that generated it",
    "other_models": "Other AI models that generated it",
    "other_models_training": "What these other models were trained on",
    "comments": "Additional comments",
}
"""Fields of section 2.5, and how the Markdown form calls them."""

ANSWERS = ("yes", "no", "unknown")
_LINE = re.compile(r"^\*\*(?P<label>[^*]+?):\*\*[ \t]*(?P<value>.*)$")
_LISTS = ("modalities", "models", "other_models")
_ANSWERING = ("used", "models", "other_models")


def section_of(
    graph: Graph,
    model: str,
    *,
    on_market: tuple[str, ...] = (),
    modalities: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Section 2.5 for a model (a node's id), out of its lineage.

    ``on_market`` names the generators that are general-purpose models on the market; the others
    are listed as other models, with the depth they were trained on. Lineage does not know
    ``modalities``; without them the field is left to the provider.

    >>> graph = Graph()
    >>> m, web = graph.add("model", "m"), graph.add("dataset", "w", claims=[Claim("kind", "human")])
    >>> graph.link(m, "trained-on", web)
    >>> section_of(graph, m)["used"]
    'no'
    """
    depths = graph_depths(graph).nodes
    above = ancestors(graph, [model])[1:]
    makers = sorted(
        {
            edge.parent
            for node in above
            for edge in graph.parents(node)
            if edge.relation == "sampled-from"
        }
    )
    known = depths[model].depth
    used = "yes" if makers or known.lo > 0 else "no" if known.hi == 0 else "unknown"
    names = [graph.nodes[maker].name for maker in makers]
    others = [maker for maker in makers if graph.nodes[maker].name not in on_market]
    training = [
        f"{graph.nodes[maker].name}: trained on generation {depths[maker].depth} "
        f"(evidence: {depths[maker].evidence})"
        for maker in others
    ]
    data = [n for n in above if graph.nodes[n].kind == "dataset" and depths[n].depth.lo > 0]
    listed = ", ".join(sorted(graph.nodes[n].name for n in data)[:100])
    comments = f"Generation of the training data: {known} (evidence: {depths[model].evidence})."
    if listed:
        comments += f" Synthetic or mixed data sets: {listed}."
    return {
        "used": used,
        **({"modalities": list(modalities)} if modalities else {}),
        "models": [name for name in names if name in on_market],
        "other_models": [graph.nodes[maker].name for maker in others],
        "other_models_training": "; ".join(training),
        "comments": comments,
    }


def read(data: bytes, *, who: str = NAME) -> Imported:
    """A summary in JSON, or in Markdown as written here. Raises :class:`StandardError`.

    The model is its subject: ``used`` says that it was trained on data that the models listed made.
    """
    if data.lstrip()[:1] == b"{":
        document = demand(load_json(data, who), dict, who, "a JSON object")
        section = dict(_section_in(document))
        model = text_of(document.get("model")) or "model"
    else:
        if len(data) > LARGEST_BYTES:
            raise StandardError(who, f"at most {LARGEST_BYTES:,} bytes", "more", "check the file")
        document = data.decode("utf-8", "replace")
        section, model = parse_markdown(document)
    if not section:
        raise StandardError(who, "section 2.5 on synthetic data", "none", "check the file")
    graph, by = Graph(), "EU summary"
    node = graph.add("model", model)
    used = str(section.get("used", "")).lower()
    kind = {"yes": "mixed", "no": "human"}.get(used, "unknown")
    content = graph.add(
        "dataset", f"training data of {model}", claims=[Claim("kind", kind, "declared", by)]
    )
    graph.link(node, "trained-on", content, by=by)
    for name in (*texts_of(section.get("models")), *texts_of(section.get("other_models"))):
        graph.link(content, "sampled-from", graph.add("generator", name), by=by)
    return Imported(NAME, graph, (node,), document, sha256(data).hexdigest())


def write(
    graph: Graph,
    about: str,
    document: Any = None,
    *,
    on_market: tuple[str, ...] = (),
    markdown: bool = False,
) -> bytes:
    """The summary of the model ``about``; only section 2.5 is ours, the rest of ``document`` stays.

    Raises :class:`StandardError` for a node that is no model.
    """
    node = graph.nodes.get(about)
    if node is None or node.kind not in ("model", "generator"):
        got = "an unknown node" if node is None else f"a {node.kind}"
        raise StandardError(NAME, "a model to summarise", got, "name a model: --about model:NAME")
    old = _section_in(document)
    section = section_of(graph, about, on_market=(*on_market, *texts_of(old.get("models"))))
    if old and all(_answer(old, key) == _answer(section, key) for key in _ANSWERING):
        # What is known is what the document says: its own words stay.
        return document.encode() if isinstance(document, str) else dump_json(document)
    if markdown or isinstance(document, str):
        return patch_markdown(document or "", section, node.name).encode()
    return dump_json(patch(document if document is not None else {}, section, node.name))


def _section_in(document: Any) -> Mapping[str, Any]:
    """Section 2.5 of a document in either form; empty where there is none."""
    if isinstance(document, str):
        return parse_markdown(document)[0]
    section = document.get(SECTION) if isinstance(document, Mapping) else None
    return section if isinstance(section, Mapping) else {}


def _answer(section: Mapping[str, Any], key: str) -> Any:
    value = section.get(key)
    return set(texts_of(value)) if key in _LISTS else str(value).lower()


def patch(document: Mapping[str, Any], section: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The JSON form with section 2.5 in it; fields that are not ours stay."""
    out = deepcopy(dict(document))
    out.setdefault("model", model)
    old = out.get(SECTION)
    held = dict(old) if isinstance(old, Mapping) else {}
    out[SECTION] = held | dict(section)
    return out


def patch_markdown(text: str, section: Mapping[str, Any], model: str) -> str:
    """The Markdown form with section 2.5 in it; lines that are not its fields stay as they are."""
    values = {LABELS[key]: _shown(section[key]) for key in LABELS if key in section}
    lines, seen, end = text.splitlines(), set[str](), None
    for number, line in enumerate(lines):
        found = _LINE.match(line)
        if found and found["label"] in values:
            lines[number] = f"**{found['label']}:** {values[found['label']]}"
            seen.add(found["label"])
            end = number + 1
    missing = [f"**{label}:** {value}" for label, value in values.items() if label not in seen]
    if end is None:
        head = [f"**Versioned model name(s):** {model}", ""] if not text else [""]
        lines += [*head, "### 2.5. Synthetic data", ""]
        end = len(lines)
    lines[end:end] = [part for line in missing for part in (line, "")] if missing else []
    return "\n".join(lines).rstrip("\n") + "\n"


def parse_markdown(text: str) -> tuple[dict[str, Any], str]:
    """Section 2.5 out of the Markdown form, and the model's name.

    >>> parse_markdown("**Modality of the synthetic data:** text, image")[0]
    {'modalities': ['text', 'image']}
    """
    fields = {label: key for key, label in LABELS.items()}
    section: dict[str, Any] = {}
    model = "model"
    for line in text.splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        key, value = fields.get(found["label"]), found["value"].strip()
        if found["label"] == "Versioned model name(s)":
            model = value or model
        elif key in _LISTS:
            section[key] = [] if value in ("", "none") else [v.strip() for v in value.split(",")]
        elif key is not None:
            section[key] = value.lower() if key == "used" else value
    return section, model


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_one_line(str(item)).replace(",", ";") for item in value) or "none"
    text = _one_line(str(value))
    return text.capitalize() if text in ANSWERS else text


def _one_line(text: str) -> str:
    return " ".join(text.split())
