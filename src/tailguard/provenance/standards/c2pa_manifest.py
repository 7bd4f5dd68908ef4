"""What stands in one C2PA manifest, as c2pa-python writes it in JSON: actions, ingredients, agents.

Everything comes from outside: what has the wrong type is passed over, lists and texts are cut.
Source: C2PA Technical Specification 2.2, sections 18.15 (actions), 18.16 (ingredients) and 18.11
(metadata); 2.0 and earlier for what older files hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tailguard.provenance.standards.base import text_of, texts_of
from tailguard.provenance.standards.opt_out import c2pa_signals

LONGEST_WORD = 1_000
"""A name or address in a manifest is cut here."""

_COPY = re.compile(r"__\d+$")
_ACTIONS = re.compile(r"c2pa\.actions(\.v\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].{0,40})?")


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one.

    >>> mapping([1]), mapping({"a": 1})
    ({}, {'a': 1})
    """
    return value if isinstance(value, Mapping) else {}


def actions_of(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All actions, with what their templates and lists of agents say filled in.

    >>> data = {"actions": [{"action": "c2pa.created", "softwareAgentIndex": 0}]}
    >>> data |= {"softwareAgents": [{"name": "Camera", "version": "2"}]}
    >>> [made] = actions_of({"assertions": [{"label": "c2pa.actions.v2", "data": data}]})
    >>> agent_of(made["softwareAgent"])
    'Camera@2'
    """
    for label, data in _assertions(manifest):
        if not _ACTIONS.fullmatch(label):
            continue
        agents = data.get("softwareAgents")
        templates: dict[Any, Mapping[str, Any]] = {}
        for template in _listed(data.get("templates")):
            templates.setdefault(str(template.get("action")), template)
        for action in _listed(data.get("actions")):
            name = str(action.get("action"))
            full = {**templates.get("*", {}), **templates.get(name, {}), **action}
            index = full.get("softwareAgentIndex")
            if "softwareAgent" not in full and isinstance(agents, list) and type(index) is int:
                full["softwareAgent"] = agents[index] if 0 <= index < len(agents) else None
            yield full


def types_by_ingredient(actions: list[Mapping[str, Any]]) -> dict[str, str]:
    """Source types that opening and placing actions say of ingredients, by ingredient label."""
    named: dict[str, str] = {}
    for action in actions:
        code = word_of(action.get("digitalSourceType"))
        if code is not None and action.get("action") in ("c2pa.opened", "c2pa.placed"):
            named |= dict.fromkeys(targets_of(action), code)
    return named


def targets_of(action: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels of the ingredients that an action is about."""
    parameters = mapping(action.get("parameters"))
    links = [*_listed(parameters.get("ingredients")), mapping(parameters.get("ingredient"))]
    urls = [url for link in links if (url := text_of(link.get("url"))) is not None]
    return tuple(url.rsplit("/", 1)[-1] for url in urls)


def described_types(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Source types in embedded metadata (stds.iptc, c2pa.metadata), as older files have them."""
    for _, data in _assertions(manifest):
        yield from _values(data.get("Iptc4xmpExt:DigitalSourceType"))


def rights_of(manifest: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Creators and licences that metadata and schema.org assertions name."""
    creators: list[str] = []
    licenses: list[str] = []
    for _, data in _assertions(manifest):
        authors = data.get("author")
        for author in _listed(authors if isinstance(authors, list) else [authors]):
            creators += _values(author.get("name"))
        creators += _values(data.get("dc:creator"))
        licenses += _values(data.get("license")) + _values(data.get("xmpRights:WebStatement"))
    return list(dict.fromkeys(creators)), list(dict.fromkeys(licenses))


def signals_of(manifest: Mapping[str, Any], at: str) -> list[str]:
    """Opt-out signals; the label of a second assertion of a kind ends in ``__1``."""
    plain = [{"label": label, "data": data} for label, data in _assertions(manifest)]
    return c2pa_signals({"assertions": plain}, at[:LONGEST_WORD])


def parents_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What a picture derives from: of each ingredient the label of the manifest it brings, else its
    instance id. The label is what the ingredient's own file calls itself; the instance id is made
    anew when it is taken in.

    >>> made = {"relationship": "parentOf", "instance_id": "xmp.iid:1"}
    >>> parents_of({"ingredients": [made, made | {"active_manifest": "urn:c2pa:2"}]})
    ('xmp.iid:1', 'urn:c2pa:2')
    """
    found: list[str] = []
    for ingredient in ingredients_of(manifest):
        if ingredient.get("relationship") not in ("parentOf", "componentOf", "inputTo"):
            continue
        names = ("active_manifest", "instance_id", "document_id")
        found += [name for key in names if (name := word_of(ingredient.get(key)))][:1]
    return tuple(dict.fromkeys(found))


def ingredients_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The ingredients, at most a thousand."""
    return _listed(manifest.get("ingredients"))


def _assertions(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for assertion in _listed(manifest.get("assertions")):
        yield _COPY.sub("", str(assertion.get("label"))), mapping(assertion.get("data"))


def _listed(value: Any) -> list[Mapping[str, Any]]:
    """The objects among the first thousand items of a list."""
    items = value[:1_000] if isinstance(value, list) else []
    return [item for item in items if isinstance(item, Mapping)]


def claim_generator_of(manifest: Mapping[str, Any]) -> str | None:
    """The program that wrote a manifest, as ``name@version`` where it says so."""
    listed = _listed(manifest.get("claim_generator_info"))
    return agent_of(listed[0] if listed else None) or word_of(manifest.get("claim_generator"))


def agent_of(value: Any) -> str | None:
    """A software agent as ``name@version``; older manifests have a plain text.

    >>> agent_of({"name": "Imagen", "version": "3"}), agent_of("Imagen 3"), agent_of(3)
    ('Imagen@3', 'Imagen 3', None)
    """
    if not isinstance(value, Mapping):
        return word_of(value)
    name, version = word_of(value.get("name")), word_of(value.get("version"))
    return f"{name}@{version}" if name and version else name


def _values(value: Any) -> list[str]:
    """The texts in a value, a list of values, or a JSON-LD ``{"@id": ...}``."""
    items = value[:100] if isinstance(value, list) else [value]
    plain = [item.get("@id") if isinstance(item, Mapping) else item for item in items]
    return [text[:LONGEST_WORD] for text in texts_of(plain)]


def word_of(value: Any) -> str | None:
    """A text, cut at 1,000 characters, or none."""
    text = text_of(value)
    return None if text is None else text[:LONGEST_WORD]


def date_of(value: Any) -> str | None:
    """A date or time in ISO 8601, as written, or none.

    >>> date_of("2026-01-02T03:04:05Z"), date_of("2022:03:15 10:00")
    ('2026-01-02T03:04:05Z', None)
    """
    text = text_of(value)
    return text if text is not None and _DATE.fullmatch(text) else None
