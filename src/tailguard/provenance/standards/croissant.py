"""Croissant 1.1 (MLCommons, JSON-LD): a data set's metadata, with PROV-O and our terms.

Written as its specification's chapter on provenance says: parents as ``prov:wasDerivedFrom``,
generators as the software agents of ``prov:wasGeneratedBy``, ``digitalSourceType`` of schema.org.
Depth, evidence and opt-out have no standard term and stand under our prefix ``tg``. Contexts are
read where they are in the document, and never fetched.
Source: Croissant Format Specification 1.1 (2026), "Provenance Representation".
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from tailguard.provenance.lineage.base import Graph
from tailguard.provenance.standards.base import (
    TERMS,
    Facts,
    Imported,
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

NAME = "croissant"
CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

_SCHEMA, _PROV = "https://schema.org/", "http://www.w3.org/ns/prov#"
_CR, _DCT = "http://mlcommons.org/croissant/", "http://purl.org/dc/terms/"
_RAI = _CR + "RAI/"
_PREFIXES = {"sc": _SCHEMA, "prov": _PROV, "cr": _CR, "dct": _DCT, "rai": _RAI, "tg": TERMS}

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": _SCHEMA,
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": _CR,
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": _DCT,
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": _PROV,
    "rai": _RAI,
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": _SCHEMA,
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "tg": TERMS,
    "transform": "cr:transform",
}
"""The context of Croissant 1.1, with ``prov``, ``rai`` and our ``tg``."""

_TERM: dict[str, str] = {
    "name": _SCHEMA + "name",
    "description": _SCHEMA + "description",
    "version": _SCHEMA + "version",
    "url": _SCHEMA + "url",
    "license": _SCHEMA + "license",
    "created": _SCHEMA + "dateCreated",
    "digital_source_type": _SCHEMA + "digitalSourceType",
    "kind": TERMS + "kind",
    "generation": TERMS + "generation",
    "evidence": TERMS + "evidence",
    "source": TERMS + "source",
    "captured": TERMS + "captured",
    "consent": TERMS + "consent",
    "records": TERMS + "records",
}
"""Facts that are one plain value, and their terms."""

_NUMBERS = ("generation", "records")
_PEOPLE = {"creator": _SCHEMA + "creator", "publisher": _SCHEMA + "publisher"}
_LANGUAGES, _OPT_OUT, _DIGEST = _SCHEMA + "inLanguage", TERMS + "optOut", TERMS + "digest"
_DERIVED, _MADE = _PROV + "wasDerivedFrom", _PROV + "wasGeneratedBy"
_WITH, _LABEL = _PROV + "wasAssociatedWith", _PROV + "label"
_AGENT, _SYNTHETIC = _PROV + "SoftwareAgent", _RAI + "hasSyntheticData"


def blank() -> dict[str, Any]:
    """A document that says nothing yet."""
    return {"@context": deepcopy(CONTEXT), "@type": "sc:Dataset", "conformsTo": CONFORMS_TO}


def facts(document: Mapping[str, Any]) -> Facts:
    """What a Croissant document says of its data set.

    ``rai:hasSyntheticData`` speaks where ``tg:kind`` does not: false is human, true is mixed.

    >>> facts({"@type": "sc:Dataset", "name": "a", "rai:hasSyntheticData": False})
    {'name': 'a', 'kind': 'human', 'evidence': 'declared'}
    """
    terms = _Terms(document.get("@context"))
    found: Facts = {key: _plain(terms.get(document, term)) for key, term in _TERM.items()}
    for key in _NUMBERS:
        digits = str(found[key])
        if digits.isascii() and digits.isdigit() and len(digits) < 16:
            found[key] = int(digits)
    if found["kind"] is None and isinstance(terms.get(document, _SYNTHETIC), bool):
        found["kind"] = "mixed" if terms.get(document, _SYNTHETIC) else "human"
    for key, term in _PEOPLE.items():
        people = [_name_of(person, terms) for person in _listed(terms.get(document, term))]
        found[key] = "; ".join(name for name in people if name)
    found["languages"] = texts_of(terms.get(document, _LANGUAGES))
    found["opt_out"] = tuple(sorted(texts_of(terms.get(document, _OPT_OUT))))
    found["digests"] = dict(
        digest.split(":", 1) for digest in texts_of(terms.get(document, _DIGEST)) if ":" in digest
    )
    parents = (_name_of(p, terms) for p in _listed(terms.get(document, _DERIVED)))
    found["parents"] = [name for name in parents if name]
    found["generators"] = _generators(document, terms)
    return clean_facts(found)


def patch(document: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the facts in it; what it says besides stays as it is."""
    out = deepcopy(dict(document))
    terms = _Terms(out.get("@context"))
    fresh = changed(facts(document), wanted)
    if any(key not in ("name", "description", "version", "url", "license") for key in fresh):
        terms.declare(out)
    for key, value in fresh.items():
        if key in _TERM:
            # As text: mlcroissant leaves out every number 0, and 0 is the generation of humans.
            terms.put(out, _TERM[key], str(value) if key in _NUMBERS else value)
        elif key in _PEOPLE:
            people = [{"@type": "sc:Organization", "name": name} for name in value.split("; ")]
            terms.put(out, _PEOPLE[key], people[0] if len(people) == 1 else people)
        elif key == "languages":
            terms.put(out, _LANGUAGES, list(value))
        elif key == "opt_out":
            terms.put(out, _OPT_OUT, sorted(value))
        elif key == "digests":
            terms.put(out, _DIGEST, [f"{k}:{v}" for k, v in sorted(value.items())])
        elif key == "parents":
            terms.put(out, _DERIVED, [_entity(name) for name in value])
        elif key == "generators":
            terms.put(out, _MADE, [*_others(out, terms), _sampling(value)])
    if "kind" in fresh and terms.get(out, _SYNTHETIC) is not None:
        terms.put(out, _SYNTHETIC, fresh["kind"] in ("synthetic", "mixed"))
    return out


