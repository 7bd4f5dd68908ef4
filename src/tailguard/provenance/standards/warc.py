"""Web archives with everything the crawl recorded: headers kept as they are, opt-outs found.

``corpus/warc.py`` reads the text of an archive. This module reads what stands around it: every WARC
and HTTP header of every record, robots.txt, ai.txt and tdmrep.json as they were fetched, and the
opt-out signals in them; joins the signals to a corpus; and writes records to an archive again, with
every header as it was. Nothing is fetched.
Sources: WARC 1.1 (ISO 28500:2017); RFC 9309; TDM Reservation Protocol (W3C community group, 2024).
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from tailguard.corpus.atomic import replacing
from tailguard.corpus.files import File, find, readable
from tailguard.corpus.warc import sound
from tailguard.provenance.lineage.columns import flat
from tailguard.provenance.standards import opt_out
from tailguard.provenance.standards.base import StandardError

NAME = "warc"

BODY_BYTES = 1 << 20
"""How much of a record's body is looked at for opt-outs; the rest is passed over."""

KEPT_BODY_BYTES = 64 << 20
"""A record with a longer body cannot be written again."""

MOST_HEADERS = 1_000
MOST_SITES = 1_000_000

_SITE_FILES = ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json")
_META = re.compile(
    rb"<meta\s[^>]{0,2000}?name\s*=\s*[\"']?(?P<name>robots|googlebot|tdm-reservation|tdm-policy)"
    rb"[\"']?[^>]{0,2000}>",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    rb"content\s*=\s*(?:\"([^\"]{0,2000})\"|'([^']{0,2000})'|([^\s>]{1,200}))", re.I
)

Headers = tuple[tuple[str, str], ...]
_NONE: Headers = ()


@dataclass(frozen=True, slots=True)
class CrawlRecord:
    """One record of an archive: its headers in order and as written, and its body.

    ``http`` are the HTTP headers of a response, ``status`` its first line; both empty for others.
    ``body`` is cut at the ``limit`` it was read with; ``length`` is its true length.
    """

    headers: Headers
    status: str
    http: Headers
    body: bytes
    length: int

    def header(self, name: str) -> str:
        """A WARC header's first value, whatever its case; empty where there is none."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), "")

    def http_header(self, name: str) -> list[str]:
        """All values of an HTTP header."""
        return [v for k, v in self.http if k.lower() == name.lower()]

    @property
    def kind(self) -> str:
        """WARC-Type in lower case: response, conversion, warcinfo, ..."""
        return self.header("WARC-Type").lower()

    @property
    def uri(self) -> str:
        """The address it was fetched from."""
        return self.header("WARC-Target-URI").strip("<>")


@dataclass(slots=True)
class Signals:
    """Opt-out signals of a crawl: by address, and by site (scheme and host); and its warcinfo."""

    pages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sites: dict[str, tuple[str, ...]] = field(default_factory=dict)
    info: dict[str, str] = field(default_factory=dict)
    records: int = 0

    def of(self, uri: str | None) -> tuple[str, ...]:
        """All signals for an address: the page's own, and those of its site."""
        if not uri:
            return ()
        return tuple(dict.fromkeys((*self.pages.get(uri, ()), *self.sites.get(_site(uri), ()))))


