"""All standards by name: telling what a file is, reading it, and writing what a graph knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailguard.corpus.atomic import replacing
from tailguard.corpus.base import Evidence
from tailguard.provenance.base import EnvelopeError
from tailguard.provenance.envelope import read_bounded
from tailguard.provenance.keys import SecretKey
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.ledger.statements import statement
from tailguard.provenance.lineage.base import Graph, weakest
from tailguard.provenance.lineage.statements import STAND_INS, Statements, graph_of
from tailguard.provenance.standards import (
    croissant,
    cyclonedx,
    dpi,
    dta,
    eu_summary,
    hf_card,
    in_toto,
    openlineage,
    prov_json,
    warc,
)
from tailguard.provenance.standards.base import (
    LARGEST_BYTES,
    Facts,
    Imported,
    StandardError,
    facts_of,
    load_json,
)

_ARCHIVES = (".warc", ".warc.gz", ".wet", ".wet.gz")

DOCUMENT_DIGEST = STAND_INS[0]
"""Algorithm of the digest of data known by a document only: SHA-256 of the document."""

ORIGIN = (
    "kind", "generation", "evidence", "source", "created", "captured", "license", "creator",
    "digital_source_type",
)  # fmt: skip

EMBEDDED_BYTES = 16 << 10
"""A longer document is entered by its digest; the file itself must be kept beside the ledger."""


@dataclass(frozen=True, slots=True)
class Standard:
    """A reader and a writer; ``of_one``: a document describes one data set or model."""

    name: str
    read: Callable[..., Imported]
    write: Callable[..., bytes]
    of_one: bool


STANDARDS: dict[str, Standard] = {
    standard.name: standard
    for standard in (
        Standard(croissant.NAME, croissant.read, croissant.write, True),
        Standard(prov_json.NAME, prov_json.read, prov_json.write, False),
        Standard(openlineage.NAME, openlineage.read, openlineage.write, False),
        Standard(cyclonedx.NAME, cyclonedx.read, cyclonedx.write, False),
        Standard(in_toto.NAME, in_toto.read, in_toto.write, False),
        Standard(hf_card.NAME, hf_card.read, hf_card.write, True),
        Standard(dta.NAME, dta.read, dta.write, True),
        Standard(dpi.NAME, dpi.read, dpi.write, True),
        Standard(eu_summary.NAME, eu_summary.read, eu_summary.write, True),
    )
}
"""To add a standard: a module with ``read`` and ``write``, and one line here."""

BESIDE = (
    "records",
    "description",
    "version",
    "url",
    "publisher",
    "consent",
    "languages",
    "opt_out",
)
"""Facts that stand beside the origin in an entry; long ones are cut, and ``cut`` names them."""

LONGEST_BESIDE, MOST_BESIDE = 2_000, 50


def recognise(data: bytes, who: str) -> str:
    """The name of the standard that a document is of. Raises :class:`StandardError` for none.

    >>> recognise(b'{"bomFormat": "CycloneDX"}', "x.json"), recognise(b"---\\n---", "README.md")
    ('cyclonedx', 'hf-card')
    """
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start not in (b"{", b"["):
        if b"### 2.5. Synthetic data" in data:
            return eu_summary.NAME
        if data.lstrip(b"\xef\xbb\xbf").startswith(b"---") or who.lower().endswith("readme.md"):
            return hf_card.NAME
        raise _unknown(who)
    if start == b"{" and b"\n{" in data.strip():
        return _of_lines(data, who)
    document = load_json(data, who)
    first = document[0] if isinstance(document, list) and document else document
    name = _of_object(first) if isinstance(first, Mapping) else None
    if name is None:
        raise _unknown(who)
    return name


def _unknown(who: str) -> StandardError:
    names = ", ".join(STANDARDS)
    return StandardError(who, "a known standard", "none recognised", f"name it: --from {names}")


def read_document(path: str | Path, *, standard: str | None = None) -> Imported:
    """What a document says, its standard told or recognised. Raises :class:`StandardError`."""
    who = str(path)
    try:
        data = read_bounded(path, LARGEST_BYTES)
    except EnvelopeError as error:
        raise StandardError(who, error.expected, error.got, error.next_step) from None
    return named(standard or recognise(data, who)).read(data, who=who)


def export(graph: Graph, standard: str, about: str = "", document: Any = None) -> bytes:
    """What ``graph`` knows, in a standard; of the node ``about`` where it describes one.

    ``document`` is one that was read before: what it says besides survives.
    """
    chosen = named(standard)
    if chosen.of_one and about not in graph.nodes:
        known = ", ".join(sorted(graph.nodes)[:5]) or "none"
        got = repr(about)[:80] if about else "none"
        raise StandardError(standard, f"one node to describe (such as {known})", got, "name it")
    return chosen.write(graph, about, document)


def write_document(data: bytes, path: str | Path) -> None:
    """Write an exported document; it appears complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def named(standard: str) -> Standard:
    """The standard of that name. Raises :class:`StandardError` for none."""
    if standard not in STANDARDS:
        known = ", ".join(STANDARDS)
        raise StandardError("standard", f"one of {known}", repr(standard)[:60], "choose one")
    return STANDARDS[standard]