def read(data: bytes, *, who: str = NAME) -> Imported:
    """A Croissant file. Raises :class:`StandardError` for what is none."""
    document = demand(load_json(data, who), dict, who, "a JSON object")
    return imported(NAME, data, document, [facts(document)])


def write(graph: Graph, about: str, document: Any = None) -> bytes:
    """The data set ``about`` as a Croissant file: ``document`` with what it does not say yet."""
    return dump_json(patch(document if document is not None else blank(), facts_of(graph, about)))


class _Terms:
    """The keys of one document: terms to the names that its context gives them."""

    def __init__(self, context: Any) -> None:
        given = [c for c in _listed(context) if isinstance(c, Mapping)]
        self.prefixes = dict(_PREFIXES)
        self.aliases: dict[str, str] = {}
        self.vocab = _SCHEMA
        for part in given:
            for key, value in part.items():
                iri = value.get("@id") if isinstance(value, Mapping) else value
                if key == "@vocab" and isinstance(value, str):
                    self.vocab = _https(value)
                elif isinstance(iri, str) and not key.startswith("@"):
                    ends = iri[-1:] in (":", "/", "#", "?")
                    (self.prefixes if ends else self.aliases)[key] = iri

    def expand(self, key: str) -> str:
        """The term that a key means."""
        key = self.aliases.get(key, key)
        prefix, colon, rest = key.partition(":")
        if colon and prefix in self.prefixes:
            return _https(self.prefixes[prefix]) + rest
        return key if colon else self.vocab + key

    def key(self, holder: Mapping[str, Any], term: str) -> str | None:
        """The key under which ``holder`` says ``term``."""
        return next((k for k in holder if not k.startswith("@") and self.expand(k) == term), None)

    def get(self, holder: Mapping[str, Any], term: str) -> Any:
        """What ``holder`` says of ``term``, none if nothing."""
        key = self.key(holder, term)
        return None if key is None else holder[key]

    def put(self, holder: dict[str, Any], term: str, value: Any) -> None:
        """Say it, under the key that is there or the shortest one."""
        key = self.key(holder, term)
        if key is None:
            if term.startswith(self.vocab):
                key = term.removeprefix(self.vocab)
            else:
                longest = max(
                    (iri for iri in self.prefixes.values() if term.startswith(iri)), key=len
                )
                prefix = next(p for p, iri in self.prefixes.items() if iri == longest)
                key = f"{prefix}:{term.removeprefix(longest)}"
        holder[key] = value

    def declare(self, document: dict[str, Any]) -> None:
        """Put our prefixes into the document's context, whatever form it has."""
        context = document.get("@context")
        said = [c for c in _listed(context) if isinstance(c, Mapping)]
        missing = {
            prefix: iri
            for prefix, iri in (("prov", _PROV), ("tg", TERMS))
            if not any(prefix in part for part in said)
        }
        if not missing:
            return
        if isinstance(context, dict):
            context.update(missing)
        else:
            document["@context"] = [*_listed(context), missing]


def _https(iri: str) -> str:
    return iri.replace("http://schema.org/", _SCHEMA)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _plain(value: Any) -> Any:
    """A value out of JSON-LD: language-tagged texts, values and references lose their wrapping."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        for key in ("@value", "@id", "en"):
            if key in value:
                return value[key]
        return next((v for v in value.values() if isinstance(v, str)), None)
    return value


def _name_of(thing: Any, terms: _Terms) -> str | None:
    if isinstance(thing, Mapping):
        named = terms.get(thing, _SCHEMA + "name") or terms.get(thing, _LABEL)
        return text_of(_plain(named)) or text_of(thing.get("@id"))
    return text_of(thing)


def _is_agent(agent: Any, terms: _Terms) -> bool:
    types = _listed(agent.get("@type")) if isinstance(agent, Mapping) else []
    return any(isinstance(t, str) and terms.expand(t) == _AGENT for t in types)


def _generators(document: Mapping[str, Any], terms: _Terms) -> list[str]:
    found = []
    for activity in _listed(terms.get(document, _MADE)):
        if isinstance(activity, Mapping):
            for agent in _listed(terms.get(activity, _WITH)):
                name = _name_of(agent, terms) if _is_agent(agent, terms) else None
                found += [name] if name else []
    return found


def _others(document: Mapping[str, Any], terms: _Terms) -> list[Any]:
    """Activities that are no sampling from models."""
    return [
        activity
        for activity in _listed(terms.get(document, _MADE))
        if not (
            isinstance(activity, Mapping)
            and any(_is_agent(a, terms) for a in _listed(terms.get(activity, _WITH)))
        )
    ]


def _sampling(generators: tuple[str, ...]) -> dict[str, Any]:
    agents = [{"@type": "prov:SoftwareAgent", "prov:label": name} for name in generators]
    return {
        "@type": "prov:Activity",
        "prov:label": "Sampling from models",
        "prov:wasAssociatedWith": agents[0] if len(agents) == 1 else agents,
    }


def _entity(name: str) -> dict[str, Any]:
    """A reference to another data set: by its address where it has one."""
    if "://" in name and not any(c.isspace() for c in name):
        return {"@id": name}
    return {"@type": "prov:Entity", "prov:label": name}
