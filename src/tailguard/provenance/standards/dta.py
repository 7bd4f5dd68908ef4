"""Data & Trust Alliance: the Data Provenance Standards 1.0.0 in JSON.

A document has the groups ``source``, ``provenance`` and ``use``. Facts that the standard has no
field for stand in ``provenance.tailguard``. Source: Data Provenance Standards 1.0.0 (Data & Trust
Alliance, 2024; continued as OASIS DPS).
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

NAME = "dta"
BLOCK = "tailguard"
KINDS = "urn:tailguard:kind"
"""The code system of our kinds among generation methods."""

_PATHS: dict[str, tuple[str, ...]] = {
    "name": ("source", "title"),
    "description": ("source", "description"),
    "url": ("source", "location"),
    "created": ("provenance", "date"),
    "captured": ("provenance", "generation-period", "end"),
}
_OWN = (
    "version", "creator", "digital_source_type", "evidence", "generation", "records", "digests",
    "languages", "generators", "opt_out", "parents",
)  # fmt: skip


def blank() -> dict[str, Any]:
    """A document with every required field, saying that it says nothing."""
    return {
        "source": {
            "version": "1.0.0",
            "title": "",
            "id": "",
            "issuer": [{"name": "unknown"}],
            "description": "",
        },
        "provenance": {
            "origin-geography": [{"country": "unknown"}],
            "date": "",
            "generation-method": [{"code": "unknown"}],
        },
        "use": {"intended-purpose": [{"code": "unknown", "description": "not stated"}]},
    }


def facts(document: Mapping[str, Any]) -> Facts:
    """What the document says of its data set.

    A generation method is a kind where it is one of ours, or says synthetic; others, such as web
    scraping, say nothing of the author. The end of the generation period is ``captured``.

    >>> facts({"provenance": {"generation-method": [{"code": "Synthetic"}]}})
    {'kind': 'synthetic', 'evidence': 'declared'}
    """
    found: dict[str, Any] = {key: _at(document, path) for key, path in _PATHS.items()}
    own = _at(document, ("provenance", BLOCK))
    found |= {k: v for k, v in own.items() if k in _OWN} if isinstance(own, Mapping) else {}
    found["publisher"] = "; ".join(_names(_at(document, ("source", "issuer"))))
    found["source"] = "; ".join(_names(_at(document, ("provenance", "origin"))))
    found["license"] = " AND ".join(texts_of(_at(document, ("use", "license"))))
    found["consent"] = " ".join(texts_of(_at(document, ("use", "consents"))))
    parent = text_of(_at(document, ("provenance", "source")))
    if parent is not None and "parents" not in found:
        found["parents"] = [parent]
    found["kind"] = _kind(_at(document, ("provenance", "generation-method")))
    if found["publisher"] == "unknown":
        found["publisher"] = None
    return clean_facts(found)


def patch(document: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the facts in it; what it says besides stays as it is."""
    out = deepcopy(dict(document))
    for key, value in changed(facts(document), wanted).items():
        if key in _PATHS:
            _put(out, _PATHS[key], value)
        elif key == "publisher":
            _put(out, ("source", "issuer"), [{"name": name} for name in value.split("; ")])
        elif key == "source":
            _put(out, ("provenance", "origin"), [{"name": name} for name in value.split("; ")])
        elif key == "license":
            _put(out, ("use", "license"), [value])
        elif key == "consent":
            _put(out, ("use", "consents"), [value])
        elif key == "kind":
            methods = _at(out, ("provenance", "generation-method"))
            kept = [m for m in methods or [] if not (isinstance(m, Mapping) and _says_kind(m))]
            kept = [m for m in kept if m != {"code": "unknown"}]
            method = {"code": value, "system": KINDS, "description": f"origin kind {value}"}
            _put(out, ("provenance", "generation-method"), [*kept, method])
        elif key in _OWN:
            if (
                key == "parents"
                and len(value) == 1
                and _at(out, ("provenance", BLOCK, key)) is None
            ):
                _put(out, ("provenance", "source"), value[0])
            else:
                plain = list(value) if isinstance(value, tuple) else value
                _put(out, ("provenance", BLOCK, key), plain)
    if _at(out, ("source", "id")) == "":
        _put(out, ("source", "id"), f"urn:tailguard:data:{wanted.get('name', '')}")
    return out


def read(data: bytes, *, who: str = NAME) -> Imported:
    """A metadata file in JSON. Raises :class:`StandardError` for what is none."""
    document = demand(load_json(data, who), dict, who, "a JSON object")
    if not isinstance(document.get("source"), dict) or "provenance" not in document:
        raise StandardError(who, "groups 'source' and 'provenance'", "none", "check the file")
    return imported(NAME, data, document, [facts(document)])


def write(graph: Graph, about: str, document: Any = None) -> bytes:
    """The data set ``about`` in this standard: ``document`` with what it does not say yet."""
    return dump_json(patch(document if document is not None else blank(), facts_of(graph, about)))


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def _put(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    holder = document
    for key in path[:-1]:
        inner = holder.get(key)
        if not isinstance(inner, dict):
            inner = holder[key] = {}
        holder = inner
    holder[path[-1]] = value


def _names(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else []
    names = (text_of(item.get("name")) for item in listed if isinstance(item, Mapping))
    return [name for name in names if name is not None]


def _says_kind(method: Mapping[str, Any]) -> str | None:
    code = str(method.get("code", ""))
    if method.get("system") == KINDS:
        return code
    return "synthetic" if "synthetic" in code.lower() else None


def _kind(methods: Any) -> str | None:
    """Our own word if it is there; else synthetic, or mixed where there are other methods too."""
    listed = [m for m in methods if isinstance(m, Mapping)] if isinstance(methods, list) else []
    own = [str(m.get("code")) for m in listed if m.get("system") == KINDS]
    if own:
        return own[0]
    synthetic = [m for m in listed if _says_kind(m)]
    if not synthetic:
        return None
    return "synthetic" if len(synthetic) == len(listed) else "mixed"
