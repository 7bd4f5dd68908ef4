"""Hugging Face dataset cards: a README whose YAML front matter describes the data set.

The front matter is read without building any object, aliases are refused, and every scalar stays
the text it is (``no`` is Norwegian, not false). It is written line by line: keys that change are
replaced, all other lines, comments and the text below stay byte for byte.
Source: Hugging Face dataset card specification (huggingface_hub, datasetcard.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tailguard.provenance.lineage.base import Graph
from tailguard.provenance.standards.base import (
    LARGEST_BYTES,
    Facts,
    Imported,
    StandardError,
    changed,
    clean_facts,
    facts_of,
    imported,
    texts_of,
)

NAME = "hf-card"
BLOCK = "tailguard"
DEEPEST = 20
LONGEST = 1 << 20

_FRONT = re.compile(
    r"\A(?:\ufeff)?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_NUMBERS = ("generation", "records")
_MACHINE, _PEOPLE = "machine-generated", ("expert-generated", "crowdsourced")
_OWN = (
    "version", "url", "publisher", "creator", "source", "created", "captured", "consent",
    "digital_source_type", "kind", "evidence", "generation", "records", "generators", "opt_out",
    "description", "name",
)  # fmt: skip


def read(data: bytes, *, who: str = NAME) -> Imported:
    """A dataset card (README.md). Raises :class:`StandardError` for what is none."""
    if len(data) > LARGEST_BYTES:
        raise StandardError(who, f"at most {LARGEST_BYTES:,} bytes", "more", "check the file")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise StandardError(who, "UTF-8", "other bytes", "check that this is a card") from None
    return imported(NAME, data, text, [facts(text, who=who)])


def write(graph: Graph, about: str, document: Any = None) -> bytes:
    """The data set ``about`` as a card: ``document`` with what it does not say yet."""
    return patch(document if document is not None else "", facts_of(graph, about)).encode()


def facts(text: str, *, who: str = NAME) -> Facts:
    """What a card says of its data set.

    Kind is read from our own block, or else from ``language_creators`` and ``annotations_creators``
    (machine-generated is synthetic, people are human, both are mixed, ``found`` says nothing) and
    the tag ``synthetic``, which is at least mixed.

    >>> facts("---\\nlanguage: no\\nlanguage_creators: [machine-generated]\\n---\\nText")
    {'kind': 'synthetic', 'evidence': 'declared', 'languages': ('no',)}
    """
    card = front_matter(text, who=who)
    own = card.get(BLOCK)
    found: dict[str, Any] = dict(own) if isinstance(own, Mapping) else {}
    for key in _NUMBERS:
        digits = str(found.get(key, ""))
        found[key] = (
            int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None
        )
    found.setdefault("name", card.get("pretty_name"))
    found.setdefault("kind", _kind(card))
    found["license"] = " AND ".join(texts_of(card.get("license")))
    found["languages"] = texts_of(card.get("language"))
    found["parents"] = [p for p in map(_parent, texts_of(card.get("source_datasets"))) if p]
    digests = found.get("digests")
    found["digests"] = digests if isinstance(digests, Mapping) else {}
    return clean_facts(found)


def patch(text: str, wanted: Mapping[str, Any]) -> str:
    """The card with the facts in it; lines of other keys and the text below stay as they are."""
    fresh = changed(facts(text), wanted)
    if not fresh:
        return text
    card = front_matter(text)
    if "license" in fresh:
        text = _put(text, "license", fresh["license"])
    if "languages" in fresh:
        text = _put(text, "language", list(fresh["languages"]))
    if "parents" in fresh:
        given = texts_of(card.get("source_datasets"))
        kept = {_parent(entry): entry for entry in given}
        other = [entry for entry in given if _parent(entry) is None]
        parents = [kept.get(name, name) for name in fresh["parents"]]
        text = _put(text, "source_datasets", [*other, *parents])
    own = card.get(BLOCK)
    block = dict(own) if isinstance(own, Mapping) else {}
    block |= {k: int(v) for k, v in block.items() if k in _NUMBERS and str(v).isdigit()}
    for key, value in fresh.items():
        if key == "name" and "name" not in block:
            text = _put(text, "pretty_name", value)
        elif key in _OWN:
            block[key] = list(value) if isinstance(value, tuple) else value
        elif key == "digests":
            block[key] = dict(value)
    return _put(text, BLOCK, block) if block else text


def front_matter(text: str, *, who: str = NAME) -> dict[str, Any]:
    """The front matter as plain texts, lists and mappings; empty where there is none.

    Raises :class:`StandardError` for YAML that is damaged, deep, or has aliases, tags or merges.
    """
    found = _FRONT.match(text)
    if found is None:
        return {}
    node = _compose(found.group(1), who)
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise StandardError(who, "keys and values", "something else", "mend the front matter")
    plain = _plain(node, who)
    return dict(plain)


def _kind(card: Mapping[str, Any]) -> str | None:
    makers = {*texts_of(card.get("language_creators")), *texts_of(card.get("annotations_creators"))}
    machine, people = _MACHINE in makers, bool(makers & set(_PEOPLE))
    if machine:
        return "mixed" if people or "found" in makers else "synthetic"
    if any(tag.lower() in ("synthetic", "synthetic-data") for tag in texts_of(card.get("tags"))):
        return "mixed"
    written = set(texts_of(card.get("language_creators")))
    return "human" if written and written <= set(_PEOPLE) else None


def _parent(entry: str) -> str | None:
    """``original`` is no parent; ``extended|x`` and ``extended|other-x`` are x."""
    if entry in ("original", "extended"):
        return None
    name = entry.removeprefix("extended|").removeprefix("other-")
    return name or None


def _compose(text: str, who: str) -> Any:
    try:
        if len(text) > LONGEST:
            raise StandardError(
                who, f"front matter of {LONGEST:,} characters", "more", "shorten it"
            )
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise StandardError(who, "YAML without aliases", "an alias (*name)", "write it out")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise StandardError(who, f"at most {DEEPEST} levels", "more", "check the file")
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 2}" if error.problem_mark else ""
        got = f"{error.problem or 'an error'}{line}"
        raise StandardError(who, "valid YAML", got, "mend the front matter") from None
    except (yaml.YAMLError, ValueError) as error:
        raise StandardError(who, "valid YAML", str(error)[:200], "mend the front matter") from None


def _plain(node: Any, who: str) -> Any:
    """A node as texts, lists and mappings: nothing is resolved, nothing is built."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(_plain(k, who), _plain(v, who)) for k, v in node.value]
        if any(not isinstance(key, str) for key, _ in pairs):
            raise StandardError(who, "keys that are texts", "another key", "mend the front matter")
        if len(dict(pairs)) < len(pairs):
            raise StandardError(who, "each key once", "a key twice", "mend the front matter")
        return dict(pairs)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, who) for item in node.value]
    empty = node.tag == "tag:yaml.org,2002:null" and node.style is None
    return None if empty else node.value


def _put(text: str, key: str, value: Any) -> str:
    """The card with one key of its front matter replaced or added, all other lines untouched."""
    line = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=1 << 20)
    found = _FRONT.match(text)
    if found is None:
        return f"---\n{line}---\n{text}"
    front, start = found.group(1), found.start(1)
    node = _compose(front, NAME)
    if node is not None and node.flow_style:  # {a: b} on one line has no lines of its own
        whole = _plain(node, NAME) | {key: value}
        fresh = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
        return text[:start] + fresh + text[found.end(1) :]
    held = node.value if node is not None else ()
    place = next(((k, v) for k, v in held if k.value == key), None)
    if place is None:
        ends = "" if not front or front.endswith("\n") else "\n"
        return text[: found.end(1)] + ends + line + text[found.end(1) :]
    begin, end = place[0].start_mark.index, _end(place[1], front)
    return text[:start] + front[:begin] + line + front[end:] + text[found.end(1) :]


def _end(node: yaml.Node, front: str) -> int:
    """Where the lines of a value end; comments after it are not part of it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    at: int = node.end_mark.index
    if at and front[at - 1] == "\n":
        return at
    line = front.find("\n", at)
    return len(front) if line < 0 else line + 1
