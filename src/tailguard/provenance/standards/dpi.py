"""Data Provenance Initiative: summaries of data sets as its collection keeps them.

A file holds one or more data sets, each under its identifier. ``Model Generated`` lists generators;
an empty list says that there is none. Facts without a field stand under ``Tailguard``.
Source: Longpre et al. (2023), The Data Provenance Initiative; its Data-Provenance-Collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from tailguard.provenance.lineage.base import Graph
from tailguard.provenance.standards.base import (
    Facts,
    Imported,
    StandardError,
    changed,
    clean_facts,
    demand,
    dump_json,
    facts_of,
    imported,
    load_json,
    text_of,
    texts_of,
)

NAME = "dpi"
BLOCK = "Tailguard"

_LISTS = {
    "languages": "Languages",
    "generators": "Model Generated",
    "parents": "Derived from Datasets",
}
_OWN = (
    "description", "version", "publisher", "created", "captured", "digital_source_type", "consent",
    "kind", "evidence", "generation", "records", "digests", "opt_out",
)  # fmt: skip


def blank() -> dict[str, Any]:
    """The summary of a data set of which nothing is known."""
    return {
        "Unique Dataset Identifier": "",
        "Dataset Name": "",
        "Dataset URL": "",
        "Languages": [],
        "Text Sources": [],
        "Creators": [],
        "Licenses": [],
        "Derived from Datasets": [],
    }


def facts(summary: Mapping[str, Any]) -> Facts:
    """What a summary says of its data set.

    Without a kind of ours: models and human annotation are mixed, models alone synthetic, an empty
    list of models human; no list says nothing.

    >>> facts({"Dataset Name": "a", "Model Generated": ["GPT-3"], "Human Annotation": "No"})
    {'name': 'a', 'kind': 'synthetic', 'evidence': 'declared', 'generators': ('GPT-3',)}
    """
    own = summary.get(BLOCK)
    found: dict[str, Any] = (
        {k: v for k, v in own.items() if k in _OWN} if isinstance(own, Mapping) else {}
    )
    found["name"] = summary.get("Dataset Name") or summary.get("Unique Dataset Identifier")
    found["url"] = summary.get("Dataset URL")
    for key, field in _LISTS.items():
        found[key] = texts_of(summary.get(field))
    found["source"] = "; ".join(texts_of(summary.get("Text Sources")))
    found["creator"] = "; ".join(texts_of(summary.get("Creators")))
    found["license"] = " AND ".join(_licences(summary))
    found.setdefault("kind", _kind(summary))
    return clean_facts(found)


def patch(summary: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The summary with the facts in it; what it says besides stays as it is."""
    out = deepcopy(dict(summary))
    own = out.get(BLOCK)
    block = dict(own) if isinstance(own, Mapping) else {}
    for key, value in changed(facts(summary), wanted).items():
        if key == "name":
            out["Dataset Name"] = value
            out["Unique Dataset Identifier"] = out.get("Unique Dataset Identifier") or value
        elif key == "url":
            out["Dataset URL"] = value
        elif key in _LISTS:
            out[_LISTS[key]] = list(value)
        elif key in ("source", "creator"):
            out["Text Sources" if key == "source" else "Creators"] = value.split("; ")
        elif key == "license":
            out["Licenses"] = [{"License": value, "License URL": ""}]
        elif key in _OWN:
            block[key] = list(value) if isinstance(value, tuple) else value
    told = facts(out)
    for key in ("kind", "evidence"):  # a new list of models may have changed what is implied
        if key in wanted and told.get(key) != wanted[key]:
            block[key] = wanted[key]
    if block:
        out[BLOCK] = block
    return out


def read(data: bytes, *, who: str = NAME) -> Imported:
    """A file of summaries. Raises :class:`StandardError` for what is none."""
    document = demand(load_json(data, who), dict, who, "a JSON object")
    summaries = [s for s in document.values() if _is_summary(s)]
    if not summaries:
        raise StandardError(
            who, "summaries with a 'Unique Dataset Identifier'", "none", "check the file"
        )
    return imported(NAME, data, document, map(facts, summaries))


def write(graph: Graph, about: str, document: Any = None) -> bytes:
    """The data set ``about`` as a summary, among those of ``document`` if it is given."""
    out = dict(document) if isinstance(document, Mapping) else {}
    wanted = facts_of(graph, about)
    key = next((k for k, s in out.items() if _is_summary(s) and _same(s, wanted)), None)
    if key is None:
        key = wanted.get("name", "unnamed")
    out[key] = patch(out.get(key, blank()), wanted)
    return dump_json(out)


def _same(summary: Mapping[str, Any], wanted: Facts) -> bool:
    return facts(summary).get("name") == wanted.get("name")


def _is_summary(value: Any) -> bool:
    return isinstance(value, Mapping) and "Unique Dataset Identifier" in value


def _licences(summary: Mapping[str, Any]) -> list[str]:
    listed = summary.get("Licenses")
    entries = [e for e in listed if isinstance(e, Mapping)] if isinstance(listed, list) else []
    return [name for e in entries if (name := text_of(e.get("License"))) is not None]


def _kind(summary: Mapping[str, Any]) -> str | None:
    models = summary.get("Model Generated")
    if not isinstance(models, list):
        return None
    if not texts_of(models):
        return "human" if not models else None
    return "synthetic" if str(summary.get("Human Annotation", "")).lower() == "no" else "mixed"