Entered = tuple[str, str, dict[str, str], dict[str, Any]]
"""A ledger entry to be: kind, the subject's name, its digests in hex, the predicate."""


def entries_of(read: Imported, *, ceiling: Evidence = "declared") -> Iterator[Entered]:
    """Ledger entries for what a document says.

    One ``data-registered`` for each data set it is about, with its origin, its parents and the
    document (whole if it is short, else by digest), and ``model-trained`` for models with a plan.
    No evidence is believed beyond ``ceiling``: a document is its author's word, whatever grade it
    gives itself. Data without a digest is entered by that of the document.
    """
    for node_id in read.graph.nodes:
        node = read.graph.nodes[node_id]
        if node.kind in ("dataset", "group") and (not read.about or node_id in read.about):
            facts = facts_of(read.graph, node_id)
            digests = _hex(facts.get("digests", {})) or {DOCUMENT_DIGEST: read.sha256}
            yield "data-registered", node.name, digests, _registration(read, facts, ceiling)
    for said in in_toto.extend(read.graph, []):
        predicate = said["predicate"]
        if "plan" in predicate:  # the only models that a ledger takes
            subject = said["subject"][0]
            digests = _hex(subject["digest"]) or {DOCUMENT_DIGEST: read.sha256}
            yield "model-trained", subject["name"], digests, predicate


def _registration(read: Imported, facts: Facts, ceiling: Evidence) -> dict[str, Any]:
    origin: dict[str, Any] = {"kind": "unknown"}
    origin |= {key: facts[key] for key in ORIGIN if key in facts}
    origin["evidence"] = weakest([facts.get("evidence", "none"), ceiling])
    generators = facts.get("generators", ())
    if len(generators) == 1:
        origin["generator"] = generators[0]
    if "parents" in facts:
        origin["parents"] = list(facts["parents"])
    told: dict[str, Any] = {"standard": read.standard, "sha256": read.sha256}
    if (
        len(json.dumps(read.document, ensure_ascii=False).encode("utf-8", "replace"))
        <= EMBEDDED_BYTES
    ):
        told["document"] = read.document
    predicate: dict[str, Any] = {"origin": origin, "imported": told}
    if len(generators) > 1:
        predicate["generators"] = list(generators)
    cut = []
    for key in BESIDE:
        if key in facts:
            value = facts[key]
            kept = value
            if isinstance(value, str | tuple):
                kept = value[: LONGEST_BESIDE if isinstance(value, str) else MOST_BESIDE]
            cut += [key] if kept != value else []
            predicate[key] = list(kept) if isinstance(kept, tuple) else kept
    if cut:
        told["cut"] = cut
    return predicate


def documents_of(statements: Any) -> Iterator[tuple[str, str, Any]]:
    """Documents that were imported whole: the data set's name, the standard, the document."""
    for item in statements:
        statement = item[1] if isinstance(item, tuple) else item
        predicate = statement.get("predicate") if isinstance(statement, Mapping) else None
        held = predicate.get("imported") if isinstance(predicate, Mapping) else None
        if isinstance(held, Mapping) and "document" in held:
            for subject in statement.get("subject", ()):
                yield str(subject.get("name")), str(held.get("standard")), held["document"]


