"""Sample records, fixtures, and a way to read everything at once."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tailguard.corpus import Columns, Quarantine, open_corpus

ROWS: list[dict[str, Any]] = [
    {
        "text": f'Text {i}, with "quotes", a comma,\na line break and ünïcödé \U0001f40b\x00.',
        "id": f"r{i}",
        "source": "book",
        "stars": i,
        "when": f"2024-01-0{i % 9 + 1}",
        "note": None if i % 3 else "x",
    }
    for i in range(40)
]


@pytest.fixture(scope="session")
def sample() -> pa.RecordBatch:
    """Forty records with origin and unknown columns, nulls and awkward characters."""
    return pa.RecordBatch.from_pylist(ROWS)


def read(source: Any, /, **columns: str) -> tuple[list[dict[str, Any]], Quarantine]:
    """All records, and what was quarantined."""
    quarantine = Quarantine()
    corpus = open_corpus(source, columns=Columns(**columns))
    rows = [row for batch in corpus.batches(quarantine) for row in batch.to_pylist()]
    return rows, quarantine


def warc_record(kind: str, uri: str, body: bytes, content_type: str = "text/plain") -> bytes:
    """One WARC record, laid out as ISO 28500 has it."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{uri}>\r\n"
        f"WARC-Target-URI: {uri}\r\nWARC-Date: 2024-01-02T03:04:05Z\r\n"
        f"WARC-Block-Digest: sha1:ABC\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def http(content_type: str, body: bytes, *more: str) -> bytes:
    """An HTTP response, the block of a WARC response record; ``more`` are further headers."""
    lines = [f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + body


RESPONSE = "application/http; msgtype=response"


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[str], Path]:
    """A small web archive, plain or compressed member by member."""
    signals = ("X-Robots-Tag: noai", "x-robots-tag: noindex", "TDM-Reservation: 1")
    latin = http("text/plain; charset=latin-1", b"gr\xf6\xdfer", *signals)
    records = [
        warc_record("warcinfo", "x:0", b"software: none", "application/warc-fields"),
        warc_record("conversion", "http://a.org/1", "größer".encode()),
        warc_record("response", "http://b.org/2", latin, RESPONSE),
        warc_record("response", "http://b.org/3", http("text/html", b"<p>x"), RESPONSE),
        warc_record("request", "http://b.org/3", b"GET / HTTP/1.1\r\n\r\n", "application/http"),
        warc_record("conversion", "http://c.org/4", b"\xff\xfe"),
    ]

    def write(name: str) -> Path:
        packed = map(gzip.compress, records) if name.endswith(".gz") else records
        path = tmp_path / name
        path.write_bytes(b"".join(packed))
        return path

    return write
