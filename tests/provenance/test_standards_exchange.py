"""In and out of the ledger, hostile documents, and web archives."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standards_cases import FOREIGN, JSON, story

from tailguard.corpus.files import find
from tailguard.errors import CorpusError
from tailguard.provenance.keys import generate
from tailguard.provenance.ledger.log import Ledger
from tailguard.provenance.lineage.statements import graph_of
from tailguard.provenance.standards import opt_out, warc
from tailguard.provenance.standards.base import DEEPEST, LARGEST_BYTES, StandardError, facts_of
from tailguard.provenance.standards.exchange import (
    STANDARDS,
    enter,
    entries_of,
    export,
    export_statements,
    read_document,
    recognise,
    statements_in,
)


def statements(ledger: Ledger) -> list[Any]:
    return [(f"entry {e.sequence}", e.statement) for e in ledger.entries()]


def test_a_document_goes_through_the_ledger_with_all_it_says(tmp_path: Path) -> None:
    key = generate("test")
    ledger = Ledger.init(tmp_path / "ledger", key)
    graph = story()
    path = tmp_path / "croissant.json"
    document = json.loads(export(graph, "croissant", graph.find("dataset:batch")[0]))
    path.write_text(json.dumps(document | {"x:ours": {"kept": True}, "version": "2.0.0"}))
    (made,) = enter(ledger, [path], key)
    expected = {"sequence": 0, "kind": "data-registered", "name": "batch", "notes": []}
    assert made == expected
    again = export_statements(statements(ledger), "croissant", about="dataset:batch")
    assert json.loads(again) == json.loads(path.read_text())
    # And in another standard, what both have words for.
    card = export_statements(statements(ledger), "hf-card", about="batch").decode()
    assert "kind: mixed" in card and "gold 2021" in card


def test_no_document_is_believed_beyond_its_authors_word() -> None:
    document = {
        "@type": "sc:Dataset",
        "name": "a",
        "urn:tailguard:terms:kind": "human",
        "urn:tailguard:terms:evidence": "attested",
    }
    read = STANDARDS["croissant"].read(json.dumps(document).encode())
    ((_, _, _, predicate),) = entries_of(read)
    assert predicate["origin"] == {"kind": "human", "evidence": "declared"}
    for said in statements_in(read):
        assert said["predicate"]["origin"]["evidence"] == "declared"
    ((_, _, _, verified),) = entries_of(read, ceiling="attested")
    assert verified["origin"]["evidence"] == "attested"


def test_what_has_no_name_is_entered_by_its_document_and_never_named(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("---\nlicense: mit\n---\n")
    read = read_document(path)
    ((kind, name, digests, _),) = entries_of(read)
    assert kind == "data-registered" and name.startswith("unnamed ")
    assert digests == {"tailguardDocument": read.sha256}
    assert export(read.graph, "hf-card", read.about[0], read.document) == path.read_bytes()


def test_a_long_document_is_entered_by_its_digest(tmp_path: Path) -> None:
    key = generate("test")
    ledger = Ledger.init(tmp_path / "ledger", key)
    path = tmp_path / "README.md"
    path.write_text("---\npretty_name: big\n---\n" + "text " * 20_000)
    enter(ledger, [path], key)
    imported = ledger.entry(0).statement["predicate"]["imported"]
    assert "document" not in imported and len(imported["sha256"]) == 64


def test_a_long_text_is_cut_in_the_entry_and_the_cut_is_told(tmp_path: Path) -> None:
    key = generate("test")
    ledger = Ledger.init(tmp_path / "ledger", key)
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"@type": "sc:Dataset", "name": "a", "description": "é" * 60_000}))
    enter(ledger, [path], key)
    predicate = ledger.entry(0).statement["predicate"]
    assert len(predicate["description"]) == 2_000
    assert predicate["imported"]["cut"] == ["description"]


def test_statements_leave_a_ledger_as_they_are(tmp_path: Path) -> None:
    held = [
        ("entry 0", {"predicateType": "https://other/v1", "predicate": {"a": 1}, "subject": []})
    ]
    assert json.loads(export_statements(held, "in-toto")) == held[0][1]


def test_an_error_in_one_document_enters_none(tmp_path: Path) -> None:
    key = generate("test")
    ledger = Ledger.init(tmp_path / "ledger", key)
    good, bad = tmp_path / "README.md", tmp_path / "x.json"
    good.write_text("---\npretty_name: a\n---\n")
    bad.write_text("{}")
    with pytest.raises(StandardError, match="a known standard"):
        enter(ledger, [good, bad], key)
    assert ledger.size == 0


def test_models_with_a_plan_are_entered_and_come_back_with_their_edges(tmp_path: Path) -> None:
    key = generate("test")
    ledger = Ledger.init(tmp_path / "ledger", key)
    path = tmp_path / "story.jsonl"
    path.write_bytes(export(story(), "in-toto"))
    enter(ledger, [path], key)
    graph = graph_of(statements(ledger)).graph
    names = {(graph.nodes[e.child].name, graph.nodes[e.parent].name) for e in graph.edges()}
    assert {("m@1", "plan-1"), ("plan-1", "gold 2021"), ("batch", "gold 2021")} <= names
    assert facts_of(graph, graph.find("dataset:gold 2021")[0])["digests"] == {"sha256": "ab" * 32}


@pytest.mark.parametrize("name", STANDARDS)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"{" * 100_000,
        b'{"a":' * (DEEPEST + 2) + b"1" + b"}" * (DEEPEST + 2),
        b"[1, 2",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"null",
    ],
    ids=["empty", "bytes", "open", "deep", "cut", "nan", "twice", "null"],
)
def test_damaged_documents_are_refused_in_one_line_or_say_nothing(name: str, data: bytes) -> None:
    refused = ""
    try:
        assert not list(STANDARDS[name].read(data, who="file").graph.edges())
    except StandardError as error:
        refused = str(error)
    assert "\n" not in refused


@pytest.mark.parametrize("name", [n for n in STANDARDS if n not in ("hf-card", "eu-summary")])
@settings(max_examples=12, deadline=None)
@given(junk=JSON, where=st.integers(0, 40))
def test_a_field_of_the_wrong_type_never_breaks_a_reader(name: str, junk: Any, where: int) -> None:
    graph = story()
    written = export(graph, name, graph.find("dataset:batch")[0])
    documents = [json.loads(line) for line in written.splitlines()] if name == "in-toto" else [
        json.loads(written)
    ]  # fmt: skip
    holders = [h for document in documents for h in inside(document)]
    holder = holders[where % len(holders)]
    for key in list(holder)[:3] if isinstance(holder, dict) else range(min(len(holder), 2)):
        holder[key] = junk
    refused = ""
    try:
        read = STANDARDS[name].read(
            json.dumps(documents[0] if len(documents) == 1 else documents).encode()
        )
        STANDARDS[name].write(read.graph, read.about[0] if read.about else "", read.document)
    except StandardError as error:
        refused = str(error)
    assert "\n" not in refused


def inside(value: Any) -> list[Any]:
    """The value and all containers in it."""
    if isinstance(value, dict):
        return [value, *(h for v in value.values() for h in inside(v))] if value else []
    if isinstance(value, list):
        return [value, *(h for v in value for h in inside(v))] if value else []
    return []


def test_a_document_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    with path.open("wb") as file:
        file.seek(LARGEST_BYTES + 1)
        file.write(b"x")
    with pytest.raises(StandardError, match="at most"):
        read_document(path)


@pytest.mark.parametrize(("name", "data"), FOREIGN.items())
def test_foreign_documents_are_recognised(name: str, data: bytes) -> None:
    assert recognise(data, "file") == name


def test_an_unknown_standard_or_node_is_refused_with_what_there_is() -> None:
    with pytest.raises(StandardError, match="one of croissant"):
        export(story(), "parchment")
    with pytest.raises(StandardError, match="one node to describe"):
        export(story(), "croissant")
    with pytest.raises(StandardError, match="a model"):
        export(story(), "eu-summary", "dataset:batch")
    with pytest.raises(StandardError, match="something known"):
        export_statements([], "croissant", about="nothing")


def record(
    kind: str, uri: str, body: bytes, http: tuple[tuple[str, str], ...] = ()
) -> warc.CrawlRecord:
    headers = (
        ("WARC-Type", kind),
        ("WARC-Target-URI", uri),
        ("WARC-Date", "2024-05-06T07:08:09Z"),
        ("WARC-Record-ID", f"<urn:uuid:{len(uri):08d}-0000-0000-0000-000000000000>"),
        ("X-Crawl-Own", "kept, ünicode"),
        ("Content-Type", "application/http; msgtype=response" if http else "text/plain"),
    )
    status = "HTTP/1.1 200 OK" if http else ""
    return warc.CrawlRecord(headers, status, http, body, 0)


HTML = (("Content-Type", "text/html"),)
SAYS_NO = (("TDM-Reservation", "1"), ("X-Robots-Tag", "noai"), ("X-Robots-Tag", "noindex"))
CRAWL = [
    record("warcinfo", "", b"operator: A Crawler\r\nrobots: obeyed\r\n"),
    record("response", "https://a.org/robots.txt", b"User-agent: CCBot\nDisallow: /", HTML),
    record("response", "https://a.org/.well-known/tdmrep.json",
           b'[{"location": "/", "tdm-reservation": 1}]', HTML),
    record("response", "https://a.org/p", b"<html>", (*HTML, *SAYS_NO)),
    record("response", "https://b.org/q",
           b'<meta content="1" name="tdm-reservation"><META NAME=robots CONTENT=\'noai\'>', HTML),
    record("conversion", "https://a.org/p", "the téxt".encode()),
]  # fmt: skip


@pytest.mark.parametrize("ending", [".warc", ".warc.gz"])
def test_an_archive_keeps_every_header_through_reading_and_writing(
    tmp_path: Path, ending: str
) -> None:
    first, second = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    assert warc.write_archive(CRAWL, first) == len(CRAWL)
    (file,) = find([str(first)])
    read = list(warc.crawl_records(file))
    assert [r.kind for r in read] == [r.kind for r in CRAWL]
    for before, after in zip(CRAWL, read, strict=True):
        assert [h for h in after.headers if h[0] != "Content-Length"] == list(before.headers)
        assert (after.http, after.body) == (before.http, before.body)
    warc.write_archive(read, second)
    assert second.read_bytes() == first.read_bytes()
    assert json.loads(warc.headers_json(read[3]))["http"][2] == ["X-Robots-Tag", "noai"]


def test_opt_outs_of_a_crawl_are_found_where_they_were_said(tmp_path: Path) -> None:
    path = tmp_path / "crawl.warc.gz"
    warc.write_archive(CRAWL, path)
    found = warc.signals_in(str(path))
    assert found.info == {"operator": "A Crawler", "robots": "obeyed"}
    kinds = [opt_out.parse_signal(line)["signal"] for line in found.of("https://a.org/p")]
    assert kinds == ["x-robots-tag", "x-robots-tag", "tdm-reservation", "robots", "tdm-reservation"]
    assert [opt_out.denies(line) for line in found.of("https://b.org/q")] == [True, True]
    assert found.of("https://c.org/") == () and found.of(None) == ()
    batch = pa.record_batch({"uri": ["https://b.org/q", "https://c.org/"], "text": ["a", "b"]})
    column = warc.with_signals(batch, found).column("opt_out").to_pylist()
    assert len(column[0]) == 2 and column[1] is None
    again = warc.with_signals(warc.with_signals(batch, found), found)
    assert again.column("opt_out").to_pylist() == column


def test_an_archive_is_registered_with_its_own_description(tmp_path: Path) -> None:
    key = generate("test")
    ledger = Ledger.init(tmp_path / "ledger", key)
    path = tmp_path / "crawl.warc.gz"
    warc.write_archive(CRAWL, path)
    enter(ledger, [path], key)
    predicate = ledger.entry(0).statement["predicate"]
    assert predicate["crawl"]["warcinfo"]["operator"] == "A Crawler"
    assert predicate["crawl"]["records_by_type"] == {"conversion": 1, "response": 4, "warcinfo": 1}
    assert predicate["origin"]["captured"] == "2024-05-06T07:08:09Z"
    assert predicate["records"] == 1


def test_a_header_that_would_break_the_archive_is_refused(tmp_path: Path) -> None:
    bad = warc.CrawlRecord((("X", "a\r\nY: b"),), "", (), b"", 0)
    with pytest.raises(StandardError, match="one line"):
        warc.write_archive([bad], tmp_path / "a.warc")
    assert not list(tmp_path.iterdir())


def test_a_body_that_was_cut_is_not_written_as_if_it_were_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    warc.write_archive([record("conversion", "https://a/", b"x" * 100)], path)
    (file,) = find([str(path)])
    cut = list(warc.crawl_records(file, limit=10))
    with pytest.raises(StandardError, match="its whole body"):
        warc.archive_bytes(cut[0])


def test_a_truncated_archive_is_one_line_of_error_or_fewer_records(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    warc.write_archive(CRAWL, path)
    whole = path.read_bytes()
    for cut in range(1, len(whole), 97):
        path.write_bytes(whole[:cut])
        refused = ""
        try:
            assert warc.signals_in(str(path)).records <= len(CRAWL)
        except CorpusError as error:
            refused = str(error)
        assert "\n" not in refused
    path.write_bytes(gzip.compress(b"\x00" * 1000))
    with pytest.raises(CorpusError, match="undamaged"):
        warc.signals_in(str(path))