def statements_in(read: Imported, *, ceiling: Evidence = "declared") -> Iterator[dict[str, Any]]:
    """What a document says, as the statements that a graph is built of; see :func:`entries_of`."""
    for said in in_toto.extend(read.graph, []):
        predicate = said["predicate"]
        for holder in (predicate, predicate.get("origin")):
            if isinstance(holder, dict) and "evidence" in holder:
                holder["evidence"] = weakest([holder["evidence"], ceiling])
        yield said


def enter(
    ledger: Ledger,
    documents: Iterable[str | Path],
    key: SecretKey,
    *,
    standard: str | None = None,
    signer: SecretKey | None = None,
) -> list[dict[str, Any]]:
    """Enter what documents and web archives say; all of them or, on any error, none.

    ``notes`` tell what of a document could not be understood.
    """
    made: list[Entered] = []
    notes: list[tuple[str, ...]] = []
    for path in documents:
        said: tuple[str, ...] = ()
        if str(path).lower().endswith(_ARCHIVES):
            fresh = [warc.registration(str(path))]
        else:
            read = read_document(path, standard=standard)
            fresh, said = list(entries_of(read)), read.notes
        made += fresh
        notes += [said] * len(fresh)
    entries = [
        statement(kind, [(name, digests)], predicate, signer=signer)
        for kind, name, digests, predicate in made
    ]
    if not entries:
        raise StandardError("import", "something about data or models", "none", "check the files")
    numbers = ledger.append(entries, key)
    return [
        {"sequence": n, "kind": kind, "name": name, "notes": list(said)}
        for n, (kind, name, _, _), said in zip(numbers, made, notes, strict=True)
    ]


def export_statements(
    statements: Statements,
    standard: str,
    *,
    about: str | None = None,
    base: str | Path | None = None,
) -> bytes:
    """What statements tell of, in a standard; ``base`` is a document to add to.

    Where nothing else is given, the document that the data set was imported with is the base, if it
    was short enough to be entered whole. Raises :class:`StandardError` for an unknown ``about``.
    """
    held = list(statements)
    graph = graph_of(held).graph
    document = None if base is None else read_document(base, standard=standard).document
    if standard == in_toto.NAME and document is None:
        # Statements are handed out as they are, also those that say nothing of lineage.
        document = [item[1] if isinstance(item, tuple) else item for item in held]
    node_id = ""
    if about is not None:
        found = graph.find(about)
        if not found:
            known = ", ".join(sorted(graph.nodes)[:5]) or "none"
            raise StandardError(
                "--about", f"something known ({known})", repr(about)[:80], "name it"
            )
        node_id = found[0]
        name = graph.nodes[node_id].name
        if document is None:
            for said, kind, whole in documents_of(held):
                document = whole if (said, kind) == (name, standard) else document
    return export(graph, standard, node_id, document)


def _of_lines(data: bytes, who: str) -> str:
    try:
        first = load_json(data.strip().split(b"\n", 1)[0], who)
    except StandardError:
        document = load_json(data, who)
        first = document if isinstance(document, Mapping) else {}
    name = _of_object(first) if isinstance(first, Mapping) else None
    return name or in_toto.NAME


def _of_object(document: Mapping[str, Any]) -> str | None:
    keys = set(document)
    if document.get("bomFormat") == "CycloneDX":
        return cyclonedx.NAME
    if "predicateType" in keys or {"payload", "payloadType"} <= keys:
        return in_toto.NAME
    if "@context" in keys or "@type" in keys:
        return croissant.NAME
    if "eventTime" in keys:
        return openlineage.NAME
    if eu_summary.SECTION in keys:
        return eu_summary.NAME
    if {"source", "provenance"} <= keys:
        return dta.NAME
    if keys & {"entity", "wasDerivedFrom", "wasGeneratedBy", "bundle"}:
        return prov_json.NAME
    inner = [value for value in document.values() if isinstance(value, Mapping)]
    return dpi.NAME if any("Unique Dataset Identifier" in value for value in inner) else None


def _hex(digests: Mapping[str, str]) -> dict[str, str]:
    """The digests that a ledger takes: hex of four bytes or more."""
    return {
        algorithm: value.lower()
        for algorithm, value in digests.items()
        if 8 <= len(value) <= 256 and not len(value) % 2 and not set(value.lower()) - _DIGITS
    }


_DIGITS = set("0123456789abcdef")
