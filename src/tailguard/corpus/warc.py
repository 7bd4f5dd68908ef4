"""Web archives: the text of WET conversion records and of plain-text responses.

Requests, revisits and the archive's own records carry no content and are passed over; a response
of another media type is quarantined, since it would first need text extraction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from tailguard.corpus.base import BATCH_BYTES, RECORD_BYTES, Columns, Corpus
from tailguard.corpus.files import File
from tailguard.corpus.layout import Layout, conform, open_tables
from tailguard.corpus.quarantine import RAW_BYTES, Quarantine
from tailguard.errors import CorpusError

HTTP = {
    "content_type": "content-type",
    "x_robots_tag": "x-robots-tag",
    "tdm_reservation": "tdm-reservation",
    "tdm_policy": "tdm-policy",
}
"""Columns that keep headers of the response: several of one name are joined by commas."""
SCHEMA = pa.schema(
    (name, pa.string())
    for name in (
        "text", "id", "source", "captured", "language", "uri", "payload_digest", "refers_to",
        "http_status", *HTTP, "warc_headers",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WarcShard:
    """A whole archive: WARC-Date is ``captured``, the host ``source``, the address ``uri``."""

    file: File
    layout: Layout

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def n_bytes(self) -> int:
        return self.file.size

    def batches(self, quarantine: Quarantine) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, str | None]] = []
        at: list[int] = []
        size = 0
        for where, row in _rows(self.file, quarantine):
            rows.append(row)
            at.append(where)
            size += len(row["text"] or "")
            if size >= BATCH_BYTES:
                yield from self._batch(rows, at, quarantine)
                rows, at, size = [], [], 0
        if rows:
            yield from self._batch(rows, at, quarantine)

    def _batch(
        self, rows: list[dict[str, str | None]], at: list[int], quarantine: Quarantine
    ) -> Iterator[pa.RecordBatch]:
        batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
        where = np.array(at, np.int64)
        return conform(batch, self.layout, quarantine, file=self.file.name, at=where, unit="byte")


def open_warc(files: Sequence[File], columns: Columns) -> Corpus:
    """One shard an archive."""
    return open_tables(
        files,
        columns,
        lambda file: SCHEMA if next(_records(file), None) else None,
        lambda file, layout: [WarcShard(file, layout)],
    )


class _Positioned:
    """A stream that knows how far it was read, which decompressed streams do not."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._at = stream, 0

    def read(self, n: int) -> bytes:
        content: bytes = self._stream.read(n)
        self._at += len(content)
        return content

    def tell(self) -> int:
        return self._at


def _records(file: File) -> Iterator[Any]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    wanted = WarcRecordType.conversion | WarcRecordType.response
    with sound(file.path), file.stream() as stream:
        positioned: Any = _Positioned(stream)
        yield from ArchiveIterator(positioned, record_types=wanted, parse_http=False)


@contextmanager
def sound(who: str) -> Iterator[None]:
    """A panic of the reading library, which is no Exception, becomes one line of error."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise CorpusError(
            who, "an undamaged archive", str(error)[:200], "fetch or write it again"
        ) from None


def _rows(file: File, quarantine: Quarantine) -> Iterator[tuple[int, dict[str, str | None]]]:
    for record in _records(file):
        at, length = record.stream_pos, record.content_length
        kind = "text/plain"
        charset = None
        if record.is_http:
            record.parse_http()
            kind = record.http_content_type or "an unnamed type"
            charset = record.http_charset
        body = record.reader.read(min(record.content_length, RECORD_BYTES + 1))
        if len(body) < min(record.content_length, RECORD_BYTES):
            raise CorpusError(
                file.path,
                f"{length:,} bytes in the record at {at:,}",
                f"{len(body):,}",
                "fetch it again",
            )
        reason, text = None, ""
        if kind != "text/plain":
            reason = f"not plain text ({kind[:40]})"
        elif len(body) > RECORD_BYTES:
            reason = f"longer than {RECORD_BYTES:,} bytes"
        else:
            try:
                text = body.decode(charset or "utf-8")
                text.encode()
            except (UnicodeError, LookupError):
                reason = f"not {(charset or 'utf-8')[:40]}"
        if reason is not None:
            quarantine.add(
                reason, file=file.name, unit="byte", at=at, raw=body[:RAW_BYTES], n_bytes=length
            )
            continue
        yield at, _row(record, text)


def _row(record: Any, text: str) -> dict[str, str | None]:
    head = record.headers
    uri = head.get("WARC-Target-URI")
    digest = head.get("WARC-Payload-Digest") or head.get("WARC-Block-Digest")
    row = {
        "text": text,
        "id": (record.record_id or "").strip("<>") or None,
        "source": _host(uri),
        "captured": head.get("WARC-Date"),
        "language": head.get("WARC-Identified-Content-Language"),
        "uri": uri,
        "payload_digest": digest,
        "refers_to": (head.get("WARC-Refers-To") or "").strip("<>") or None,
        "warc_headers": json.dumps(list(head.items())),
    }
    if record.is_http:
        told: dict[str, list[str]] = {}
        for name, value in record.http_headers.items():
            told.setdefault(name.lower(), []).append(value)
        row |= {column: ", ".join(told[name]) for column, name in HTTP.items() if name in told}
        status = record.http_headers.status_code
        row["http_status"] = None if status is None else str(status)
    return {k: None if v is None else v.encode("utf-8", "replace").decode() for k, v in row.items()}


def _host(uri: str | None) -> str | None:
    try:
        return urlsplit(uri or "").hostname
    except ValueError:
        return None