def crawl_records(file: File, *, limit: int = BODY_BYTES) -> Iterator[CrawlRecord]:
    """Every record of an archive, in order, in bounded memory.

    Raises ``CorpusError`` for an archive that is damaged.
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    every = WarcRecordType.any_type
    with readable(file.path), file.stream() as stream, sound(file.path):
        positioned: Any = _Positioned(stream)
        for record in ArchiveIterator(positioned, record_types=every, parse_http=False):
            headers = _pairs(record.headers)
            status, http, length = "", _NONE, record.content_length
            if record.is_http:
                record.parse_http()
                if record.http_headers is not None:
                    status = _text(record.http_headers.status_line_bytes or b"")
                    http = _pairs(record.http_headers)
            body = record.reader.read(min(record.content_length, limit + 1))
            yield CrawlRecord(headers, status, http, body[: limit + 1], length)


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


def signals_in(archives: str | list[str]) -> Signals:
    """The opt-out signals that archives hold, as they were captured.

    Memory grows with the pages that have a signal and the sites that have rules.
    """
    found = Signals()
    for file in find([archives] if isinstance(archives, str) else archives):
        for record in crawl_records(file):
            found.records += 1
            if record.kind == "warcinfo":
                found.info |= _fields(record.body)
            elif record.kind == "response":
                _take(found, record)
            if len(found.sites) + len(found.pages) > MOST_SITES:
                raise StandardError(
                    file.path, f"at most {MOST_SITES:,} pages with signals", "more", "split it"
                )
    return found


def with_signals(batch: pa.RecordBatch, signals: Signals) -> pa.RecordBatch:
    """The batch with a column ``opt_out``: for each record the signals for its ``uri``.

    Signals it has already stay. Null where there are none: that is not consent.
    """
    names = batch.schema.names
    if "uri" not in names:
        return batch
    uris = flat(batch.column(names.index("uri"))).cast(pa.large_string()).to_pylist()
    old: list[Any] = [None] * len(uris)
    if "opt_out" in names:
        old = flat(batch.column(names.index("opt_out"))).to_pylist()
    merged = [
        list(dict.fromkeys((*_told(before), *signals.of(uri)))) or None
        for uri, before in zip(uris, old, strict=True)
    ]
    column = pa.array(merged, pa.list_(pa.string()))
    if "opt_out" in names:
        return batch.set_column(names.index("opt_out"), "opt_out", column)
    return batch.append_column("opt_out", column)


def headers_json(record: CrawlRecord) -> str:
    """All that the crawl recorded of a record, as one line of ASCII: a column beside its text."""
    told = {
        "type": record.kind,
        "warc": record.headers,
        "status": record.status,
        "http": record.http,
    }
    return json.dumps(told, separators=(",", ":"))


def write_archive(records: Iterable[CrawlRecord], path: str | Path) -> int:
    """Write records as a WARC 1.1 archive (``.gz``: one member a record); the number written.

    Headers come out in their order and as they were; Content-Length is counted anew. Raises
    :class:`StandardError` for a body that was cut, and for a header that would break the format.
    """
    n = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        for record in records:
            data = archive_bytes(record)
            file.write(gzip.compress(data, 6, mtime=0) if str(path).endswith(".gz") else data)
            n += 1
    return n


def archive_bytes(record: CrawlRecord) -> bytes:
    """One record as it stands in an uncompressed archive."""
    who = f"record {record.header('WARC-Record-ID') or record.uri}"[:200]
    block = record.body
    if record.status:
        block = _head(record.status, record.http, who) + record.body
    if len(record.body) > KEPT_BODY_BYTES or len(block) < record.length:
        raise StandardError(who, "its whole body", "a part of it", "read it with a larger limit")
    kept = [(k, v) for k, v in record.headers if k.lower() != "content-length"]
    head = _head("WARC/1.1", (*kept, ("Content-Length", str(len(block)))), who)
    return head + block + b"\r\n\r\n"


def registration(archive: str) -> tuple[str, str, dict[str, str], dict[str, Any]]:
    """A ledger entry for one archive: kind, name, digests, predicate.

    Origin unknown, captured when its last record was; with the crawl's own description of itself
    (warcinfo), counts of its records by type, and counts of the opt-out signals in it.
    """
    file = find([archive])[0]
    found, counts, captured = Signals(), Counter[str](), [""]
    for record in crawl_records(file):
        counts[record.kind] += 1
        found.records += 1
        date = record.header("WARC-Date")
        captured = [min(captured[0] or date, date or captured[0]), max(captured[-1], date)]
        if record.kind == "warcinfo":
            found.info |= _fields(record.body)
        elif record.kind == "response":
            _take(found, record)
    told = [s for held in (found.pages, found.sites) for several in held.values() for s in several]
    kinds = Counter(opt_out.parse_signal(line).get("signal", "") for line in told)
    origin: dict[str, Any] = {"kind": "unknown", "evidence": "none"}
    if captured[-1]:
        origin["captured"] = captured[-1]
    predicate = {
        "origin": origin,
        "records": counts["conversion"] or counts["response"],
        "crawl": {
            "warcinfo": found.info,
            "records_by_type": dict(sorted(counts.items())),
            "captured": captured,
            "pages_with_signals": len(found.pages),
            "sites_with_signals": len(found.sites),
            "signals": dict(sorted(kinds.items())),
        },
    }
    digest = sha256()
    with file.open() as stored:
        while part := stored.read(1 << 20):
            digest.update(part)
    return "data-registered", file.name, {"sha256": digest.hexdigest()}, predicate


def _head(first: str, headers: Iterable[tuple[str, str]], who: str) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    for line in lines:
        if "\r" in line or "\n" in line:
            raise StandardError(who, "headers of one line", repr(line)[:60], "mend the record")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _pairs(headers: Any) -> Headers:
    """Headers in their order; bytes that are no UTF-8 come out again as they were."""
    pairs = list(headers.items_bytes())[:MOST_HEADERS]
    return tuple((_text(name), _text(value)) for name, value in pairs)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a warcinfo record: who crawled, with what, under which rules."""
    out: dict[str, str] = {}
    for line in body.decode("utf-8", "replace").splitlines()[:MOST_HEADERS]:
        name, colon, value = line.partition(":")
        if colon and name.strip():
            out[name.strip()[:200]] = value.strip()[:4096]
    return out


