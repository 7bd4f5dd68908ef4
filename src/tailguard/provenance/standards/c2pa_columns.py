"""Content credentials of many images as origin columns, and as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from tailguard.corpus.base import BATCH_BYTES
from tailguard.corpus.quarantine import Quarantine
from tailguard.corpus.write import write_corpus
from tailguard.engine.progress import progress
from tailguard.provenance.standards.c2pa import CredentialReader, images_in, scan
from tailguard.provenance.standards.c2pa_origin import Credentials, Origin
from tailguard.provenance.standards.opt_out import denies

_TEXTS = pa.list_(pa.string())
COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "kind": pa.string(),
    "generation": pa.int64(),
    "generator": pa.string(),
    "created": pa.string(),
    "license": pa.string(),
    "creator": pa.string(),
    "parents": _TEXTS,
    "evidence": pa.string(),
    "digital_source_type": pa.string(),
    "opt_out": _TEXTS,
    "c2pa_state": pa.string(),
    "c2pa_failures": _TEXTS,
    "c2pa_manifest": pa.string(),
    "c2pa_claim_generator": pa.string(),
    "c2pa_signer": pa.string(),
    "c2pa_signed": pa.string(),
    "c2pa_source_types": _TEXTS,
    "c2pa_generators": _TEXTS,
    "c2pa_notes": _TEXTS,
}
"""The columns, in order: ``id`` is the file's name within the corpus, as an image-folder corpus has
it; the origin; and, as ``c2pa_*``, what it follows from."""

_ROWS = 4_096


@dataclass(slots=True)
class Tally:
    """Counts over many files: of states, kinds and grades of evidence, of failures by code, and of
    images whose credentials refuse training. Quarantined files are in none of them."""

    images: int = 0
    state: Counter[str] = field(default_factory=Counter)
    kind: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    refusing: int = 0

    def add(self, found: Credentials) -> None:
        """Count one image; a failure counts where the credentials do not validate."""
        self.images += 1
        self.state[found.state] += 1
        self.kind[found.origin.kind] += 1
        self.evidence[found.origin.evidence] += 1
        self.failures.update(found.failures if found.state == "invalid" else ())
        self.refusing += any(denies(line) for line in found.opt_out)

    def to_json(self) -> dict[str, Any]:
        """The counts as plain values.

        >>> tally = Tally()
        >>> tally.add(Credentials("a.png", "absent"))
        >>> tally.to_json()["state"], tally.to_json()["evidence"]
        ({'absent': 1}, {'none': 1})
        """
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return {k: dict(sorted(v.items())) if k not in _NUMBERS else v for k, v in told.items()}


_NUMBERS = ("images", "refusing")


def row_of(found: Credentials) -> dict[str, Any]:
    """One image as a row of :data:`COLUMNS`; what is not known is null.

    >>> row = row_of(Credentials("a.png", "absent"))
    >>> row["id"], row["kind"], row["generation"], row["evidence"], row["parents"]
    ('a.png', 'unknown', None, 'none', None)
    """
    origin = {one.name: getattr(found.origin, one.name) for one in fields(Origin)}
    beside = {
        f"c2pa_{one.name}": getattr(found, one.name)
        for one in fields(Credentials)
        if one.name not in ("at", "origin", "opt_out")
    }
    row = {"id": found.at, "opt_out": found.opt_out, **origin, **beside}
    empty = {name: list(row[name]) or None for name, kind in COLUMNS.items() if kind == _TEXTS}
    return row | empty


def read_origins(
    paths: Sequence[str],
    *,
    anchors: str = "",
    quarantine: Quarantine,
    output: str | Path | None = None,
    images: bool = False,
) -> Tally:
    """Read the credentials of all images that ``paths`` name, and write their origin columns to
    ``output`` (the ending says the format); with ``images`` the encoded images too, so that the
    file is a corpus of its own.

    ``anchors`` are certificates in PEM form, see
    :func:`~tailguard.provenance.standards.c2pa.read_anchors`. A batch is in memory at a time.
    Raises ``InputError`` without the extra, and ``CorpusError`` when no image could be read at all
    and there is something to write.
    """
    tally = Tally()
    files = images_in(paths, quarantine)
    with (
        CredentialReader(anchors) as reader,
        progress("credentials", sum(file.size for file in files), in_bytes=True) as advance,
    ):

        def found() -> Iterator[tuple[Credentials, bytes]]:
            for one, data in scan(files, reader, quarantine):
                tally.add(one)
                advance(len(data))
                yield one, data

        if output is None:
            for _ in found():
                pass
        else:
            write_corpus(_batches(found(), images=images), output)
    return tally


def _batches(found: Iterator[tuple[Credentials, bytes]], *, images: bool) -> Iterator[Any]:
    schema = pa.schema(list(COLUMNS.items()))
    if images:
        schema = schema.insert(0, pa.field("image", pa.large_binary()))
    rows: list[dict[str, Any]] = []
    size = 0
    for one, data in found:
        rows.append(row_of(one) | ({"image": data} if images else {}))
        size += len(data) if images else 0
        if len(rows) >= _ROWS or size >= BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)
            rows, size = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=schema)