def _take(found: Signals, record: CrawlRecord) -> None:
    uri, captured = record.uri, record.header("WARC-Date")
    path = _path(uri)
    if path in _SITE_FILES:
        if " 200" in record.status:
            told = _site_signals(path, record.body, uri, captured)
            site = _site(uri)
            if told:
                found.sites[site] = tuple(dict.fromkeys((*found.sites.get(site, ()), *told)))
        return
    told = [
        opt_out.signal(kind, value, uri, captured)
        for kind, name in (
            ("x-robots-tag", "X-Robots-Tag"),
            ("tdm-reservation", "TDM-Reservation"),
            ("tdm-policy", "TDM-Policy"),
        )
        for value in record.http_header(name)
    ]
    content_type = "".join(record.http_header("Content-Type")[:1]).lower()
    if "html" in content_type:
        told += _meta_signals(record.body, uri, captured)
    if told:
        found.pages[uri] = tuple(dict.fromkeys((*found.pages.get(uri, ()), *told)))


def _site_signals(path: str, body: bytes, uri: str, captured: str) -> list[str]:
    if path == "/.well-known/tdmrep.json":
        try:
            document = json.loads(body.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return []
        return opt_out.tdmrep_signals(document, uri, captured)
    kind = "ai-txt" if path == "/ai.txt" else "robots"
    return opt_out.robots_signals(body.decode("utf-8", "replace"), uri, captured, kind=kind)


def _meta_signals(body: bytes, uri: str, captured: str) -> list[str]:
    told = []
    for found in _META.finditer(body[: 256 << 10]):
        content = _CONTENT.search(found.group())
        if content is None:
            continue
        value = next(g for g in content.groups() if g is not None).decode("utf-8", "replace")
        name = found["name"].decode().lower()
        kind = name if name.startswith("tdm") else "meta-robots"
        told.append(opt_out.signal(kind, value, uri, captured))
    return told[:100]


def _site(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        return f"{parts.scheme}://{parts.netloc}".lower()
    except ValueError:
        return ""


def _path(uri: str) -> str:
    try:
        return urlsplit(uri).path
    except ValueError:
        return ""


def _told(before: Any) -> list[str]:
    if isinstance(before, str):
        return [before]
    return [str(item) for item in before] if isinstance(before, list) else []
